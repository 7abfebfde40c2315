"""The figure of docs/labels.md on targets: what each makes of ten raters' votes.

python -m bench.label_figures docs/images/targets.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from erc.base.figures import ACCENTS, COLOURS, figure, save
from erc.base.space import KEMDY
from erc.labels import majority, peakl, sharpen, soft

TARGETS = {
    "hard": majority,
    "T = 0.25": lambda y: sharpen(y, 0.25),
    "T = 0.5": lambda y: sharpen(y, 0.5),
    "PeakL": peakl,
    "soft": lambda y: y,
}


def draw(path: Path) -> Path:
    """Left: a leading emotion against its share of votes. Right: one utterance, six–three–one."""
    fig, (left, right) = figure(1, 2, (4.2, 3.2))
    share = np.linspace(0, 1, 201)
    votes = np.zeros((len(share), len(KEMDY.emotions)))
    votes[:, 4], votes[:, 0] = share, 1 - share  # happy or surprise
    for i, (name, target) in enumerate(TARGETS.items()):
        bold = name == "PeakL"
        style = {"color": ACCENTS[1] if bold else str(0.75 - 0.15 * i), "linewidth": 1 + bold}
        left.plot(share, target(votes)[:, 4], label=name, zorder=2 + bold, **style)
    left.set(xlabel="share of votes for happy, the rest surprise", ylabel="label of happy")
    left.legend(loc="upper left", fontsize=8)
    example = soft(np.array([3, 0, 0, 1, 6, 0, 0]))
    bottom = np.zeros(len(TARGETS))
    for k, emotion in enumerate(KEMDY.emotions):
        height = np.array([target(example)[k] for target in TARGETS.values()])
        if height.any():
            right.bar(list(TARGETS), height, bottom=bottom, color=COLOURS[emotion], label=emotion)
            bottom += height
    right.set(ylabel="label of 6 happy, 3 surprise, 1 neutral", ylim=(0, 1))
    right.grid(axis="x", visible=False)
    right.legend(loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=3, fontsize=8)
    return save(fig, path)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(draw(Path(sys.argv[1])))
