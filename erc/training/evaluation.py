"""Model × split → predictions and `results.json`: one pass over the whole split, one set of metrics."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from erc.base.audio import SAMPLE_RATE
from erc.base.devices import one_blas_thread
from erc.base.files import atomic, write_json
from erc.base.numbers import softmax
from erc.datasets.audit import audit
from erc.datasets.batches import Batch, BucketSampler, loader
from erc.datasets.view import View
from erc.model.emotion import Output
from erc.model.encoded import Encoded, subsets
from erc.model.folder.held_out import HeldOut
from erc.model.folder.learned import Learned, counted
from erc.scores.baselines import BASELINES, Side, cues
from erc.scores.one_rater import one_rater
from erc.scores.panels import panels
from erc.scores.results import (
    ADAPTED,
    BASELINE,
    OF_CORPUS,
    Human,
    Margin,
    Results,
    System,
    headline,
)
from erc.scores.results import adapted as is_adapted
from erc.scores.scored import NAMES, Scored, write
from erc.scores.selective import areas
from erc.scores.sets import Sets
from erc.training import closed_form
from erc.training.adaptation import monotonous, people
from erc.training.assembly import Assembly
from erc.training.data_record import data_record
from erc.training.features import encode, known

BATCH, KNOWN = 16, 128  # utterances: that encoders hear, and whose features are known
LARGEST = 4096  # rows or features of the linear baseline: half a minute
PACKAGES = ("torch", "transformers", "lightning", "numpy")  # whose versions are recorded


@dataclass
class Predictions:
    """What a model says of the utterances of a split, in the order of `dataset.rows`."""

    logits: np.ndarray  # [N, K]
    dimensions: np.ndarray  # [N, D], clipped to their scales
    features: np.ndarray  # [N, F], before the head
    typicality: np.ndarray  # [N] of what is least typical of what was used; nan: not known

    def probabilities(self, temperature: float = 1.0) -> np.ndarray:
        """[N, K], rows sum to 1."""
        return softmax(self.logits / temperature)


@dataclass(frozen=True)
class Condition:
    """What a model may use of an utterance, and whose own baseline it hears: of the speaker | corpus."""

    use: tuple[str, ...]
    adapted: str = ""  # "": nobody's

    @property
    def name(self) -> str:
        """E.g. "speech + text, speaker-adapted"."""
        kind = {"": "", "speaker": f", {ADAPTED}", "corpus": f", {OF_CORPUS}"}[self.adapted]
        return " + ".join(self.use) + kind


def conditions(parts: Assembly) -> list[Condition]:
    """Modalities alone, then together, as far as the model can do without; adapted ones last."""
    modalities = parts.model.modalities
    least = len(modalities) if parts.model.fusion.needs_all else 1
    plain = [Condition(use) for use in subsets(modalities, least)]
    heard = [one for one in plain if "speech" in one.use]
    return plain + [replace(one, adapted=parts.adaptation) for one in heard if parts.adapted]


@torch.inference_mode()
def predict_split(
    parts: Assembly,
    side: str,
    asked: Sequence[Condition] | None = None,
    batch_size: int | None = None,
    held_out: HeldOut | None = None,
) -> list[Predictions]:
    """What a model says of every utterance of a side, on `parts.device`; encoders run once.

    Args:
        side: train | valid | test.
        asked: an answer for each; an utterance without any of `use` gets what the model says of
            nothing. None: one answer, from all modalities.
        batch_size: utterances; batches are made of like lengths. None: `BATCH`, more of known features.
        held_out: what tells how typical they are; None: that is not asked.
    """
    held_out = held_out or HeldOut()
    model, data = parts.model, parts.sides[side]
    asked = asked or [Condition(model.modalities)]
    found: list[list[Output]] = [[] for _ in asked]
    order: list[int] = []
    typical: list[dict[str, np.ndarray]] = []
    for indices, batch, encoded in encoded_in_batches(parts, data, batch_size):
        order += indices
        typical.append(held_out.typical(on_cpu(encoded)))
        adapted = encoded.heard_as(known(batch, parts.adapted))
        for one, outputs in zip(asked, found, strict=True):
            view = (adapted if one.adapted else encoded).only(one.use)
            outputs.append(model.fuse(view, void_ok=True))
    back = np.argsort(order)
    usual = {m: np.concatenate([batch[m] for batch in typical])[back] for m in held_out.typicality}
    unknown = np.full(len(back), np.nan)

    def whole(parts: Iterable[Tensor]) -> np.ndarray:
        return torch.cat([part.float().cpu() for part in parts]).numpy()[back]

    return [
        Predictions(
            logits=whole(o.logits for o in outputs),
            dimensions=model.space.clip(whole(o.dimensions for o in outputs)),
            features=whole(o.features for o in outputs),
            typicality=np.fmin.reduce([unknown, *(usual[m] for m in one.use if m in usual)]),
        )
        for one, outputs in zip(asked, found, strict=True)
    ]


def encoded_in_batches(
    parts: Assembly, data: View, batch_size: int | None = None
) -> Iterator[tuple[list[int], Batch, Encoded[Tensor]]]:
    """Utterances of a view after the encoders, on `parts.device`, with their places among its rows."""
    model = parts.model.eval().to(parts.device)
    if batch_size is None:
        batch_size = BATCH if set(model.modalities) - parts.tables.keys() else KNOWN
    sampler = BucketSampler(data.lengths, batch_size, shuffle=False)
    for indices, batch in zip(sampler, loader(data, parts.collate, sampler), strict=True):
        batch = batch.to(parts.device)
        yield list(indices), batch, encode(model, batch, parts.tables)


def on_cpu(encoded: Encoded[Tensor]) -> Encoded[np.ndarray]:
    """The same as numpy arrays."""
    pooled, present = (
        {name: x.cpu().numpy() for name, x in part.items()}
        for part in (encoded.pooled, encoded.present)
    )
    return Encoded(pooled, present)


def scored(
    system: str,
    data: View,
    probabilities: np.ndarray,
    dimensions: np.ndarray,
    rows: np.ndarray | None = None,
    typicality: np.ndarray | None = None,
) -> Scored:
    """What a system says of utterances, beside what their raters said.

    Args:
        probabilities: [N, K], rows sum to 1; dimensions: [N, D] in the units of their scales.
        rows: [N] of the store, among those of the split; None: all of them.
        typicality: [N]; None: not known.
    """
    rows = data.rows if rows is None else rows
    said = data.labels
    known = np.nan_to_num(said.hard[rows]).max(-1) > 0.999  # not nan, and no shared tie
    return Scored(
        system,
        **{name: data.store.column(name)[rows] for name in NAMES},
        seconds=data.lengths[np.searchsorted(data.rows, rows)] / SAMPLE_RATE,
        probabilities=probabilities,
        dimensions=dimensions,
        typicality=np.full(len(rows), np.nan) if typicality is None else typicality,
        votes=said.soft[rows],
        label=np.where(known, np.nan_to_num(said.hard[rows]).argmax(-1), -1),
        ratings=said.dimensions[rows],
        tie=said.tied[rows],
        space=data.space,
    )


def evaluate(
    parts: Assembly,
    side: str,
    temperature: float = 1.0,
    calibrated: bool = False,
    argv: Sequence[str] = (),
    folder: Path | None = None,
    held_out: HeldOut | None = None,
) -> Results:
    """Score each modality alone and all together, beside baselines and people on the same
    utterances.

    With adaptation, systems named "…, speaker-adapted" follow (see `erc.training.adaptation`).

    Args:
        side: train | valid | test.
        temperature: of the model; calibrated: it was fitted, on other utterances than these.
        argv: the command, for the record.
        folder: where `results.json`, `data.json`, `predictions.csv` and `features.npy` (what lies before
            the head, of all modalities together) go; None writes nothing.
        held_out: of the model.
    """
    data, others = parts.sides[side], held_out or HeldOut()
    asked = conditions(parts)
    answers = dict(zip(asked, predict_split(parts, side, asked, held_out=others), strict=True))
    if parts.adaptation == "speaker":
        decline(answers, parts, side, temperature)
    rows = [
        scored(
            one.name, data, said.probabilities(temperature), said.dimensions,
            typicality=said.typicality,
        )
        for one, said in answers.items()
    ]  # fmt: skip
    utterances = list(data.store.utterances(data.rows))
    rivals = baselines(parts, data)
    main = [one for one in rows if not is_adapted(one.system)][-1]
    results = Results(
        systems={one.system: System.of(one) for one in [*rows, *rivals]},
        margins=margins(main, rivals),
        human=Human(one_rater(utterances, data.space)),
        panels=panels(utterances, rows, data.space),
        risk=areas(main),
        sets=Sets.of(main, others.shares.get(main.system), others.speakers),
        protocol=data.fold.protocol,
        fold=data.fold.number,
        folds=data.fold.count,
        n=len(data),
        speakers=len(set(rows[0].people)),
        sessions=tuple(sorted(set(rows[0].session))),
        simulated=data.simulated,
        corpus=str(parts.cfg.dataset.paths),
        store=data.store.path.name,
        seed=parts.cfg.seed,
        temperature=temperature,
        calibrated=calibrated,
        precision=parts.cfg.trainer.precision,
        command=shlex.join(argv),
        versions={"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        audit=audit(data).to_dict(),
        space=data.space,
    )
    if folder:
        write_json(folder / "data.json", data_record(parts))
        results.write(folder / "results.json")
        write(folder / "predictions.csv", [*rows, *rivals])
        together = next(said for one, said in answers.items() if one.name == main.system)
        with atomic(folder / "features.npy") as temporary, temporary.open("wb") as file:
            np.save(file, together.features.astype(np.float32))
    return results


def decline(
    answers: dict[Condition, Predictions], parts: Assembly, side: str, temperature: float
) -> None:
    """Answer as for a stranger where a speaker's recordings are no baseline, and say so."""
    speakers = people(parts.sides[side], parts.sides[side].rows)
    train = parts.sides["train"]
    rows = train.labels.target[train.rows], train.labels.target_dimensions[train.rows]
    usual = Learned(**counted(*rows, train.space)).variety
    for one in [one for one in answers if one.adapted]:
        plain, adapted = answers[replace(one, adapted="")], answers[one]
        found, names = monotonous(plain.probabilities(temperature), speakers, usual)
        for field in fields(Predictions):
            getattr(adapted, field.name)[found] = getattr(plain, field.name)[found]
        if names:
            print(
                f"{one.name}: not adapted to {', '.join(names)}, who sound much the same throughout"
            )


@one_blas_thread()
def baselines(parts: Assembly, data: View) -> list[Scored]:
    """What needs no network, learned from all of the fold but its test side, on these utterances.

    Where encoders are frozen a linear model on their features is among them, unless it is the model
    itself, or its eigenvalue problem is larger than `LARGEST`.
    """
    train, valid, test = (data.side(mode) for mode in ("train", "valid", "test"))
    known = np.union1d(train.rows, np.setdiff1d(valid.rows, test.rows)).astype(int)
    store, said = data.store, data.labels

    def side(rows: np.ndarray) -> Side:
        heard = np.array([cues(store.pcm(row)) for row in rows]).reshape(-1, 3)
        text, corpus, speaker = (store.column(n)[rows] for n in ("text", "corpus", "speaker"))
        speaker = np.array([f"{c}/{s}" for c, s in zip(corpus, speaker, strict=True)], str)
        return Side(text, heard, speaker, said.soft[rows], said.dimensions[rows], data.space)

    learned, asked = side(known), side(data.rows)
    needed = {"sentence look-up": "text", "duration and level": "speech"}
    answers = {
        name: answer(learned, asked)
        for name, answer in BASELINES.items()
        if name not in needed or store.has(needed[name]).any()
    }
    size = min(len(known), sum(t[0].numel() for t in parts.tables.values()))
    if parts.cfg.model.objective != "closed_form" and 0 < size <= LARGEST:
        found = closed_form.rival(parts, known, data.rows, answers["most frequent"])
        answers["linear on the same features"] = found
    return [scored(f"{BASELINE}{name}", data, *answer) for name, answer in answers.items()]


def margins(model: Scored, rivals: Sequence[Scored]) -> dict[str, Margin]:
    """Metric → the model − the baseline that is strongest in it, tested over speakers."""
    wanted = headline(model.space)
    scores = {rival.system: rival.evaluate(only=wanted) for rival in rivals}
    found = {}
    for metric in wanted:
        known = [r for r in rivals if not np.isnan(scores[r.system][metric])]
        if known:
            best = max(known, key=lambda r: scores[r.system][metric])
            gap = model.minus(best, [metric])[metric]
            found[metric] = Margin(best.system, gap.value, gap.low, gap.high, gap.p)
    return found
