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

import json
import math
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc.base.errors import ConfigError, optional
from erc.base.files import write_json
from erc.studies import sweep_workers
from erc.studies.cross_validation import study as cross_validation
from erc.studies.experiment import configure
from erc.studies.folds import folds, single
from erc.studies.sweep_report import ended, mode, record
from erc.studies.sweep_space import Key, split, words
from erc.training.check import check
from erc.training.identity import differences
from erc.training.resume import alone

if TYPE_CHECKING:
    import optuna

SCORE = "val/f1_macro"
TRIALS = 30
WARM_UP = 5  # trials, and validations of a trial, before one is given up


def sweep(
    overrides: Sequence[str],
    folder: Path,
    trials: int = TRIALS,
    score: str = SCORE,
    nested: bool = False,
    command: Sequence[str] = (),
    workers: int = 1,
) -> list[str]:
    """Look for the settings with the best score, and print what was found.

    Args:
        overrides: as for `python train.py`, some with several values, see `Key`.
        trials: of a study, those included that it has already.
        score: a metric of metrics.csv, `val/…`.
        nested: a study for each fold, inside its training side, whose best settings are then trained and
            scored on that fold: what tuning is worth on speakers that took no part in it.
        workers: trials at a time, each in a process of its own. What is proposed then follows which of
            them ends first: only with one worker a study is the same again.

    Returns:
        The best settings as overrides; [] of `nested`: they differ from fold to fold.

    Raises:
        ConfigError: nothing to vary, no valid side, a score that there is not, or a folder that holds
            the study of something else.
    """
    fixed, keys = split(overrides)
    if workers < 1:
        raise ConfigError(f"{workers} workers train nothing; give 1 or more")
    if not score.startswith("val/"):
        raise ConfigError(f"--score {score}: give a metric of the valid side, e.g. {SCORE}")
    aim = ["early_stopping.monitor=" + score, "early_stopping.mode=" + mode(score)]
    if not nested:
        found = _study([*fixed, *aim], keys, folder, trials, score, workers)
        best = [*words(found.best_trial.params), *aim]
        print(f"best   python train.py {shlex.join([*fixed, *best])}")
        return best
    runs = []
    for fold in folds([*fixed, *aim], folder):
        tuned = _study(list(fold.words), keys, fold.folder / "sweep", trials, score, workers)
        runs.append(single([*fold.words, *words(tuned.best_trial.params)], fold.folder / "best"))
    cross_validation(runs, folder, None, command)
    return []


def _study(
    fixed: list[str], keys: Sequence[Key], folder: Path, trials: int, score: str, workers: int
) -> optuna.Study:
    """The study of a folder, with so many trials that have ended."""
    with optional("erc sweep"):
        import optuna

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    made = single(fixed, folder)
    identity = made.identity | {"score": score} | {key.name: str(key.sweep) for key in keys}
    cfg = configure([*fixed, *words({key.name: key.first for key in keys})], folder)
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
            direction="minimize" if mode(score) == "min" else "maximize",
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
        under_way: set[int] = set()

        def propose() -> tuple[optuna.Trial, list[str], Path] | None:
            count = len(ended(study)) + len(under_way)
            if count >= trials:
                return None
            print(f"trial {count + 1} of {trials}", file=sys.stderr)
            # A seed for each trial: a study that was stopped goes on as it would have gone.
            study.sampler = optuna.samplers.TPESampler(
                seed=cfg.seed + len(study.get_trials(deepcopy=False)),
                n_startup_trials=2 * WARM_UP,
                constant_liar=workers > 1,  # what is under way is no place to look
            )
            trial = study.ask()
            under_way.add(trial.number)
            chosen = words({key.name: key.suggest(trial) for key in keys})
            return trial, [*fixed, *chosen], folder / f"trial{trial.number}"

        def done(trial: optuna.Trial, value: float | None) -> None:
            under_way.discard(trial.number)
            state = optuna.trial.TrialState.PRUNED if value is None else None
            study.tell(trial, value, state=state)
            place = folder / f"trial{trial.number}"
            write_json(place / "trial.json", {"set": trial.params, "score": value})

        if (several := min(workers, trials - len(ended(study)))) > 1:
            sweep_workers.run(study, several, _trial, propose, done, score)
        while proposed := propose():
            begun, settings, place = proposed
            try:
                done(begun, _trial(settings, place, score, begun))
            except optuna.TrialPruned:
                done(begun, None)
        record(study, folder, score)
        return study


def _trial(settings: list[str], place: Path, score: str, trial: Any) -> float:
    try:
        return train(configure(settings, place), score, trial)
    finally:
        shutil.rmtree(place / "checkpoints", ignore_errors=True)


def train(cfg: Any, score: str, trial: Any = None) -> float:
    """One training without its test: the best score of the valid side.

    Args:
        trial: an `optuna.Trial`, or what a worker has of one: `report` and `should_prune`.

    Raises:
        ConfigError: no valid side, or no such score.
    """
    import lightning as L
    import optuna

    from erc.training.assembly import Assembly
    from erc.training.run import Training
    from erc.training.trainer import number_format, quiet

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


def _Pruning(trial: Any, score: str) -> Any:
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
