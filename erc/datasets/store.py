"""`Store`: a built corpus, memory-mapped; audio decoded once, shared by all folds and labels.

A store is a list of shards (`erc.datasets.shards` writes them), each an Arrow stream of `SCHEMA`.
Labels, folds, lengths and tokenizers are applied when reading and need no rebuild. The folder also
opens with `datasets.load_from_disk`.
"""

from __future__ import annotations

import functools
import json
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from erc.base import physiology
from erc.base.physiology_features import FEATURES
from erc.base.space import KEMDY, Space
from erc.base.terms import Terms
from erc.corpora.utterance import Rating, Report, Utterance

SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "corpus": pa.string(),
        "audio": pa.large_binary(),  # int16 PCM at 16 kHz, little endian; empty: no recording
        "audio_hash": pa.string(),
        "level": pa.float32(),  # root mean square of the samples, full scale 1; 0: no recording
        "signs": pa.list_(pa.uint32()),  # `copies.spectral_signs`: by which copies are found
        "text": pa.string(),  # null: no transcript
        "speaker": pa.string(),
        "session": pa.string(),
        "gender": pa.string(),
        "dialogue": pa.string(),
        "votes": pa.list_(pa.float32()),  # in the order of `Space.emotions`; null: no emotion label
        "dimensions": pa.list_(
            pa.float64()
        ),  # means over raters, as `Space.dimensions`; nan: unrated
        "rater_group": pa.string(),
        "raters": pa.list_(pa.string()),
        "ratings": pa.list_(pa.float32()),  # [raters × (1 + D)] flat: emotion index, dimensions
        "physiology": pa.list_(pa.float32()),  # `physiology_features`; null: nothing measured
        "signals": pa.list_(pa.float32()),  # [T × 3] flat: `physiology.resample`
    }
)
MEASURED = ("audio", "audio_hash", "level", "signs", "physiology", "signals")  # not of `Utterance`


@dataclass(frozen=True, eq=False)
class Store:
    """A built corpus: an Arrow table over memory-mapped files, and what was left out on the way."""

    path: Path
    table: pa.Table
    report: Report
    loaded: bool  # True: nothing had to be built
    simulated: bool = False  # no person was recorded
    space: Space = KEMDY  # what it is rated in
    terms: tuple[Terms, ...] = ()  # under which it may be used
    labels: Mapping[str, Mapping[str, str | None]] = field(
        default_factory=dict
    )  # see `Corpus.labels`

    def __len__(self) -> int:
        return self.table.num_rows

    def __getstate__(self) -> dict[str, Any]:
        """Without the samples: a worker process maps the files again."""
        return {k: v for k, v in vars(self).items() if k not in ("table", "_samples")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        index = json.loads((self.path / "state.json").read_text("utf-8"))
        files = [self.path / file["filename"] for file in index["_data_files"]]
        vars(self)["table"] = mapped(files)

    def pcm(self, row: int) -> np.ndarray:
        """int16 [T] samples of a row, a view into the mapped file; [0] if it has no recording."""
        views, chunk, start, stop = self._samples
        return views[chunk[row]][start[row] : stop[row]]

    @functools.cached_property
    def _samples(self) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
        """Mapped samples of each record batch; of each row its record batch, first and end sample.

        A pyarrow scalar costs 20 µs a row, more than normalising a second of speech.
        """
        chunks = [c for c in self.table["audio"].chunks if len(c)]
        offsets = [
            np.frombuffer(c.buffers()[1], np.int64)[c.offset :][: len(c) + 1] for c in chunks
        ]
        nothing = np.zeros(0, np.int16)
        views = [np.frombuffer(b, np.int16) if (b := c.buffers()[2]) else nothing for c in chunks]
        start = np.concatenate([o[:-1] for o in offsets]) // 2  # bytes → samples
        stop = np.concatenate([o[1:] for o in offsets]) // 2
        return views, np.repeat(np.arange(len(chunks)), [len(c) for c in chunks]), start, stop

    def column(self, name: str) -> np.ndarray:
        """A scalar column as a numpy array [N]."""
        return self.table[name].to_numpy()

    def lengths(self) -> np.ndarray:
        """Samples of each recording, int [N]; 0: none."""
        return pc.binary_length(self.table["audio"]).to_numpy() // 2

    def has(self, modality: str) -> np.ndarray:
        """True where an utterance has "speech", a "text" or "physiology", bool [N]."""
        if modality == "speech":
            return self.lengths() > 0
        if modality == "physiology":
            return ~self.table["physiology"].is_null().to_numpy()
        return np.array([bool(text) for text in self.column("text")], bool)

    def utterances(self, rows: np.ndarray) -> Iterator[Utterance]:
        """The utterances of these rows with every single rating, without their recordings."""
        table = self.table.drop(list(MEASURED)).take(rows)
        for batch in table.to_batches(1024):
            for row in batch.to_pylist():
                flat, d = iter(row["ratings"]), len(self.space.dimensions)
                ratings = tuple(
                    Rating(r, int(next(flat)), tuple(islice(flat, d))) for r in row.pop("raters")
                )
                votes, rated = row["votes"] and tuple(row["votes"]), tuple(row["dimensions"])
                said = {"votes": votes, "dimensions": rated, "ratings": ratings}
                yield Utterance(**row | said | {"audio": None})

    def physiology(self) -> np.ndarray:
        """float32 [N, 16] of `physiology_features.FEATURES`; nan where not measured."""
        rows = self.table["physiology"].to_pylist()
        none = [np.nan] * len(FEATURES)
        return np.array([none if row is None else row for row in rows], np.float32)

    def signals(self, row: int) -> np.ndarray:
        """float32 [T, 3] at 4 Hz, see `physiology.resample`; [0, 3] if nothing was measured."""
        flat = self.table["signals"][row]
        values = flat.values.to_numpy(zero_copy_only=False) if flat.is_valid else np.zeros(0)
        return values.astype(np.float32).reshape(-1, len(physiology.SIGNALS))

    def spectral_signs(self, row: int) -> np.ndarray:
        """uint32 [F] of `copies.spectral_signs`; [0] where there is no recording."""
        return self.table["signs"][row].values.to_numpy()

    def votes(self) -> np.ndarray:
        """[N, K] votes; rows of nan where there is no emotion label."""
        rows, k = self.table["votes"].to_pylist(), len(self.space.emotions)
        return np.array([row or [np.nan] * k for row in rows], float).reshape(len(rows), k)

    def offered(self) -> np.ndarray | None:
        """bool [N, K]: True for the emotions that the corpus of a row has, because somebody voted for
        them in it; None: all corpora have all of them, or there is only one. Of a row whose corpus
        names no emotion all are."""
        names, corpus = np.unique(self.column("corpus").astype(str), return_inverse=True)
        votes = np.nan_to_num(self.votes())
        found = np.array([(votes[corpus == c] > 0).any(0) for c in range(len(names))])
        found[~found.any(1)] = True
        return None if len(names) < 2 or found.all() else found[corpus]

    def ratings(self) -> np.ndarray:
        """[N, D] means over raters in the units of their scales; nan: unrated."""
        flat = self.table["dimensions"].combine_chunks().flatten().to_numpy()
        return flat.reshape(len(self), len(self.space.dimensions)).copy()  # Arrow's is read-only


def mapped(files: list[Path]) -> pa.Table:
    """The rows of all shards, where they lie."""
    tables = [_mapped(file) for file in files]
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()


def _mapped(file: Path) -> pa.Table:
    """A shard in place. Of every page that opening looked at the kernel has mapped its neighbours, more
    than all else that is kept of a shard; they are let go of, and come again when they are read."""
    with file.open("rb") as opened:
        pages = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    table = pa.ipc.open_stream(pa.py_buffer(pages)).read_all()
    if hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)
    return table
