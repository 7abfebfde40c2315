"""What to predict: files, folders, patterns, lists and standard input → one `Input` each.

    a.wav              a recording; also a pipe: <(…), a FIFO, /dev/stdin
    takes/             every recording below, sorted; what is no recording is named in `unread`
    'takes/**/*.wav'   a pattern, quoted so that the shell leaves it alone
    @list.txt          one path a line, relative to the list; # begins a comment
    table.csv          columns audio (or file, path) and, optionally, text; relative to the table.
                       eda, temp, ibi, ecg: files of a wrist band or chest strap, as KEMDy has them,
                       of which rows marked with `segment` count (blank: the name of the recording)
    -                  paths on standard input, one a line; or one recording, as bytes

Everything keeps the order in which it was named.
"""

from __future__ import annotations

import csv
import functools
import glob
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from erc.base.cells import reader
from erc.base.errors import ConfigError, CorpusError, did_you_mean, optional
from erc.base.files import fingerprint
from erc.base.text import decode, wrong_separator

RECORDINGS = set(  # what the name of a recording or film ends with, whether it can be read or not
    ".wav .flac .ogg .oga .opus .mp3 .aiff .aif .au .w64 .caf "
    ".m4a .mp4 .aac .webm .mka .mkv .mov .avi .3gp .amr .wma .wv .ape".split()
)
BESIDE = set(  # what may lie beside recordings without being missed
    ".txt .csv .tsv .json .jsonl .srt .vtt .textgrid .eaf .xml .md .html .pdf .png .jpg".split()
)
COLUMNS = ("audio", "file", "path")
BODY = ("eda", "temp", "ibi", "ecg")
STDIN = "<stdin>"  # what messages call it


@dataclass(frozen=True)
class Input:
    """One utterance: `audio` is a path, or bytes that came through standard input; None: none.

    `body` are files of devices, by kind (EDA, TEMP, IBI, ECG), in which `segment` names the utterance.
    """

    name: str
    audio: str | bytes | None
    text: str | None = None
    body: tuple[tuple[str, str], ...] = ()
    segment: str = ""

    def arguments(self) -> dict[str, Any]:
        """As `Recognizer.predict_many` takes it."""
        audio = _Piped(self.audio) if isinstance(self.audio, bytes) else self.audio
        found = {"audio": audio, "text": self.text, "name": self.name}
        return found | ({"physiology": self.signals} if self.body else {})

    def signals(self) -> Any:
        """What was measured; raises CorpusError."""
        return _reader().given({kind: Path(path) for kind, path in self.body}, self.segment)

    def identity(self) -> list[Any]:
        """Changes if the recording, its transcript or its name does; a file counts by size and time."""
        if isinstance(self.audio, bytes):
            return [self.name, self.text, fingerprint(self.audio)]
        files = [_stamp(path) for path in (self.audio, *(path for _, path in self.body))]
        return [self.name, self.text, *files, *([self.segment] if self.body else [])]


@dataclass
class Inputs:
    """What was named.

    Attributes:
        found: in the order of the names.
        unread: files in folders that are no recordings, and not what usually lies beside them.
        beside: how many of those there are: transcripts, tables, pictures.
    """

    found: list[Input] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    beside: int = 0


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


def collect(names: Iterable[str], text: str | None = None, stdin: BinaryIO | None = None) -> Inputs:
    """Everything the names stand for, in their order.

    Args:
        names: as in the table above.
        text: what is said in the one recording, or all there is.
        stdin: where "-" reads.

    Raises:
        ConfigError: nothing to predict, a pattern or folder without recordings, a list that cannot
            be read, or a transcript for several recordings.
    """
    names, inputs = list(names), Inputs()
    if not names and text is None:
        raise ConfigError("give a recording, a folder of recordings, or --text; see --help")
    for name in names:
        inputs.found += _expand(name, stdin, inputs)
    if text is not None:
        if len(inputs.found) > 1:
            raise ConfigError(
                f"--text belongs to one recording, not {len(inputs.found)}; put many into a table: "
                "erc predict table.csv, with columns audio and text"
            )
        one = inputs.found[0] if inputs.found else Input("<text>", None)
        inputs.found = [Input(one.name, one.audio, text)]
    return inputs


def shown(path: str) -> str:
    r"""A path as text that every file and terminal takes: bytes that are not UTF-8 as `\xb0`.

    >>> shown("감정.wav"), shown("\udcb0\udca8.wav")
    ('감정.wav', '\\xb0\\xa8.wav')
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _expand(name: str, stdin: BinaryIO | None, inputs: Inputs) -> Iterator[Input]:
    if name == "-":
        yield from _stdin(stdin, inputs)
    elif name.startswith("@"):
        yield from _list(Path(name[1:]), inputs)
    elif name.lower().endswith((".csv", ".tsv")):
        yield from _table(Path(name))
    elif os.path.isdir(name) or (glob.has_magic(name) and not os.path.exists(name)):
        paths = _folder(name, inputs) if os.path.isdir(name) else _pattern(name)
        if not paths:
            what = f"no recordings ({' '.join(sorted(RECORDINGS))}) in"
            raise ConfigError(
                f"{what if os.path.isdir(name) else 'no file matches'} '{shown(name)}'"
            )
        yield from map(_file, paths)
    else:
        yield _file(name)  # if there is none, that is said in its row


def _file(path: str) -> Input:
    return Input(shown(path), path)


def _pattern(name: str) -> list[str]:
    return sorted(path for path in glob.glob(name, recursive=True) if not os.path.isdir(path))


def _folder(name: str, inputs: Inputs) -> list[str]:
    """Recordings below a folder, sorted; links are followed, but into no folder twice."""
    paths, seen = [], set()
    for root, folders, files in os.walk(name, followlinks=True):
        if os.path.realpath(root) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(root))
        paths += [Path(root, file) for file in files]
    found = []
    for path in sorted(paths):
        kind = path.suffix.lower()
        if kind in RECORDINGS:
            found.append(str(path))
        elif kind in BESIDE:
            inputs.beside += 1
        elif not path.name.startswith("."):
            inputs.unread.append(shown(str(path)))
    return found


def _stdin(stdin: BinaryIO | None, inputs: Inputs) -> Iterator[Input]:
    data = stdin.read() if stdin else b""
    if not data.strip():
        raise ConfigError("'-' reads paths or one recording from standard input, which is empty")
    if b"\0" in data:  # in no path, but soon in every recording
        yield Input(STDIN, data)
    else:
        yield from _lines(data, "", inputs)


def _list(path: Path, inputs: Inputs) -> Iterator[Input]:
    if path.suffix.lower() in (".csv", ".tsv"):
        yield from _table(path)
    else:
        yield from _lines(_read(path), str(path.parent), inputs)


def _lines(data: bytes, folder: str, inputs: Inputs) -> Iterator[Input]:
    for line in filter(bytes.strip, data.removeprefix(b"\xef\xbb\xbf").splitlines()):
        path = os.path.join(folder, os.fsdecode(line))  # the very bytes, if they name something
        if not os.path.exists(path):
            if line.lstrip().startswith(b"#"):
                continue
            with suppress(CorpusError):
                path = os.path.join(folder, decode(line.strip()))
        if os.path.isdir(path) or not os.path.exists(path):
            paths = _folder(path, inputs) if os.path.isdir(path) else _pattern(path)
            yield from map(_file, paths or [path])
        else:
            yield _file(path)


def _table(path: Path) -> Iterator[Input]:
    text = decode(_read(path), str(path))
    separator = ",\t"[path.suffix.lower() == ".tsv"]
    rows = reader(text, delimiter=separator)
    try:
        header = [cell.strip().lower() for cell in next(rows, [])]
        column = next((c for c in COLUMNS if c in header), None)
        if column is None and not {"text", *BODY} & set(header):
            raise ConfigError(f"{path}: {_wrong(header, separator)}")
        for number, cells in enumerate(rows, 2):  # as a spreadsheet counts: the header is row 1
            row = dict(zip(header, map(str.strip, cells), strict=False))
            if any(row.values()):
                audio = row.get(column or "")
                source = os.path.join(path.parent, audio) if audio else None
                name = shown(source) if source else f"{path} row {number}"
                body = tuple(
                    (kind.upper(), os.path.join(path.parent, row[kind]))
                    for kind in BODY
                    if row.get(kind)
                )
                segment = row.get("segment") or Path(audio or "").stem or name
                yield Input(name, source, row.get("text") or None, body, segment if body else "")
    except csv.Error as error:
        raise ConfigError(f"{path}: line {rows.line_num}: {error}") from None


def _wrong(header: list[str], separator: str) -> str:
    """What is wrong with a header that names no input."""
    if wrong := wrong_separator(header, separator, (*COLUMNS, "text")):
        return wrong
    near = next(filter(None, (did_you_mean(cell, COLUMNS) for cell in header)), "")
    return f"no column {', '.join(COLUMNS)} or text{near}; it has: {', '.join(header)}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{shown(str(path))}: {error.strerror or error}") from None
