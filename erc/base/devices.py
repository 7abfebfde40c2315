"""What this machine computes with: allocator, number format, device."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc.base.errors import ConfigError

if TYPE_CHECKING:
    import torch

# mallopt(3): parameter → value
MALLOC = {
    -4: 0,  # M_MMAP_MAX: no block gets a mapping of its own, whose pages come zeroed one by one
    -1: -1,  # M_TRIM_THRESHOLD: what is freed at the top is kept for the next batch
    -2: 1 << 28,  # M_TOP_PAD: grow by 256 MB at a time
}
BF16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")  # instructions of x86 and ARM
NARROW = 256  # below, a layer loses as much by casting as it wins


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


def one_blas_thread() -> Any:
    """A decorator: matrices of a thousand rows are computed on one thread.

    On such, threads of OpenBLAS wait for one another longer than they compute, and on a machine with
    other work ten times as long.
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits.wrap(limits=1, user_api="blas")


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


def device_of_trainer(accelerator: str = "auto", number: Any = 1) -> torch.device:
    """The device that Lightning's trainer computes on, of this process where there are several.

    Args:
        accelerator, number: `trainer.accelerator`, `trainer.devices`.

    Raises:
        ConfigError: this machine has no such device.
    """
    from lightning.fabric import Fabric

    try:
        return Fabric(accelerator=accelerator, devices=number).device
    except (ImportError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"trainer.accelerator={accelerator} trainer.devices={number}: {reason}; "
            "try trainer.accelerator=cpu"
        ) from None


def gpu() -> bool:
    """Whether this machine shows a GPU that torch could use; torch is not imported."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists()


def name_of(device: torch.device) -> str:
    """What the device is sold as, e.g. of a GPU; of a CPU with its number of cores."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return machine() if device.type == "cpu" else device.type


def precision(wanted: str, width: int, on_gpu: bool) -> str:
    """Lightning's `precision` for "auto": bf16 autocast where the hardware has it, else 32-true.

    The same machine and model always get the same. Never fp16.

    Args:
        wanted: what the configuration says; only "auto" is decided here.
        width: of the widest layers that are trained; 0 if nothing wide is.
        on_gpu: a GPU does the training.
    """
    if wanted != "auto":
        return wanted
    import torch

    if on_gpu:
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = width >= NARROW and any(map(torch.cpu.get_capabilities().get, BF16))
    return "bf16-mixed" if native else "32-true"


def tune_gpu() -> None:
    """TF32 for what remains in fp32 on a GPU; nothing on a CPU."""
    import torch

    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")


def machine() -> str:
    """What a speed measurement holds for: processor and number of cores."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, IndexError):
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores"
