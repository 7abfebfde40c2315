"""What to predict: files, folders, patterns, lists and standard input → one `Input` each.

    a.wav              a recording; also a pipe: <(…), a FIFO, /dev/stdin
    takes/             every recording below, sorted; what is no recording is named in `unread`
    'takes/**/*.wav'   a pattern, quoted so that the shell leaves it alone
    @list.txt          one path a line, relative to the list; # begins a comment
    table.csv          columns audio (or file, path) and, optionally, text; relative to the table.
                       eda, temp, ibi, ecg: files of a wrist band or chest strap, as KEMDy has them,
                       of which rows marked with `segment` count (blank: the name of the recording)
    s3://bucket/takes  a folder, pattern, table or recording at an address that fsspec opens; tables and
                       lists may name recordings by address, too
    -                  paths on standard input, one a line; or one recording, as bytes

Everything keeps the order in which it was named.
"""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from erc.base import remote
from erc.base.cells import reader
from erc.base.errors import AudioError, ConfigError, CorpusError, did_you_mean
from erc.base.text import decode, wrong_separator
from erc.cli.predict_input import STDIN, Input

RECORDINGS = set(  # what the name of a recording or film ends with, whether it can be read or not
    ".wav .flac .ogg .oga .opus .mp3 .aiff .aif .au .w64 .caf "
    ".m4a .mp4 .aac .webm .mka .mkv .mov .avi .3gp .amr .wma .wv .ape".split()
)
BESIDE = set(  # what may lie beside recordings without being missed
    ".txt .csv .tsv .json .jsonl .srt .vtt .textgrid .eaf .xml .md .html .pdf .png .jpg".split()
)
COLUMNS = ("audio", "file", "path")
BODY = ("eda", "temp", "ibi", "ecg")


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
        inputs.found = [replace(one, text=text, body=(), segment="")]
    urls = {str(one.audio) for one in inputs.found if remote.is_url(one.audio) and not one.stamp}
    if urls:
        known = remote.stamps(sorted(urls))
        inputs.found = [
            replace(one, stamp=one.stamp or known.get(str(one.audio), ())) for one in inputs.found
        ]
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
        yield from _table(name)
    elif remote.is_url(name):
        yield from _address(name, inputs)
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
    return [str(path) for path in sorted(paths) if _is_recording(str(path), inputs)]


def _address(url: str, inputs: Inputs) -> Iterator[Input]:
    found = remote.files(url)
    if found is None:
        yield Input(url, url)  # one recording; if there is none, that is said in its row
        return
    pattern = bool(remote.MAGIC.search(url))
    kept = [one for one in found if pattern or _is_recording(one, inputs)]
    if not kept:
        raise ConfigError(f"{'no file matches' if pattern else 'no recordings in'} '{url}'")
    yield from (Input(one, one, stamp=found[one]) for one in kept)


def _is_recording(path: str, inputs: Inputs) -> bool:
    """By its name; what is none is counted, or named, in `inputs`."""
    name = os.path.basename(path)
    kind = os.path.splitext(name)[1].lower()
    if kind in BESIDE:
        inputs.beside += 1
    elif kind not in RECORDINGS and not name.startswith("."):
        inputs.unread.append(shown(path))
    return kind in RECORDINGS


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
        yield from _table(str(path))
    else:
        yield from _lines(_read(str(path)), str(path.parent), inputs)


def _lines(data: bytes, folder: str, inputs: Inputs) -> Iterator[Input]:
    for line in filter(bytes.strip, data.removeprefix(b"\xef\xbb\xbf").splitlines()):
        if remote.is_url(address := os.fsdecode(line.strip())):
            yield from _address(address, inputs)
            continue
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


def _table(path: str) -> Iterator[Input]:
    text = decode(_read(path), path)
    separator = ",\t"[path.lower().endswith(".tsv")]
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
                source = _beside(path, audio) if audio else None
                name = shown(source) if source else f"{path} row {number}"
                body = tuple(
                    (kind.upper(), _beside(path, row[kind])) for kind in BODY if row.get(kind)
                )
                segment = row.get("segment") or Path(audio or "").stem or name
                yield Input(name, source, row.get("text") or None, body, segment if body else "")
    except csv.Error as error:
        raise ConfigError(f"{path}: line {rows.line_num}: {error}") from None


def _beside(table: str, name: str) -> str:
    """What a table names, relative to it unless it is a whole path or address.

    >>> _beside("s3://b/x/t.csv", "a.wav"), _beside("x/t.csv", "s3://b/a.wav")
    ('s3://b/x/a.wav', 's3://b/a.wav')
    """
    if remote.is_url(name):
        return name
    return os.path.join(os.path.dirname(table), name)


def _wrong(header: list[str], separator: str) -> str:
    """What is wrong with a header that names no input."""
    if wrong := wrong_separator(header, separator, (*COLUMNS, "text")):
        return wrong
    near = next(filter(None, (did_you_mean(cell, COLUMNS) for cell in header)), "")
    return f"no column {', '.join(COLUMNS)} or text{near}; it has: {', '.join(header)}"


def _read(path: str) -> bytes:
    try:
        return remote.read(path).read() if remote.is_url(path) else Path(path).read_bytes()
    except AudioError as error:
        raise ConfigError(str(error)) from None
    except OSError as error:
        raise ConfigError(f"{shown(path)}: {error.strerror or error}") from None
