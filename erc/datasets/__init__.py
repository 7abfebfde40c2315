"""Store → Example: one view on a corpus for training, one for validation, one for testing.

`python -m fire erc.datasets HF_KEMD --mode=train --validation_fold=4` builds the store of a corpus
(or opens it) and prints what the view holds.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from erc import corpora, labels
from erc.base import audio
from erc.base.emotions import EMOTIONS
from erc.base.errors import ConfigError, CorpusError, did_you_mean
from erc.base.files import atomic, cache_dir
from erc.base.physiology_features import model_inputs
from erc.corpora import simulated as synthetic
from erc.datasets.groups import group_by
from erc.datasets.store import Store, build
from erc.labels import targets
from erc.preprocess import count_folds, split

MODES = ("train", "valid", "test", "all")


@dataclass(frozen=True, slots=True)
class Example:
    """One utterance, ready for a batch. nan marks what was not labelled."""

    row: int  # in the store
    speech: np.ndarray  # int16 [T], 16 kHz; [0]: no recording
    text: str | None
    soft: np.ndarray  # [7] votes as a distribution
    peakl: np.ndarray  # [7]
    hard: np.ndarray  # [7] one-hot, ties resolved
    target: np.ndarray  # [7] what the model learns, see `HF_KEMD.aim`
    valence_arousal: np.ndarray  # [2], 1–5
    physiology: np.ndarray | None = None  # [T, C], see `HF_KEMD.measure`; [0, C]: nothing measured


class HF_KEMD(Dataset):
    """Utterances of a corpus that belong to one side of one fold.

    Args:
        paths: a corpus folder, or a folder that holds `KEMDy19` and `KEMDy20…`; for a manifest
            the CSV, JSONL or Parquet file.
        mode: train | valid | test | all.
        validation_fold: the held-out fold, 0 … folds − 1.
        dataset_name: kemdy19 | kemdy20 | aihub | manifest; None takes every KEMDy found under `paths`.
        protocol: "paper": the held-out fold also stops training (valid = test); "strict": training
            stops on sessions carved from training, the held-out fold is touched once; "fixed":
            no valid side, training runs a fixed number of epochs.
        num_folds: number of folds by session, or "session" for one fold a session.
        group: what folds keep together: session | sentence | dialogue; see `groups.group_by`.
        multilabel: False replaces the votes by their majority.
        tie: what becomes of a tied majority. "centroid": the tied emotion whose rated (valence,
            arousal) centroid lies nearest; "first" in the order of EMOTIONS; "drop": left out;
            "soft": the tied share the label, and no score counts the utterance as right or wrong.
            None: "drop" if `remove_deuce`, else "centroid".
        remove_deuce: older name of `tie="drop"`.
        num_data: keep this many utterances, evenly spaced (for fast dev runs).
        num_proc: workers that decode recordings; see `erc.datasets.store.build`.
        wav_max_length: samples kept of a recording; None keeps all.
        txt_max_length: tokens kept of a transcript.
        wav_processor, txt_processor: feature extractor and tokenizer, Hugging Face id or folder;
            None takes those of the model's encoders.
        physiology_baseline: "none", or "speaker": signals against those of the speaker's own
            (unlabelled) recordings; see `erc.base.physiology_features.model_inputs`.
        emotion_map, where: see `erc.corpora.manifest.read`.
        reference_rows: see `erc.corpora.kemdy19.read`.
        cache: folder of the built stores; None is `erc.base.files.cache_dir()`.

    Raises:
        ConfigError: unknown name, mode, protocol, or fold out of range.
        CorpusError: missing, empty or broken corpus.
    """

    def __init__(
        self,
        paths: str = "./data",
        mode: str = "train",
        validation_fold: int = 4,
        dataset_name: str | None = None,
        protocol: str = "paper",
        num_folds: int | str = 5,
        group: str = "session",
        multilabel: bool = True,
        remove_deuce: bool = False,
        tie: str | None = None,
        num_data: int | None = None,
        num_proc: int = 1,
        wav_max_length: int | None = audio.MAX_SAMPLES,
        txt_max_length: int = 128,
        wav_processor: str | None = None,
        txt_processor: str | None = None,
        physiology_baseline: str = "none",
        emotion_map: dict[str, str] | None = None,
        where: dict[str, str] | None = None,
        reference_rows: bool = False,
        cache: str | None = None,
    ):
        if mode not in MODES:
            raise ConfigError(
                f"mode '{mode}' is not one of {', '.join(MODES)}{did_you_mean(mode, MODES)}"
            )
        self.mode, self.validation_fold = mode, validation_fold
        self.protocol, self.group = protocol, group
        self.wav_max_length, self.txt_max_length = wav_max_length, txt_max_length
        self.store = open_store(
            paths, dataset_name, emotion_map, where, reference_rows, num_proc, cache
        )
        column = self.store.column
        units, people = group_by(group, self.store)
        self._sides = split(units, people, column("corpus"), validation_fold, num_folds, protocol)
        self.folds = count_folds(units, column("corpus"), num_folds)
        self._sides["all"] = range(len(self.store))
        self.tie = targets.choose_tie(tie, remove_deuce)
        self._label(np.asarray(self._sides["train"]), multilabel)
        self.aim("peakl")
        self.physiology_baseline, self.body = physiology_baseline, None
        self.remove_deuce, self.num_data = self.tie == "drop", num_data
        self.rows = self._select()

    def side(self, mode: str) -> HF_KEMD:
        """The same fold seen from another side; "all" is the whole store, nothing left out."""
        other = copy.copy(self)
        other.__dict__.pop("lengths", None)
        other.mode = mode
        if mode == "all":
            other.num_data, other.remove_deuce = None, False
        other.rows = other._select()
        return other

    def _label(self, training: np.ndarray, multilabel: bool) -> None:
        """Labels of the whole store; tie-breaking centroids come from the training side only."""
        store = self.store
        self.soft = labels.soft(store.votes())
        self.valence_arousal = np.stack([store.column("valence"), store.column("arousal")], -1)
        self.tied = labels.tied(self.soft)
        if self.tie == "soft":
            self.hard = labels.majority(self.soft)
        elif self.tie == "first":
            self.hard = labels.hard(self.soft)
        else:
            centroids = labels.va_centroids(self.soft[training], self.valence_arousal[training])
            self.hard = labels.hard(self.soft, self.valence_arousal, centroids)
        if not multilabel:
            self.soft = self.hard
        self.peakl = labels.peakl(self.soft)

    def aim(
        self, target: str, temperature: float = 1.0, rater_weights: str = "reliability"
    ) -> None:
        """Choose what the model learns; what it is scored against stays the plain votes and means.

        Call it before `side`.

        Args:
            target: hard | soft | peakl | sharpened | rater_weighted.
            temperature: of "sharpened".
            rater_weights: of "rater_weighted": reliability | dawid_skene; whom to trust is learned
                from the training side.
        """
        self.target_valence_arousal = self.valence_arousal
        if target == "rater_weighted":
            everything = list(self.store.utterances(np.arange(len(self.store))))
            self.target, self.target_valence_arousal = targets.by_raters(
                everything, self._sides["train"], rater_weights, self.soft, self.valence_arousal
            )
        else:
            self.target = targets.distribution(
                target, self.soft, self.hard, self.peakl, temperature
            )

    def measure(self, kind: str | None) -> None:
        """Give examples their physiology, as "features" or "conv" encoders read it; None: none.

        Call it before `side`.
        """
        self.body = kind and model_inputs(self.store, kind, self.physiology_baseline)

    def _select(self) -> np.ndarray:
        rows = np.asarray(self._sides[self.mode], int)
        if self.remove_deuce:
            rows = rows[~self.tied[rows]]
        if self.num_data is not None and len(rows):
            if self.num_data < 1:
                raise ConfigError(f"dataset.num_data is {self.num_data}; give ≥ 1 or null for all")
            rows = rows[np.unique(np.linspace(0, len(rows) - 1, self.num_data).round().astype(int))]
        if not len(rows) and (self.mode, self.protocol) != ("valid", "fixed"):
            raise CorpusError(f"{self.store.path}: no utterance on the {self.mode} side")
        return rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Example:
        row = int(self.rows[index])
        return Example(
            row=row,
            speech=self.store.pcm(row)[: self.wav_max_length],
            text=self._texts[row],
            soft=self.soft[row],
            peakl=self.peakl[row],
            hard=self.hard[row],
            target=self.target[row],
            valence_arousal=self.target_valence_arousal[row],
            physiology=None if self.body is None else self.body[row],
        )

    @functools.cached_property
    def _texts(self) -> np.ndarray:
        """Transcripts of the whole store, str or None."""
        return self.store.column("text")

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """Samples of each recording after the cut, [N]; by which batches are bucketed."""
        import pyarrow.compute as pc

        size = pc.binary_length(self.store.table["audio"]).to_numpy()[self.rows] // 2
        return np.minimum(size, self.wav_max_length or size)

    @property
    def simulated(self) -> bool:
        """True if no person was recorded."""
        return self.store.simulated

    def has(self, modality: str) -> np.ndarray:
        """True where the utterance has "speech", a "text" or "physiology", bool [N]."""
        if modality == "physiology":
            return ~self.store.table["physiology"].is_null().to_numpy()[self.rows]
        if modality == "speech":
            return self.lengths > 0
        return np.array([bool(t) for t in self.store.column("text")[self.rows]], bool)

    def require(self, modalities: tuple[str, ...], every: bool = False) -> int:
        """Leave out utterances that have none (`every`: not all) of the modalities of a model.

        Returns:
            how many were left out.
        """
        there = np.stack([self.has(m) for m in modalities])
        keep = there.all(0) if every else there.any(0)
        self.rows = self.rows[keep]
        self.__dict__.pop("lengths", None)
        return int((~keep).sum())

    def __str__(self) -> str:
        sessions = sorted(set(self.store.column("session")[self.rows]))
        counts = np.nansum(self.hard[self.rows], 0).astype(int)
        minutes = self.lengths.sum() / audio.SAMPLE_RATE / 60
        return "\n".join(
            [
                f"{'SIMULATED ' if self.simulated else ''}{self.mode} side of fold "
                f"{self.validation_fold} ({self.protocol} protocol): {len(self)} utterances, "
                f"{minutes:.1f} min, "
                f"{len(sessions)} sessions ({_first_and_last(sessions)})",
                "  ".join(f"{e} {n}" for e, n in zip(EMOTIONS, counts, strict=True))
                + f"  (ties {int(self.tied[self.rows].sum())})",
                f"store {'loaded from' if self.store.loaded else 'built in'} {self.store.path}",
                str(self.store.report),
            ]
        )

    __repr__ = __str__


class KEMDy19Dataset(HF_KEMD):
    """`HF_KEMD` of KEMDy19 alone."""

    def __init__(self, paths: str = "./data/KEMDy19", **options: Any):
        super().__init__(paths, dataset_name="kemdy19", **options)


class KEMDy20Dataset(HF_KEMD):
    """`HF_KEMD` of KEMDy20 alone."""

    def __init__(self, paths: str = "./data/KEMDy20_v1_1", **options: Any):
        super().__init__(paths, dataset_name="kemdy20", **options)


class SyntheticKEMD(HF_KEMD):
    """`HF_KEMD` of a simulated corpus, which is written to `paths` when it is not there.

    Args:
        paths: the corpus folder.
        layout, sessions, utterances, synthetic_seed: see `erc.corpora.simulated.write_tree`.
        options: those of `HF_KEMD`.
    """

    def __init__(
        self,
        paths: str = "./data/synthetic",
        layout: str = "kemdy19",
        sessions: int = 20,
        utterances: int = 60,
        synthetic_seed: int = 0,
        **options: Any,
    ):
        if not Path(paths).exists():
            with atomic(paths, folder=True) as folder:
                synthetic.write_tree(folder, layout, sessions, utterances, synthetic_seed)
            print(f"wrote a simulated corpus of {sessions} × {utterances} utterances to {paths}")
        super().__init__(paths, dataset_name=layout, **options)


def open_store(
    paths: str,
    dataset_name: str | None = None,
    emotion_map: dict[str, str] | None = None,
    where: dict[str, str] | None = None,
    reference_rows: bool = False,
    num_proc: int = 1,
    cache: str | None = None,
) -> Store:
    """Read the corpus under `paths` and build its store, or open it; see `HF_KEMD`."""
    corpus = corpora.find(
        paths, dataset_name, emotion_map=emotion_map, where=where, reference_rows=reference_rows
    )
    return build(corpus, Path(cache) if cache else cache_dir(), num_proc)


def _first_and_last(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
