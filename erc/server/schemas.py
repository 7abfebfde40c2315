"""Bodies of requests and answers: what /openapi.json says, and what requests are checked against.

Answers are sent as `Prediction.to_dict` makes them; that they look like this is a test's business.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Json

from erc.base.emotions import EMOTIONS
from erc.timeline import timeline

Emotion = Literal["surprise", "fear", "angry", "neutral", "happy", "sad", "disgust"]
Probability = Annotated[float, Field(ge=0, le=1)]
Rating = Annotated[float, Field(ge=1, le=5)]
DEFAULT = timeline.__kwdefaults__ or {}
MAX_TEXT = 20_000  # characters
PHYSIOLOGY = "Any of `eda`, `temp` (4 Hz), `ibi` (s), `ecg` with `ecg_rate`, `start`, `end` (s)."

HAPPY: Any = {
    "file": "a.wav", "label": "happy",
    "probabilities": {"surprise": 0.05, "fear": 0.01, "angry": 0.01, "neutral": 0.2, "happy": 0.7,
                      "sad": 0.02, "disgust": 0.01},
    "valence": 4.1, "arousal": 3.2, "confidence": 0.7, "modalities": ["speech", "text"],
    "abstain": False, "conflict": False, "prediction_set": None, "duration": 2.4, "heard": 2.4,
    "band_hz": 7800.0, "narrow_band": False, "typicality": {"speech": 0.41, "text": 0.63},
    "simulated": False, "model": "kemdy@3fa4c2d1", "reason": None,
}  # fmt: skip
BAD: Any = {
    "type": "AudioError",
    "message": "b.wav: cannot be decoded (Format not recognised); libsndfile reads wav, flac, ogg, mp3",
}


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
    top_k: int = Field(len(EMOTIONS), ge=1, le=len(EMOTIONS), description="So many emotions only.")


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


class Why(BaseModel):
    """What the probability of the label rests on."""

    nothing: float = Field(description="Of the label before anything was heard or read.")
    shares: dict[str, float] = Field(description="Shapley value of each modality.")
    time: list[tuple[float, float, float]] = Field(description="[start s, end s, saliency].")
    words: list[tuple[str, float]] = Field(description="[word, saliency].")


class Answer(BaseModel):
    """A prediction."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [HAPPY]})
    file: str
    label: Emotion | None = Field(description="Null: there is none, see `reason`.")
    probabilities: dict[Emotion, Probability] = Field(
        description="Estimated share of raters who would choose each; all seven sum to 1; "
        "0: never learned; {}: no label."
    )
    valence: Rating | None = Field(description="1 negative … 5 positive; null: never learned.")
    arousal: Rating | None = Field(description="1 calm … 5 excited; null: never learned.")
    confidence: Probability | None = Field(description="Probability of the label.")
    modalities: list[Literal["speech", "text", "physiology"]]
    abstain: bool = Field(
        description="Better shown to a person than used: little confidence, or hardly typical."
    )
    conflict: bool | None = Field(
        description="Valence and arousal lie where raters rarely placed this emotion; null: unknown."
    )
    prediction_set: list[Emotion] | None = Field(
        description="Emotions, most probable first, among which the one that most raters would choose "
        "is as often as `sets` asked; null: not asked, no label, or nothing known of such answers."
    )
    duration: float | None = Field(description="Of the recording, s; null: no recording.")
    heard: float | None = Field(
        description="What the answer rests on, s: all, or the speech of a long recording; 0: none."
    )
    band_hz: float | None = Field(description="How far up the spectrum of the recording reaches.")
    narrow_band: bool | None = Field(
        description="That is far less than in training, as over a telephone; null: not recorded."
    )
    typicality: dict[Literal["speech", "text", "physiology"], Probability | None] | None = Field(
        description="Share of held-out speakers' recordings that are at least as unlike the training "
        "data; null: missing, or not known of this model."
    )
    simulated: bool = Field(
        description="The model was trained on simulated speech; it knows nothing of real voices."
    )
    model: str = Field(description="Which model says so: NAME@VERSION.")
    reason: str | None = Field(description="Why there is no label.")
    explanation: Why | None = None


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


class BatchAnswer(BaseModel):
    """One result an input, in order."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"results": [HAPPY, {"file": "b.wav", "error": BAD}]}]},
    )
    results: list[Answer | FailedItem]


class TurnAnswer(Answer):
    """A prediction for a turn."""

    start: float = Field(description="s")
    end: float = Field(description="s")
    text: str | None = None
    speaker: str | None = Field(None, description="Of the transcript.")


class FailedTurn(BaseModel):
    """A turn that could not be answered."""

    file: str
    error: str
    start: float
    end: float
    text: str | None = None
    speaker: str | None = None


class TimelineAnswer(BaseModel):
    """Turns of a long recording."""

    file: str
    duration: float = Field(description="s")
    simulated: bool = Field(description="As in the answers of the turns.")
    settings: dict[str, Any] = Field(description="What the turns and answers were made with.")
    turns: list[TurnAnswer | FailedTurn]
    unspoken: list[dict[str, Any]] = Field(description="Transcript where no speech was found.")
    envelope: dict[str, Any] = Field(
        description="Least and greatest sample, to draw the recording."
    )


class Health(BaseModel):
    """Whether to send requests here."""

    status: Literal["ok", "stopping", "stuck"]


class Info(BaseModel):
    """The model's essentials."""

    version: str
    model: str
    simulated: bool = Field(description="Trained on simulated speech; no person was recorded.")
    modalities: list[str]
    emotions: list[Emotion]
    not_offered: list[str] | None = Field(
        description="Emotions and dimensions without training data; null: not recorded."
    )
    calibrated: bool = Field(description="A temperature was fitted on data that is not scored.")
    scales: dict[str, str]
    runtime: str
    limits: dict[str, float]
    licences: list[str] = Field(description="Of the data and encoders the model was made from.")
    forbidden_use: str
