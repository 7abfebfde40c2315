"""Hydra configuration: composing it, `+key` overrides, and errors in one line before anything heavy."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from erc.base.errors import ConfigError, ErcError, did_you_mean

FOLDER = Path(__file__).with_name("config")  # config/ of the checkout, or the copy in a wheel
OPTIONS = ("fusion_options", "speech_options", "text_options", "lora")
MOVED = {"erc.schedules": "erc.training.schedules"}  # module of a _target_ in older runs → today's
MAKES = ("erc.datasets", "erc.training.schedules", "lightning.pytorch.loggers")
OPEN = ("trainer.", *(f"model.{group}" for group in OPTIONS))  # groups checked by their reader


def plain(override: str) -> str:
    """`+a.b=c` → `a.b=c`, so that every way to write a key of ours meets the same check.

    Hydra refuses `+` for a key that exists and accepts it for one that does not, which lets a typo
    through. Only the trainer and the options of encoders and fusions take keys that we do not list
    (all of Lightning's, those of another fusion): there every way to write it becomes `++`, and
    whoever takes the key checks its name.

    A value that Hydra's grammar cannot read is taken as it stands, as a shell would: paths in
    Hangul, with `=` or with brackets. One that begins like a list, a mapping or a quoted text is left
    to Hydra and its message.

    >>> plain("+model.use_peakl=True"), plain("trainer.fast_dev_run=True"), plain("seed=1")
    ('model.use_peakl=True', '++trainer.fast_dev_run=True', 'seed=1')
    >>> plain("dataset.paths=자료/a=b.csv")
    "dataset.paths='자료/a=b.csv'"
    """
    key, is_set, value = override.lstrip("+").partition("=")
    if is_set and not value.startswith(("{", "[", "'", '"')) and not _readable(value):
        value = quoted(value)
    return f"{'++' * key.startswith(OPEN)}{key}{is_set}{value}"


def _readable(value: str) -> bool:
    try:
        OverridesParser.create().parse_override(f"key={value}")
    except HydraException:
        return False
    return True


def compose(overrides: Sequence[str] = (), config_name: str = "train") -> DictConfig:
    """The configuration of `python train.py OVERRIDES`.

    Raises:
        ConfigError: unknown key, group choice or a value that cannot be read.
    """
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(FOLDER), version_base=None):
            return hydra_compose(config_name, [plain(o) for o in overrides])
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(str(error), overrides)) from None


def quoted(path: Path | str) -> str:
    """A path as a value of KEY=VALUE: unquoted, a comma would make it a list.

    >>> print(quoted(Path("a, b")))
    'a, b'
    """
    return "'" + str(path).replace("'", "\\'") + "'"


def resolve(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain dicts, for files and reports."""
    return cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))


def _explain(message: str, overrides: Sequence[str]) -> str:
    first = message.strip().splitlines()[0]
    key = re.match(r"Could not override '([^']*)'", first) or re.match(r"Key '([^']*)'", first)
    if key:
        known = sorted(_keys(compose([o for o in overrides if _is_choice(o)])))
        return (
            f"there is no key '{key[1]}' in the configuration{did_you_mean(key[1], known)}; "
            "see all with: python train.py --cfg job"
        )
    choice = re.search(r"Could not find '([^']*)/([^'/]*)'", message)
    if choice and (FOLDER / choice[1]).is_dir():
        names = sorted(f.stem for f in (FOLDER / choice[1]).glob("[!_]*.yaml"))
        hint = did_you_mean(choice[2], names)
        return f"{choice[1]}={choice[2]} is not one of {', '.join(names)}{hint}"
    return first


def _is_choice(override: str) -> bool:
    group, _, name = override.lstrip("+").partition("=")
    return (FOLDER / group / f"{name}.yaml").is_file()


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, DictConfig):
        for key in map(str, node):
            yield f"{prefix}{key}"
            yield from _keys(node._get_node(key), f"{prefix}{key}.")


def make(node: DictConfig, **options: Any) -> Any:
    """The object that `node._target_` names, built from the other keys and `options`.

    A config.yaml may come with a run that somebody else made: only what `MAKES` lists is built, one
    name below its module, and nothing nested in it.

    Raises:
        ConfigError: any other `_target_`; whatever the constructor finds wrong passes as it is.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    room, _, name = str(node.get("_target_")).rpartition(".")
    room = MOVED.get(room, room)
    if room not in MAKES:
        raise ConfigError(
            f"_target_: {node.get('_target_')} is not built from a configuration, only a name in "
            f"{', '.join(MAKES)}"
        )
    try:
        return instantiate(node, _target_=f"{room}.{name}", _recursive_=False, **options)
    except InstantiationException as error:
        if isinstance(error.__cause__, ErcError):
            raise error.__cause__ from None
        raise


def of_run(folder: Path, overrides: Sequence[str] = ()) -> DictConfig:
    """The config.yaml of a run, changed by `KEY=VALUE …`; keys and values are read as by train.py.

    Raises:
        ConfigError: not the folder of a run, an unknown key, or a value that cannot be read.
    """
    if not (folder / "config.yaml").is_file():
        raise ConfigError(
            f"{folder} is not a run: it has no config.yaml (runs are made by train.py)"
        )
    cfg = cast(DictConfig, OmegaConf.load(folder / "config.yaml"))
    later = {key for key in _keys(compose()) if not key.startswith("dataset.")}
    known = later.union(_keys(cfg))  # an older run lacks keys that came later
    try:
        found = OverridesParser.create().parse_overrides([plain(o).lstrip("+") for o in overrides])
    except HydraException as error:
        raise ConfigError(str(error).strip().splitlines()[0]) from None
    for o in found:
        key = o.key_or_group
        if key not in known:
            raise ConfigError(f"the run has no key '{key}'{did_you_mean(key, sorted(known))}")
        if o.is_delete() or o.is_sweep_override():
            raise ConfigError(f"{o.input_line}: only KEY=VALUE with one value here")
        if isinstance(OmegaConf.select(cfg, key), DictConfig) and not isinstance(o.value(), dict):
            raise ConfigError(f"{o.input_line}: a finished run takes single keys, {key}.…=VALUE")
        OmegaConf.update(cfg, key, o.value(), force_add=True)
    return cfg


def claim(place: str | Path) -> Path:
    """Make a new folder at `place`, or at PLACE-2, PLACE-3 … if it is there: runs never share one.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as d:
    ...     [claim(f"{d}/run").name for _ in range(3)]
    ['run', 'run-2', 'run-3']
    """
    stem = Path(place)
    for number in itertools.count(1):
        folder = stem if number == 1 else stem.with_name(f"{stem.name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
    raise AssertionError("there is always a next number")


# For hydra.run.dir: a run of train.py claims its folder as those of `erc` do. Asked once a run.
OmegaConf.register_new_resolver(
    "new_folder", lambda place: str(claim(place)), use_cache=True, replace=True
)
