"""Transcript bytes → text, and text without transcribers' marks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence

from erc.base.errors import CorpusError

# KEMDy marks, e.g. "b/ 아 정말? o/ 그럼 (알았어+뭐) 가자 u/". A Latin letter or digit beside a mark
# makes it ordinary text: km/h, n/a, 2 l/min, C++ and A+ stay; "b/b/" and "정말l/" lose their marks.
_OVERLAP = re.compile(r"\([^()]*\)")  # both speak at once: own words, or other's + own
_SOUND = re.compile(r"(?<![A-Za-z0-9])(?:[bclnouN]/)+(?![A-Za-z0-9])")  # breath, laugh, noise …
_SIGN = re.compile(r"(?<![A-Za-z0-9*+])[*+]+|[()]")  # unclear, cut off; a bracket without partner


def decode(data: bytes, where: str = "text") -> str:
    """Bytes as UTF-8 (with or without byte order mark), else as CP949.

    UTF-8 comes first because it is strict: Korean CP949 text is practically never valid UTF-8.

    Raises:
        CorpusError: neither; `where` names the file in the message.

    >>> decode("아 정말".encode("cp949"))
    '아 정말'
    """
    if data.startswith(b"version https://git-lfs"):
        raise CorpusError(
            f"{where}: is a Git LFS pointer, not text; run `git lfs pull` there first"
        )
    for encoding in ("utf-8-sig", "cp949"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise CorpusError(
        f"{where}: neither UTF-8 nor CP949 (begins with {data[:8]!r}); save it again as UTF-8"
    )


def wrong_separator(header: Sequence[str], separator: str, known: Collection[str]) -> str:
    """What to say of a table whose header falls into known columns at another separator; else "".

    >>> wrong_separator(["audio;text"], ",", ["audio"])
    'its cells are separated by semicolons; separate them by commas'
    """
    names = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
    for other in set(names) - {separator}:
        words = {word.strip().lower() for cell in header for word in cell.split(other)}
        if words & set(known) - {cell.strip().lower() for cell in header}:
            return f"its cells are separated by {names[other]}; separate them by {names[separator]}"
    return ""


def normalise(text: str) -> str:
    """Unicode NFC, runs of white space → one space, none at the ends.

    >>> normalise(" 아\\u3000 정말 \\n")
    '아 정말'
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def clean(text: str) -> str:
    """KEMDy transcript → the words spoken by this speaker alone, normalised; "" if none are left.

    Sound marks (`b/ c/ l/ n/ N/ o/ u/`), `*`, `+` and overlapped speech in parentheses go.

    >>> clean("b/ 아 정말? o/ 그럼 (알았어+뭐) 가자 u/ \\n")
    '아 정말? 그럼 가자'
    >>> clean("120 km/h 로 n/a club")
    '120 km/h 로 n/a club'
    """
    previous = None
    while previous != text:  # innermost first, for parentheses in parentheses
        previous, text = text, _OVERLAP.sub(" ", text)
    return normalise(_SIGN.sub(" ", _SOUND.sub(" ", text)))
