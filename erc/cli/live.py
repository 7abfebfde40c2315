"""`erc live`: what is spoken now → a moving picture, and a timeline at the end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from erc.base.errors import ConfigError
from erc.cli.command import COMMERCIAL, MODEL, RUNTIME, Option, command
from erc.cli.timeline import check_files

if TYPE_CHECKING:
    from erc.cli.live_sound import Microphone
    from erc.recognizer import Recognizer
    from erc.timeline import Live


@command(
    MODEL,
    Option("--from", "play this recording instead of the microphone", metavar="FILE"),
    Option("--fast", "with --from: as fast as the model hears, not as it was spoken", flag=True),
    Option("--device", "microphone, its number or a part of its name", metavar="NAME"),
    Option("--speaker", "who speaks; stands in the answers", metavar="NAME"),
    Option("-o --output", "the timeline at the end: .csv, .json, .vtt …", metavar="FILE"),
    Option("-q --quiet", "no picture, no lines", flag=True),
    RUNTIME,
    COMMERCIAL,
)
def live(
    model: str | None, fast: bool, device: str | None, speaker: str | None, output: str | None,
    quiet: bool, runtime: str, commercial: bool, **played: Any,
) -> int:  # fmt: skip
    """Emotion, valence and arousal of who speaks into the microphone, while it is said.

    On a terminal it is a picture that moves, in a pipe a JSON line for each turn that ended.

    Returns:
        0, or 1 if some turn failed.

    Raises:
        ConfigError, AudioError, CheckpointError: no microphone, no recording, no model.
    """
    from erc.cli.live_sound import Microphone
    from erc.model.folder.find import find_model
    from erc.recognizer import load
    from erc.recognizer.prediction import Failure
    from erc.timeline.files import save, write

    path: str | None = played["from"]  # no name that Python allows
    if path and device:
        raise ConfigError("--device chooses a microphone, --from a recording: give one of them")
    if fast and not path:
        raise ConfigError("--fast plays a recording: give --from FILE")
    check_files(output)
    microphone = None if path else Microphone(device)  # before the model is loaded
    recognizer = load(find_model(model), runtime=runtime, commercial=commercial)
    if warning := recognizer.learned.warning():
        print(f"erc live: {warning}", file=sys.stderr)
    stream = _heard(recognizer, microphone, path or "<microphone>", fast, speaker, quiet)
    found = stream.timeline()
    if output:
        print(f"wrote {save(found, output)}", file=sys.stderr)
    elif sys.stdout.isatty() and not quiet:
        write(found, "table", sys.stdout)
    failed = sum(isinstance(turn, Failure) for turn in found.turns)
    if failed:
        print(f"{failed} of {len(found.turns)} turns failed", file=sys.stderr)
    return 1 if failed else 0


def _heard(
    recognizer: Recognizer, microphone: Microphone | None, name: str, fast: bool,
    speaker: str | None, quiet: bool,
) -> Live:  # fmt: skip
    """The stream, heard to its end: of the microphone, else of the recording of that name."""
    from erc.base.audio import SAMPLE_RATE
    from erc.cli.live_screen import screen
    from erc.cli.live_sound import interrupted, played

    rate = microphone.rate if microphone else SAMPLE_RATE
    stream = recognizer.live(rate, name=name, speaker=speaker)
    shown = screen(recognizer.space, recognizer.learned.simulated, quiet)
    with interrupted() as stop, shown as told:
        for chunk in microphone.chunks(stop) if microphone else played(name, stop, fast):
            for heard in stream.feed(chunk):
                told.tell(heard)
            told.tick(stream.duration)
        for heard in stream.close():
            told.tell(heard)
    return stream
