"""Data: building a dataset and reading an epoch

Utterances with KEMDy's lengths as 16-bit wav files. The reference style is measured on a part of them,
which spares it: its cost per utterance does not fall with their number, and its peak memory only grows.
Files are read from a warm page cache; every build goes into an empty folder.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench import reference
from bench.harness import Row, compare, isolated, peak_rss, quantity, scaling, table
from erc import corpora
from erc.base import arrays, audio
from erc.datasets.shards import build
from erc.datasets.store import Store


def run(quick: bool) -> list[Row]:
    """All rows; full: 1,500 utterances, the reference style on 300 of them."""
    n, part, rounds = (240, 24, 2) if quick else (1500, 300, 3)
    sizes = (60, 240, 960) if quick else (940, 3760, 15040)
    with tempfile.TemporaryDirectory(prefix="erc-bench-") as scratch:
        folder = reference.corpus(Path(scratch) / "corpus", n)
        return [
            *_building(folder, n, part, rounds),
            *_changing(folder, n, rounds),
            *_reading(folder, n, part, rounds),
            _growing(Path(scratch), sizes, 1 if quick else 2),
            memory(Path(scratch), 500 if quick else 4000),
        ]


class Fresh(tempfile.TemporaryDirectory):
    """A folder that is gone, outside the measured time, when its last user is."""

    def __init__(self) -> None:
        super().__init__(prefix="erc-bench-", ignore_cleanup_errors=True)
        self.path = Path(self.name)


def reference_build(folder: str, part: int) -> Fresh:
    """A dataset in the reference style, in .path / "dataset"."""
    out = Fresh()
    reference.build(Path(folder), out.path, _tokenizer(), part)
    return out


def erc_build(folder: str, workers: int = 1) -> Fresh:
    """Our store, from reading the manifest on; in .store."""
    out = Fresh()
    out.store = build(corpora.load("manifest", folder), out.path, workers)
    return out


def alone(name: str, folder: str, option: int) -> None:
    """One of the two above, for a process of its own, which answers with plain values."""
    globals()[name](folder, option)


def _tokenizer() -> Any:
    from erc.model.tokenizer import train_tokenizer

    words = ["".join(chr(0xAC00 + 28 * i + j) for j in range(8)) for i in range(200)]
    return train_tokenizer(words, 500)


def _building(folder: Path, n: int, part: int, rounds: int) -> list[Row]:
    def slow() -> Fresh:
        return reference_build(str(folder), part)

    kept: dict[str, int] = {}

    def unequal(theirs: Fresh, ours: Fresh) -> float:
        kept["reference style"] = _bytes(theirs.path / "dataset")
        kept["erc"] = _bytes(ours.path)
        return _samples_differ(theirs.path / "dataset", ours.store)

    built = compare(
        f"dataset build, {n:,} utterances",
        baseline=("reference style", slow),
        ours=[(f"erc, {w} worker(s)", lambda w=w: erc_build(str(folder), w)) for w in (1, 2)],
        units=({"reference style": part, "erc, 1 worker(s)": n, "erc, 2 worker(s)": n}, "utt"),
        rounds=rounds, warmup=1, target=50, equal=unequal, check="samples, largest difference",
    )  # fmt: skip
    space = quantity(
        "dataset build, bytes on disk", "bytes per utterance",
        baseline=("reference style", kept["reference style"] / part),
        ours=[("erc", kept["erc"] / n)], target=12,
        note="Without the reference style's two caches, which double and triple its bytes.",
    )  # fmt: skip
    memory = quantity(
        "dataset build, peak memory", "MB",
        baseline=(f"reference style, {part} utterances",
                  peak_rss("bench.data:alone", "reference_build", str(folder), part)),
        ours=[(f"erc, {n} utterances, {w} worker(s)",
               peak_rss("bench.data:alone", "erc_build", str(folder), w)) for w in (1, 2)],
        target=10, note="Highest resident size of a fresh process, interpreter included.",
    )  # fmt: skip
    return [built, space, memory]


def _samples_differ(dataset: Path, store: Store) -> float:
    """Our samples, padded and normalised in the reference style, against what it stored."""
    import datasets

    theirs = datasets.load_from_disk(str(dataset)).with_format("numpy", columns=["wav"])
    process, row_of = reference.extractor(), {id: i for i, id in enumerate(store.column("id"))}
    worst = 0.0
    for i, row in enumerate(theirs):
        pcm = arrays.from_int16(store.pcm(row_of[f"{i:06d}"])[: reference.CUT])
        full = np.pad(pcm, (0, reference.CUT - len(pcm)))
        ours = process(full, sampling_rate=reference.RATE)["input_values"][0]
        worst = max(worst, float(np.abs(row["wav"] - ours).max()))
    return worst


def _changing(folder: Path, n: int, rounds: int) -> list[Row]:
    recording = folder / "wav" / "000000.wav"
    whole = recording.read_bytes()
    kept = erc_build(str(folder))
    cut = 0

    def partly() -> Store:
        nonlocal cut
        cut += 2000
        recording.write_bytes(whole[:-cut])
        return build(corpora.load("manifest", folder), kept.path)

    row = compare(
        f"one of {n:,} recordings changed",
        baseline=("built anew", lambda: erc_build(str(folder))),
        ours=[("rebuilt where it changed", partly)],
        rounds=rounds, units=(n, "utt"),
        equal=lambda _, ours: float(not erc_build(str(folder)).store.table.equals(ours.table)),
        check="tables differ",
    )  # fmt: skip
    recording.write_bytes(whole)
    return [row]


def _reading(folder: Path, n: int, part: int, rounds: int) -> list[Row]:
    from erc.datasets import HF_KEMD
    from erc.datasets.batches import BucketSampler, Collator, loader

    theirs, cache, tokenizer = reference_build(str(folder), part), Fresh(), _tokenizer()
    slow = reference.batches(theirs.path / "dataset")
    data = HF_KEMD(str(folder), "all", 0, "manifest", num_folds=2, cache=str(cache.path))
    sampler = BucketSampler(data.lengths, reference.BATCH)
    fast = loader(data, Collator(tokenizer, normalize=True), sampler)

    def unequal() -> float:
        worst = 0.0
        for batch in fast:
            for x, size, row in zip(batch.speech.numpy(), batch.speech_lengths, batch.rows):
                name = data.store.column("id")[row]
                samples = audio.load(folder / "wav" / f"{name}.wav")[: reference.CUT].astype(float)
                clip = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
                off = np.abs(x[:size] - clip).max() / np.abs(clip).max()  # float32 rounds by size
                worst = max(worst, off, np.abs(x[size:]).max(initial=0))
        return worst

    row = compare(
        "reading an epoch of decoded, normalised batches",
        baseline=("reference style", lambda: sum(len(b["wav"]) for b in slow)),
        ours=[("erc", lambda: sum(len(b.speech) for b in fast))],
        units=({"reference style": part, "erc": n}, "utt"), rounds=rounds + 2, target=5,
        equal=lambda *_: unequal(), allowed=1e-5, check="clips against float64, padding against 0",
        note=f"Batches of {reference.BATCH} in one process, tokens included.",
    )  # fmt: skip
    return [row]


def _growing(scratch: Path, sizes: tuple[int, ...], rounds: int) -> Row:
    folders = {n: reference.corpus(scratch / f"grown-{n}", n) for n in sizes}
    return scaling(
        "dataset build against its size",
        lambda n: isolated("bench.data:alone", "erc_build", str(folders[n]), 2),
        sizes, rounds=rounds, unit=" utt",
    )  # fmt: skip


def memory(scratch: Path, n: int) -> Row:
    """Peak memory at 1×, 4× and 16× so many recordings of a tenth of a second.

    What a build holds of an utterance does not depend on how long it is; what it holds of samples is
    the same at any size, so that the difference between sizes is the former alone.
    """
    records: list[dict[str, Any]] = []
    for size in (n, 4 * n, 16 * n):
        folder = reference.corpus(scratch / f"short-{size}", size, seconds=0.1)
        found = isolated("bench.data:alone", "erc_build", str(folder), 2)
        record = {
            "utterances": size,
            "peak RSS MB": round(found.rss, 1),
            "s": round(found.seconds, 1),
        }
        if records:
            more = (found.rss - float(records[-1]["peak RSS MB"])) * 2**20
            record["bytes an utterance more"] = round(more / (size - records[-1]["utterances"]))
        records.append(record)
    records[0]["bytes an utterance more"] = ""
    return table("dataset build, memory an utterance", records,
                 note="Recordings of 0.1 s, 2 workers, each size in a fresh process.")  # fmt: skip


def _bytes(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
