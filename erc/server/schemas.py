"""Bodies of requests, and of answers but predictions: what /openapi.json says, what requests must be.

What a prediction holds depends on the model: `erc.server.answers`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Json, create_model

from erc.base.audio import SAMPLE_RATE
from erc.base.decoding import RATES
from erc.base.space import Space
from erc.timeline import timeline
from erc.timeline.live import EVERY

DEFAULT = timeline.__kwdefaults__ or {}
MAX_TEXT = 20_000  # characters
FEWER = "So many emotions only."
PHYSIOLOGY = "Any of `eda`, `temp` (4 Hz), `ibi` (s), `ecg` with `ecg_rate`, `start`, `end` (s)."

BAD: Any = {
    "type": "AudioError",
    "message": "b.wav: cannot be decoded (Format not recognised); libsndfile reads wav, flac, ogg, mp3",
}


Asked = TypeVar("Asked", bound="Options")


class Strict(BaseModel):
    """A typo is an error."""

    model_config = ConfigDict(extra="forbid")


class Options(Strict):
    """What may come with a recording."""

    text: str | None = Field(None, max_length=MAX_TEXT, description="What is said.")
    explain: bool = Field(False, description="Also say why: shares, moments, words. Takes longer.")
    sets: float | None = Field(
        None, gt=0, lt=1, description="Also a prediction set that is right so often, e.g. 0.9."
    )
    top_k: int | None = Field(None, ge=1, description=FEWER)


class PredictRequest(Options):
    """One utterance as JSON."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "정말 좋았어"}, {"audio": "UklGRi…", "top_k": 3}]}
    )
    audio: str | None = Field(
        None, description="An encoded recording (wav, flac, ogg, mp3) in base64.",
        json_schema_extra={"contentEncoding": "base64"},
    )  # fmt: skip
    name: str | None = Field(None, max_length=500, description="What to call it in the answer.")
    physiology: dict[str, Any] | None = Field(None, description=PHYSIOLOGY)


class PredictForm(Options):
    """One utterance as a form; `file` is the recording."""

    physiology: Json[dict[str, Any]] | None = Field(None, description=PHYSIOLOGY + " As JSON.")


@lru_cache
def of(kind: type[Asked], space: Space) -> type[Asked]:
    """A kind of request to a model that answers in this space: `top_k` is at most its emotions."""
    if not (count := len(space.emotions)):
        return kind
    top = (int, Field(count, ge=1, le=count, description=FEWER))
    return create_model(kind.__name__, __base__=kind, __doc__=kind.__doc__, top_k=top)


class TimelineForm(Strict):
    """A long recording as a form; `file` is the recording, `transcript` a .srt, .vtt or .json file."""

    segments: Json[list[Any]] | None = Field(
        None,
        description='Instead of a transcript file: JSON, [{"start": 0, "end": 2, "text": "…"}].',
    )
    format: Literal["json", "csv", "vtt", "eaf"] = "json"
    vad: Literal["silero", "none", "text"] | None = Field(
        None, description="How turns are found; null: as in the transcript, without one silero."
    )
    max_turn: float = Field(
        DEFAULT["max_turn"], ge=0.5, le=600, description="s the model hears at once, at most."
    )
    overlap: float = Field(
        DEFAULT["overlap"], ge=0, description="s that two windows of a long turn share."
    )
    smooth: float = Field(
        DEFAULT["smooth"], ge=0, le=3600, description="s; 0: neighbouring turns do not count."
    )


class LiveRequest(Strict):
    """The first message of a live stream."""

    rate: int = Field(SAMPLE_RATE, ge=RATES[0], le=RATES[1], description="Hz of the 16-bit PCM.")
    speaker: str | None = Field(None, max_length=200, description="Stands in the answers.")
    every: float = Field(EVERY, ge=0, le=60, description="s between partial answers; 0: none.")
    max_turn: float = Field(DEFAULT["max_turn"], ge=0.5, le=600)
    overlap: float = Field(DEFAULT["overlap"], ge=0)


class Error(BaseModel):
    """What went wrong; `type` is for programs, `message` for people."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [BAD]})
    type: str
    message: str


class ErrorAnswer(BaseModel):
    """Body of every answer that is not 200."""

    model_config = ConfigDict(extra="forbid")
    error: Error


class FailedItem(BaseModel):
    """Stands in the place of an input that could not be used."""

    model_config = ConfigDict(extra="forbid")
    file: str
    error: Error


class Health(BaseModel):
    """Whether to send requests here."""

    status: Literal["ok", "stopping", "stuck"]


class Info(BaseModel):
    """The model's essentials."""

    version: str
    model: str
    id: str = Field(description="As answers name it: NAME@VERSION.")
    simulated: bool = Field(description="Trained on simulated speech; no person was recorded.")
    modalities: list[str]
    emotions: list[str] = Field(description="Of its answers, in the order of `probabilities`.")
    dimensions: dict[str, tuple[float, float]] = Field(
        description="Of its answers, each a key of theirs: least and greatest value."
    )
    not_offered: list[str] | None = Field(
        description="Emotions and dimensions without training data; null: not recorded."
    )
    calibrated: bool = Field(description="A temperature was fitted on data that is not scored.")
    scales: dict[str, str]
    runtime: str
    limits: dict[str, float]
    licences: list[str] = Field(description="Of the data and encoders the model was made from.")
    forbidden_use: str
