"""The picture of the README's first screen, light and dark, from a finished demo.

python docs/make_picture.py runs/demo docs/images

Not the best utterance but a typical one: held out, four or more emotions among its ten votes, named
by the model as by most raters, and of these the one whose distance between votes and model is the
median.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from erc import audio
from erc.datasets import HF_KEMD
from erc.figures import COLOURS, figure, save
from erc.labels import EMOTIONS
from erc.metrics import jensen_shannon
from erc.prediction import Prediction, regions_of
from erc.recognizer import load
from erc.text import clean

LOOKS = {
    "light": {"ink": "#1F2933", "soft": "#66717D", "line": "#D5DAE0", "tint": 0.16},
    "dark": {"ink": "#E6EAEE", "soft": "#9AA5B1", "line": "#3A434D", "tint": 0.28},
}
FONTS = ["DejaVu Sans", "Noto Sans CJK KR", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo"]
LEAST_SECONDS = 2.0  # a waveform that one can see something in


def typical(folder: Path) -> tuple[Path, dict[str, float], tuple[float, float]]:
    """Recording, votes as shares, rated (valence, arousal) of the utterance that is shown."""
    import pandas as pd

    rows = pd.read_csv(folder / "run" / "predictions.csv")
    rows = rows[(rows.system == "speech + text") & (rows.emotion == rows.predicted)]
    votes = rows[[f"votes_{e}" for e in EMOTIONS]].to_numpy()
    rows = rows[((votes > 0).sum(1) >= 4) & (rows.seconds >= LEAST_SECONDS)]
    votes, said = (rows[[f"{k}_{e}" for e in EMOTIONS]].to_numpy() for k in ("votes", "p"))
    distance = np.array([jensen_shannon(p[None], q[None]) for p, q in zip(said, votes)])
    i = int(np.argsort(distance)[len(distance) // 2])
    row = rows.iloc[i]
    path = next((folder / "corpus").glob(f"wav/*/*/{row.id}.wav"))
    return path, dict(zip(EMOTIONS, votes[i].tolist())), (row.valence, row.arousal)


def draw(folder: Path, out: Path) -> list[Path]:
    """Both pictures."""
    path, votes, rated = typical(folder)
    data = HF_KEMD(str(folder / "corpus"), "train", 4, "kemdy19", "strict")
    regions = regions_of(data.hard[data.rows], data.valence_arousal[data.rows])
    text = clean(path.with_suffix(".txt").read_text("utf-8"))
    answer = load(folder / "run" / "model").predict(path, text=text)
    files = []
    for name, look in LOOKS.items():
        fig, axes = figure(1, 3, (4.0, 4.0), width_ratios=(1.0, 1.2, 1.25))
        _style(fig)
        _input(axes[0], path, text, look)
        _bars(axes[1], votes, answer, look)
        _plane(axes[2], regions, rated, answer, look)
        for each in axes:
            _paint(each, look)
        fig.patch.set_alpha(0)
        with warnings.catch_warnings(action="ignore"):  # a font of the list that is not here
            files.append(save(fig, out / f"first-screen-{name}.png", dpi=100))
    return files


def _style(fig: Any) -> None:
    import matplotlib as mpl
    from matplotlib import font_manager

    here = {f.name for f in font_manager.fontManager.ttflist}
    # matplotlib knows the first face of a collection only: Noto's JP file also holds Hangul
    also = [n for n in sorted(here) if n.startswith("Noto Sans CJK")]
    mpl.rcParams["font.family"] = [f for f in [*FONTS, *also] if f in here]
    fig.get_layout_engine().set(wspace=0.05, w_pad=0.08)


def _input(axes: Any, path: Path, text: str, look: dict[str, Any]) -> None:
    """Waveform, and below it what is said."""
    samples = audio.load(path).astype(float)
    bins = np.array_split(samples, 150)
    peak = np.abs(samples).max()
    x = np.linspace(0, 1, len(bins))
    high = np.array([b.max() for b in bins]) / peak * 0.22
    low = np.array([b.min() for b in bins]) / peak * 0.22
    axes.vlines(x, 0.66 + low - 0.004, 0.66 + high + 0.004, color=look["ink"], linewidth=1.3)
    seconds = len(samples) / audio.SAMPLE_RATE
    axes.text(0, 0.385, f"{seconds:.1f} s of simulated speech", color=look["soft"], size=11)
    axes.text(0, 0.2, f"“{text}”", color=look["ink"], size=14.5, linespacing=1.5, va="center",
              wrap=True)  # fmt: skip
    axes.set(xlim=(-0.02, 1.02), ylim=(0, 1), xticks=[], yticks=[])
    axes.set_title("speech and transcript")


def _bars(axes: Any, votes: dict[str, float], answer: Prediction, look: dict[str, Any]) -> None:
    """Seven pairs of bars: the raters' above, the model's below."""
    for row, emotion in enumerate(EMOTIONS):
        y, p, q = -row, votes[emotion], answer.probabilities[emotion]
        colour = COLOURS[emotion]
        axes.barh(y + 0.19, p, 0.3, color=(colour, look["tint"]), edgecolor=colour, linewidth=1.2)
        axes.barh(y - 0.17, q, 0.34, color=colour)
        axes.text(-0.02, y, emotion, ha="right", va="center", size=12.5, color=look["ink"],
                  fontweight="bold" if emotion == answer.label else "normal")  # fmt: skip
        axes.text(max(p, q) + 0.02, y, f"{q:.0%}", va="center", size=11, color=look["soft"])
    widest = max(*votes.values(), *answer.probabilities.values())
    axes.set(xlim=(-0.36 * widest, widest * 1.2), ylim=(-6.6, 0.6), xticks=[], yticks=[])
    axes.set_title("ten raters’ votes (outline), the model (filled)")


def _plane(axes: Any, regions: Any, rated: Any, answer: Prediction, look: dict[str, Any]) -> None:
    """Where raters placed each emotion (one standard deviation), where they and the model put this."""
    from matplotlib.patches import Ellipse

    for emotion, (v, a, sd_v, sd_a) in regions.items():
        c = COLOURS[emotion]
        axes.add_patch(Ellipse((v, a), 2 * sd_v, 2 * sd_a, fc=(c, look["tint"]), ec=c, lw=1))
    for emotion, (x, y) in _spread(regions).items():
        axes.text(x, y, emotion, ha="center", va="center", size=10.5, color=look["ink"])
    point = {"s": 120, "zorder": 5, "linewidths": 2}
    axes.plot(*zip(rated, (answer.valence, answer.arousal)), color=look["ink"], lw=1.2, zorder=4)
    axes.scatter(*rated, facecolors="none", edgecolors=look["ink"], **point)
    axes.scatter(answer.valence, answer.arousal, color=look["ink"], **point)
    axes.set(xlim=(0.9, 5.1), ylim=(0.9, 5.1), xticks=[1, 3, 5], yticks=[1, 3, 5])
    axes.set_xticklabels(["1 negative", "valence", "5 positive"])
    axes.set_yticklabels(["calm 1", "arousal", "5 excited"], rotation=90, va="center")
    axes.set_title("○ raters’ mean   ● the model")


def _spread(regions: Any) -> dict[str, tuple[float, float]]:
    """Names at the centre of the regions, moved apart where they would overlap."""
    at = {e: [v, a] for e, (v, a, _, _) in regions.items()}
    for _ in range(60):
        for one in at:
            for other in at:
                dx, dy = (at[one][k] - at[other][k] for k in (0, 1))
                if one < other and abs(dx) < 0.95 and abs(dy) < 0.27:
                    step = 0.02 if dy >= 0 else -0.02
                    at[one][1] += step
                    at[other][1] -= step
    return {e: (x, y) for e, (x, y) in at.items()}


def _paint(axes: Any, look: dict[str, Any]) -> None:
    axes.patch.set_alpha(0)
    axes.grid(False)
    axes.tick_params(length=0, colors=look["soft"], labelsize=10.5)
    axes.title.set(color=look["soft"], size=12)
    framed = bool(len(axes.get_xticks()))
    for spine in axes.spines.values():
        spine.set(visible=framed, color=look["line"])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(*draw(Path(sys.argv[1]), Path(sys.argv[2])), sep="\n")
