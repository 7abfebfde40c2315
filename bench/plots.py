"""The figures of docs/performance.md."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from bench.harness import Row


def ratios(rows: list[Row], path: Path) -> Path:
    """Bars of the best ratio of each path, with a mark at its target; logarithmic."""
    rows = rows[::-1]
    figure, axes = plt.subplots(figsize=(8, 0.7 + 0.38 * len(rows)), layout="constrained")
    colours = ["tab:blue" if row.met else "tab:orange" for row in rows]
    axes.barh([row.what for row in rows], [row.best or 0 for row in rows], color=colours)
    for y, row in enumerate(rows):
        axes.plot([row.target] * 2, [y - 0.45, y + 0.45], color="black", lw=2)
        axes.text(row.best * 1.05, y, f"{row.best:.3g}×", va="center", fontsize=8)
    axes.set(xscale="log", xlabel="times better than the baseline; black: target")
    axes.set_xlim(0.8, 1.6 * max(row.best for row in rows))
    return _save(figure, path)


def scalings(rows: list[Row], path: Path) -> Path:
    """Cost, and peak memory where known, against size; both logarithmic."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for row in rows:
        label = f"{row.what} (exponent {row.exponent:.2f})"
        [line] = axes[0].plot(row.sizes, [e.median for e in row.entries], "o-", label=label)
        if all(e.rss for e in row.entries):
            axes[1].plot(row.sizes, [e.rss for e in row.entries], "o-", color=line.get_color())
    axes[0].set(xscale="log", yscale="log", xlabel="size", ylabel="seconds")
    axes[1].set(xscale="log", xlabel="size", ylabel="peak RSS, MB", ylim=(0, None))
    axes[0].legend(fontsize=8)
    return _save(figure, path)


def scatter(row: Row, path: Path) -> Path:
    """The plotted columns of a free table: the first against each of the others."""
    x, *ys = row.plot
    figure, axes = plt.subplots(1, len(ys), figsize=(5 * len(ys), 3.8), layout="constrained")
    for y, axis in zip(ys, [axes] if len(ys) == 1 else axes):
        points = [r for r in row.records if r.get(x) is not None and r.get(y) is not None]
        axis.scatter([r[x] for r in points], [r[y] for r in points])
        for r in points:
            name = str(next(iter(r.values())))
            axis.annotate(name, (r[x], r[y]), fontsize=7, xytext=(3, 3), textcoords="offset points")
        axis.set(xlabel=x, ylabel=y)
        if points and max(r[x] for r in points) > 20 * min(r[x] for r in points) > 0:
            axis.set_xscale("log")
    return _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> Path:
    path = path.with_name(path.name.removesuffix(".png") + ".png")
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
