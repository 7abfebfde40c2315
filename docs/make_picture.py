"""The picture of the README's first screen, light and dark, from a finished demo.

python docs/make_picture.py runs/demo docs/images

Not the best utterance but a typical one: held out, not neutral (for the colours), four or more
emotions among its ten votes, named by the model as by most raters, and of these the one whose
distance between votes and model is the median.
"""

from __future__ import annotations

import logging
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from erc.base import audio
from erc.base.figures import COLOURS, figure, save
from erc.base.space import KEMDY
from erc.base.text import clean
from erc.datasets import HF_KEMD
from erc.labels.regions import REGION, regions_of
from erc.recognizer import load
from erc.recognizer.prediction import Prediction
from erc.scores.metrics import jensen_shannon

LOOKS = {
    "light": {"ink": "#1F2933", "soft": "#66717D", "line": "#D5DAE0", "tint": 0.16},
    "dark": {"ink": "#E6EAEE", "soft": "#9AA5B1", "line": "#3A434D", "tint": 0.28},
}
HANGUL = ("NotoSansCJK-Regular", "NanumGothic", "malgun", "AppleSDGothicNeo")
LEAST_SECONDS = 2.0  # a waveform that one can see something in


def typical(folder: Path) -> tuple[Path, dict[str, float], tuple[float, float]]:
    """Recording, votes as shares, rated (valence, arousal) of the utterance that is shown."""
    import pandas as pd

    rows = pd.read_csv(folder / "run" / "predictions.csv")
    rows = rows[(rows.system == "speech + text") & (rows.emotion == rows.predicted)]
    rows = rows[rows.emotion != "neutral"]
    votes = rows[[f"votes_{e}" for e in KEMDY.emotions]].to_numpy()
    rows = rows[((votes > 0).sum(1) >= 4) & (rows.seconds >= LEAST_SECONDS)]
    votes, said = (rows[[f"{k}_{e}" for e in KEMDY.emotions]].to_numpy() for k in ("votes", "p"))
    distance = np.array([jensen_shannon(p[None], q[None]) for p, q in zip(said, votes)])
    i = int(np.argsort(distance)[len(distance) // 2])
    row = rows.iloc[i]
    path = next((folder / "corpus").glob(f"wav/*/*/{row.id}.wav"))
    return path, dict(zip(KEMDY.emotions, votes[i].tolist())), (row.valence, row.arousal)


def draw(folder: Path, out: Path) -> list[Path]:
    """Both pictures."""
    path, votes, rated = typical(folder)
    data = HF_KEMD(str(folder / "corpus"), "train", 4, "kemdy19", "strict")
    said = data.labels
    regions = regions_of(said.hard[data.rows], said.dimensions[data.rows])
    text = clean(path.with_suffix(".txt").read_text("utf-8"))
    answer = load(folder / "run" / "model").predict(path, text=text)
    files = []
    for name, look in LOOKS.items():
        fig, axes = figure(1, 3, (4.0, 4.0), width_ratios=(1.0, 1.2, 1.3))
        _style(fig)
        _input(axes[0], path, text, look)
        _bars(axes[1], votes, answer, look)
        _plane(axes[2], regions, rated, answer, look)
        for each in axes:
            _paint(each, look)
        fig.patch.set_alpha(0)
        files.append(save(fig, out / f"first-screen-{name}.png", dpi=100))
    return files


def _style(fig: Any) -> None:
    """Add a font that has Hangul, if this machine has one."""
    import matplotlib as mpl
    from matplotlib import font_manager

    found = [f for f in font_manager.findSystemFonts() if Path(f).stem in HANGUL]
    for file in found[:1]:
        font_manager.fontManager.addfont(file)
        name = font_manager.FontProperties(fname=file).get_name()
        mpl.rcParams["font.family"] = ["DejaVu Sans", name]  # the second for what the first lacks
        logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # it has no bold
    fig.get_layout_engine().set(wspace=0.04, w_pad=0.1, h_pad=0.1)


def _input(axes: Any, path: Path, text: str, look: dict[str, Any]) -> None:
    """Waveform, and below it what is said."""
    samples = audio.load(path).astype(float)
    bins = np.array_split(samples, 320)
    scale = 0.24 / np.abs(samples).max()
    high = np.array([b.max() for b in bins]) * scale + 0.003
    low = np.array([b.min() for b in bins]) * scale - 0.003
    x = np.linspace(0, 1, len(bins))
    axes.fill_between(x, 0.7 + low, 0.7 + high, color=look["ink"], linewidth=0)
    said = "\n".join(textwrap.wrap(text, 14))
    axes.text(0, 0.28, f"“{said}”", color=look["ink"], size=15, linespacing=1.5, va="center")
    seconds = len(samples) / audio.SAMPLE_RATE
    note = f"simulated speech, {seconds:.1f} s, a speaker held out"
    axes.text(0, 0.0, note, color=look["soft"], size=10.5)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1), xticks=[], yticks=[])
    axes.set_title("speech and transcript", loc="left")


def _bars(axes: Any, votes: dict[str, float], answer: Prediction, look: dict[str, Any]) -> None:
    """Seven pairs of bars: the raters' above, the model's below."""
    widest = max(*votes.values(), *answer.probabilities.values())
    for row, emotion in enumerate(KEMDY.emotions):
        colour, best = COLOURS[emotion], emotion == answer.label
        shares = (votes[emotion], answer.probabilities[emotion])
        axes.barh(-row + 0.2, shares[0], 0.32, color=(colour, look["tint"]), ec=colour, lw=1.2)
        axes.barh(-row - 0.18, shares[1], 0.36, color=colour)
        axes.text(-0.03 * widest, -row, emotion, ha="right", va="center", size=12.5,
                  color=look["ink"], fontweight="bold" if best else "normal")  # fmt: skip
        for share, y, who in zip(shares, (0.2, -0.18), ("ten raters", "the model")):
            said = f"{share:.0%}" * (share >= 0.005) + f"  {who}" * best
            axes.text(share + 0.02 * widest, y - row, said, va="center", size=9.5,
                      color=look["ink"] if best else look["soft"])  # fmt: skip
    axes.set(xlim=(-0.4 * widest, widest * 1.5), ylim=(-6.5, 0.5), xticks=[], yticks=[])
    axes.set_title("seven emotions, as a distribution over raters")


def _plane(axes: Any, regions: Any, rated: Any, answer: Prediction, look: dict[str, Any]) -> None:
    """Where raters placed 95 % of each emotion's utterances, where they and the model put this one."""
    from matplotlib.patches import Ellipse

    radius = REGION**0.5
    for emotion, (v, a, sd_v, sd_a) in regions.items():
        colour, here = COLOURS[emotion], emotion == answer.label
        look_of = {"fc": (colour, look["tint"] * (0.6 + here)), "lw": 1 + 0.8 * here}
        size = 2 * radius * sd_v, 2 * radius * sd_a
        axes.add_patch(Ellipse((v, a), *size, ec=(colour, 0.55 + 0.45 * here), **look_of))
    for emotion, (x, y) in _spread(regions, answer.label).items():
        axes.text(x, y, emotion, ha="center", va="center", size=10.5, color=look["ink"],
                  fontweight="bold" if emotion == answer.label else "normal")  # fmt: skip
    point = {"s": 110, "zorder": 5, "linewidths": 2, "edgecolors": look["ink"]}
    axes.scatter(*rated, facecolors="none", label="ten raters", **point)
    axes.scatter(answer.valence, answer.arousal, color=look["ink"], label="the model", **point)
    axes.legend(loc="lower right", labelcolor=look["ink"], fontsize=10, handletextpad=0.1)
    axes.set(xlim=(1, 5), ylim=(1, 5), xticks=[1, 3, 5], yticks=[1, 3, 5])
    axes.set_xticklabels(["1 negative", "valence", "positive 5"])
    axes.set_yticklabels(["1 calm", "arousal", "excited 5"], rotation=90)
    for labels, key in ((axes.get_xticklabels(), "ha"), (axes.get_yticklabels(), "va")):
        ends = ("left", "right") if key == "ha" else ("bottom", "top")
        for label, side in zip((labels[0], labels[2]), ends):
            label.set(**{key: side})
        labels[1].set(**{key: "center"})
    axes.set_title("valence and arousal, among the raters’ regions")


def _spread(regions: Any, best: str) -> dict[str, tuple[float, float]]:
    """Names in the upper part of the regions, moved apart where they would overlap."""
    at = {e: [v, a + (1.35 if e == best else 0.6) * sd] for e, (v, a, _, sd) in regions.items()}
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
    for title in (axes.title, axes._left_title):
        title.set(color=look["soft"], size=11.5)
    framed = bool(len(axes.get_xticks()))
    for spine in axes.spines.values():
        spine.set(visible=framed, color=look["line"])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(*draw(Path(sys.argv[1]), Path(sys.argv[2])), sep="\n")
