"""`Space`: the emotions and dimensions that a corpus is rated in, and that a model answers in.

It is data, not a constant: a corpus declares its own, a store and a model folder carry theirs, and every
array of votes or probabilities has its emotions, every array of ratings its dimensions, in its order.
KEMDy's is the default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from erc.base.errors import ConfigError, LabelError, did_you_mean

# Spellings of one emotion, the first as KEMDy writes it. KEMDy20 totals spell "disqust".
SPELLINGS = (
    ("surprise", "surprised"),
    ("fear", "fearful", "afraid"),
    ("angry", "anger"),
    ("neutral", "calm"),
    ("happy", "happiness", "joy", "joyful"),
    ("sad", "sadness"),
    ("disgust", "disqust", "disgusted"),
    ("contempt", "contemptuous"),
    ("boredom", "bored"),
)
POLES = {
    "valence": ("negative", "positive"),
    "arousal": ("calm", "excited"),
    "dominance": ("weak", "strong"),
}
MOST = 64  # emotions or dimensions of a space
NAME = r"[^\W_][\w +-]{0,39}"  # of one; it becomes a column, a key, a word in a sentence
RESERVED = frozenset(  # columns and keys beside which a dimension stands under its own name
    "file label confidence emotion id text speaker error probability probabilities modalities abstain "
    "conflict prediction_set duration heard band_hz narrow_band typicality simulated model reason start "
    "end explanation time system corpus session gender seconds predicted tie".split()
)


class Dimension(NamedTuple):
    """A scale that raters place an utterance on."""

    name: str  # e.g. "valence"
    low: float = 1.0
    high: float = 5.0

    @property
    def middle(self) -> float:
        """Neither nor."""
        return (self.low + self.high) / 2

    def check(self, value: float, where: str = "") -> float:
        """Return a value on the scale (nan: unrated), or raise LabelError."""
        if not (self.low <= value <= self.high or value != value):
            raise LabelError(
                f"{where + ': ' if where else ''}{self.name} {value:g} is outside "
                f"{self.range}; correct it or leave it empty"
            )
        return value

    @property
    def poles(self) -> tuple[str, str]:
        """What its least and greatest values mean; "low" and "high" where that is not known here."""
        return POLES.get(self.name, ("low", "high"))

    @property
    def range(self) -> str:
        """The scale in words, e.g. "1–5"; below zero "−1 … 1"."""
        low, high = (f"{x:g}".replace("-", "−") for x in (self.low, self.high))
        return f"{low} … {high}" if self.low < 0 else f"{low}–{high}"


@dataclass(frozen=True)
class Space:
    """Emotions (K of them, an utterance has votes for each) and dimensions (D, it has ratings on each).

    Raises:
        ConfigError: one emotion alone, a name twice or not a plain word, an empty scale.

    >>> KEMDY.emotions[KEMDY.index("Happiness")]
    'happy'
    >>> Space(("joy", "boredom"), (Dimension("dominance", 1, 7),)).index("happy")
    0
    """

    emotions: tuple[str, ...]
    dimensions: tuple[Dimension, ...] = ()

    def __post_init__(self) -> None:
        names = [*self.emotions, *self.names]
        if len(self.emotions) == 1 or max(len(self.emotions), len(self.dimensions)) > MOST:
            raise ConfigError(
                f"a label space has none or 2 to {MOST} emotions, and at most {MOST} dimensions; "
                f"got {len(self.emotions)} and {len(self.dimensions)}"
            )
        for name in names:
            if not re.fullmatch(NAME, name) or name != name.lower() or name in RESERVED:
                raise ConfigError(
                    f"'{name}' cannot name an emotion or dimension: a word in lower case, "
                    f"not one of {', '.join(sorted(RESERVED))}"
                )
            if names.count(name) > 1:
                raise ConfigError(f"'{name}' stands twice in the label space {', '.join(names)}")
        for d in self.dimensions:
            if not -1e6 <= d.low < d.high <= 1e6:
                raise ConfigError(f"dimension {d.name} has the scale {d.range}; low below high")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the dimensions."""
        return tuple(d.name for d in self.dimensions)

    @cached_property
    def low(self) -> np.ndarray:
        """[D] least value of each dimension."""
        return np.array([d.low for d in self.dimensions], float)

    @cached_property
    def high(self) -> np.ndarray:
        """[D] greatest value of each dimension."""
        return np.array([d.high for d in self.dimensions], float)

    @property
    def middle(self) -> np.ndarray:
        """[D] middle of each scale."""
        return (self.low + self.high) / 2

    def clip(self, values: np.ndarray) -> np.ndarray:
        """Values [..., D] within their scales."""
        return np.clip(values, self.low, self.high)

    def place(self, name: str) -> int | None:
        """Index of a dimension; None: it is not one of them."""
        return self.names.index(name) if name in self.names else None

    @cached_property
    def plane(self) -> tuple[int, int] | None:
        """Indices of valence and arousal, by which emotions are placed on a map; None: not both."""
        found = self.place("valence"), self.place("arousal")
        return None if None in found else found  # type: ignore[return-value]

    def words(self, mapping: Mapping[Any, Any] | None = None) -> dict[str, int | None]:
        """Words of a corpus, in lower case → index of the emotion; None: no emotion is meant.

        The emotions themselves, their other `SPELLINGS` where those are no emotions of their own,
        and what `mapping` adds.

        Args:
            mapping: e.g. `{"excited": "happy", 5: "angry", "xxx": None}`. A key may be a number; it
                wins over the spellings.

        Raises:
            ConfigError: not a mapping, or a word is to mean something that is no emotion.

        >>> KEMDY.words({"Excited": "happy", 5: "anger", "xxx": None})["5"]
        2
        """
        if not isinstance(mapping, Mapping | None):
            raise ConfigError(
                f"emotion_map is {mapping!r}; write it as {{excited: happy, xxx: null}}"
            )
        more: dict[str, int | None] = {}
        for word, meant in (mapping or {}).items():
            try:
                more[str(word).strip().lower()] = None if meant is None else self.index(str(meant))
            except LabelError:
                raise ConfigError(
                    f"emotion_map: '{word}' is to mean '{meant}', which is not one of "
                    f"{', '.join(self.emotions)}{did_you_mean(str(meant), self._spellings)}; "
                    "null: no emotion"
                ) from None
        return {**self._spellings, **more}

    @cached_property
    def _spellings(self) -> dict[str, int | None]:
        known: dict[str, int | None] = {}
        for group in SPELLINGS:
            own = [self.emotions.index(word) for word in group if word in self.emotions]
            known |= dict.fromkeys(group, own[0]) if own else {}
        return known | {emotion: k for k, emotion in enumerate(self.emotions)}

    def index(
        self, word: str, where: str = "", words: Mapping[str, int | None] | None = None
    ) -> int:
        """Index of an emotion.

        Args:
            word: a key of `words`, any case.
            where: file and row, for the error message.
            words: from `self.words`; None: without a mapping.

        Raises:
            LabelError: the word is unknown, or means no emotion.
        """
        words, name = words or self._spellings, word.strip()
        found = words.get(name.lower())
        if found is None:
            raise LabelError(
                f"{where + ': ' if where else ''}emotion '{word}' is not one of "
                f"{', '.join(self.emotions)}{did_you_mean(name.lower(), words)}; map other words with "
                f"dataset.emotion_map, e.g. {{{name or 'excited'}: {self.emotions[0]}}}, "
                "null for no emotion"
            )
        return found

    def to_json(self) -> dict[str, Any]:
        """As files keep it: `emotions`, a list, and `dimensions`, name → [low, high]."""
        scales = {d.name: [d.low, d.high] for d in self.dimensions}
        return {"emotions": list(self.emotions), "dimensions": scales}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Space:
        """Of `to_json`; what is not said is KEMDy's, as older files meant it.

        >>> Space.from_json(KEMDY.to_json()) == Space.from_json({}) == KEMDY
        True
        """
        return space(found.get("emotions"), found.get("dimensions"))


def space(
    emotions: Sequence[str] | None = None, dimensions: Mapping[str, Sequence[float]] | None = None
) -> Space:
    """A label space as a configuration writes it.

    Args:
        emotions: their names; None: KEMDy's seven.
        dimensions: name → [low, high]; None: valence and arousal on 1–5; {}: none.

    Raises:
        ConfigError: it does not make a `Space`.

    >>> space(["joy", "boredom"], {"dominance": [1, 7]}).dimensions[0].range
    '1–7'
    """
    try:
        scales = (
            KEMDY.dimensions
            if dimensions is None
            else tuple(
                Dimension(str(name), *map(float, (low, high)))
                for name, (low, high) in dimensions.items()
            )
        )
        names = KEMDY.emotions if emotions is None else tuple(map(str, emotions))
        if isinstance(emotions, str):
            raise TypeError
    except (AttributeError, TypeError, ValueError):
        raise ConfigError(
            f"not a label space: emotions={emotions!r} dimensions={dimensions!r}; write "
            "emotions: [happy, sad, bored] and dimensions: {valence: [1, 7], dominance: [1, 7]}"
        ) from None
    return Space(names, scales)


# Self-assessment manikin: 1 negative or calm … 5 positive or excited.
KEMDY = Space(
    ("surprise", "fear", "angry", "neutral", "happy", "sad", "disgust"),
    (Dimension("valence"), Dimension("arousal")),
)
