"""`Item` → `Clip`: a recording that nobody vouches for is looked at before anything decodes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from erc.base import audio
from erc.base.decoders import AV, LIBSNDFILE, is_known
from erc.base.errors import AudioError, ConfigError
from erc.base.sources import named
from erc.recognizer.sets import check as check_sets
from erc.server.metrics import Metrics
from erc.server.problems import too_large
from erc.server.settings import Settings
from erc.server.uploads import Item

if TYPE_CHECKING:
    from erc.recognizer import Clip, Recognizer


def decode(item: Item, recognizer: Recognizer, settings: Settings, metrics: Metrics) -> Clip:
    """What the recognizer needs of an item.

    Raises:
        AudioError, ConfigError: the item cannot be used.
        Problem: 413, longer than `settings.max_seconds`.
    """
    if item.options.sets:
        check_sets(item.options.sets, recognizer.held_out)
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
    if data and not is_known(data):
        raise AudioError(
            f"{name}: cannot be decoded (Format not recognised); send "
            f"{', '.join((*LIBSNDFILE, *AV))}, e.g. `ffmpeg -i in.ape -ar 16000 out.wav`"
        )
    seconds = audio.seconds(named(data, name), most=most)  # raises what loading would raise
    if seconds > most:
        raise too_large(f"{name}: {seconds:.1f} s long; at most {most:g} s are taken here{remedy}")
    return seconds
