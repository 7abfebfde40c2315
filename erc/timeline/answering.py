"""What a recording and a stream share: options that are checked, and one answer for a turn."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from erc.base.audio import SAMPLE_RATE
from erc.base.errors import ConfigError, did_you_mean
from erc.recognizer.prediction import Failure, Prediction
from erc.recognizer.vad import Rule
from erc.timeline.averages import mean
from erc.timeline.record import TurnFailure
from erc.timeline.turns import Turn

if TYPE_CHECKING:
    from erc.recognizer import Recognizer

VAD = ("silero", "none", "text")


def check(
    recognizer: Recognizer, text: Any, vad: str, max_turn: float, overlap: float, smooth: float
) -> None:
    if vad not in VAD:
        raise ConfigError(f"vad='{vad}' is not one of {', '.join(VAD)}{did_you_mean(vad, VAD)}")
    if vad == "text" and text is None:
        raise ConfigError("vad='text' makes turns of a transcript with times; give text=…")
    if not 0.5 <= max_turn < math.inf:
        raise ConfigError(f"max_turn={max_turn}: seconds, at least 0.5")
    if not 0 <= overlap <= max_turn / 2:
        raise ConfigError(f"overlap={overlap}: seconds, 0 … half of max_turn={max_turn}")
    if not 0 <= smooth < math.inf:
        raise ConfigError(f"smooth={smooth}: seconds, 0 for none")
    if "speech" not in recognizer.spec.modalities:
        raise ConfigError("this model reads text only; a timeline needs one that hears speech")
    if recognizer.spec.needs_all and text is None and "text" in recognizer.spec.modalities:
        raise ConfigError("this model needs the transcript too; give text=… with times")


def settings(
    recognizer: Recognizer, vad: str, max_turn: float, window: float, overlap: float, smooth: float,
    rule: Rule,
) -> dict[str, Any]:  # fmt: skip
    """What turns and answers were made with, as a timeline says it."""
    return (
        {"vad": vad, "max_turn": max_turn, "window": window, "overlap": overlap}
        | {"smooth": smooth, "runtime": recognizer.runtime.name}
        | (asdict(rule) if vad == "silero" else {})
    )


def made(
    recognizer: Recognizer,
    name: str,
    turn: Turn,
    answers: list[tuple[float, Prediction | Failure]],
) -> Prediction | TurnFailure:
    """One answer of a turn; a turn of which a window failed has failed."""
    speakers = dict.fromkeys(segment.speaker for segment in turn.said if segment.speaker)
    what: dict[str, Any] = {
        "start": round(turn.start / SAMPLE_RATE, 3),
        "end": round(turn.end / SAMPLE_RATE, 3),
        "text": " ".join(segment.text for segment in turn.said) or None,
        "speaker": ", ".join(speakers) or None,
    }
    length = round((turn.end - turn.start) / SAMPLE_RATE, 3)
    for _, answer in answers:
        if isinstance(answer, Failure):
            return TurnFailure(name, answer.error, **what)
    weights, predictions = zip(*answers)
    one = predictions[0] if len(answers) == 1 else mean(predictions, weights, recognizer)
    heard = length if one.answered else 0.0
    return replace(one, file=name, duration=length, heard=heard, **what)
