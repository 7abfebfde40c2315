"""For what is not yet told its label space: KEMDy's."""

from erc.base.space import KEMDY

EMOTIONS = KEMDY.emotions
SCALE = (1.0, 5.0)
emotion_index, emotion_words = KEMDY.index, KEMDY.words


def check_scale(value: float, what: str, where: str = "") -> float:
    """Return `value` if it lies on the scale of this dimension."""
    return KEMDY.dimensions[KEMDY.names.index(what)].check(value, where)
