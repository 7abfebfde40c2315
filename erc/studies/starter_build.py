"""`erc starter build`: corpora and an encoder → what lies in `erc/starter`, measured on the way."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from erc.base.errors import CheckpointError
from erc.base.files import read_json
from erc.base.space import KEMDY
from erc.base.terms import Terms
from erc.model.emotion import EmotionModel
from erc.model.encoders import SpeechEncoder
from erc.model.folder import CONFIG, checkpoint
from erc.model.folder.export import keep_copy
from erc.model.folder.heard import Heard
from erc.model.folder.held_out import HeldOut
from erc.model.folder.learned import counted
from erc.model.folder.starter import ENCODER, HERE, NAME, WARNING, digest, pack
from erc.model.fusion.familiar import Familiar
from erc.model.typicality import Typicality, spread
from erc.studies.starter import Clips, Head, fit
from erc.studies.starter_card import LICENCE, LICENCES, NOTICE, card
from erc.studies.starter_scores import AXES, Measured, measure, table
from erc.training.assembly import Assembly
from erc.training.config import compose, quoted
from erc.training.run import taught

POOLING = "mean_std"
SPEECH = "branches.speech.encoder."  # begins the names of its weights in a model
Place = str | Path | dict[str, Any]


@dataclass(frozen=True)
class Gathered:
    """What the corpora give.

    Attributes:
        clips: of all corpora.
        scored: [N] whose sentence is said with several emotions: else the words would tell.
        speech: the frozen encoder.
        terms: of the corpora and the encoder.
        band_hz: see `Learned`.
        people: (corpus, speaker) of all.
        samples: that are heard at once.
    """

    clips: Clips
    scored: np.ndarray
    speech: SpeechEncoder
    terms: list[Terms]
    band_hz: float | None
    people: list[tuple[str, str]]
    samples: int | None


def gather(corpora: Sequence[Place], encoder: str) -> Gathered:
    """Pooled features and emotions of every recording of manifests of acted speech.

    Args:
        corpora: folders, or such with options of the dataset: `{"paths": FOLDER, "emotion_map": …}`.

    Raises:
        CorpusError, CheckpointError: a corpus or the encoder cannot be read.
    """
    found: list[tuple[np.ndarray, ...]] = []
    terms: dict[Terms, None] = {}
    people: dict[tuple[str, str], None] = {}
    bands = []
    for corpus in corpora:
        given = corpus if isinstance(corpus, dict) else {"paths": str(corpus)}
        parts = Assembly(
            compose(
                [
                    "dataset=manifest", *(f"dataset.{k}={_value(v)}" for k, v in given.items()),
                    "dataset.num_folds=session", "dataset.validation_fold=0", "model=linear",
                    f"model.speech_encoder={quoted(encoder)}", f"model.speech_pooling={POOLING}",
                ]
            )
        )  # fmt: skip
        view = parts.sides["train"].side("all")
        rows = view.rows[view.has("speech") & np.isfinite(view.labels.soft[view.rows]).all(-1)]
        if left := len(view.rows) - len(rows):
            print(f"{corpus}: {left} rows without recording or emotion are left out")
        columns = [
            view.store.column(name)[rows].astype(str) for name in ("corpus", "speaker", "text")
        ]
        name, speaker, text = columns
        emotion = view.labels.soft[rows].argmax(-1)
        found.append(
            (
                parts.tables["speech"][rows].double().flatten(1).numpy(),
                name,
                np.char.add(np.char.add(name, "/"), speaker),
                emotion,
                _several(text, emotion),
            )
        )
        terms |= dict.fromkeys(parts.terms)
        people |= dict.fromkeys(zip(name.tolist(), speaker.tolist()))
        bands.append(taught(parts)["band_hz"])
    features, name, speaker, emotion, scored = (np.concatenate(x) for x in zip(*found))
    clips = Clips(features, name, speaker, emotion.astype(int), len(KEMDY.emotions))
    band = min((b for b in bands if b is not None), default=None)
    speech = parts.model.speech
    assert speech is not None  # model=linear with an encoder has one
    return Gathered(
        clips, scored, speech, list(terms), band, list(people), parts.cfg.dataset.wav_max_length
    )


def _value(value: Any) -> str:
    """As Hydra reads it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {v}" for k, v in value.items()) + "}"
    return quoted(value) if isinstance(value, str) else str(value)


def _several(text: np.ndarray, emotion: np.ndarray) -> np.ndarray:
    """Whose sentence is said with more than one emotion."""
    kinds: dict[str, set[int]] = {}
    for said, e in zip(text.tolist(), emotion.tolist(), strict=True):
        kinds.setdefault(said, set()).add(e)
    return np.array([len(kinds[said]) > 1 for said in text.tolist()])


def model_of(head: Head, speech: SpeechEncoder) -> EmotionModel:
    """The head on its encoder, as a model that answers in KEMDy's space and learned no dimension."""
    count, axes = head.places.shape
    emotions = len(KEMDY.emotions)
    model = EmotionModel(
        speech,
        fusion="familiar",
        fusion_options={"emotions": emotions, "axes": axes, "places": count},
        speech_pooling=POOLING,
        freeze_speech=True,
        space=KEMDY,
    )
    branch, fusion = model.branches["speech"], cast(Familiar, model.fusion)
    rows = len(KEMDY.dimensions)
    weight = np.concatenate([head.weight, np.zeros((rows, head.weight.shape[1]))])
    values = {
        branch.standardize.mean: head.scale.mean,
        branch.standardize.scale: head.scale.deviation,
        branch.projector.weight: weight,
        branch.projector.bias: np.concatenate([head.bias, np.zeros(rows)]),
        fusion.places: head.places,
        fusion.member: head.member,
        fusion.far: np.array([head.far]),
        model.head.weight: np.eye(emotions + rows),
        model.head.bias: np.zeros(emotions + rows),
    }
    with torch.no_grad():
        for place, value in values.items():
            place.copy_(torch.from_numpy(np.asarray(value)).reshape(place.shape))
    return model.eval()


def check_encoder(speech: SpeechEncoder, name: str) -> None:
    """Is it the one that the starter goes on? Whoever takes the starter fetches that one.

    Raises:
        CheckpointError: it is another one.
    """
    known = read_json(HERE / CONFIG, CheckpointError)["meta"]["encoder"]["sha256"]
    weights = {f"{SPEECH}{k}": v.cpu().numpy() for k, v in speech.state_dict().items()}
    if digest(weights) != known:
        raise CheckpointError(
            f"'{name}' is not {ENCODER}, which the starter's head goes on. To measure another encoder: "
            "docs/starter.md, 'Whisper base instead of tiny'"
        )


def build(corpora: Sequence[Place], encoder: str, out: Path) -> Measured:
    """Fit, measure and write the starter.

    Args:
        corpora: manifests of acted speech; see `gather`.
        encoder: id or folder of `ENCODER`.
        out: gets what `erc.model.folder.starter.assemble` puts together again.

    Raises:
        CorpusError, CheckpointError, ConfigError: a corpus or the encoder cannot be read, or it is
            another encoder.
    """
    given = gather(corpora, encoder)
    check_encoder(given.speech, encoder)
    clips = given.clips
    people = f"{len(given.people)} speakers"
    print(f"{len(clips)} recordings of {people}; {given.scored.sum()} are scored")
    head, measured = fit(clips), measure(clips, given.scored)
    usual = Typicality.fit(clips.features, clips.speaker, most=AXES)
    names = np.unique(clips.corpus).tolist()
    terms = [Terms(f"data: {name}", LICENCES.get(name, LICENCE)) for name in names]
    terms.append(Terms(ENCODER, "MIT"))
    unrated = np.full((len(clips), len(KEMDY.dimensions)), np.nan)
    meta: dict[str, Any] = {
        "prediction": {
            "temperature": 1.0,
            "calibrated": True,
            "wav_max_length": given.samples,
            "adaptation": "speaker",
            "temperature_adapted": head.adapted,
        },
        "learned": {"band_hz": given.band_hz} | counted(clips.votes, unrated),
        "heard": Heard.of_sides(given.people, []).to_json(),
        "terms": [one.to_json() for one in terms],
        "scores": [one.to_json() for one in measured.scores],
        "strengths": list(head.strengths),
        "notes": [f"{NAME}: {WARNING}"],
    }
    others = HeldOut(
        {"speech": usual} if usual else {}, {"speech": spread(measured.given)}, len(given.people)
    )
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        checkpoint.save(folder, model_of(head, given.speech), meta=meta, held_out=others)
        print(keep_copy(folder, True))
        pack(folder, out, card(clips, measured), NOTICE)
    print(table(measured.scores))
    return measured
