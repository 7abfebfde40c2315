"""The labels of a published model → names that a `Space` allows, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from erc.base.errors import CheckpointError
from erc.base.space import MOST, RESERVED, SPELLINGS, Space

UNNAMED = re.compile(r"label \d+|\d+")  # what transformers calls a label that nobody named

# Other spellings than those of `Space`, the first word of a row as `Space` has it.
MORE_SPELLINGS: tuple[tuple[str, ...], ...] = tuple(
    # IEMOCAP, CREMA-D and TESS abbreviate: "ps" is the "pleasant surprise" of TESS
    tuple(row.split())
    for row in (
        "angry ang wut colère rabbia ira enojo гнев злость 분노 화남 生气 怒り",
        "happy hap freude joie gioia alegría радость 기쁨 행복 高兴 开心 喜び",
        "sad trauer tristesse tristezza tristeza грусть печаль 슬픔 悲伤 悲しみ",
        "neutral neu neutro neutre нейтрально 중립 中性 平静",
        "fear fea angst peur paura miedo страх 공포 두려움 恐惧 恐れ",
        "disgust dis ekel dégoût disgusto asco отвращение 혐오 厌恶 嫌悪",
        "surprise sur ps überraschung sorpresa удивление 놀람 惊讶 驚き",
    )
)
# Emotions that have one name only here: a model that names one of these names emotions.
OTHERS = frozenset(
    "admiration amusement annoyance anticipation anxiety anxious approval caring confusion curiosity "
    "desire disappointment disapproval embarrassment enthusiasm excited excitement frustrated "
    "frustration gratitude grief love nervousness optimism pessimism pride realization relief "
    "remorse sarcastic shame trust worried 불안 당황 상처".split()
)
MEANT = {word: group[0] for group in (*SPELLINGS, *MORE_SPELLINGS) for word in group}


def clean(label: str, k: int) -> str:
    """A label as a `Space` allows it: lower case, words of letters and digits, at most 40 characters.

    Args:
        label: as `id2label` has it.
        k: its index; stands for a label of which nothing is left.

    >>> [clean(x, 3) for x in ("Happy", "LABEL_0", "female_angry", "生气/angry", "text", "☺")]
    ['happy', 'label 0', 'female angry', '生气 angry', 'text 3', 'label 3']
    """
    words = re.sub(r"[^\w+-]|_", " ", label.lower()).lower().split()
    name = " ".join(words).lstrip("+- ")[:40].rstrip() or f"label {k}"
    return f"{name} {k}" if name in RESERVED else name


def names(labels: Sequence[str], where: str) -> tuple[str, ...]:
    """Labels by index → emotions of a `Space`, each once: the second "happy" becomes "happy 2".

    Raises:
        CheckpointError: fewer than two labels or more than a `Space` has room for, or none of the names
            that they have is an emotion.

    >>> names(["ANG", "HAP", "hap"], "a model")
    ('ang', 'hap', 'hap 2')
    """
    shown = ", ".join(map(str, labels[:6])) + ", …" * (len(labels) > 6)
    if not 2 <= len(labels) <= MOST:
        raise CheckpointError(
            f"{where}: has {len(labels)} label{'s' * (len(labels) != 1)} ({shown}); a model of emotions "
            f"has 2 to {MOST}"
        )
    found: list[str] = []
    for k, label in enumerate(labels):
        name = clean(label, k)
        again = (f"{name[:36]} {n}" for n in range(k, MOST + k))
        found.append(name if name not in found else next(x for x in again if x not in found))
    if not unnamed(found) and not any(map(is_emotion, found)):
        raise CheckpointError(
            f"{where}: none of its labels ({shown}) is an emotion that erc knows the word for. If they "
            "are emotions, write their English names into 'id2label' of config.json in a copy of "
            "the folder"
        )
    return Space(tuple(found)).emotions


def unnamed(found: Sequence[str]) -> bool:
    """Whether the model calls its labels by numbers only."""
    return all(UNNAMED.fullmatch(name) for name in found)


def is_emotion(name: str) -> bool:
    """Whether a cleaned label, or one of its words, is the name of an emotion.

    >>> is_emotion("female angry"), is_emotion("dog bark")
    (True, False)
    """
    return any(word in MEANT or word in OTHERS for word in (name, *name.split()))


def meaning(name: str, also: Mapping[str, str | None]) -> str | None:
    """What a cleaned label is compared as; None: it is to be left out.

    Args:
        name: of `names`.
        also: label → what it means, or None; wins over the spellings.

    >>> meaning("joy", {}), meaning("annoyance", {"annoyance": "angry"}), meaning("love", {})
    ('happy', 'angry', 'love')
    """
    return also[name] if name in also else MEANT.get(name, name)
