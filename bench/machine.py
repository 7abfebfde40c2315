"""The machine a benchmark ran on, and the fastest matrix product seen on it."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import re
import time
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "datasets", "pyarrow", "numpy", "onnxruntime", "openvino")
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "amx_tile")
MALLOC = ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")
GEMM = ("fp32", "bf16", "int8")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "KMP_AFFINITY", "KMP_BLOCKTIME")


def describe(peaks: bool = False) -> dict[str, Any]:
    """CPU, memory, versions, settings of the environment that change speed, and GEMM peaks."""
    cpu = _cpuinfo()
    environment = {k: os.environ[k] for k in (*MALLOC, *THREADS, "LD_PRELOAD") if k in os.environ}
    return {
        "cpu": cpu.get("model name") or platform.processor() or platform.machine(),
        "family": " ".join(cpu[k] for k in ("cpu family", "model", "stepping") if k in cpu),
        "cores": cores(),
        "flags": [f for f in FLAGS if f in cpu.get("flags", "").split()],
        "memory_gb": round(memory() / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES if _version(name)},
        "threads": _threads(),
        "environment": environment,
        "gemm_gflops": {t: round(gemm_peak(t), 1) for t in GEMM} if peaks else {},
    }


def slug() -> str:
    """A file name for this kind of machine: CPU model and cores, no host name."""
    model = _cpuinfo().get("model name") or platform.processor() or platform.machine()
    model = re.sub(r"\((R|TM)\)|CPU|Processor|@.*|\d+-Core", "", model, flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9]+", "-", f"{model} {cores()} cores".lower()).strip("-")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int:
    """Bytes of memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@functools.cache
def gemm_peak(dtype: str = "fp32", sizes: tuple[int, ...] = (1024, 2048, 4096)) -> float:
    """GFLOP/s of the best of several square products; `dtype`: fp32 | bf16 | int8.

    The best, not the median: it is a limit that other figures are held against.
    """
    import torch

    make = {
        "fp32": lambda n: torch.randn(n, n),
        "bf16": lambda n: torch.randn(n, n).bfloat16(),
        "int8": lambda n: torch.randint(-127, 127, (n, n), dtype=torch.int8),
    }[dtype]
    multiply = torch._int_mm if dtype == "int8" else torch.matmul
    best = 0.0
    for n in sizes:
        a, b = make(n), make(n)
        multiply(a, b)
        until = time.perf_counter() + 0.5
        while time.perf_counter() < until:
            start = time.perf_counter()
            multiply(a, b)
            best = max(best, 2e-9 * n**3 / (time.perf_counter() - start))
    return best


def _cpuinfo() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    first = path.read_text().partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
