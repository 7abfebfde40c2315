"""Colours of emotions: told apart with and without a colour-vision deficiency, and always the same."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np

from erc.base.figures import COLOURS, MORE, colour, colours
from erc.base.space import KEMDY

# Linear RGB as seen by people without one kind of cone: Machado, Oliveira & Fernandes 2009, severity 1.
SIGHT = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)  # of linear sRGB, D65


def linear(colour: str) -> np.ndarray:
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear RGB."""
    t = XYZ @ rgb / (0.9505, 1.0, 1.089)
    f = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def apart(one: str, other: str) -> float:
    seen = [
        [lab(np.clip(m @ linear(c), 0, 1)) for c in (one, other)]
        for m in map(np.array, SIGHT.values())
    ]
    return min(float(np.linalg.norm(a - b)) for a, b in seen)


def contrast(one: str, other: str) -> float:
    """As WCAG defines it, 1 … 21."""
    low, high = sorted(float(XYZ[1] @ linear(c)) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def test_further_colours_can_be_told_from_all_others_and_from_the_page():
    for one in MORE:
        others = [c for c in (*COLOURS.values(), *MORE) if c != one]
        assert min(apart(one, other) for other in others) > 15, one
        assert min(contrast(one, page) for page in ("#FFFFFF", "#15181C")) > 1.8, one


def test_seven_keep_theirs_and_spellings_take_them():
    assert colours(KEMDY.emotions) == COLOURS
    found = colours(("joy", "anger", "calm", "bored"))
    assert [found[e] for e in ("joy", "anger", "calm")] == [
        COLOURS[e] for e in ("happy", "angry", "neutral")
    ]
    both = colours(("calm", "neutral"))
    assert both["neutral"] == COLOURS["neutral"]  # it is called so; calm is another emotion here
    assert both["calm"] != both["neutral"]


def test_no_two_emotions_share_a_colour_and_each_keeps_its_own():
    names = (*KEMDY.emotions, "contempt", "boredom", *(f"feeling {k}" for k in range(7)))
    found = colours(names)
    assert list(found) == list(names)
    assert len(set(found.values())) == len(names) == 16
    for few in permutations(("awe", "contempt", "boredom"), 2):
        assert all(colours(few)[e] == colour(e) for e in few if e != "awe")
    assert len(colours(tuple(f"e{k}" for k in range(64)))) == 64
    assert all(a != b for a, b in combinations(colours(("awe", "pride", "guilt")).values(), 2))
