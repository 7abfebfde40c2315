"""Utterances → memory-mapped Arrow files: audio decoded once, shared by all folds and labels.

A store is a list of shards. A shard holds up to `SHARD` utterances of one session and is named by
the hash of everything that shaped it (annotation, transcript, content of the recording and of the
signals' files, this module's `VERSION`), so a changed file rebuilds one shard and nothing else, and a
copy of a corpus has the store of its original. Beside a shard lies what it hashes to: one that is
damaged is built again.
Labels, folds, lengths and tokenizers are applied when reading and need no rebuild. The folder also
opens with `datasets.load_from_disk`.
"""

from __future__ import annotations

import copy
import functools
import json
import mmap
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from erc.base import audio, physiology
from erc.base.copies import spectral_signs
from erc.base.errors import AudioError, CorpusError
from erc.base.files import atomic, fingerprint, lock, sha256, sweep, write_json
from erc.base.physiology_features import FEATURES, features
from erc.base.space import KEMDY, Space
from erc.base.terms import Terms
from erc.corpora import Corpus, devices
from erc.corpora.packed import Packed, packed
from erc.corpora.utterance import Rating, Report, Utterance
from erc.datasets.contents import Contents
from erc.datasets.index import write_index

VERSION = 4  # raise when the columns, their meaning or the way to compute them change
SHARD = 256  # utterances; a worker holds one record batch of them, not all
RECORD_BATCH = 8 << 20  # bytes of samples written at once

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
        vars(self)["table"] = _map(files)

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


def build(
    corpus: Corpus,
    cache: Path,
    num_proc: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Store:
    """Decode a corpus into `cache`, or open it from there if nothing that shaped it has changed.

    Args:
        corpus: from `erc.corpora.load`.
        cache: folder for all stores; shards are shared between them.
        num_proc: parallel workers. They are threads: decoding, resampling and hashing release the
            interpreter lock, and without fork there is no lock to inherit, so nothing can deadlock.
        progress: called with (finished shards, all shards).

    Returns:
        Store; recordings that cannot be decoded are left out and counted in `.report`.

    Raises:
        CorpusError: no utterance is usable.
    """
    said, contents = packed(corpus.utterances), Contents(cache / "contents")
    chunks = list(_chunks(said))
    with ThreadPoolExecutor(max(1, num_proc)) as workers:
        names = list(workers.map(lambda rows: _shard_name(_of(said, rows), contents), chunks))
    contents.keep()
    folder = cache / f"{corpus.name}-{fingerprint([VERSION, corpus.space.to_json(), *names])}"
    files = [cache / "shards" / f"{name}.arrow" for name in names]

    for place in (cache, cache / "shards"):
        sweep(place)
    with lock(folder), ThreadPoolExecutor(max(1, num_proc)) as workers:
        sound = list(workers.map(_sound, files))
        todo = [one for one, whole in zip(zip(files, chunks), sound) if not whole]
        reader = devices.Reader()
        jobs = [workers.submit(_write_shard, file, said, rows, reader) for file, rows in todo]
        for done, job in enumerate(jobs, 1):
            job.result()
            progress(done, len(jobs))
        write_index(folder, files)
    return _open(folder, files, corpus, loaded=not todo)


def _chunks(said: Packed) -> Iterator[np.ndarray]:
    """Rows of each shard; whose utterances are read when it is their turn, and forgotten."""
    for session in said.sessions():
        for start in range(0, len(session), SHARD):
            yield session[start : start + SHARD]


def _of(said: Packed, rows: np.ndarray) -> list[Utterance]:
    return [said[row] for row in rows.tolist()]


def _shard_name(chunk: list[Utterance], contents: Contents) -> str:
    def shaped_by(u: Utterance) -> list[Any]:
        bodies = [contents.of(path) for path in (u.physiology or {}).values()]
        return [u.audio and contents.of(u.audio), bodies, *(v for k, v in _columns(u).items())]

    return fingerprint([VERSION, [shaped_by(u) for u in chunk]])


def _sound(file: Path) -> bool:
    """Whether a shard and its report are there, and as they were written."""
    beside = file.with_suffix(".report.json")
    if not file.exists():
        return False
    try:
        report = json.loads(beside.read_text("utf-8"))
        if report.pop("hash") == _hash(file, report):
            return True
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    print(f"{file} is damaged, or its report is: built again", file=sys.stderr)
    return False


def _hash(file: Path, report: dict[str, Any]) -> str:
    return fingerprint([sha256(file), report])


def _columns(u: Utterance) -> dict[str, Any]:
    """Everything of a row but its audio."""
    return {
        "id": u.id,
        "corpus": u.corpus,
        "text": u.text,
        "speaker": u.speaker,
        "session": u.session,
        "gender": u.gender,
        "dialogue": u.dialogue,
        "votes": u.votes,
        "dimensions": u.dimensions,
        "rater_group": u.rater_group,
        "raters": [r.rater for r in u.ratings],
        "ratings": [x for r in u.ratings for x in (r.emotion, *r.dimensions)],
    }


def _write_shard(file: Path, said: Packed, places: np.ndarray, reader: devices.Reader) -> None:
    """Decode and write one shard; unusable recordings and missing signals go to its report."""
    report = Report()

    def rows() -> Iterator[dict[str, Any]]:
        for u in _of(said, places):
            try:
                pcm = audio.load_int16(u.audio) if u.audio else np.zeros(0, np.int16)
            except AudioError as error:
                report.drop("recording unusable", str(error))
            else:
                yield _columns(u) | heard(pcm) | measured(u)

    def heard(pcm: np.ndarray) -> dict[str, Any]:
        level = (
            float(np.sqrt(np.mean(np.square(pcm, dtype=np.float32)))) / 32768 if len(pcm) else 0.0
        )
        signs = spectral_signs(pcm)
        return {"audio": pcm, "audio_hash": fingerprint(pcm.data), "level": level, "signs": signs}

    def nulls(x: np.ndarray) -> list[float | None]:  # of nan, which equals nothing, not even itself
        return [None if v != v else v for v in x.tolist()]

    def measured(u: Utterance) -> dict[str, Any]:
        signals = reader.signals(u, report)
        course = physiology.resample(signals).ravel()
        if not len(course):
            return {"physiology": None, "signals": None}
        return {"physiology": nulls(features(signals)), "signals": nulls(course)}

    with atomic(file) as temporary:
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_stream(sink, SCHEMA) as writer:
            pending: list[dict[str, Any]] = []
            size = 0
            for row in rows():
                pending.append(row)
                size += row["audio"].nbytes
                if size >= RECORD_BATCH:
                    writer.write_batch(_record_batch(pending))
                    pending, size = [], 0
            if pending:
                writer.write_batch(_record_batch(pending))
        about = json.loads(json.dumps(vars(report)))  # as it will be read
        write_json(file.with_suffix(".report.json"), about | {"hash": _hash(temporary, about)})


def _record_batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """Rows → columns; samples are copied once, not by way of Python bytes."""
    clips = [row.pop("audio") for row in rows]
    end = np.cumsum([0, *(clip.nbytes for clip in clips)], dtype=np.int64)
    buffers = [None, pa.py_buffer(end), pa.py_buffer(np.concatenate(clips))]
    samples = pa.Array.from_buffers(pa.large_binary(), len(rows), buffers)
    place = SCHEMA.get_field_index("audio")
    others = pa.RecordBatch.from_pylist(rows, SCHEMA.remove(place))
    return others.add_column(place, SCHEMA.field("audio"), samples)


def _open(folder: Path, files: list[Path], corpus: Corpus, loaded: bool) -> Store:
    report = copy.deepcopy(corpus.report)
    for file in files:
        found = json.loads(file.with_suffix(".report.json").read_text("utf-8"))
        report.add(
            Report(Counter(found["dropped"]), Counter(found["corrected"]), found["examples"])
        )
    table = _map(files)
    if not table.num_rows:
        raise CorpusError(f"{corpus.root}: no usable utterance\n{report}")
    terms = tuple(corpus.terms)
    return Store(
        folder, table, report, loaded, corpus.simulated, corpus.space, terms, corpus.labels
    )


def _map(files: list[Path]) -> pa.Table:
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
