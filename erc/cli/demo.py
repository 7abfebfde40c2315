"""`erc demo`: the shortest way to a trained model and an answer."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

from erc.cli.command import Option, command
from erc.cli.predict import predict


@command(Option("out_dir", count="?", default="runs/demo", metavar="OUT_DIR"))
def demo(out_dir: str) -> int:
    """The whole path on a simulated corpus."""
    from erc.base.text import clean
    from erc.studies.experiment import run

    start, folder = time.monotonic(), Path(out_dir)
    corpus, made = folder / "corpus", folder / "run"
    run(["experiment=demo", f"dataset.paths={corpus}", f"cache={folder / 'cache'}"], made)
    clip = min(corpus.glob("wav/Session20/*/*.wav"))
    text = clean(clip.with_suffix(".txt").read_text("utf-8"))
    words = [str(clip), "--text", text, "--model", str(made / "model")]
    print(f"\nerc predict {shlex.join(words)}")
    code = predict([*words, "--format", "table"])
    print(
        f"\neverything is in {folder} ({time.monotonic() - start:.0f} s); the corpus is simulated"
    )
    return code
