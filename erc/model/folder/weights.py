"""The header of `model.safetensors`: which tensors it holds, judged before memory is taken for them.

https://huggingface.co/docs/safetensors: 8 bytes, the length N of the header; N bytes of JSON, name →
{"dtype", "shape", "data_offsets"}; the tensors, one behind the other, to the end of the file.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

from erc.base.errors import CheckpointError

MAX_HEADER = 2 << 20  # bytes; the 1200 tensors of two large encoders take 150,000
BYTES = {"F32": 4, "F16": 2, "BF16": 2}
COUNTER = "num_batches_tracked"  # of a batch norm: the one whole number among weights

Shape = tuple[int, ...]


def shapes(path: Path) -> dict[str, Shape]:
    """Name → shape of every tensor of a safetensors file.

    Raises:
        CheckpointError: missing, cut, or with something else in it than float32, float16 or bfloat16.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no file '{path}'")
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MAX_HEADER:
                raise ValueError(f"its header claims {length} bytes")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        found, size = {}, 0
        for name, entry in header.items():
            shape, kind = tuple(entry["shape"]), entry["dtype"]
            counter = kind == "I64" and name.endswith(COUNTER)
            if kind not in BYTES and not counter:
                raise CheckpointError(
                    f"{path}: '{name[:80]}' is {kind}; weights are {', '.join(BYTES)}"
                )
            if not all(type(n) is int and n >= 0 for n in shape):
                raise ValueError(f"shape {shape} of '{name[:80]}'")
            size += math.prod(shape) * BYTES.get(kind, 8)
            found[name] = shape
        if 8 + length + size != path.stat().st_size:
            raise ValueError(f"{8 + length + size} bytes are promised")
    except (struct.error, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = str(error)[:200]
        raise CheckpointError(f"{path}: not a whole safetensors file: {reason}") from None
    return found


def misfits(wanted: dict[str, Shape], found: dict[str, Shape]) -> str:
    """What keeps tensors from being the weights of a model; "": nothing."""
    problems = {
        "missing": [k for k in wanted if k not in found],
        "unknown": [k for k in found if k not in wanted],
        "of another shape": [
            f"{k} {found[k]} for {shape}"
            for k, shape in wanted.items()
            if k in found and found[k] != shape
        ],
    }
    for problem, keys in problems.items():
        if keys:
            more = ", …" if len(keys) > 3 else ""
            return f"{len(keys)} weights {problem}: {', '.join(keys[:3])}{more}"
    return ""
