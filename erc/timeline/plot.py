"""The picture of a timeline: the waveform in the colours of its emotions, who speaks where that is
known, the probabilities, and the dimensions. Nothing is smoothed: what is narrower than a column
of the picture is averaged, and a line joins turns of one speaker only, and only across short pauses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from erc.base import figures
from erc.base.figures import colours
from erc.base.space import Dimension, Space
from erc.recognizer.prediction import NO_SPEECH, Prediction
from erc.recognizer.scales import one_scale, share
from erc.timeline.averages import vector
from erc.timeline.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Look = dict[str, Any]
WIDTH, HEIGHT = 11.0, 4.8  # inches
FEW = 80  # turns whose width can still be seen
PAUSE = 2.0  # s that a line may cross
LEGEND = 10  # entries in a row
SPEAKERS = 8  # rows at most; the files have all
COLUMNS = 700  # of a page; what is narrower than one is averaged
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)  # s between ticks
LIGHT: Look = {"ink": "#333333", "faint": "#C9CDD2", "grid": "#ECEEF0", "page": "#FFFFFF"}
DARK: Look = {"ink": "#E3E6EA", "faint": "#4A5159", "grid": "#2B3036", "page": "#15181C"}
LIGHT |= {"valence": "#6A4FC0", "arousal": "#222222"}  # of no emotion; apart in lightness too
DARK |= {"valence": "#A992FF", "arousal": "#F2F2F2"}
# of the other dimensions, by their place among them; dashes tell apart what colours alone do not
LIGHT |= {"others": ("#0B7A75", "#9A3B5B", "#7A5C00")}
DARK |= {"others": ("#4FD1C5", "#F08CAB", "#E3C15A")}
DASHES: dict[str, Any] = {"valence": "-", "arousal": (0, (4, 1.5))}
OTHER_DASHES: tuple[Any, ...] = ((0, (1, 1)), (0, (6, 1.5, 1, 1.5)), (0, (8, 2)))


def draw(timeline: Record, path: str | Path, dark: bool = False) -> Path:
    """Write the picture: PNG, SVG or PDF by its name."""
    return figures.save(figure(timeline, dark), path, dpi=140)


def figure(timeline: Record, dark: bool = False) -> Figure:
    """The picture of a timeline.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    look = DARK if dark else LIGHT
    speakers = list(dict.fromkeys(t.speaker for t in timeline.turns if t.speaker))[:SPEAKERS]
    known = {name for turn in timeline.predictions for name in turn.dimensions}
    drawn = [d for d in timeline.space.dimensions if d.name in known]
    named = bool(timeline.space.emotions)
    heights = [1.1, *[0.14 * len(speakers)] * bool(speakers)]
    heights += [1.25] * named + [1.0] * bool(drawn)
    size = (WIDTH, HEIGHT * sum(heights) / 3.35 / len(heights))
    options: dict[str, Any] = {"sharex": True, "height_ratios": heights, "squeeze": False}
    fig, made = figures.figure(len(heights), 1, size=size, **options)
    panels = list(made[:, 0])
    wave, *rest = panels
    edges = np.linspace(0, timeline.duration or 1.0, COLUMNS + 1)
    mean = _columns(timeline, edges)
    _waveform(wave, timeline, edges, mean, look)
    if speakers:
        _speakers(rest.pop(0), timeline, speakers, look)
    if named:
        _bands(rest.pop(0), timeline.space, edges, mean)
    if drawn:
        _curves(rest.pop(0), timeline, look, drawn)
    _times(panels[-1], timeline.duration)
    for axes in panels:
        _paint(axes, look)
    fig.set_facecolor(look["page"])
    wave.set_title(_title(timeline), loc="left", color=look["ink"], fontweight="bold")
    _legend(fig, timeline, look)
    return fig


def _columns(timeline: Record, edges: np.ndarray) -> np.ndarray:
    """Mean of the answers in each column [C, K + D], nan where nobody speaks."""
    width, space = edges[1] - edges[0], timeline.space
    sums = np.zeros((COLUMNS, len(space.emotions) + len(space.dimensions)))
    spoken = np.zeros(COLUMNS)
    for turn in timeline.predictions:
        first = min(int(turn.start / width), COLUMNS - 1)
        last = min(int(np.ceil(turn.end / width)), COLUMNS)
        shared = np.minimum(edges[first + 1 : last + 1], turn.end) - np.maximum(
            edges[first:last], turn.start
        )
        sums[first:last] += shared[:, None] * vector(turn)
        spoken[first:last] += shared
    mean = np.full_like(sums, np.nan)
    np.divide(sums, spoken[:, None], out=mean, where=spoken[:, None] > 0)
    return mean


def _waveform(
    axes: Axes, timeline: Record, edges: np.ndarray, mean: np.ndarray, look: Look
) -> None:
    """Least and greatest sample of each column, in the colour of the emotion, grey in silence."""
    from matplotlib.collections import PolyCollection

    bins, time = timeline.envelope, np.arange(len(timeline.envelope)) * timeline.bin
    group = max(1, round(len(bins) / (2 * COLUMNS)))
    starts = np.arange(0, len(bins), group)
    if len(starts):
        low = np.minimum.reduceat(bins[:, 0], starts)
        high = np.maximum.reduceat(bins[:, 1], starts)
        column = np.clip(np.searchsorted(edges, time[starts], "right") - 1, 0, COLUMNS - 1)
        emotions = timeline.space.emotions
        shares = np.nan_to_num(mean[column, : len(emotions)])
        best = [row.argmax() if row.any() else -1 for row in shares]
        palette = [*colours(emotions).values(), look["faint"]]
        high = np.maximum(high, low + 0.004)  # silence is a line, not nothing
        left, right = time[starts], time[starts] + timeline.bin * group
        corners = [(left, low), (left, high), (right, high), (right, low)]
        boxes = np.stack([np.stack(corner, -1) for corner in corners], 1)  # [boxes, 4, 2]
        hues = [palette[b] for b in best]
        axes.add_collection(PolyCollection(list(boxes), facecolors=hues, linewidths=0))
    peak = float(np.abs(bins).max()) if len(bins) else 1.0
    axes.set_ylim(-1.08 * (peak or 1), 1.08 * (peak or 1))
    axes.set_yticks([])
    axes.set_ylabel("sound")


def _bands(axes: Axes, space: Space, edges: np.ndarray, mean: np.ndarray) -> None:
    """Probabilities stacked to 1, one above the other in the order of the space."""
    floor = np.zeros(COLUMNS)
    for i, hue in enumerate(colours(space.emotions).values()):
        top = floor + np.nan_to_num(mean[:, i])
        axes.stairs(top, edges, baseline=floor, fill=True, color=hue, linewidth=0)
        floor = top
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "", "1"])
    axes.set_ylabel("probability")


def _speakers(axes: Axes, timeline: Record, speakers: list[str], look: Look) -> None:
    """A row a speaker, filled where that speaker has a turn."""
    for height, name in enumerate(speakers):
        turns = [(t.start, t.end - t.start) for t in timeline.turns if t.speaker == name]
        axes.broken_barh(turns, (height + 0.2, 0.6), facecolors=look["ink"], linewidth=0)
    axes.set_yticks(np.arange(len(speakers)) + 0.5, [_short(name) for name in speakers])
    axes.set_ylim(len(speakers), 0)


def _curves(axes: Axes, timeline: Record, look: Look, drawn: list[Dimension]) -> None:
    """Each dimension: a bar a turn and a line within a run; only dots where there are many.

    On their scale if they share one; else each from the lowest to the highest value of its own.
    """
    scale = one_scale(drawn)
    low, high = scale[1:] if scale else (0.0, 1.0)
    middle = (low + high) / 2
    axes.axhline(middle, color=look["faint"], linewidth=0.8)
    for dimension, hue, dash in _styles(drawn, look):
        name = dimension.name
        for i, run in enumerate(runs(timeline.turns)):
            values = [turn.dimensions.get(name, np.nan) for turn in run]
            values = values if scale else [share(dimension, x) for x in values]
            centre = [(turn.start + turn.end) / 2 for turn in run]
            label = name if scale else f"{name} {dimension.range}"
            options: dict[str, Any] = {"color": hue, "label": label if not i else None}
            if len(timeline.turns) <= FEW:
                axes.plot(centre, values, linestyle=dash, linewidth=1.2, **options)
                begin, end = [turn.start for turn in run], [turn.end for turn in run]
                axes.hlines(values, begin, end, hue, linewidth=3, alpha=0.55)
            else:
                axes.plot(centre, values, ".", markersize=3, alpha=0.6, **options)
    room = 0.025 * (high - low)
    axes.set_ylim(low - room, high + room)
    ticks = (low, middle, high)
    named = [f"{x:g}".replace("-", "−") for x in ticks] if scale else ["low", "middle", "high"]
    axes.set_yticks(ticks, named)
    axes.set_ylabel(", ".join(d.name for d in drawn) if len(drawn) < 3 else "dimensions")


def _styles(drawn: list[Dimension], look: Look) -> Iterator[tuple[Dimension, str, Any]]:
    """Colour and dashes of each dimension."""
    others = 0
    for dimension in drawn:
        if dimension.name in DASHES:
            yield dimension, look[dimension.name], DASHES[dimension.name]
            continue
        hues = look["others"]
        yield (
            dimension,
            hues[others % len(hues)],
            OTHER_DASHES[others // len(hues) % len(OTHER_DASHES)],
        )
        others += 1


def runs(turns: Sequence[Any]) -> Iterator[list[Any]]:
    """Turns that a line may join: answered, of one speaker, no more than `PAUSE` s apart."""
    run: list[Any] = []
    for turn in turns:
        known = isinstance(turn, Prediction) and bool(turn.dimensions)
        joined = run and known and turn.speaker == run[-1].speaker
        if run and not (joined and turn.start - run[-1].end <= PAUSE):
            yield run
            run = []
        if known:
            run.append(turn)
    if run:
        yield run


def _times(axes: Axes, duration: float) -> None:
    step = next((s for s in STEPS if duration / s <= 12), STEPS[-1])
    ticks = np.arange(0, duration + 1e-6, step)
    hours = duration >= 3600
    axes.set_xticks(ticks, [_clock(t, hours) for t in ticks])
    axes.set_xlim(0, duration or 1.0)
    axes.set_xlabel("time, " + ("h:min:s" if hours else "min:s"))


def _clock(seconds: float, hours: bool) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _paint(axes: Axes, look: Look) -> None:
    axes.set_facecolor(look["page"])
    axes.tick_params(colors=look["ink"], length=0)
    axes.grid(True, axis="x", color=look["grid"])
    axes.grid(False, axis="y")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.yaxis.label.set_color(look["ink"])
    axes.xaxis.label.set_color(look["ink"])


def _title(timeline: Record) -> str:
    many = len(timeline.turns)
    said = f"{many} turn{'s' * (many != 1)}" if many else NO_SPEECH
    simulated = "  ·  SIMULATED MODEL, not valid for real voices" * timeline.simulated
    return f"{Path(timeline.file).name}  ·  {said}{simulated}"


def _short(name: str) -> str:
    return name if len(name) <= 14 else f"{name[:13]}…"


def _legend(fig: Figure, timeline: Record, look: Look) -> None:
    """Emotions with their share of the time spoken, then the curves; at most `LEGEND` in a row."""
    from matplotlib.patches import Patch

    shares = dict(timeline.shares())
    handles: list[Any] = [
        Patch(color=hue, label=f"{e} {shares[e]:.0%}" if shares else e)
        for e, hue in colours(timeline.space.emotions).items()
    ]
    handles += fig.axes[-1].get_legend_handles_labels()[0]
    rows = -(-len(handles) // LEGEND) or 1
    fig.legend(
        handles=handles, loc="outside lower center", ncols=-(-len(handles) // rows) or 1,
        labelcolor=look["ink"], handlelength=1.2, columnspacing=1.4,
    )  # fmt: skip
