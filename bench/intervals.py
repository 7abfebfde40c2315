"""Do intervals hold the truth? Coverage at few speakers, where the truth is planted.

    python -m bench.intervals [SIMULATIONS]

Speakers differ in how well they are recognised, in what they show, in how much they say (15 to 59
utterances), and in the level of their ratings and of the answers to them. The truth is the score of
20,000 such speakers. A pair of systems has equal truth: what differs beyond noise is a false positive.
"""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
from scipy.special import expit

from erc.scores.metrics import accuracy, ccc, f1, uar
from erc.scores.statistics import interval, paired

SPEAKERS = (5, 8, 20)
PRIOR = np.array([0.05, 0.05, 0.15, 0.4, 0.2, 0.1, 0.05])  # of seven emotions
CLASSES = {"accuracy": accuracy, "UAR": uar, "macro F1": partial(f1, average="macro")}


def draw(rng: np.random.Generator, speakers: int, systems: int = 1) -> tuple[np.ndarray, ...]:
    """speaker [N], emotion [N], ratings [N], and of each system the emotions and ratings it says."""
    sizes = rng.integers(15, 60, speakers)
    who = np.repeat(np.arange(speakers), sizes)
    normal, n = rng.standard_normal, len(who)
    emotion = _choice(rng, rng.dirichlet(20 * PRIOR, speakers)[who])
    rated = 3 + 0.4 * normal(speakers)[who] + 0.8 * normal(n)
    said, values = np.empty((systems, n), int), np.empty((systems, n))
    easy = 0.6 * normal(speakers)
    for s in range(systems):
        able = 0.5 + 0.5 * (emotion == 3) + (easy + 0.5 * normal(speakers))[who]
        wrong = _choice(rng, rng.dirichlet(8 * PRIOR, speakers)[who])
        said[s] = np.where(rng.random(n) < expit(able), emotion, wrong)
        values[s] = 1.2 + 0.6 * rated + 0.4 * normal(speakers)[who] + 0.5 * normal(n)
    return who, emotion, rated, said, values


def _choice(rng: np.random.Generator, shares: np.ndarray) -> np.ndarray:
    return (rng.random((len(shares), 1)) > shares.cumsum(1)).sum(1).clip(0, 6)


def measured(emotion: np.ndarray, rated: np.ndarray, said: np.ndarray, values: np.ndarray, weights):
    """The four scores of one system."""
    found = {name: metric(emotion, said, weights=weights) for name, metric in CLASSES.items()}
    return found | {"CCC": ccc(rated, values, weights=weights)}


def simulate(speakers: int, simulations: int, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Score → share of 95 % intervals that hold the truth, and of pairs falsely told apart."""
    rng = np.random.default_rng(seed)
    _, emotion, rated, said, values = draw(np.random.default_rng(99), 20_000)
    truth = measured(emotion, rated, said[0], values[0], np.ones(len(emotion)))
    held = dict.fromkeys(truth, 0)
    false = dict.fromkeys(truth, 0)
    for _ in range(simulations):
        who, emotion, rated, said, values = draw(rng, speakers, 2)
        a, b = ((emotion, rated, said[s], values[s]) for s in (0, 1))
        sure, apart = interval(measured, a, who), paired(measured, a, b, who)
        for name in truth:
            held[name] += sure[name].low <= truth[name] <= sure[name].high
            false[name] += not apart[name].within_noise
    return {name: (held[name] / simulations, false[name] / simulations) for name in truth}


def main(simulations: int) -> None:
    """Print the table."""
    print(f"{simulations} simulations; held: 95 % intervals with the truth inside (nominal .95);")
    print("false: pairs of equal systems told apart (nominal .05)\n")
    for speakers in SPEAKERS:
        for name, (held, false) in simulate(speakers, simulations).items():
            print(f"{speakers:3} speakers  {name:9} held {held:.3f}  false {false:.3f}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
