"""`erc sweep`: settings that are looked for, by Optuna, on speakers held out inside the training side.

    DIR/study.db         the study; the same command with -o DIR goes on with it
    DIR/trials.csv       every trial: what was set, its score, why it ended
    DIR/sweep.png        scores in order, and how much each key matters
    DIR/trial7 …         the runs, without weights
    DIR/fold0 …          with `nested`: a study for each fold, and a run with its best settings

A trial is trained as `python train.py` does and never looks at the held-out fold: its score is that of
the valid side, which `dataset.protocol=strict` carves from the training side.
"""

from __future__ import annotations

import csv
import json
import math
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep
from hydra.errors import HydraException

from erc.base.console import console
from erc.base.errors import ConfigError, optional
from erc.base.files import atomic, write_json
from erc.studies.cross_validation import study as cross_validation
from erc.studies.experiment import configure
from erc.studies.folds import folds, single
from erc.training.check import check
from erc.training.identity import differences
from erc.training.resume import alone

if TYPE_CHECKING:
    import optuna

SCORE = "val/f1_macro"
LESS = ("loss", "cls", "reg", "js_distance", "kl", "brier", "ece", "ece_votes")  # is better
TRIALS = 30
WARM_UP = 5  # trials, and validations of a trial, before one is given up


@dataclass(frozen=True)
class Key:
    """A key of the configuration that is varied, in Hydra's own words.

    `a,b` and `choice(a,b)` are choices, `range(1,9)` and `int(interval(1,8))` whole numbers,
    `interval(0,0.5)` numbers, `tag(log,interval(1e-5,1e-2))` on a logarithmic scale.
    """

    name: str
    sweep: Any

    @property
    def first(self) -> Any:
        """One of its values."""
        choice = isinstance(self.sweep, ChoiceSweep)
        return _plain(self.sweep.list[0] if choice else self.sweep.start)

    def suggest(self, trial: optuna.Trial) -> Any:
        """A value for a trial."""
        sweep = self.sweep
        if isinstance(sweep, ChoiceSweep):
            return trial.suggest_categorical(self.name, [_plain(x) for x in sweep.list])
        if isinstance(sweep, RangeSweep):
            first, stop, step = (int(x or 0) for x in (sweep.start, sweep.stop, sweep.step))
            return trial.suggest_int(self.name, first, stop - 1, step=step or 1)
        log = "log" in sweep.tags
        if isinstance(sweep.start, int) and isinstance(sweep.end, int):
            return trial.suggest_int(self.name, sweep.start, sweep.end, log=log)
        return trial.suggest_float(self.name, sweep.start, sweep.end, log=log)


def split(overrides: Sequence[str]) -> tuple[list[str], list[Key]]:
    """What is fixed, and what is varied.

    Raises:
        ConfigError: a value that cannot be read, a fold that is varied, or nothing that is.

    >>> fixed, keys = split(["model=tiny", "module.lr=tag(log,interval(1e-4,1e-2))"])
    >>> fixed, keys[0].name, keys[0].sweep.end
    (['model=tiny'], 'module.lr', 0.01)
    """
    fixed, keys = [], []
    for word in overrides:
        try:
            found = OverridesParser.create().parse_override(word)
        except HydraException:
            found = None  # a path with unusual letters: `compose` can read it, or says why not
        if found is None or not found.is_sweep_override():
            fixed.append(word)
            continue
        sweep = found.value()
        if not isinstance(sweep, ChoiceSweep | IntervalSweep | RangeSweep):
            raise ConfigError(f"{word}: give choice(a,b), range(1,9) or interval(0,0.5)")
        if found.key_or_group in ("dataset.validation_fold", "seed", "seeds"):
            raise ConfigError(
                f"{word}: folds and seeds are not chosen by their score; `python train.py -m {word}` "
                "runs them all"
            )
        keys.append(Key(found.key_or_group, sweep))
    if not keys:
        raise ConfigError(
            "nothing is varied: give a key several values, e.g. "
            "'module.lr=tag(log,interval(1e-4,1e-2))' or model.fusion=concat,gated"
        )
    return fixed, keys


def sweep(
    overrides: Sequence[str],
    folder: Path,
    trials: int = TRIALS,
    score: str = SCORE,
    nested: bool = False,
    command: Sequence[str] = (),
) -> list[str]:
    """Look for the settings with the best score, and print what was found.

    Args:
        overrides: as for `python train.py`, some with several values, see `Key`.
        trials: of a study, those included that it has already.
        score: a metric of metrics.csv, `val/…`.
        nested: a study for each fold, inside its training side, whose best settings are then trained and
            scored on that fold: what tuning is worth on speakers that took no part in it.

    Returns:
        The best settings as overrides; of `nested`, (): they differ from fold to fold.

    Raises:
        ConfigError: nothing to vary, no valid side, a score that there is not, or a folder that holds
            the study of something else.
    """
    fixed, keys = split(overrides)
    if not score.startswith("val/"):
        raise ConfigError(f"--score {score}: give a metric of the valid side, e.g. {SCORE}")
    aim = ["early_stopping.monitor=" + score, "early_stopping.mode=" + _mode(score)]
    if not nested:
        found = _study([*fixed, *aim], keys, folder, trials, score)
        best = [*_words(found.best_trial.params), *aim]
        print(f"best   python train.py {shlex.join([*fixed, *best])}")
        return best
    runs = []
    for fold in folds([*fixed, *aim], folder):
        tuned = _study(list(fold.words), keys, fold.folder / "sweep", trials, score)
        runs.append(single([*fold.words, *_words(tuned.best_trial.params)], fold.folder / "best"))
    cross_validation(runs, folder, None, command)
    return []


def _study(
    fixed: list[str], keys: Sequence[Key], folder: Path, trials: int, score: str
) -> optuna.Study:
    """The study of a folder, with so many trials that have ended."""
    with optional("erc sweep"):
        import optuna

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    made = single(fixed, folder)
    identity = made.identity | {"score": score} | {key.name: str(key.sweep) for key in keys}
    cfg = configure([*fixed, *_words({key.name: key.first for key in keys})], folder)
    check(cfg)
    if cfg.dataset.protocol == "paper":
        raise ConfigError(
            "dataset.protocol=paper stops on the held-out fold: what is chosen there is chosen on the "
            "test; take dataset.protocol=strict"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):  # a second command would take the trials of this one for a dead one's
        study = optuna.create_study(
            storage=f"sqlite:///{(folder / 'study.db').absolute()}",
            study_name="erc",
            load_if_exists=True,
            direction="minimize" if _mode(score) == "min" else "maximize",
            pruner=optuna.pruners.MedianPruner(WARM_UP, WARM_UP),
        )
        before = study.user_attrs.get("identity")
        identity = json.loads(json.dumps(identity))
        if before is not None and (differ := differences(before, identity)):
            raise ConfigError(
                f"{folder} holds the study of something else ({'; '.join(differ)}): delete it, or "
                "choose another folder with -o"
            )
        study.set_user_attr("identity", identity)
        for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
            # Of a command that was killed.
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        while (done := len(_ended(study))) < trials:
            print(f"trial {done + 1} of {trials}", file=sys.stderr)
            # A seed for each trial: a study that was stopped goes on as it would have gone.
            seed = cfg.seed + len(study.get_trials(deepcopy=False))
            study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=2 * WARM_UP)
            study.optimize(_objective(fixed, keys, folder, score), n_trials=1)
        _record(study, folder, score)
        return study


def _objective(
    fixed: list[str], keys: Sequence[Key], folder: Path, score: str
) -> Callable[[optuna.Trial], float]:
    def objective(trial: optuna.Trial) -> float:
        place = folder / f"trial{trial.number}"
        chosen = {key.name: key.suggest(trial) for key in keys}
        try:
            value = train(configure([*fixed, *_words(chosen)], place), score, trial)
        finally:
            shutil.rmtree(place / "checkpoints", ignore_errors=True)
        write_json(place / "trial.json", {"set": chosen, "score": value})
        return value

    return objective


def train(cfg: Any, score: str, trial: optuna.Trial | None = None) -> float:
    """One training without its test: the best score of the valid side.

    Raises:
        ConfigError: no valid side, or no such score.
    """
    import lightning as L
    import optuna

    from erc.training.assembly import Assembly
    from erc.training.run import Training, number_format, quiet

    quiet()
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    run = Path(cfg.run_dir)
    if cfg.model.objective != "emotion":
        raise ConfigError(
            f"model.objective={cfg.model.objective} has no epochs to look at: it chooses its strength "
            "by itself"
        )
    with alone(run):
        parts = Assembly(cfg)
        if not len(parts.sides["valid"]):
            raise ConfigError(
                "there is no valid side to score on: take dataset.protocol=strict and a corpus of "
                "more speakers"
            )
        cfg.trainer.precision = number_format(cfg, parts.model)
        training = Training(parts, run)
        if trial is not None:
            training.trainer.callbacks.append(_Pruning(trial, score))  # type: ignore[attr-defined]
        training.fit()
    if training.keeper.best is None:
        known = sorted(k for k in training.trainer.callback_metrics if k.startswith("val/"))
        raise ConfigError(f"--score {score}: this training has {', '.join(known) or 'none'}")
    if trial is not None and training.trainer.should_stop and trial.should_prune():
        raise optuna.TrialPruned
    return training.keeper.best


def _Pruning(trial: optuna.Trial, score: str) -> Any:
    """A callback that gives up what is worse than the median of the trials before."""
    from lightning.pytorch.callbacks import Callback

    class Pruning(Callback):
        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            value = trainer.callback_metrics.get(score)
            if value is None or trainer.sanity_checking or not math.isfinite(value):
                return
            trial.report(float(value), trainer.current_epoch)
            if trial.should_prune():
                trainer.should_stop = True

    return Pruning()


def _ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _record(study: optuna.Study, folder: Path, score: str) -> None:
    """Table on the screen and as CSV, and the picture."""
    from rich.table import Table

    trials = _ended(study)
    ranked = sorted(
        trials, key=lambda t: (t.state.name != "COMPLETE", _sign(score) * (t.value or 0.0))
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
            shown.add_row(str(t.number), f"{t.value:.4f}", *map(_short, t.params.values()))
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

    if _whole(_ended(study)) < WARM_UP or len(study.best_trial.params) < 2:
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
    pick = min if _sign(score) > 0 else max
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


def _mode(score: str) -> str:
    return "min" if score.removeprefix("val/") in LESS else "max"


def _sign(score: str) -> int:
    return 1 if _mode(score) == "min" else -1


def _words(chosen: Mapping[str, Any]) -> list[str]:
    return [f"{name}={_short(value, 17)}" for name, value in chosen.items()]


def _short(value: Any, digits: int = 4) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else str(value)
