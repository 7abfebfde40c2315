"""A corpus for training: built once, seen as training, validation or test side of a fold.

`python -m fire erc.datasets HF_KEMD --mode=train --validation_fold=4` builds the store of a corpus
(or opens it) and prints what the view holds.

Enters: `Utterance`s of a corpus. Leaves: `Example`s of a `View`, and `Batch`es of them.
May import: base, corpora, preprocess, labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from erc import corpora
from erc.base import audio
from erc.base.errors import ConfigError, did_you_mean
from erc.base.files import atomic, cache_dir
from erc.corpora import mixing, simulated
from erc.datasets.body import model_inputs
from erc.datasets.groups import group_by
from erc.datasets.labels import label
from erc.datasets.shards import build
from erc.datasets.store import Store
from erc.datasets.view import MODES, View
from erc.labels.targets import Target
from erc.labels.ties import choose_tie
from erc.preprocess import split


def HF_KEMD(
    paths: str | Sequence[mixing.Place] = "./data",
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
    cache: str | None = None,
    target: Target = Target(),  # noqa: B008 (frozen)
    physiology: str | None = None,
    tau: float = 1.0,
    **options: Any,
) -> View:
    """Utterances of a corpus that belong to one side of one fold; named as in the original.

    Args:
        paths: a corpus folder, or a folder that holds `KEMDy19` and `KEMDy20…`; for a manifest
            the CSV, JSONL or Parquet file. A list of them is a mix; see `erc.corpora.mixing.find`.
        mode: train | valid | test | all.
        validation_fold: the held-out fold, 0 … folds − 1.
        dataset_name: one of `erc corpora`; None takes every KEMDy found under `paths`.
        protocol: "paper": the held-out fold also stops training (valid = test); "strict": training
            stops on sessions carved from training, the held-out fold is touched once; "fixed":
            no valid side, training runs a fixed number of epochs.
        num_folds: number of folds by session, or "session" for one fold a session.
        group: what folds keep together: session | sentence | dialogue | corpus; see
            `erc.datasets.groups.group_by`.
        multilabel: False: the majority of the votes is learned; scores are against all votes either way.
        tie: what becomes of a tied majority. "centroid": the tied emotion whose rated (valence,
            arousal) centroid lies nearest; "first" in the order of `Space.emotions`; "drop": left out;
            "soft": the tied share the label, and no score counts the utterance as right or wrong.
            None: "drop" if `remove_deuce`, else "centroid".
        remove_deuce: older name of `tie="drop"`.
        num_data: keep this many utterances, evenly spaced (for fast dev runs).
        num_proc: workers that decode recordings; see `erc.datasets.shards.build`.
        wav_max_length: samples kept of a recording; None keeps all.
        txt_max_length: tokens kept of a transcript.
        wav_processor, txt_processor: feature extractor and tokenizer, Hugging Face id or folder;
            None takes those of the model's encoders. Like `txt_max_length` they are read by who
            makes batches, not here.
        physiology_baseline: "none", or "speaker": signals against those of the speaker's own
            (unlabelled) recordings; see `erc.datasets.body.model_inputs`.
        cache: folder of the built stores; None is `erc.base.files.cache_dir()`.
        target: what the model learns; it is scored against the plain votes and means.
        physiology: give examples their physiology as encoders of this kind read it: features | conv.
        tau: how often the corpora of a mix are met, see `erc.datasets.batches.BucketSampler`; read by
            who makes batches, not here.
        options: those of the corpus: `emotion_map`, `where`, `emotions`, `dimensions`
            (`erc.corpora.manifest.read`), `reference_rows` (`erc.corpora.kemdy19.read`).

    Raises:
        ConfigError: unknown name, mode, protocol or option, or fold out of range.
        CorpusError: missing, empty or broken corpus.
    """
    if mode not in MODES:
        raise ConfigError(
            f"mode '{mode}' is not one of {', '.join(MODES)}{did_you_mean(mode, MODES)}"
        )
    store = _opened(paths, dataset_name, Path(cache) if cache else cache_dir(), num_proc, options)
    units, people = group_by(group, store)
    # folds are made of each corpus by itself, unless they are corpora
    of = [""] * len(store) if group == "corpus" else store.column("corpus")
    fold = split(units, people, of, validation_fold, num_folds, protocol)
    tie = choose_tie(tie, remove_deuce)
    return View(
        store,
        fold,
        label(store, fold.sides["train"], tie, target if multilabel else Target("hard")),
        model_inputs(store, physiology, physiology_baseline) if physiology else None,
        mode,
        drop_ties=tie == "drop",
        num_data=num_data,
        wav_max_length=wav_max_length,
    )


_known: ContextVar[dict[str, Store] | None] = ContextVar("stores", default=None)


@contextmanager
def read_once() -> Iterator[None]:
    """Within it a corpus is read once, however often the trainings of a study open it.

    Its files are taken not to change meanwhile.
    """
    token = _known.set({})
    try:
        yield
    finally:
        _known.reset(token)


def _opened(
    paths: str | Sequence[mixing.Place], name: str | None, cache: Path, num_proc: int,
    options: dict[str, Any],
) -> Store:  # fmt: skip
    known, key = _known.get(), repr((paths, name, cache, sorted(options.items())))
    if known is not None and key in known:
        return known[key]
    one = isinstance(paths, str | Path)
    corpus = (corpora if one else mixing).find(paths, name, **options)  # type: ignore[arg-type]
    store = build(corpus, cache, num_proc)
    if known is not None:
        known[key] = store
    return store


def KEMDy19Dataset(paths: str = "./data/KEMDy19", **options: Any) -> View:
    """`HF_KEMD` of KEMDy19 alone."""
    return HF_KEMD(paths, dataset_name="kemdy19", **options)


def KEMDy20Dataset(paths: str = "./data/KEMDy20_v1_1", **options: Any) -> View:
    """`HF_KEMD` of KEMDy20 alone."""
    return HF_KEMD(paths, dataset_name="kemdy20", **options)


def SyntheticKEMD(
    paths: str = "./data/synthetic",
    layout: str = "kemdy19",
    sessions: int = 20,
    utterances: int = 60,
    synthetic_seed: int = 0,
    **options: Any,
) -> View:
    """`HF_KEMD` of a simulated corpus, which is written to `paths` when it is not there.

    Args:
        paths: the corpus folder.
        layout, sessions, utterances, synthetic_seed: see `erc.corpora.simulated.write_tree`.
        options: those of `HF_KEMD`.
    """
    if not Path(paths).exists():
        with atomic(paths, folder=True) as folder:
            simulated.write_tree(folder, layout, sessions, utterances, synthetic_seed)
        print(f"wrote a simulated corpus of {sessions} × {utterances} utterances to {paths}")
    return HF_KEMD(paths, **options | {"dataset_name": layout})
