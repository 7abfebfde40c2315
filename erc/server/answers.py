"""Bodies of answers that hold predictions, as a model says them: its emotions, its dimensions.

Answers are sent as `Prediction.to_dict` makes them; that they look like this is a test's business.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, create_model

from erc.base.space import KEMDY, Space
from erc.recognizer.scales import count, ends
from erc.server.schemas import BAD, FailedItem

Probability = Annotated[float, Field(ge=0, le=1)]
Modality = Literal["speech", "text", "physiology"]


class Why(BaseModel):
    """What the probability of the label rests on."""

    nothing: float = Field(description="Of the label before anything was heard or read.")
    shares: dict[str, float] = Field(description="Shapley value of each modality.")
    time: list[tuple[float, float, float]] = Field(description="[start s, end s, saliency].")
    words: list[tuple[str, float]] = Field(description="[word, saliency].")


class Said(BaseModel):
    """Of a prediction, what every model says."""

    model_config = ConfigDict(extra="forbid")
    file: str
    confidence: Probability | None = Field(description="Probability of the label.")
    modalities: list[Modality]
    abstain: bool = Field(
        description="Better shown to a person than used: little confidence, or hardly typical."
    )
    conflict: bool | None = Field(
        description="Valence and arousal lie where raters rarely placed this emotion; null: unknown."
    )
    duration: float | None = Field(description="Of the recording, s; null: no recording.")
    heard: float | None = Field(
        description="What the answer rests on, s: all, or the speech of a long recording; 0: none."
    )
    band_hz: float | None = Field(description="How far up the spectrum of the recording reaches.")
    narrow_band: bool | None = Field(
        description="That is far less than in training, as over a telephone; null: not recorded."
    )
    typicality: dict[Modality, Probability | None] | None = Field(
        description="Share of held-out speakers' recordings that are at least as unlike the training "
        "data; null: missing, or not known of this model."
    )
    simulated: bool = Field(
        description="The model was trained on simulated speech; it knows nothing of real voices."
    )
    model: str = Field(description="Which model says so: NAME@VERSION.")
    reason: str | None = Field(description="Why there is no label.")
    explanation: Why | None = None


class FailedTurn(BaseModel):
    """A turn that could not be answered."""

    file: str
    error: str
    start: float
    end: float
    text: str | None = None
    speaker: str | None = None


class Long(BaseModel):
    """Turns of a long recording."""

    file: str
    duration: float = Field(description="s")
    simulated: bool = Field(description="As in the answers of the turns.")
    emotions: list[str] = Field(description="Of the model's answers.")
    dimensions: dict[str, tuple[float, float]] = Field(description="Their least, greatest value.")
    settings: dict[str, Any] = Field(description="What the turns and answers were made with.")
    unspoken: list[dict[str, Any]] = Field(description="Transcript where no speech was found.")
    envelope: dict[str, Any] = Field(
        description="Least and greatest sample, to draw the recording."
    )


class Answers(NamedTuple):
    """The three kinds."""

    one: type[BaseModel]
    batch: type[BaseModel]
    timeline: type[BaseModel]


@lru_cache
def answers(space: Space = KEMDY) -> Answers:
    """Schemas of what a model says that answers in this space.

    `label` is one of its emotions, and each of its dimensions is a key, within its scale.
    """
    emotion: Any = Literal[space.emotions] if space.emotions else str
    own: dict[str, Any] = {
        "label": (emotion | None, Field(description="Null: there is none, see `reason`.")),
        "probabilities": (dict[emotion, Probability], Field(description=_shares(space))),
        "prediction_set": (
            list[emotion] | None,
            Field(
                description="Emotions, most probable first, among which the one that most raters "
                "would choose is as often as `sets` asked; null: not asked, no label, or nothing "
                "known of such answers."
            ),
        ),
    }
    for i, d in enumerate(space.dimensions):  # with an alias: a name need not be one of Python
        scale = Annotated[float, Field(ge=d.low, le=d.high)]
        told = Field(alias=d.name, description=f"{ends(d)}; null: never learned.")
        own[f"dimension_{i}"] = (scale | None, told)
    good = example(space)
    many: Any = {"results": [good, {"file": "b.wav", "error": BAD}]}
    one = _made("Answer", "A prediction.", Said, own, good)
    of_turn: dict[str, Any] = {
        "start": (float, Field(description="s")),
        "end": (float, Field(description="s")),
        "text": (str | None, None),
        "speaker": (str | None, Field(None, description="Of the transcript.")),
    }
    turn = _made("TurnAnswer", "A prediction for a turn.", one, of_turn)
    results = {"results": (list[one | FailedItem], ...)}  # type: ignore[valid-type]
    turns = {"turns": (list[turn | FailedTurn], ...)}  # type: ignore[valid-type]
    return Answers(
        one,
        _made("BatchAnswer", "One result an input, in order.", BaseModel, results, many),
        _made("TimelineAnswer", Long.__doc__, Long, turns),
    )


def example(space: Space) -> dict[str, Any]:
    """An answer, made up."""
    shares = dict.fromkeys(space.emotions, 0.05)
    label = "happy" if "happy" in shares else next(iter(shares), None)
    if label:
        shares[label] = round(1 - 0.05 * (len(shares) - 1), 2)
    return {
        "file": "a.wav", "label": label, "probabilities": shares,
        **{d.name: round(0.25 * d.low + 0.75 * d.high, 2) for d in space.dimensions},
        "confidence": label and shares[label], "modalities": ["speech", "text"],
        "abstain": False, "conflict": False, "prediction_set": None, "duration": 2.4, "heard": 2.4,
        "band_hz": 7800.0, "narrow_band": False, "typicality": {"speech": 0.41, "text": 0.63},
        "simulated": False, "model": "kemdy@3fa4c2d1",
        "reason": None if label else "this model has learned no emotion",
    }  # fmt: skip


def _shares(space: Space) -> str:
    if not space.emotions:
        return "{}: this model names no emotion."
    return (
        f"Estimated share of raters who would choose each; all {count(len(space.emotions))} sum to 1; "
        "0: never learned; {}: no label."
    )


def _made(
    name: str, doc: str | None, base: type[BaseModel], own: dict[str, Any], shown: Any = None
) -> type[BaseModel]:
    config: dict[str, Any] = {"extra": "forbid"}
    config |= {"json_schema_extra": {"examples": [shown]}} if shown else {}
    return create_model(name, __base__=base, __doc__=doc, __cls_kwargs__=config, **own)
