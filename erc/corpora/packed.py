"""`Packed`: utterances of a corpus of any size, kept on disk and not in memory.

A million utterances with the words of ten raters are gigabytes as Python objects. Here they are lines
of a file that has no name and is gone with its last user; in memory stay 16 bytes of each.
"""

from __future__ import annotations

import json
import tempfile
import threading
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from erc.base.files import naming
from erc.corpora.utterance import Rating, Utterance

MEMORY = 1 << 20  # bytes of lines that need no file; it is some thousand utterances
BLOCK = 256  # utterances read at once
FIELDS = tuple(Utterance.__dataclass_fields__)


class Packed(Sequence[Utterance]):
    """A sequence of utterances, made anew each time they are asked for. Threads may read at once.

    Args:
        utterances: are gone through once.

    Raises:
        OSError: the disk of temporary files (`TMPDIR`) is full.

    >>> said = [Utterance(f"u{i}", "toy", None, "yes", "me", f"S{i}", None, (3.5,)) for i in (1, 0)]
    >>> packed = Packed(said)
    >>> list(packed) == said, packed[-1].id, [rows.tolist() for rows in packed.sessions()]
    (True, 'u0', [[1], [0]])
    """

    def __init__(self, utterances: Iterable[Utterance]):
        self._lock, self._file = threading.Lock(), tempfile.SpooledTemporaryFile(MEMORY)  # noqa: SIM115
        self._ends, self._session = array("q", [0]), array("q")
        self._sessions: dict[tuple[str, str], int] = {}
        with naming(Path(tempfile.gettempdir())):
            for u in utterances:
                line = _line(u)
                self._file.write(line)
                self._ends.append(self._ends[-1] + len(line))
                key = (u.corpus, u.session)
                self._session.append(self._sessions.setdefault(key, len(self._sessions)))
            self._file.flush()

    def __len__(self) -> int:
        return len(self._session)

    @overload
    def __getitem__(self, index: int) -> Utterance: ...

    @overload
    def __getitem__(self, index: slice) -> list[Utterance]: ...

    def __getitem__(self, index: int | slice) -> Utterance | list[Utterance]:
        found = range(len(self))[index]  # raises IndexError as a list does
        return self._at(found) if isinstance(found, int) else [self._at(i) for i in found]

    def __iter__(self) -> Iterator[Utterance]:
        for start in range(0, len(self), BLOCK):
            lines = self._bytes(start, min(start + BLOCK, len(self)))
            yield from map(_utterance, lines.splitlines())

    def sessions(self) -> Iterator[np.ndarray]:
        """The rows of each session, int32 [n] in their order; sessions by corpus and name."""
        rank = np.empty(len(self._sessions), np.int32)
        rank[[self._sessions[name] for name in sorted(self._sessions)]] = np.arange(len(rank))
        session = rank[np.frombuffer(self._session, np.int64)]
        order = np.argsort(session, kind="stable").astype(np.int32)
        yield from np.split(order, np.flatnonzero(np.diff(session[order])) + 1)

    def _at(self, row: int) -> Utterance:
        return _utterance(self._bytes(row, row + 1))

    def _bytes(self, start: int, stop: int) -> bytes:
        with self._lock:
            self._file.seek(self._ends[start])
            return self._file.read(self._ends[stop] - self._ends[start])


def packed(utterances: Sequence[Utterance]) -> Packed:
    """The same utterances, packed if they are not yet."""
    return utterances if isinstance(utterances, Packed) else Packed(utterances)


def _line(u: Utterance) -> bytes:
    """JSON in ASCII: no line break within, and file names that are no Unicode come back."""
    said = [getattr(u, name) for name in FIELDS]
    return json.dumps(said, default=_plain, separators=(",", ":")).encode("ascii") + b"\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is nothing that an utterance holds")


def _utterance(line: bytes) -> Utterance:
    said = dict(zip(FIELDS, json.loads(line), strict=True))
    ratings = tuple(Rating(name, emotion, tuple(d)) for name, emotion, d in said["ratings"])
    body = said["physiology"]
    return Utterance(
        **said
        | {
            "audio": None if said["audio"] is None else Path(said["audio"]),
            "votes": None if said["votes"] is None else tuple(said["votes"]),
            "dimensions": tuple(said["dimensions"]),
            "ratings": ratings,
            "physiology": body if body is None else {k: Path(p) for k, p in body.items()},
        }
    )
