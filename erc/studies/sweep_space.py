"""What a sweep varies: keys of the configuration with several values, in Hydra's own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep
from hydra.errors import HydraException

from erc.base.errors import ConfigError

if TYPE_CHECKING:
    import optuna


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


def words(chosen: Mapping[str, Any]) -> list[str]:
    """Chosen values as overrides."""
    return [f"{name}={short(value, 17)}" for name, value in chosen.items()]


def short(value: Any, digits: int = 4) -> str:
    """A value as Hydra reads it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else str(value)
