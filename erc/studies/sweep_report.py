"""What a sweep found: its trials as a table, how much each key matters, and the picture of both."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from erc.base.console import console
from erc.base.files import atomic
from erc.studies.sweep_space import short

if TYPE_CHECKING:
    import optuna

LESS = ("loss", "cls", "reg", "js_distance", "kl", "brier", "ece", "ece_votes")  # is better
FEWEST = 5  # whole trials before keys are weighed


def mode(score: str) -> str:
    """Whether less of a metric is better (min) or more (max)."""
    return "min" if score.removeprefix("val/") in LESS else "max"


def sign(score: str) -> int:
    """1 if less is better, or −1: by sign · score the best comes first."""
    return 1 if mode(score) == "min" else -1


def ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Its trials that went to their end or were given up early."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def record(study: optuna.Study, folder: Path, score: str) -> None:
    """Table on the screen and as CSV, and the picture."""
    from rich.table import Table

    trials = ended(study)
    ranked = sorted(
        trials, key=lambda t: (t.state.name != "COMPLETE", sign(score) * (t.value or 0.0))
    )
    names = list(ranked[0].params)
    with atomic(folder / "trials.csv") as temporary, temporary.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["trial", "state", score, *names, "seconds"])
        for t in trials:
            took = t.duration.total_seconds() if t.duration else ""
            rows.writerow([t.number, t.state.name.lower(), t.value, *t.params.values(), took])
    weights = importances(study)
    shown = Table(title=f"{len(trials)} trials, {len(trials) - _whole(trials)} given up early")
    for title in ("trial", score, *names):
        shown.add_column(title, justify="right")
    for t in ranked[:10]:
        if t.state.name == "COMPLETE":
            shown.add_row(str(t.number), f"{t.value:.4f}", *map(short, t.params.values()))
    with console() as screen:
        screen.print(shown)
    if weights:
        print("matters " + ", ".join(f"{k} {x:.0%}" for k, x in weights.items()))
    if _draw(trials, weights, folder / "sweep.png", score):
        print(f"study  {folder}    {folder / 'sweep.png'}")


def importances(study: optuna.Study) -> Mapping[str, float]:
    """Share of each key in what sets the best trials apart (PED-ANOVA, Watanabe et al. 2023); {} where
    there are too few."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    if _whole(ended(study)) < FEWEST or len(study.best_trial.params) < 2:
        return {}
    try:
        return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    except (ValueError, RuntimeError):  # all alike
        return {}


def _whole(trials: Sequence[optuna.trial.FrozenTrial]) -> int:
    return sum(t.state.name == "COMPLETE" for t in trials)


def _draw(
    trials: Sequence[optuna.trial.FrozenTrial], weights: Mapping[str, float], path: Path, score: str
) -> bool:
    try:
        from matplotlib.figure import Figure
    except ImportError:  # of the extra `report`
        return False
    fig = Figure((9, 3.4), layout="constrained")
    left, right = fig.subplots(1, 2)
    whole = [t for t in trials if t.state.name == "COMPLETE"]
    values = [t.value or 0.0 for t in whole]
    pick = min if sign(score) > 0 else max
    best = [pick(values[: i + 1]) for i in range(len(values))]
    left.plot([t.number for t in whole], values, "o", color="#5b6b7b", label="a trial")
    left.step([t.number for t in whole], best, where="post", color="#1f4e9c", label="best so far")
    left.set(xlabel="trial", ylabel=score, title="Scores on speakers held out in training")
    left.legend(frameon=False)
    names = list(weights)[::-1]
    right.barh(names, [weights[name] for name in names], color="#1f4e9c")
    right.set(xlabel="share of what sets the best apart", title="Which key matters")
    if not names:
        right.set_axis_off()
    with atomic(path) as temporary:
        fig.savefig(temporary, format="png", dpi=150)
    return True
