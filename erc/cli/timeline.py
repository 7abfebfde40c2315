"""`erc timeline`: a long recording → turns on the screen, in a file, and as a picture."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from erc.base.errors import ConfigError
from erc.base.progress import clock, progress
from erc.cli.predict import model_folder
from erc.timeline import Progress, timeline
from erc.timeline.files import SUFFIXES, save, write
from erc.timeline.record import NOTHING


def run(
    recording: str,
    text: str | None = None,
    model: str | None = None,
    format: str | None = None,
    output: str | None = None,
    plot: str | None = None,
    *,
    vad: str | None = None,
    max_turn: float = 15.0,
    overlap: float = 2.0,
    smooth: float = 0.0,
    runtime: str = "auto",
    quiet: bool = False,
) -> int:
    """Answer for the turns of one recording; see `erc timeline --help`.

    Returns:
        0, or 1 if some turn failed.

    Raises:
        ConfigError, AudioError, CheckpointError: nothing was written.
    """
    for path in filter(None, (output if not format else None, plot)):
        if Path(path).suffix.lower() not in SUFFIXES:  # before hours of work, not after
            raise ConfigError(f"{path}: give it one of the suffixes {', '.join(SUFFIXES)}")
    from erc.recognizer import load

    recognizer = load(model_folder(model), runtime=runtime)
    with ExitStack() as stack:
        found = timeline(
            recognizer, recording, text, vad=vad, max_turn=max_turn, overlap=overlap,
            smooth=smooth, progress=_shown(stack, quiet),
        )  # fmt: skip
    for path in filter(None, (output, plot)):
        wanted = format if path == output else None
        print(f"wrote {save(found, path, wanted)}", file=sys.stderr)
    if not output:
        write(found, format or "table", sys.stdout)
    if not found.turns:
        print(f"{recording}: {NOTHING} in {found.duration:.1f} s", file=sys.stderr)
    if found.unspoken:
        print(
            f"no speech was found in {len(found.unspoken)} segments of {text}, the first at "
            f"{clock(found.unspoken[0].start)}; they were left out (--vad text keeps them)",
            file=sys.stderr,
        )
    failed = len(found.turns) - len(found.predictions)
    if failed:
        print(f"{failed} of {len(found.turns)} turns failed", file=sys.stderr)
    return 1 if failed else 0


def _shown(stack: ExitStack, quiet: bool) -> Progress:
    """A bar in seconds of sound, begun when the length is known."""
    advance: Callable[[int], None] | None = None
    shown = 0

    def tell(done: float, total: float) -> None:
        nonlocal advance, shown
        if advance is None:
            advance = stack.enter_context(progress("seconds of sound", round(total), quiet))
        advance(int(done) - shown)
        shown = int(done)

    return tell
