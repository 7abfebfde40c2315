"""Figures in one style: matplotlib without a display, a colour-blind-safe palette, a colour an emotion.

matplotlib is imported when a figure is drawn, not before (`pip install erc[report]`).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from erc.base.errors import ConfigError
from erc.base.files import atomic
from erc.base.space import SPELLINGS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008, told apart under all common colour-vision deficiencies; neutral is grey.
COLOURS = {
    "surprise": "#56B4E9",
    "fear": "#CC79A7",
    "angry": "#D55E00",
    "neutral": "#7F7F7F",
    "happy": "#E69F00",
    "sad": "#0072B2",
    "disgust": "#009E73",
}
# Further ones, at least 15 apart (CIE L*a*b*) from these and each other with and without a deficiency,
# and to be told from white and from a dark page.
MORE = (
    "#8800EE", "#884422", "#88CC66", "#6644CC", "#AA0088", "#8888EE", "#CCAAAA", "#EE0044", "#AA0044",
)  # fmt: skip
KNOWN = COLOURS | {"contempt": MORE[0], "boredom": MORE[1]}
ACCENTS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # for series that are no emotions
DIVERGING, SEQUENTIAL = "PuOr", "viridis"  # both readable without red–green vision
STYLE: dict[str, Any] = {
    "figure.dpi": 100,
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


def colours(emotions: Sequence[str]) -> dict[str, str]:
    """A colour for each emotion, the same wherever these are drawn.

    The seven, contempt and boredom have their own, also where they are spelled otherwise; the others
    have one of `MORE` by their name, or the next that is free. Beyond sixteen some share one.

    >>> colours(["sad", "happiness", "boredom"])
    {'sad': '#0072B2', 'happiness': '#E69F00', 'boredom': '#884422'}
    """
    found = {e: KNOWN[e] for e in emotions if e in KNOWN}
    for e in emotions:
        usual = next((KNOWN[group[0]] for group in SPELLINGS if e in group), None)
        if usual and usual not in found.values():
            found[e] = usual
    for e in (e for e in emotions if e not in found):
        first = crc32(e.encode()) % len(MORE)
        turned = (*MORE[first:], *MORE[:first])
        found[e] = next((c for c in turned if c not in found.values()), turned[0])
    return {e: found[e] for e in emotions}


def colour(emotion: str, among: Sequence[str] = ()) -> str:
    """The colour of an emotion `among` those it is drawn with."""
    return colours(among or (emotion,))[emotion]


def figure(
    rows: int = 1, columns: int = 1, size: tuple[float, float] = (4.5, 3.5), **options: Any
) -> tuple[Figure, Any]:
    """A figure in the project's style and its axes.

    Args:
        rows, columns: of axes.
        size: of one of them, inches.
        options: of `plt.subplots`, e.g. `squeeze=False`, `sharey=True`.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise ConfigError("figures need matplotlib: pip install 'erc[report]'") from None
    matplotlib.use("Agg")  # no display is needed, none is opened
    from matplotlib import pyplot as plt

    plt.rcParams.update(STYLE)  # type: ignore[arg-type]
    return plt.subplots(rows, columns, figsize=(size[0] * columns, size[1] * rows), **options)


def save(fig: Figure, path: str | Path, dpi: int = 100) -> Path:
    """Write the figure (PNG, SVG or PDF by its name) and forget it."""
    from matplotlib import pyplot as plt

    path = Path(path)
    with atomic(path) as temporary:
        fig.savefig(temporary, dpi=dpi, format=path.suffix[1:])
    plt.close(fig)
    return path


def png(fig: Figure, dpi: int = 120) -> bytes:
    """The figure as PNG bytes, to be inlined in a page."""
    from matplotlib import pyplot as plt

    buffer = io.BytesIO()
    fig.savefig(buffer, dpi=dpi, format="png")
    plt.close(fig)
    return buffer.getvalue()


def heat_map(
    axes: Axes,
    matrix: Any,
    names: Sequence[str],
    columns: Sequence[str] | None = None,
    low: float = -1.0,
    high: float = 1.0,
    marked: Sequence[str] = (),
) -> Any:
    """A table of numbers as colours with the numbers in it; nan is left white.

    Args:
        matrix: [R, C]; names: of its rows, and of its columns if `columns` is None.
        low, high: ends of the colour scale; diverging if it lies around 0.
        marked: names to set in bold colour, e.g. outliers.

    Returns:
        the image, for a colour bar.
    """
    matrix, columns = np.asarray(matrix, float), names if columns is None else columns
    shown = np.ma.masked_invalid(matrix)
    image = axes.imshow(
        shown, cmap=DIVERGING if low < 0 else SEQUENTIAL, vmin=low, vmax=high, aspect="auto"
    )
    axes.grid(False)
    axes.set_xticks(range(len(columns)), columns, rotation=90)
    axes.set_yticks(range(len(names)), names)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        if label.get_text() in marked:
            label.set(color=ACCENTS[1], fontweight="bold")
    for (i, j), value in np.ndenumerate(matrix):
        if np.isfinite(value):
            red, green, blue, _ = image.cmap(image.norm(value))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            text = f"{value:.2f}".replace("0.", ".", 1)
            axes.text(
                j, i, text, ha="center", va="center", size=6, color="white" if dark else "black"
            )
    return image
