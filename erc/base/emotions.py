"""The seven emotions, their other spellings, and the scale of valence and arousal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from erc.base.errors import ConfigError, LabelError, did_you_mean

EMOTIONS = ("surprise", "fear", "angry", "neutral", "happy", "sad", "disgust")
SCALE = (1.0, 5.0)  # self-assessment manikin: 1 negative or calm … 5 positive or excited

# Other spellings of the same seven words. KEMDy20 totals spell "disqust".
ALIASES = {
    "surprised": "surprise",
    "fearful": "fear", "afraid": "fear",
    "anger": "angry",
    "calm": "neutral",
    "happiness": "happy", "joy": "happy",
    "sadness": "sad",
    "disqust": "disgust", "disgusted": "disgust",
}  # fmt: skip


WORDS: dict[str, int | None] = {
    **{word: i for i, word in enumerate(EMOTIONS)},
    **{word: EMOTIONS.index(emotion) for word, emotion in ALIASES.items()},
}


def emotion_words(mapping: Mapping[Any, Any] | None = None) -> dict[str, int | None]:
    """Words of a corpus for emotions, in lower case → index in `EMOTIONS`; None: no emotion is meant.

    Args:
        mapping: words beside the known ones, e.g. `{"excited": "happy", 5: "angry", "xxx": None}`.
            A key may be a number; it wins over `ALIASES`.

    Raises:
        ConfigError: not a mapping, or a word is to mean something that is no emotion.

    >>> emotion_words({"Excited": "happy", 5: "anger", "xxx": None})["5"]
    2
    """
    if not isinstance(mapping, Mapping | None):
        raise ConfigError(f"emotion_map is {mapping!r}; write it as {{excited: happy, xxx: null}}")
    more: dict[str, int | None] = {}
    for word, meant in (mapping or {}).items():
        try:
            more[str(word).strip().lower()] = None if meant is None else emotion_index(str(meant))
        except LabelError:
            raise ConfigError(
                f"emotion_map: '{word}' is to mean '{meant}', which is not one of "
                f"{', '.join(EMOTIONS)}{did_you_mean(str(meant), WORDS)}; null: no emotion"
            ) from None
    return WORDS | more


def emotion_index(name: str, where: str = "", words: Mapping[str, int | None] = WORDS) -> int:
    """Index of an emotion word in `EMOTIONS`.

    Args:
        name: a key of `words`, any case.
        where: file and row, for the error message.
        words: from `emotion_words`.

    Raises:
        LabelError: the word is unknown, or means no emotion.

    >>> EMOTIONS[emotion_index("Happiness")]
    'happy'
    """
    index = words.get(name.strip().lower())
    if index is None:
        prefix = f"{where}: " if where else ""
        raise LabelError(
            f"{prefix}emotion '{name}' is not one of {', '.join(EMOTIONS)}"
            f"{did_you_mean(name.strip().lower(), words)}; map other words with "
            f"dataset.emotion_map, e.g. {{{name.strip() or 'excited'}: happy}}, null for no emotion"
        )
    return index


def check_scale(value: float, what: str, where: str = "") -> float:
    """Return `value` if it lies on the 1–5 scale (nan = unrated is fine), else raise LabelError."""
    low, high = SCALE
    if not (low <= value <= high or value != value):
        prefix = f"{where}: " if where else ""
        raise LabelError(
            f"{prefix}{what} {value:g} is outside {low:g}–{high:g}; correct it or leave it empty"
        )
    return value
