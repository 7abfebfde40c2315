"""One utterance as a command is given it: its name, where it lies, what tells it from others."""

from __future__ import annotations

import functools
import io
import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from erc.base import remote
from erc.base.errors import optional
from erc.base.files import fingerprint

STDIN = "<stdin>"  # what messages call it


@dataclass(frozen=True)
class Input:
    """One utterance: `audio` is a path, an address, or bytes that came by standard input; None: none.

    `body` are files of devices, by kind (EDA, TEMP, IBI, ECG), in which `segment` names the utterance.
    `stamp` is what tells one version of the file at an address from another.
    """

    name: str
    audio: str | bytes | None
    text: str | None = None
    body: tuple[tuple[str, str], ...] = ()
    segment: str = ""
    stamp: remote.Stamp = ()

    def arguments(self) -> dict[str, Any]:
        """As `Recognizer.predict_many` takes it."""
        audio: Any = _Piped(self.audio) if isinstance(self.audio, bytes) else self.audio
        if remote.is_url(audio):
            audio = functools.partial(remote.read, audio)  # in a decoding thread
        found = {"audio": audio, "text": self.text, "name": self.name}
        return found | ({"physiology": self.signals} if self.body else {})

    def signals(self) -> Any:
        """What was measured; raises CorpusError."""
        return _reader().given({kind: Path(path) for kind, path in self.body}, self.segment)

    def identity(self) -> list[Any]:
        """Changes if the recording, its transcript or its name does; a file counts by size and time."""
        if isinstance(self.audio, bytes):
            return [self.name, self.text, fingerprint(self.audio)]
        if self.stamp:
            return [self.name, self.text, list(self.stamp)]
        files = [_stamp(path) for path in (self.audio, *(path for _, path in self.body))]
        return [self.name, self.text, *files, *([self.segment] if self.body else [])]


def _stamp(path: str | None) -> list[int] | None:
    stat = os.stat(path) if path and os.path.isfile(path) else None
    return stat and [stat.st_size, stat.st_mtime_ns]


@functools.cache
def _reader() -> Any:
    from erc.corpora.devices import Reader

    with optional("physiology"):
        import_module("pandas")  # which reads the files
    return Reader()


class _Piped(io.BytesIO):
    name = STDIN
