"""What this machine computes best: allocator, number format, device. Decided by looking, not by name."""

from __future__ import annotations

import ctypes
import functools
import os
import time
from typing import TYPE_CHECKING

from erc.base.errors import ConfigError

if TYPE_CHECKING:
    import torch

# mallopt(3): parameter → value
MALLOC = {
    -4: 0,  # M_MMAP_MAX: no block gets a mapping of its own, whose pages come zeroed one by one
    -1: -1,  # M_TRIM_THRESHOLD: what is freed at the top is kept for the next batch
    -2: 1 << 28,  # M_TOP_PAD: grow by 256 MB at a time
}
GAIN = 1.3  # bf16 must be so much faster than fp32, casts included, to be worth its rounding
NARROW = 256  # below, a layer is too small for the gain to be told from noise


def tune_memory() -> bool:
    """Keep the memory of activations between batches, and no compiled kernel for every length seen.

    A batch of eight 7 s clips allocates and frees gigabytes; by default glibc maps and unmaps each
    large block anew and the kernel clears its pages (`python -m bench encoder` has the ratio).
    Keeping them costs memory that stays reserved. oneDNN keeps what it compiled for each shape, 1024
    of them: with a length of its own for each clip that grows for nothing. For the commands of `erc`
    and train.py; importing erc changes nothing. `ERC_MALLOC=system` leaves the allocator alone.

    Returns:
        True if the allocator was set: glibc, and no other allocator preloaded.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")  # read at the first computation
    if os.environ.get("ERC_MALLOC") == "system" or os.environ.get("LD_PRELOAD"):
        return False
    if "CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", {}):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(parameter, value) == 1 for parameter, value in MALLOC.items())


def device_of(name: str = "auto") -> torch.device:
    """ "auto" → the GPU if there is one, else the CPU.

    Raises:
        ConfigError: not a device, or one that this machine has not.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device '{name}' cannot be used here: {reason}; try cpu") from None
    return device


def name_of(device: torch.device) -> str:
    """What the device is sold as, e.g. of a GPU; of a CPU with its number of cores."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    from erc.recognizer.runtimes import machine

    return machine() if device.type == "cpu" else device.type


def precision(wanted: str, width: int, on_gpu: bool) -> str:
    """Lightning's `precision` for "auto": bf16 autocast where it pays, else 32-true. Never fp16.

    Args:
        wanted: what the configuration says; only "auto" is decided here.
        width: of the widest layers that are trained; 0 if nothing wide is.
        on_gpu: a GPU does the training.
    """
    if wanted != "auto":
        return wanted
    if on_gpu:
        import torch

        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    return "bf16-mixed" if width >= NARROW and bf16_gain(width) >= GAIN else "32-true"


@functools.cache
def bf16_gain(width: int) -> float:
    """How much faster a linear layer of this width is under bf16 autocast on this CPU; takes ≈ 0.1 s.

    512 rows through `width → 4 · width`, best of five interleaved runs each, casts included: small
    layers lose more by casting than they win, and a CPU without the instructions is far below 1.
    """
    import torch

    x, layer = torch.randn(512, width), torch.nn.Linear(width, 4 * width)
    best = {False: float("inf"), True: float("inf")}
    with torch.inference_mode():
        for _ in range(6):
            for half in best:
                start = time.perf_counter()
                with torch.autocast("cpu", torch.bfloat16, enabled=half):
                    layer(x)
                best[half] = min(best[half], time.perf_counter() - start)
    return best[False] / best[True]


def tune_gpu() -> None:
    """TF32 for what remains in fp32 on a GPU; nothing on a CPU."""
    import torch

    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")
