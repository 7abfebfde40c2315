"""Hydra configuration: composing it, `+key` overrides, and errors in one line before anything heavy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from erc.base.errors import CheckpointError, ConfigError, ErcError, did_you_mean

FOLDER = Path(__file__).with_name("config")  # config/ of the checkout, or the copy in a wheel
OPTIONS = ("fusion_options", "speech_options", "text_options", "lora")
OPEN = ("trainer.", *(f"model.{group}" for group in OPTIONS))  # groups checked by their reader


def plain(override: str) -> str:
    """`+a.b=c` → `a.b=c`, so that every way to write a key of ours meets the same check.

    Hydra refuses `+` for a key that exists and accepts it for one that does not, which lets a typo
    through. Only the trainer and the options of encoders and fusions take keys that we do not list
    (all of Lightning's, those of another fusion): there every way to write it becomes `++`, and
    whoever takes the key checks its name.

    >>> plain("+model.use_peakl=True"), plain("trainer.fast_dev_run=True"), plain("seed=1")
    ('model.use_peakl=True', '++trainer.fast_dev_run=True', 'seed=1')
    """
    key = override.lstrip("+")
    return f"++{key}" if key.startswith(OPEN) else key


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


def resolve(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain dicts, without Hydra's own part, for `config.json` and reports."""
    keep = {k: v for k, v in OmegaConf.to_container(cfg, resolve=False).items() if k != "hydra"}  # type: ignore[union-attr]
    return OmegaConf.to_container(OmegaConf.create(keep), resolve=True)  # type: ignore[return-value]


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
        names = sorted(f.stem for f in (FOLDER / choice[1]).glob("*.yaml"))
        hint = did_you_mean(choice[2], names)
        return f"{choice[1]}={choice[2]} is not one of {', '.join(names)}{hint}"
    return first


def _is_choice(override: str) -> bool:
    group, _, name = override.lstrip("+").partition("=")
    return (FOLDER / group / f"{name}.yaml").is_file()


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, DictConfig):
        for key in node:
            yield f"{prefix}{key}"
            yield from _keys(node._get_node(key), f"{prefix}{key}.")


def make(node: DictConfig, **options: Any) -> Any:
    """`hydra.utils.instantiate`, letting our own errors through as they are.

    Only for configurations that the user wrote: never for one that came with a model.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        return instantiate(node, **options)
    except InstantiationException as error:
        if isinstance(error.__cause__, ErcError):
            raise error.__cause__ from None
        raise


def check(cfg: DictConfig) -> None:
    """Find out before torch is imported whether corpus and encoders are there.

    Raises:
        CorpusError, CheckpointError: what is missing and how to get it.
    """
    from erc import corpora
    from erc.base import hub
    from erc.training import loggers

    loggers.check(cfg.logger)
    data, model = cfg.dataset, cfg.model
    if "sessions" not in data:  # a simulated corpus is written when it is missing
        for name, root in corpora.locate(Path(data.paths), data.dataset_name):
            if not root.exists():
                corpora.load(name, root)  # raises, saying what was expected where
    start = cfg.module.load_from_checkpoint
    if start and not Path(start).exists():
        raise CheckpointError(f"module.load_from_checkpoint: there is no '{start}'")
    for what in ("speech_encoder", "text_encoder"):
        name = model[what]
        if name and not name.startswith("tiny-"):
            hub.check(name, what.replace("_", " "))
