"""`Terms`: under which licence a corpus, encoder or model may be used, and whether commercially.

What is made of several things is bound by the terms of all of them. A licence that is not in the table
here counts as unknown, and unknown is not allowed: whoever asks is told what to look up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from erc.base.errors import ConfigError

UNKNOWN = "unknown"
NONE_NEEDED = "none needed"  # of simulated data and random weights
WORD = {True: "allowed", False: "forbidden", None: "not known, so do not"}

# Words of a licence, as `_words` leaves them → whether it allows commercial use. The first that fits the
# whole of a part counts. Sources: the licences' own texts, and the owners' pages (`About.source`).
KNOWN: tuple[tuple[str, bool], ...] = (
    (r".*\b(nc|non commercial|noncommercial)\b.*", False),  # CC BY-NC, -SA, -ND in all versions
    (r".*\b(research|academic|evaluation) (use )?only\b.*", False),
    (r"etri agreement", False),  # KEMDy19 and KEMDy20: for research
    (r"(apache( license)?|apache software license)( 2( 0)?)?", True),
    (r"mit( license)?|isc|unlicense|bsd( \d clause)?|bsl 1 0|zlib", True),
    (r"cc0( 1 0)?|pddl|public domain", True),
    (r"cc by( sa| nd)?( [1234] \d)?( \w\w)?", True),
    (r"(contents )?(odbl|dbcl)( 1 0)?", True),
    (r"(a|l)?gpl ?v?[23]?( 0)?( or later| only)?|mpl 2 0", True),
    (NONE_NEEDED, True),
)
# Encoders whose cards are often not at hand: the beginning of an id → what its card declares.
ENCODERS: Mapping[str, str] = {
    "kresnik/wav2vec2-large-xlsr-korean": "Apache-2.0",
    "facebook/wav2vec2": "Apache-2.0",
    "openai/whisper": "MIT",
    "whisper": "MIT",
}


@dataclass(frozen=True)
class Terms:
    """Of one thing.

    Attributes:
        of: what it is, e.g. "data: ravdess" or "openai/whisper-tiny".
        licence: as its owner declares it; "unknown" where nobody did.

    >>> Terms("data: ravdess", "CC BY-NC-SA 4.0").commercial, Terms("x", "MIT").commercial
    (False, True)
    """

    of: str
    licence: str = UNKNOWN

    @property
    def commercial(self) -> bool | None:
        """Whether commercial use is allowed; None: not known."""
        return commercial(self.licence)

    def __str__(self) -> str:
        word = {True: "", False: " (no commercial use)", None: " (commercial use: not known)"}
        unsaid = self.licence == UNKNOWN
        return f"{self.of}: {self.licence}" + ("" if unsaid else word[self.commercial])

    def to_json(self) -> dict[str, str]:
        """As a model folder keeps it."""
        return {"of": self.of, "licence": self.licence}


def commercial(licence: str) -> bool | None:
    """Whether a licence allows commercial use; None: not known. What has several parts needs all.

    >>> [commercial(x) for x in ("ODbL 1.0, contents DbCL 1.0", "cc-by-nc-4.0", "GPL 3.0; the film's")]
    [True, False, None]
    """
    parts = [_words(part) for part in re.split(r"[,;]", re.sub(r"\(.*?\)", "", licence))]
    found = [
        next((allows for known, allows in KNOWN if re.fullmatch(known, part)), None)
        for part in parts
        if part
    ]
    if False in found:
        return False
    return True if found and None not in found else None


def all_of(terms: Iterable[Terms]) -> bool | None:
    """What holds of something made of these: the strictest; None: not known, and of nothing at all."""
    found = [one.commercial for one in terms]
    if False in found:
        return False
    return True if found and None not in found else None


def refuse(terms: Sequence[Terms], what: str) -> None:
    """Raise unless all of `terms` allow commercial use.

    Args:
        what: is to be used, for the message.

    Raises:
        ConfigError: some forbid it, or nobody knows; each is named.

    >>> refuse([Terms("a", "mit")], "the model")
    >>> refuse([Terms("a", "mit"), Terms("b")], "the model")
    Traceback (most recent call last):
    erc.base.errors.ConfigError: the model is refused for commercial use: b: licence unknown. ...
    """
    said = {False: "its licence '{}' forbids it", None: "nobody here knows what '{}' allows"}
    found = [
        f"{one.of}: "
        + (
            "licence unknown"
            if one.licence == UNKNOWN
            else said[one.commercial].format(one.licence)
        )
        for one in terms or [Terms("what it was made from")]
        if one.commercial is not True
    ]
    if found:
        raise ConfigError(
            f"{what} is refused for commercial use: {'; '.join(found)}. Ask its owner, take another, or "
            "leave the option away where the use is not commercial"
        )


def from_json(found: Iterable[Mapping[str, Any]] | None) -> list[Terms]:
    """Of a model folder; None: one from before terms were kept."""
    if found is None:
        return [Terms("what it was made from")]
    return [Terms(str(one.get("of", "")), str(one.get("licence", UNKNOWN))) for one in found]


def of_encoder(name: str, declared: str | None) -> Terms:
    """Of a pretrained encoder.

    Args:
        name: hub id, or the last name of its folder.
        declared: what its card says; None: nothing.

    >>> str(of_encoder("openai/whisper-tiny", None))
    'openai/whisper-tiny: MIT'
    """
    known = (text for key, text in ENCODERS.items() if name.lower().startswith(key))
    return Terms(name, declared or next(known, UNKNOWN))


def _words(licence: str) -> str:
    """`CC-BY_NC 4.0` → `cc by nc 4 0`."""
    return " ".join(
        re.split(r"[^0-9a-z]+", licence.lower().replace("creative commons", "cc"))
    ).strip()
