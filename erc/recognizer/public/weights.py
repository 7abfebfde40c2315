"""The weights of a published model: into a class of transformers, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from erc.base.errors import CheckpointError, ErcError
from erc.base.hub import quiet
from erc.model.folder import CONFIG
from erc.model.pretrained import parse
from erc.recognizer.public.folder import Public

UNUSED = "masked_spec_embed"  # stands for masked frames in training, nowhere else
SLACK = 1.01  # what a config may ask for more than the file holds, for such weights


def load(kind: Any, public: Public) -> Any:
    """The model of a folder by an `AutoModel…` of transformers: float32, evaluation mode.

    It is first built without memory: a config must not ask for more numbers than the file holds.

    Raises:
        CheckpointError: the weights are not those of this model: too few, of other shapes, not finite.
    """
    folder = public.folder
    with quiet(), load_errors(folder):
        with torch.device("meta"):
            plan = kind.from_config(parse(public.config))
        wanted, held = sum(p.numel() for p in plan.parameters()), public.parameters
        if wanted > held * SLACK:
            raise CheckpointError(
                f"{folder}: {CONFIG} describes a model of {wanted:,} numbers, its weights are {held:,}"
            )
        model, found = kind.from_pretrained(
            str(folder),
            config=parse(public.config),
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            weights_only=True,
            ignore_mismatched_sizes=True,  # they are refused below, with their names
            output_loading_info=True,
        )
    for key, *shapes in sorted(found["mismatched_keys"]):
        own, described = (tuple(shape) for shape in shapes)
        raise CheckpointError(f"{folder}: '{key}' is {own}, {CONFIG} describes {described}")
    missing = sorted(key for key in found["missing_keys"] if not key.endswith(UNUSED))
    if missing:
        raise CheckpointError(
            f"{folder}: the weights lack {len(missing)} of a {type(model).__name__}, e.g. {missing[0]}; "
            "transformers would fill them with random numbers"
        )
    check_finite(model, folder)
    return model.eval()


def check_finite(model: nn.Module, folder: Path) -> None:
    """Raise CheckpointError where a weight is nan or infinite."""
    for name, weights in model.named_parameters():
        if name.endswith(UNUSED) or not weights.numel():
            continue
        if not torch.stack(torch.aminmax(weights)).isfinite().all():
            raise CheckpointError(
                f"{folder}: the weight '{name}' is not finite; the copy is damaged"
            )


@contextmanager
def load_errors(folder: Path) -> Iterator[None]:
    """Whatever the parts of a model raise of files that make no sense → CheckpointError."""
    try:
        yield
    except ErcError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"{folder}: cannot be opened: {type(error).__name__}: {reason}"
        ) from error
