"""Commands that carry a model elsewhere: to a runtime without torch, or here from a checkpoint."""

from __future__ import annotations

from erc.cli.command import Option, command

MODEL = Option("model", "model folder")
RECORDINGS = Option("--recordings", "compare on these (default: simulated)", metavar="DIR")


@command(
    MODEL,
    Option("--export", "make these exports first", count="+", choices=("onnx", "openvino")),
    Option("--recordings", "measure on these (default: simulated)", metavar="DIR"),
)
def tune(model: str, export: list[str] | None, recordings: str | None) -> None:
    """Measure which runtime answers fastest on this machine, and remember it in the model folder."""
    from erc.recognizer.tune import table, tune

    print(table(tune(model, export or (), recordings)))


@command(
    MODEL,
    Option("--format", default="onnx", choices=("onnx", "openvino")),
    Option("--int8", "8-bit weights: smaller, faster, less exact", flag=True),
    RECORDINGS,
    Option("--inside", "write to MODEL/exports, for --runtime", flag=True),
    Option("-o --output", "default: MODEL-onnx or the like", metavar="OUT"),
)
def export(
    model: str, format: str, int8: bool, recordings: str | None, inside: bool, output: str | None
) -> None:
    """Turn a model folder into one that runs without torch, and say what that changes."""
    from erc.recognizer import parity
    from erc.recognizer.export import export, into, report

    if inside:
        out = into(model, format=format, int8=int8, recordings=recordings)
    else:
        out = export(model, output, format=format, int8=int8, recordings=recordings)
    print(f"{parity.table(report(out))}\nwrote {out}")


@command(
    Option("checkpoint", metavar="CHECKPOINT.safetensors"),
    Option("config", metavar="CONFIG.json"),
    Option("out_dir", metavar="OUT_DIR"),
)
def import_reference(checkpoint: str, config: str, out_dir: str) -> None:
    """Turn a checkpoint with the published key names into a model folder."""
    from pathlib import Path

    from erc.model.folder.export import keep_copy
    from erc.model.folder.reference import import_reference

    import_reference(checkpoint, config, out_dir)
    print(f"wrote {out_dir}\n{keep_copy(Path(out_dir))}")
