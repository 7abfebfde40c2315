"""`Item` → `Clip`: a recording that nobody vouches for is looked at before anything decodes it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from erc.base.errors import AudioError, ConfigError
from erc.server.metrics import Metrics
from erc.server.problems import too_large
from erc.server.settings import Settings
from erc.server.uploads import Item
from erc.timeline.recording import Recording

if TYPE_CHECKING:
    from erc.recognizer import Clip, Recognizer

# RIFX, RF64, W64 and the rarer formats of libsndfile are not worth their parsers here
KNOWN: dict[str, Callable[[bytes], bool]] = {
    "wav": lambda head: head[:4] == b"RIFF" and head[8:] == b"WAVE",
    "flac": lambda head: head[:4] == b"fLaC",
    "ogg": lambda head: head[:4] == b"OggS",
    "mp3": lambda head: head[:3] == b"ID3" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0"),
}


def decode(item: Item, recognizer: Recognizer, settings: Settings, metrics: Metrics) -> Clip:
    """What the recognizer needs of an item.

    Raises:
        AudioError, ConfigError: the item cannot be used.
        Problem: 413, longer than `settings.max_seconds`.
    """
    source = None
    if item.audio is not None:
        seconds = check_recording(
            item.audio, item.name, settings.max_seconds, "; POST /v1/timeline takes long ones"
        )
        metrics.audio.inc(seconds)
        source = named(item.audio, item.name)
    try:
        return recognizer.read(source, item.options.text, None, item.physiology, name=item.name)
    except (TypeError, ValueError, OverflowError):
        if item.physiology is None:
            raise
        raise ConfigError("physiology: lists of numbers are expected; see /openapi.json") from None


def check_recording(data: bytes, name: str, most: float, remedy: str = "") -> float:
    """Seconds of an encoded recording, read from its header.

    Args:
        remedy: what to do with a longer one, for the message.

    Raises:
        AudioError: a format that is not accepted, or a header that would hang the decoder.
        Problem: 413, longer than `most` s.
    """
    if data and not any(looks_so(data[:12]) for looks_so in KNOWN.values()):
        raise AudioError(
            f"{name}: cannot be decoded (Format not recognised); send {', '.join(KNOWN)}, "
            "e.g. `ffmpeg -i in.m4a -ar 16000 out.wav`"
        )
    seconds = Recording(named(data, name)).duration  # raises what loading would raise
    if seconds > most:
        raise too_large(f"{name}: {seconds:.1f} s long; at most {most:g} s are taken here{remedy}")
    return seconds


def named(data: bytes, name: str) -> io.BytesIO:
    """An open file that messages call by this name."""
    file = io.BytesIO(data)
    file.name = name  # type: ignore[attr-defined]
    return file
