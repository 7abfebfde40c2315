"""The seven emotions, their other spellings, and the scale of valence and arousal."""

from __future__ import annotations

from erc.base.errors import LabelError, did_you_mean

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


def emotion_index(name: str, where: str = "", mapping: dict[str, str] | None = None) -> int:
    """Index of an emotion word in `EMOTIONS`.

    Args:
        name: an emotion or one of `ALIASES`, any case.
        where: file and row, for the error message.
        mapping: further words of a corpus, e.g. `{"excited": "happy"}`; it wins over `ALIASES`.

    Raises:
        LabelError: the word is unknown.

    >>> EMOTIONS[emotion_index("Happiness")]
    'happy'
    """
    word = name.strip().lower()
    known = ALIASES | {k.lower(): v.lower() for k, v in (mapping or {}).items()}
    word = known.get(word, word)
    if word not in EMOTIONS:
        prefix = f"{where}: " if where else ""
        raise LabelError(
            f"{prefix}emotion '{name}' is not one of {', '.join(EMOTIONS)}"
            f"{did_you_mean(word, (*EMOTIONS, *known))}; map other words with "
            f"dataset.emotion_map, e.g. {{{name.strip() or 'excited'}: happy}}"
        )
    return EMOTIONS.index(word)


def check_scale(value: float, what: str, where: str = "") -> float:
    """Return `value` if it lies on the 1–5 scale (nan = unrated is fine), else raise LabelError."""
    low, high = SCALE
    if not (low <= value <= high or value != value):
        prefix = f"{where}: " if where else ""
        raise LabelError(
            f"{prefix}{what} {value:g} is outside {low:g}–{high:g}; correct it or leave it empty"
        )
    return value
