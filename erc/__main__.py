"""The `erc` command: its options. The functions are in `erc.cli.commands`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields

from erc.base.devices import tune_memory
from erc.base.errors import ConfigError, did_you_mean, one_line_errors
from erc.cli import commands
from erc.cli.commandline import Parser, TopParser
from erc.server.settings import PAGE_PORT, Settings, flag


def parser() -> argparse.ArgumentParser:
    """Commands and options; nothing heavy is imported to build it."""
    top = TopParser(
        prog="erc", description="Emotion, valence and arousal from speech and transcript."
    )
    top.add_argument("--version", action="version", version=_version())
    subs = top.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)

    def add(name: str) -> argparse.ArgumentParser:
        call = getattr(commands, name.replace("-", "_"))
        summary = call.__doc__.strip()
        sub = subs.add_parser(name, help=summary, description=summary)
        sub.set_defaults(call=call, parser=sub, top=top)
        return sub

    c = add("demo")
    c.add_argument("out_dir", nargs="?", default="runs/demo", metavar="OUT_DIR")

    c = add("synth")
    c.add_argument("out_dir", metavar="OUT_DIR", help="the corpus folder to write")
    c.add_argument("--layout", default="kemdy19", choices=["kemdy19", "kemdy20"])
    c.add_argument("--sessions", type=int, default=20, help="numbered from 1 (default 20)")
    c.add_argument("--utterances", type=int, default=60, help="per session (default 60)")
    c.add_argument("--seed", type=int, default=0)

    c = add("prepare")
    c.add_argument("root", help="corpus folder or manifest file")
    c.add_argument("--corpus", help="kemdy19 | kemdy20 | aihub | manifest (default: by its files)")
    c.add_argument("--folds", default="5", help="number of folds by session, or 'session'")
    c.add_argument("--workers", type=int, default=2, help="recordings decoded at once")

    for name in ("train", "cross-validate"):
        c = add(name)
        c.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="see config/train.yaml")

    c = add("evaluate")
    c.add_argument("run", help="folder of a run, runs/…")
    c.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="e.g. dataset.paths=…")
    c.add_argument("-o", "--output", help="folder for results.json and predictions.csv")

    c = add("agreement")
    c.add_argument("corpus", nargs="?", help="kemdy19 | … (default: what ROOT looks like)")
    c.add_argument("root", metavar="ROOT", help="corpus folder or manifest file")
    c.add_argument("-o", "--output", metavar="DIR", help="for agreement.json and heat maps")

    c = add("sharpen")
    c.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="see config/train.yaml")
    c.add_argument("--fast", action="store_true", help="simulated corpus, frozen tiny encoders")
    c.add_argument(
        "--temperatures", type=float, nargs="+", metavar="T", help="0 … 1 (default 0.25 0.5 0.75)"
    )
    c.add_argument("-o", "--output", metavar="DIR", help="default: a new folder in runs/sharpen")

    c = add("audit")
    c.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="see config/train.yaml")

    c = add("reproduce")
    c.add_argument("--fast", action="store_true", help="simulated corpus, small frozen encoders")
    c.add_argument("--data", metavar="ROOT", help="folder of KEMDy (default: data, if it is there)")
    c.add_argument("--protocol", default="both", choices=["paper", "strict", "both"])
    c.add_argument("--workers", type=int, help="runs at a time (default: 1; simulated: one a core)")
    c.add_argument("-o", "--output", metavar="DIR", help="go on there (default: runs/reproduce-…)")

    c = add("timeline")
    c.add_argument("recording", metavar="RECORDING", help="of any length, rate and channels")
    c.add_argument("--text", metavar="FILE", help="transcript with times: .srt, .vtt or .json")
    c.add_argument("--model", help="model folder (default: $ERC_MODEL, else the newest in runs/)")
    c.add_argument(
        "--format", choices=["table", "json", "csv", "vtt", "eaf"],
        help="default: by -o, else a table; vtt: subtitles, eaf: ELAN",
    )  # fmt: skip
    c.add_argument("-o", "--output", metavar="FILE", help="default: the screen")
    c.add_argument("--plot", metavar="FILE", help="draw it: .png, .svg or .pdf")
    c.add_argument(
        "--vad", choices=["silero", "none", "text"],
        help="turns are: segments of --text (its default), speech that silero finds, or windows",
    )  # fmt: skip
    c.add_argument("--max-turn", type=float, default=15.0, metavar="S", help="heard at once (15)")
    c.add_argument("--overlap", type=float, default=2.0, metavar="S", help="of windows (2)")
    c.add_argument("--smooth", type=float, default=0.0, metavar="S", help="over time (0: off)")
    c.add_argument("--runtime", default="auto", help="see erc predict")
    c.add_argument("-q", "--quiet", action="store_true", help="no progress")

    c = add("check")
    c.add_argument("corpus", nargs="?", help="kemdy19 | … (default: what ROOT looks like)")
    c.add_argument("root", metavar="ROOT", help="corpus folder or manifest file")
    c.add_argument("--json", action="store_true", help="every finding with all its places")
    c.add_argument("--workers", type=int, default=4, help="recordings read at once")
    c.add_argument("--quiet", action="store_true", help="no progress")

    c = add("predict")
    c.add_argument(
        "files", nargs="*", metavar="INPUT",
        help="recordings, folders of them, quoted patterns ('**/*.wav'), @list.txt, "
        "table.csv (columns audio, text), or - for standard input",
    )  # fmt: skip
    c.add_argument("--text", help="what is said (one recording, or none)")
    c.add_argument("--model", help="model folder (default: $ERC_MODEL, else the newest in runs/)")
    c.add_argument(
        "--format", choices=["table", "json", "csv", "vtt", "eaf"],
        help="default: by -o, else a table on a terminal, JSON lines in a pipe",
    )  # fmt: skip
    c.add_argument("-o", "--output", metavar="FILE", help="goes on where it was stopped")
    c.add_argument("--overwrite", action="store_true", help="start -o anew")
    c.add_argument("--top-k", type=int, default=7, metavar="K", help="the K most probable emotions")
    c.add_argument("--abstain", type=float, default=0.0, metavar="P", help="mark answers below P")
    c.add_argument("--workers", type=int, default=2, metavar="N", help="decoding threads")
    c.add_argument("--device", default="auto", help="auto | cpu | cuda")
    c.add_argument("--runtime", default="auto", help="auto | torch-fp32 | onnx-int8 | …")
    c.add_argument("--quiet", action="store_true", help="no progress, no summary")

    c = add("info")
    c.add_argument("model", nargs="?", help="model folder, or a run's (default: as for predict)")
    c.add_argument("--json", action="store_true")

    c = add("completion")
    c.add_argument("shell", choices=["bash", "zsh", "fish"])

    c = add("tune")
    c.add_argument("model", help="model folder")
    c.add_argument(
        "--export", nargs="+", choices=["onnx", "openvino"], help="make these exports first"
    )
    c.add_argument("--recordings", metavar="DIR", help="measure on these (default: simulated)")

    c = add("serve")
    c.add_argument("--model", help="model folder (default: $ERC_MODEL, else the newest in runs/)")
    for option in fields(Settings):
        default = option.default
        said = (
            ""
            if default in (None, "")
            else f" (default {default:g})"
            if isinstance(default, float | int)
            else f" (default {default})"
        )
        c.add_argument(
            flag(option.name), type=str if default is None else type(default), default=default,
            metavar=option.metadata["unit"], help=option.metadata["help"] + said,
        )  # fmt: skip
    c.add_argument("--runtime", default="auto", help="see `erc export` (default auto)")
    c.add_argument("--web", action="store_true", help="with the page for people, at /web")

    c = add("web")
    c.add_argument("--model", help="model folder (default: $ERC_MODEL, else the newest in runs/)")
    c.add_argument("--host", default=Settings.host, help="of this machine; others: erc serve --web")
    c.add_argument(
        "--port", type=int, default=PAGE_PORT, help="0 takes a free one (default %(default)s)"
    )
    c.add_argument("--open", action="store_true", help="open it in the browser")
    c.add_argument("--runtime", default="auto", help="see erc predict")

    c = add("embed")
    c.add_argument("run", help="folder of a run; its corpus must be there")
    c.add_argument("-o", "--output", metavar="DIR", help="default: the run's folder")
    c.add_argument("--seed", type=int, default=0)

    c = add("report")
    c.add_argument("run", help="folder of a run, runs/…")
    c.add_argument("-o", "--output", metavar="FILE.html", help="default: RUN/report.html")

    c = add("export")
    c.add_argument("model", help="model folder")
    c.add_argument("--format", default="onnx", choices=["onnx", "openvino"])
    c.add_argument("--int8", action="store_true", help="8-bit weights: smaller, faster, less exact")
    c.add_argument("--recordings", metavar="DIR", help="compare on these (default: simulated)")
    c.add_argument("--inside", action="store_true", help="write to MODEL/exports, for --runtime")
    c.add_argument("-o", "--output", metavar="OUT", help="default: MODEL-onnx or the like")

    c = add("import-reference")
    c.add_argument("checkpoint", metavar="CHECKPOINT.safetensors")
    c.add_argument("config", metavar="CONFIG.json")
    c.add_argument("out_dir", metavar="OUT_DIR")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code: 0 all good, 1 some inputs failed, 2 usage or input."""
    words = list(sys.argv[1:] if argv is None else argv)
    with one_line_errors():
        top = parser()
        known = top._subparsers._group_actions[0].choices  # type: ignore[union-attr]
        if words and not words[0].startswith("-") and words[0] not in known:
            raise ConfigError(
                f"there is no command '{words[0]}'{did_you_mean(words[0], known)}; "
                f"commands: {', '.join(known)}"
            )
        args = top.parse_args(words)
        tune_memory()
        return args.call(args)
    return 2


def _version() -> str:
    from erc import __version__

    return __version__


if __name__ == "__main__":
    sys.exit(main())
