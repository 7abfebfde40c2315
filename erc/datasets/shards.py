"""Utterances → the shards of a `Store`: recordings decoded, hashed, described and written, once.

A shard holds up to `SHARD` utterances of one session and is named by the hash of everything that shaped
it (annotation, transcript, content of the recording and of the signals' files, this module's `VERSION`),
so a changed file rebuilds one shard and nothing else, and a copy of a corpus has the store of its
original. Beside a shard lies what it hashes to: one that is damaged is built again.
"""

from __future__ import annotations

import copy
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from erc.base import audio, physiology
from erc.base.copies import spectral_signs
from erc.base.errors import AudioError, CorpusError
from erc.base.files import atomic, fingerprint, lock, sha256, sweep, write_json
from erc.base.physiology_features import features
from erc.corpora import Corpus, devices
from erc.corpora.packed import Packed, packed
from erc.corpora.utterance import Report, Utterance
from erc.datasets.contents import Contents
from erc.datasets.index import write_index
from erc.datasets.store import SCHEMA, Store, mapped

VERSION = 4  # raise when the columns, their meaning or the way to compute them change
SHARD = 256  # utterances; a worker holds one record batch of them, not all
RECORD_BATCH = 8 << 20  # bytes of samples written at once


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
    table = mapped(files)
    if not table.num_rows:
        raise CorpusError(f"{corpus.root}: no usable utterance\n{report}")
    terms = tuple(corpus.terms)
    return Store(
        folder, table, report, loaded, corpus.simulated, corpus.space, terms, corpus.labels
    )
