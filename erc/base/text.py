"""Transcript bytes → text, and text without transcribers' marks."""

from __future__ import annotations

import codecs
import io
import re
import unicodedata
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TextIO

from erc.base.errors import CorpusError

# KEMDy marks, e.g. "b/ 아 정말? o/ 그럼 (알았어+뭐) 가자 u/". A Latin letter or digit beside a mark
# makes it ordinary text: km/h, n/a, 2 l/min, C++ and A+ stay; "b/b/" and "정말l/" lose their marks.
_OVERLAP = re.compile(r"\([^()]*\)")  # both speak at once: own words, or other's + own
_SOUND = re.compile(r"(?<![A-Za-z0-9])(?:[bclnouN]/)+(?![A-Za-z0-9])")  # breath, laugh, noise …
_SIGN = re.compile(r"(?<![A-Za-z0-9*+])[*+]+|[()]")  # unclear, cut off; a bracket without partner

# The commonest syllables of Korean, of names and of emotions. Three of four letters of a text are
# among them, and one of ten of what other encodings give when they are read as CP949.
_COMMON = set(
    "이다는을가에고의지하은로사기한리를자도어나아대시인서그해수부들정게일으보장국것원있관전니동스라여제과면"
    "었구만진성소주공신요상없말마우오안연무조모미세위경유방중비발선생계실않물차당거내간려러화할통업회금양되"
    "명결문더때같된람학적분단와히던음속했데년각번산바았습입개른터알까듯저본감식작행영반드트네야래너뭐왜돼잘"
    "못좋싫짜엄빠형누친집먹갔갈올왔줘줄봐볼난널건걸좀괜찮겠군근애얘예잖많열심워울웃쁘슬퍼났놀혼함께랑님씨처"
    "럼렇떻큼또꼭꺼였렸졌쳐켜커크큰피필복픔노혐쾌포두려움립멸쁨김박최강임윤권황송홍민현준재혜희훈철호석빈응글"
    "럴텐봤죠든길날눈달몸밥불새손앞옷월점직체초추태파편품프합향험확환활황후힘책질짓찾참청출치키타토투특판패"
    "펴표풀하해헤효흐흥여억언얼업없에역연염엽"
)


def decode(data: bytes, where: str = "text", korean: bool = False) -> str:
    """Bytes as UTF-8 (with or without byte order mark), else as CP949 where they are Korean.

    UTF-8 comes first because it is strict: Korean CP949 text is practically never valid UTF-8. But
    GBK, Big5, Shift-JIS and cp1252 are often valid CP949, of rare syllables.

    Args:
        where: names the file in the message.
        korean: it is known that the text is; else it has to look so.

    Raises:
        CorpusError: neither, or another encoding than these two.

    >>> decode("아 정말".encode("cp949"))
    '아 정말'
    """
    if data.startswith(b"version https://git-lfs"):
        raise CorpusError(
            f"{where}: is a Git LFS pointer, not text; run `git lfs pull` there first"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("cp949")
    except UnicodeDecodeError:
        raise CorpusError(
            f"{where}: neither UTF-8 nor CP949 (begins with {data[:8]!r}); save it again as UTF-8"
        ) from None
    letters = [letter for letter in text if letter > "\x7f" and letter.isalpha()]
    if not korean and sum(letter in _COMMON for letter in letters) < 0.4 * len(letters):
        raise CorpusError(
            f"{where}: not UTF-8, and as CP949 it would be no Korean (it may be GBK, Big5, Shift-JIS, "
            "cp1252 …); save it again as UTF-8"
        )
    return text


def opened(path: Path, newline: str) -> TextIO:
    """A file as `decode` reads it, line by line: of one in UTF-8 no more is held than a block.

    Args:
        newline: as `open` takes it.

    Raises:
        CorpusError: see `decode`.
        OSError: it cannot be read.
    """
    check = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        whole = file.read(16).startswith(b"version https://")  # a pointer of Git LFS?
        file.seek(0)
        try:
            while block := file.read(1 << 20):
                check.decode(block)
            check.decode(b"", final=True)
        except UnicodeDecodeError:
            whole = True
    if whole:  # what is wrong with it, or the text of an old table in CP949
        return io.StringIO(decode(path.read_bytes(), str(path)), newline=newline)
    return path.open(encoding="utf-8-sig", newline=newline)


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


def folded(text: str) -> str:
    """What is left of a text or a name when case, width, spacing and punctuation do not count.

    >>> folded("Ｓ 01"), folded("s-01"), folded("정말?  좋아!")
    ('s01', 's01', '정말좋아')
    """
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


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
