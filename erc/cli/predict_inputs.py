"""What to predict: files, folders, patterns, lists and standard input → one `Input` each.

    a.wav              a recording
    takes/             every recording below, sorted
    'takes/**/*.wav'   a pattern, quoted so that the shell leaves it alone
    @list.txt          one path a line, relative to the list; # begins a comment
    table.csv          columns audio (or file, path) and, optionally, text; relative to the table
    -                  paths on standard input, one a line; or one recording, as bytes

Everything keeps the order in which it was named.
"""

from __future__ import annotations

import csv
import glob
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from erc.base.errors import ConfigError, did_you_mean
from erc.base.files import fingerprint
from erc.base.text import decode

AUDIO = {".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".au", ".opus"}
MAGIC = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"FORM", b"\xff\xfb")  # how encoded audio begins
COLUMNS = ("audio", "file", "path")


@dataclass(frozen=True)
class Input:
    """One utterance: `audio` is a path, or bytes that came through a pipe; None: text only."""

    name: str
    audio: str | bytes | None
    text: str | None = None

    def arguments(self) -> dict[str, Any]:
        """As `Recognizer.predict_many` takes it."""
        audio = _Piped(self.audio) if isinstance(self.audio, bytes) else self.audio
        return {"audio": audio, "text": self.text, "name": self.name}

    def identity(self) -> list[Any]:
        """Changes if the recording, its transcript or its name does; a file counts by size and time."""
        if isinstance(self.audio, bytes):
            return [self.name, self.text, fingerprint(self.audio)]
        stat = Path(self.audio).stat() if self.audio and Path(self.audio).is_file() else None
        return [self.name, self.text, stat and [stat.st_size, stat.st_mtime_ns]]


class _Piped(io.BytesIO):
    name = "<stdin>"  # what messages call it


def collect(
    names: Iterable[str], text: str | None = None, stdin: BinaryIO | None = None
) -> list[Input]:
    """Everything the names stand for, in their order.

    Args:
        names: as in the table above.
        text: what is said in the one recording, or all there is.
        stdin: where "-" reads.

    Raises:
        ConfigError: nothing to predict, a pattern or folder without recordings, a list that cannot
            be read, or a transcript for several recordings.
    """
    names = list(names)
    if not names and text is None:
        raise ConfigError("give a recording, a folder of recordings, or --text; see --help")
    found = [one for name in names for one in _expand(name, stdin)]
    if text is None:
        return found
    if len(found) > 1:
        raise ConfigError(
            f"--text belongs to one recording, not {len(found)}; put many into a table: "
            "erc predict table.csv, with columns audio and text"
        )
    return [Input(found[0].name, found[0].audio, text) if found else Input("<text>", None, text)]


def recordings(folder: str | Path) -> list[str]:
    """All recordings below a folder, sorted."""
    paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in AUDIO and p.is_file())
    return [str(p) for p in paths]


def _expand(name: str, stdin: BinaryIO | None) -> Iterator[Input]:
    if name == "-":
        yield from _stdin(stdin)
    elif name.startswith("@"):
        yield from _list(Path(name[1:]))
    elif name.lower().endswith((".csv", ".tsv")):
        yield from _table(Path(name))
    else:
        yield from (Input(path, path) for path in _paths(name))


def _paths(name: str) -> list[str]:
    """A file as it is (missing ones are reported later, in their place), else what it stands for."""
    if Path(name).is_dir():
        found = recordings(name)
        if not found:
            raise ConfigError(f"no recordings ({' '.join(sorted(AUDIO))}) in {name}")
        return found
    if not glob.has_magic(name) or Path(name).exists():
        return [name]
    matches = sorted(path for path in glob.glob(name, recursive=True) if not Path(path).is_dir())
    if not matches:
        raise ConfigError(f"no file matches '{name}'")
    return matches


def _stdin(stdin: BinaryIO | None) -> Iterator[Input]:
    data = stdin.read() if stdin else b""
    if data.startswith(MAGIC):
        yield Input(_Piped.name, data)
        return
    yield from _lines(decode(data, "standard input"), Path())
    if not data.strip():
        raise ConfigError("'-' reads paths or one recording from standard input, which is empty")


def _list(path: Path) -> Iterator[Input]:
    if path.suffix.lower() in (".csv", ".tsv"):
        yield from _table(path)
    else:
        yield from _lines(decode(_read(path), str(path)), path.parent)


def _lines(text: str, folder: Path) -> Iterator[Input]:
    for line in map(str.strip, text.splitlines()):
        if line and not line.startswith("#"):
            yield from (Input(found, found) for found in _paths(str(folder / line)))


def _table(path: Path) -> Iterator[Input]:
    text = decode(_read(path), str(path))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=",\t"[path.suffix.lower() == ".tsv"])
    header = [cell.strip().lower() for cell in next(rows, [])]
    column = next((c for c in COLUMNS if c in header), None)
    if column is None and "text" not in header:
        near = next(filter(None, (did_you_mean(c, COLUMNS) for c in header)), "")
        raise ConfigError(
            f"{path}: no column {', '.join(COLUMNS)} or text{near}; it has: {', '.join(header)}"
        )
    for number, cells in enumerate(rows, 2):  # as a spreadsheet counts: the header is row 1
        row = dict(zip(header, map(str.strip, cells)))
        if any(row.values()):
            audio = row.get(column or "")
            source = str(path.parent / audio) if audio else None
            yield Input(source or f"{path} row {number}", source, row.get("text") or None)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
