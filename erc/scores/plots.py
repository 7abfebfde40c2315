"""The figures of a run, in the style and colours of `erc.base.figures`, for light and dark pages.

Functions return a matplotlib `Figure`; `svg` and `png` write it. matplotlib is imported when the
first figure is drawn (`pip install erc[report]`).
"""

from __future__ import annotations

import functools
import importlib.util
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from erc.base.errors import ConfigError
from erc.base.figures import ACCENTS, COLOURS, STYLE, colours
from erc.base.files import atomic
from erc.base.space import KEMDY, Dimension, Space

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, RED = ACCENTS[:2]
INK = "#24292F"  # `svg` turns it into the page's text colour
PAPER = {  # transparent, and everything that is no data in ink
    **{f"{x}.color": INK for x in ("text", "xtick", "ytick", "grid")},
    **{f"axes.{x}color": INK for x in ("label", "edge", "title")},
    **{f"{x}.facecolor": "none" for x in ("axes", "figure", "savefig")},
    "legend.labelcolor": INK,
    "grid.alpha": 0.12,
    "axes.grid": False,
    "svg.fonttype": "none",
}
PAPER_STYLE: dict[Any, Any] = {**STYLE, **PAPER}


def available() -> bool:
    """True if matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Run a drawing function in our style.

    Raises:
        ConfigError: matplotlib is not installed.
    """

    @functools.wraps(draw)
    def inside(*args: Any, **options: Any) -> Figure:
        if not available():
            raise ConfigError("figures need matplotlib: pip install 'erc[report]'")
        import matplotlib

        with matplotlib.rc_context(PAPER_STYLE):
            return draw(*args, **options)

    return inside


def canvas(width: float, height: float, *grid: int, **options: Any) -> tuple[Figure, Any]:
    """A figure of width × height inches and its axes, without pyplot (safe in threads)."""
    from matplotlib.figure import Figure

    figure = Figure((width, height), layout="constrained")
    return figure, figure.subplots(*grid, **options)


def svg(figure: Figure, title: str) -> str:
    """The figure as an `<svg>` element to stand in a page; text takes the page's colour and font."""
    import matplotlib

    buffer = io.StringIO()
    none = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context(PAPER_STYLE | {"svg.hashsalt": title}):
        figure.savefig(buffer, format="svg", metadata=none)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(INK.lower(), "currentColor")
    text = re.sub(r' id="[a-zA-Z0-9.]+_\d+"', "", text)  # several figures would share them
    text = re.sub(r"font-family: [^;\"]*", "font-family: inherit", text)
    width = re.search(r'viewBox="0 0 ([\d.]+)', text)[1]  # type: ignore[index]
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    size = f"min-width: {float(width):.0f}px; max-width: {float(width) * 1.4:.0f}px"
    label = f'role="img" aria-label="{title}" style="{size}"'
    return text.replace("<svg", f"<svg {label}", 1)


def png(figure: Figure, path: str | Path) -> Path:
    """Write the figure on white, 150 dots an inch."""
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150, facecolor="white")
    return Path(path)


@styled
def confusion_matrix(matrix: Any, names: Sequence[str]) -> Figure:
    """[K, K] counts, rows the truth; colour is the share of a row."""
    matrix = np.asarray(matrix, float)
    total = matrix.sum(1, keepdims=True)
    share = np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)
    return _cells(share, names, lambda i, j: f"{matrix[i, j]:.0f}", "predicted", "raters' majority")


def _cells(
    share: np.ndarray, names: Sequence[str], text: Callable[[int, int], str], x: str, y: str
) -> Figure:
    """A table of cells coloured by `share` [R, C] in 0 … 1, transparent at 0."""
    from matplotlib.patches import Rectangle

    size = len(names)
    figure, ax = canvas(1.6 + 0.55 * size, 1.2 + 0.45 * size)
    for i, j in np.ndindex(*share.shape):
        alpha = 0.75 * float(np.nan_to_num(np.clip(share[i, j], 0, 1)))
        ax.add_patch(Rectangle((j, i), 1, 1, facecolor=BLUE, alpha=alpha, linewidth=0))
        ax.text(j + 0.5, i + 0.5, text(i, j), ha="center", va="center")
    ax.set(xlim=(0, size), ylim=(size, 0), xlabel=x, ylabel=y)
    ax.set_xticks(np.arange(size) + 0.5, names, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(np.arange(size) + 0.5, names)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return figure


@styled
def calibration(probabilities: Any, truth: Any, bins: int = 15) -> Figure:
    """Accuracy against confidence, in the bins of `metrics.ece`; below, how many fall in each.

    Args:
        probabilities: [N, K]; truth: [N] class numbers.
    """
    q, truth = np.asarray(probabilities, float), np.asarray(truth)
    confidence, hit = q.max(-1), q.argmax(-1) == truth
    edges = np.linspace(0, 1, bins + 1)
    index = np.searchsorted(edges[1:-1], confidence, "left")
    count = np.bincount(index, minlength=bins)
    used = count > 0
    accuracy = np.bincount(index, hit, bins)[used] / count[used]
    sure = np.bincount(index, confidence, bins)[used] / count[used]
    figure, (ax, low) = canvas(4.4, 4.2, 2, 1, sharex=True, height_ratios=[3, 1])
    ax.plot([0, 1], [0, 1], color=INK, alpha=0.5, linewidth=1, linestyle="--")
    ax.vlines(sure, sure, accuracy, color=RED, linewidth=2, label="gap")
    ax.plot(sure, accuracy, "o", color=BLUE, label="mean of a bin", clip_on=False)
    ax.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
    ax.legend(loc="upper left")
    low.bar(edges[:-1], count, width=1 / bins, align="edge", color=BLUE, alpha=0.6)
    low.set(xlabel="confidence (highest probability)", ylabel="utterances")
    return figure


@styled
def risk_coverage(curves: Mapping[str, Any]) -> Figure:
    """Share of errors among the answers that are used, over their share: order → risk [N]."""
    figure, ax = canvas(6.2, 3.4)
    for (name, curve), color in zip(curves.items(), (INK, *ACCENTS), strict=False):
        coverage = np.arange(1, len(curve) + 1) / len(curve)
        ax.plot(coverage, curve, color=color, linewidth=1.5, label=name)
    ax.set(xlim=(0, 1), ylim=(0, None), xlabel="share of the answers that is used")
    ax.set(ylabel="errors among them")
    ax.legend()
    return figure


@styled
def label_bars(shares: Mapping[str, Sequence[float]], emotions: Sequence[str]) -> Figure:
    """Share of each emotion, one bar a kind of label, e.g. {"votes": [K], "PeakL": [K]}."""
    figure, ax = canvas(6.2, 3.8)
    alphas = np.linspace(0.35, 1, len(shares))
    height = 0.8 / len(shares)
    for k, ((name, share), alpha) in enumerate(zip(shares.items(), alphas, strict=True)):
        place = np.arange(len(emotions)) + (k - (len(shares) - 1) / 2) * height
        hues = list(colours(emotions).values())
        ax.barh(place, 100 * np.asarray(share), height, color=hues, alpha=alpha)
        ax.barh([0], [0], color=INK, alpha=alpha, label=name)
    ax.set_yticks(range(len(emotions)), emotions)
    ax.set(xlabel="share of all labels, %")
    ax.invert_yaxis()
    ax.grid(axis="x")
    ax.legend()
    return figure


@styled
def learning_curves(
    losses: Mapping[str, tuple[Any, Any]], scores: Mapping[str, tuple[Any, Any]]
) -> Figure:
    """Losses and scores by epoch: name → (epochs, values)."""
    figure, axes = canvas(8, 3, 1, 2)
    for ax, title, lines in zip(axes, ("loss", "scores"), (losses, scores), strict=True):
        for (name, (epoch, value)), color in zip(lines.items(), ACCENTS, strict=False):
            ax.plot(epoch, value, color=color, label=name, marker=".", linewidth=1.5)
        ax.set(xlabel="epoch", title=title)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid()
        if lines:
            ax.legend()
    return figure


@styled
def rated_predicted(
    rated: Any, predicted: Any, titles: Sequence[str], names: Any, scales: Sequence[Dimension]
) -> Figure:
    """Predicted against rated, [N, D] each, one panel a dimension; colour is the raters' emotion.

    Args:
        titles, scales: of the D dimensions.
        names: [N] emotion of each utterance, "" for none.
    """
    rated, predicted = np.asarray(rated, float), np.asarray(predicted, float)
    figure, axes = canvas(4 * len(scales), 4.6, 1, len(scales), squeeze=False)
    for k, (ax, scale) in enumerate(zip(axes[0], scales, strict=True)):
        ends = scale.low, scale.high
        ax.plot(ends, ends, color=INK, alpha=0.5, linewidth=1, linestyle="--")
        _points(ax, rated[:, k], predicted[:, k], names)
        ax.set(xlim=ends, ylim=ends, xlabel="rated", ylabel="predicted", aspect="equal")
        ax.set_title(titles[k])
    _emotion_legend(figure, names)
    return figure


@styled
def embedding_map(
    rated: Any, placed: Any, names: Any, simulated: bool = False, space: Space = KEMDY
) -> Figure:
    """The raters' valence–arousal map beside a map of features, with 1 σ ellipses of the emotions.

    Args:
        rated: [N, 2] valence and arousal, all nan where nobody rated them: then there is one map.
        placed: [N, 2] features in two dimensions.
        names: [N] emotion of each utterance, "" for none.
    """
    maps = [("features before the head, principal plane", np.asarray(placed, float))]
    if not np.isnan(rated).all():
        origin = " (SIMULATED)" if simulated else ""
        maps.insert(0, (f"what raters said{origin}", np.asarray(rated, float)))
    figure, axes = canvas(4.5 * len(maps), 4.8, 1, len(maps))
    for ax, (title, points) in zip(np.atleast_1d(axes), maps):
        _points(ax, points[:, 0], points[:, 1], names)
        for emotion, hue in _hues(names).items():
            _ellipse(ax, points[np.asarray(names) == emotion], emotion, hue)
        ax.set(aspect="equal", title=title, xticks=[], yticks=[])
    if len(maps) == 2:
        low, high = (x[list(space.plane or ())] for x in (space.low, space.high))
        ticks = [np.linspace(*ends, 5) for ends in zip(low, high)]
        axes[0].set(
            xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=ticks[0], yticks=ticks[1]
        )
        axes[0].set(xlabel="valence: negative … positive", ylabel="arousal: calm … excited")
    _emotion_legend(figure, names)
    return figure


def _hues(names: Any) -> dict[str, str]:
    """Emotions that are drawn, in the legend's order → their colours."""
    found = set(names) - {""}
    return colours(sorted(found, key=[*COLOURS, *sorted(found)].index))


def _points(ax: Axes, x: np.ndarray, y: np.ndarray, names: Any) -> None:
    """Scatter in the emotions' colours; many points become one picture, not many elements."""
    hues = _hues(names) | {"": INK}
    ax.scatter(
        x, y, s=9, c=[hues[n] for n in names], alpha=0.55, linewidths=0, rasterized=len(x) > 1000
    )


def _ellipse(ax: Axes, points: np.ndarray, emotion: str, hue: str) -> None:
    """One standard deviation of a class [n, 2] along its principal axes; its name at the mean."""
    from matplotlib.patches import Ellipse

    points = points[~np.isnan(points).any(-1)]
    if len(points) < 3:
        return
    variance, axis = np.linalg.eigh(np.cov(points.T))
    width, height = 2 * np.sqrt(np.maximum(variance, 0))
    angle = float(np.degrees(np.arctan2(axis[1, 0], axis[0, 0])))
    style = {"facecolor": hue + "30", "edgecolor": hue, "linewidth": 1.5}
    ax.add_patch(Ellipse(tuple(points.mean(0)), width, height, angle=angle, **style))
    ax.annotate(emotion, points.mean(0), ha="center", va="center", fontweight="bold")


def _emotion_legend(figure: Figure, names: Any) -> None:
    from matplotlib.lines import Line2D

    dots = [
        Line2D([], [], marker="o", linestyle="", color=hue, label=e)
        for e, hue in _hues(names).items()
    ]
    figure.legend(handles=dots, loc="outside lower center", ncols=len(dots), handletextpad=0.1)
