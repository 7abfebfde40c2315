"""Before a run: is everything there that its configuration names? Asked before anything slow begins."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from erc import corpora
from erc.base import devices, hub
from erc.base.errors import CheckpointError, ConfigError
from erc.training import loggers


def check(cfg: DictConfig) -> None:
    """Look for corpus, encoders, weights, device and logger. Torch is imported for a named device only.

    Raises:
        ConfigError: a key without a value, a device that is not there, a logger that cannot work,
            a strategy that shards the model, another `export` than there is.
        CorpusError, CheckpointError: what is missing and how to get it.
    """
    for group in ("dataset", "model"):
        for key in sorted(OmegaConf.missing_keys(cfg[group])):
            example = "openai/whisper-tiny" if key == "model.speech_encoder" else "VALUE"
            raise ConfigError(f"{key} has no value: add {key}={example}")
    loggers.check(cfg.logger)
    if cfg.get("export", "auto") not in (True, False, "auto"):
        raise ConfigError(f"export={cfg.export} is not one of auto, true, false")
    # What is saved and resumed here is one whole model, which no process of a sharded one holds.
    if (strategy := str(cfg.trainer.get("strategy", "auto"))).startswith(("fsdp", "deepspeed")):
        raise ConfigError(
            f"trainer.strategy={strategy} shards the model, which is not supported: leave "
            "trainer.strategy out; where memory is short, take a smaller encoder or batch_size"
        )
    if cfg.trainer.accelerator not in ("auto", "cpu"):
        devices.device_of_trainer(cfg.trainer.accelerator, cfg.trainer.devices)
    data, model = cfg.dataset, cfg.model
    if "sessions" not in data:  # a simulated corpus is written when it is missing
        places = [data.paths] if isinstance(data.paths, str) else list(data.paths)
        for place in places:
            own = {"paths": place} if isinstance(place, str) else place
            named = own.get("dataset_name") or data.dataset_name
            for name, root in corpora.locate(Path(own["paths"]), named):
                if not root.exists():
                    corpora.load(name, root)  # raises, saying what was expected where
    start = cfg.module.load_from_checkpoint
    if start and not Path(start).exists():
        raise CheckpointError(f"module.load_from_checkpoint: there is no '{start}'")
    for what in ("speech_encoder", "text_encoder"):
        name = model[what]
        if name and not name.startswith("tiny-"):
            hub.check(name, what.replace("_", " "))
