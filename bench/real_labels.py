"""Agreement, ties, PeakL, one vote against the rest: CREMA-D's votes, EmoBank's single ratings.

    python -m bench.real_labels LABELS > docs/results_labels.md

LABELS holds `crema_d/tabulatedVotes.csv` (Cao et al. 2014, ODbL) and
`emobank/individual_reader_ratings.csv` (Buechel & Hahn 2017, CC BY-SA). No recording is needed.
Neither file says who gave which rating, so only statistics of counts are possible: no kappa of pairs,
no outliers, no weights of raters, and people are one anonymous rating against the others.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.space import KEMDY
from erc.corpora.utterance import Utterance
from erc.labels import entropy, peakl, soft, tied
from erc.labels.agreement import alpha_from_counts
from erc.scores.metrics import ccc, jensen_shannon
from erc.scores.one_rater import anonymous_values
from erc.scores.one_rater_intervals import one_rater_intervals
from erc.scores.statistics import interval

PRESENTATIONS = {"1": "voice", "2": "face", "3": "voice and face"}  # first digit of the row's name
LETTERS = {"A": "angry", "D": "disgust", "F": "fear", "H": "happy", "N": "neutral", "S": "sad"}
SCALE = np.arange(1.0, 6.0)


def crema_d(file: Path) -> dict[str, tuple[list[Utterance], int]]:
    """Presentation → votes of its clips, and how many majorities the file itself calls tied."""
    clips: dict[str, list[Utterance]] = {name: [] for name in PRESENTATIONS.values()}
    ties: dict[str, int] = defaultdict(int)
    with file.open(encoding="latin-1", newline="") as lines:
        for row in csv.DictReader(lines):
            votes = [0.0] * len(KEMDY.emotions)  # surprise was not on offer
            for letter, emotion in LETTERS.items():
                votes[KEMDY.emotions.index(emotion)] = float(row[letter])
            name, clip = PRESENTATIONS[row[""][0]], row["fileName"]
            actor = clip.split("_")[0]
            clips[name].append(Utterance(clip, name, None, None, actor, actor, tuple(votes)))
            ties[name] += ":" in row["emoVote"]
    return {name: (found, ties[name]) for name, found in clips.items()}


def emobank(file: Path) -> dict[str, np.ndarray]:
    """Dimension → [texts, 5], how many readers gave 1 … 5."""
    counts: dict[str, dict[str, np.ndarray]] = {"V": {}, "A": {}}
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            for dimension, texts in counts.items():
                mark = int(float(row[dimension]))
                texts.setdefault(row["id"], np.zeros(5))[mark - 1] += 1
    return {d: np.stack(list(texts.values())) for d, texts in counts.items()}


def emotion_column(clips: list[Utterance], ties_in_file: int) -> dict[str, str]:
    """One column of the CREMA-D table."""
    votes = np.array([u.votes for u in clips])
    labels = soft(votes)
    peaks, tie = peakl(labels), tied(labels)
    raters, one = votes.sum(1), one_rater_intervals(clips)
    column = {
        "clips": f"{len(clips):,}",
        "votes a clip, min–mean–max": f"{raters.min():.0f}–{raters.mean():.1f}–{raters.max():.0f}",
        "Krippendorff's α, nominal": f"{alpha_from_counts(votes):.3f}",
        "majorities tied": f"{tie.sum():,} ({tie.mean():.1%})",
        "tied according to the file": f"{ties_in_file:,}",
        "unanimous": f"{(labels.max(1) == 1).mean():.1%}",
        "one emotion left after PeakL": f"{(peaks.max(1) == 1).mean():.1%}",
        "emotions with votes, mean": f"{(labels > 0).sum(1).mean():.2f}",
        "emotions left after PeakL, mean": f"{(peaks > 0).sum(1).mean():.2f}",
        "entropy of the votes, nats": f"{entropy(labels).mean():.3f}",
        "entropy after PeakL, nats": f"{entropy(peaks).mean():.3f}",
        "JS distance votes–PeakL": f"{jensen_shannon(labels, peaks):.3f}",
        "majority changed by PeakL": f"{(labels.argmax(1) != peaks.argmax(1)).sum()}",
    }
    names = {"accuracy": "accuracy", "uar": "UAR", "f1_macro": "F1 macro"}
    return column | {f"one vote, {names[k]}": str(one[k]) for k in names}


def value_column(counts: np.ndarray) -> dict[str, str]:
    """One column of the EmoBank table."""
    others, own, weights, item = anonymous_values(counts, SCALE)

    def score(x: np.ndarray, y: np.ndarray, w: np.ndarray, weights: np.ndarray) -> Any:
        return ccc(x, y, weights=weights * w)

    readers = counts.sum(1)
    return {
        "texts": f"{len(counts):,}",
        "ratings": f"{readers.sum():,.0f}",
        "ratings a text, min–mean–max": f"{readers.min():.0f}–{readers.mean():.1f}–{readers.max():.0f}",
        "Krippendorff's α, ordinal": f"{alpha_from_counts(counts, SCALE, 'ordinal'):.3f}",
        "Krippendorff's α, interval": f"{alpha_from_counts(counts, SCALE, 'interval'):.3f}",
        "all readers agree": f"{(counts.max(1) == readers).mean():.1%}",
        "one rating, CCC": str(interval(score, (others, own, weights), item)),
    }


def markdown(columns: dict[str, dict[str, str]]) -> str:
    """Columns → a Markdown table."""
    names = list(next(iter(columns.values())))
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    lines += [[name, *(c[name] for c in columns.values())] for name in names]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(folder: Path) -> str:
    """The page."""
    clips = crema_d(folder / "crema_d" / "tabulatedVotes.csv")
    texts = emobank(folder / "emobank" / "individual_reader_ratings.csv")
    acted = markdown({name: emotion_column(*found) for name, found in clips.items()})
    read = markdown({"valence": value_column(texts["V"]), "arousal": value_column(texts["A"])})
    actors = len({u.speaker for found, _ in clips.values() for u in found})
    return PAGE.format(acted=acted, read=read, actors=actors)


PAGE = """\
# Real labels: what raters agree on

Written by `python -m bench.real_labels LABELS`, where `LABELS` holds the two files named there; every
number on this page is its output. Real people rated all of it; no model is involved.

Both files are anonymous: they hold counts of votes, or single ratings without names. That allows
Krippendorff's α (`erc.labels.agreement.alpha_from_counts`), ties, PeakL, and *one
anonymous vote against the rest* (`erc.scores.one_rater.anonymous_votes`, `anonymous_values`). It does
not allow correlations of pairs, outliers or rater weights (see [labels.md](labels.md)), nor Fleiss' κ:
rater numbers vary.

## CREMA-D: six acted emotions, three ways of presenting them

{actors} actors, English; angry, disgust, fear, happy, neutral, sad (surprise was not on offer).
Intervals are 95 %, over actors.

{acted}

- A tie goes by `dataset.tie`; the count of ties equals the file's own (`N:S` in `emoVote`).
- One vote is scored against the majority of the clip's other votes; where those tie it is left out.
- PeakL never changes a majority, it removes what few raters said.

## EmoBank: valence and arousal of sentences, as felt by readers

Anonymous readers, marks 1–5. One rating is scored against the mean of the text's other ratings;
95 % intervals over texts.

{read}
"""

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(main(Path(sys.argv[1])), end="")
