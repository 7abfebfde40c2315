"""`erc timeline`: a long recording → turns on the screen, in a file, and as a picture."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from erc.base.errors import ConfigError
from erc.base.progress import clock, progress
from erc.cli.command import COMMERCIAL, MODEL, QUIET, RUNTIME, Option, command

FORMATS = ("table", "json", "csv", "vtt", "eaf")


@command(
    Option("recording", "of any length, rate and channels", metavar="RECORDING"),
    Option("--text", "transcript with times: .srt, .vtt or .json", metavar="FILE"),
    MODEL,
    Option("--format", "default: by -o, else a table; vtt: subtitles, eaf: ELAN", choices=FORMATS),
    Option("-o --output", "default: the screen", metavar="FILE"),
    Option("--plot", "draw it: .png, .svg or .pdf", metavar="FILE"),
    Option(
        "--vad", "turns are: segments of --text (its default), speech that silero finds, or windows",
        choices=("silero", "none", "text"),
    ),
    Option("--max-turn", "heard at once", type=float, default=15.0, metavar="S"),
    Option("--overlap", "of windows", type=float, default=2.0, metavar="S"),
    Option("--smooth", "over time; 0: not at all", type=float, default=0.0, metavar="S"),
    RUNTIME,
    COMMERCIAL,
    QUIET,
)  # fmt: skip
def timeline(
    recording: str, text: str | None, model: str | None, format: str | None, output: str | None,
    plot: str | None, vad: str | None, max_turn: float, overlap: float, smooth: float, runtime: str,
    commercial: bool, quiet: bool,
) -> int:  # fmt: skip
    """Emotion and dimensions (valence, arousal …) of every turn of a long recording.

    Returns:
        0, or 1 if some turn failed.

    Raises:
        ConfigError, AudioError, CheckpointError: nothing was written.
    """
    from erc.model.folder.find import find_model
    from erc.recognizer import load
    from erc.recognizer.prediction import NO_SPEECH, Failure
    from erc.timeline import timeline
    from erc.timeline.files import save, write

    check_files(output if not format else None, plot)
    recognizer = load(find_model(model), runtime=runtime, commercial=commercial)
    if warning := recognizer.learned.warning():
        print(f"erc timeline: {warning}", file=sys.stderr)
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
        print(f"{recording}: {NO_SPEECH} in {found.duration:.1f} s", file=sys.stderr)
    if found.unspoken:
        print(
            f"no speech was found in {len(found.unspoken)} segments of {text}, the first at "
            f"{clock(found.unspoken[0].start)}; they were left out (--vad text keeps them)",
            file=sys.stderr,
        )
    failed = sum(isinstance(turn, Failure) for turn in found.turns)
    if failed:
        print(f"{failed} of {len(found.turns)} turns failed", file=sys.stderr)
    return 1 if failed else 0


def check_files(*paths: str | None) -> None:
    """Raise ConfigError for a name that says no format: before hours of work, not after."""
    from erc.timeline.files import SUFFIXES

    for path in filter(None, paths):
        if Path(path).suffix.lower() not in SUFFIXES:
            raise ConfigError(f"{path}: give it one of the suffixes {', '.join(SUFFIXES)}")


def _shown(stack: ExitStack, quiet: bool) -> Callable[[float, float], None]:
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
