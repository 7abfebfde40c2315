"""What an exported graph (`*.onnx`) holds, judged before a library takes memory for it or runs it.

The file is read as what it is on the wire (protobuf: number and kind of a field, then its bytes); field
numbers are those of `onnx.proto`. https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.errors import CheckpointError

SIZES = {
    1: 4,
    2: 1,
    3: 1,
    6: 4,
    7: 8,
    9: 1,
    10: 2,
    11: 8,
    12: 4,
    13: 8,
    16: 2,
}  # bytes, by data type
FLOATS: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 10: np.dtype("<f2"), 11: np.dtype("<f8")}
INTEGERS: dict[int, np.dtype[Any]] = {6: np.dtype("<i4"), 7: np.dtype("<i8")}
LIBRARIES = {b"", b"ai.onnx", b"com.microsoft"}  # whose operators a graph may use
SHAPES = {
    b"ConstantOfShape": 0,
    b"Expand": 1,
    b"Tile": 1,
    b"Range": 1,
    b"Pad": 1,
}  # input: how large
LARGE = (
    1 << 26
)  # elements that a graph may ask for by a constant; kernels and paddings are far below
Bytes = memoryview
Message = dict[int, list[int | Bytes]]


class Unfit(Exception):
    """What is wrong with a graph."""


def check_graph(path: Path) -> None:
    """Are a graph's tensors as large as they say, here, and numbers; and does it only compute?

    Refused are nan, tensors of other sizes than their bytes, weights in files of other folders, loops
    and other graphs within the graph, functions and operators of its own, and constants that ask for
    more than `LARGE` elements. What a graph asks for by computing it is not known here.

    Raises:
        CheckpointError: names what.
    """
    try:
        _model(memoryview(np.memmap(path, np.uint8, "r")), path.parent)  # type: ignore[arg-type]
    except (Unfit, ValueError, OSError) as error:  # ValueError: an empty file cannot be mapped
        raise CheckpointError(f"{path}: {error}; export the model again") from None


def _fields(data: Bytes) -> Iterator[tuple[int, int | Bytes]]:
    """(number, value) of every field; a message, string or packed list is a view of its bytes."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise Unfit("is not a graph")
        if at + size > end:
            raise Unfit("is cut off, or not a graph")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: Bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Unfit("is cut off, or not a graph")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (1 << 64) - 1, at
        shift += 7


def _message(data: int | Bytes, *single: int) -> Message:
    """Number → values. `single` may come once: libraries put together what comes twice."""
    if isinstance(data, int):
        raise Unfit("is not a graph")
    found: Message = defaultdict(list)
    for number, value in _fields(data):
        found[number].append(value)
    for number in single:
        if len(found[number]) > 1:
            raise Unfit("says something twice that it may say once")
    return found


def _text(message: Message, number: int) -> bytes:
    value = message[number][-1] if message[number] else b""
    return bytes(value) if not isinstance(value, int) else b""


def _model(data: Bytes, folder: Path) -> None:
    model = _message(data, 7)
    if not model[7]:
        raise Unfit("holds no graph")
    if model[20] or model[25]:
        raise Unfit("holds functions of its own")
    graph = _message(model[7][0])
    if graph[15]:
        raise Unfit("holds sparse tensors")
    constants: dict[bytes, np.ndarray] = {}
    for one in graph[5]:
        name, value = _tensor(one, folder)
        constants |= {} if value is None else {name: value}
    nodes = [_message(one, 4, 7) for one in graph[1]]
    for node in nodes:
        constants |= _node(node, folder)
    for node in nodes:
        place = SHAPES.get(_text(node, 4))
        inputs = [bytes(x) for x in node[1] if not isinstance(x, int)]
        asked = constants.get(inputs[place]) if place is not None and len(inputs) > place else None
        if asked is not None and math.prod(max(1, abs(int(x))) for x in asked) > LARGE:
            raise Unfit(f"asks for a tensor of {' × '.join(map(str, asked.tolist()))[:60]}")


def _node(node: Message, folder: Path) -> dict[bytes, np.ndarray]:
    """Check a node; what it is called and holds, if it is a small constant of integers."""
    kind, name = _text(node, 4).decode("ascii", "replace")[:40], _text(node, 3)
    if _text(node, 7) not in LIBRARIES:
        raise Unfit(f"uses an operator of its own, {kind}")
    found: dict[bytes, np.ndarray] = {}
    for one in node[5]:
        attribute = _message(one, 1, 3, 5, 6)
        if attribute[6] or attribute[11]:
            raise Unfit(f"holds a graph within the graph ({kind})")
        if attribute[22] or attribute[23]:
            raise Unfit("holds sparse tensors")
        for tensor in (*attribute[5], *attribute[10]):
            _, value = _tensor(tensor, folder, name)
            if value is not None and kind == "Constant":
                found = {_text(node, 2): value}
        numbers = [_signed(x) for x in _integers([*attribute[3], *attribute[8]])]
        if kind == "Constant" and numbers:
            found = {_text(node, 2): np.array(numbers)}
        elif any(abs(x) > LARGE for x in numbers):
            raise Unfit(f"asks for {kind} of {max(numbers, key=abs)}")
    return found


def _tensor(data: int | Bytes, folder: Path, name: bytes = b"") -> tuple[bytes, np.ndarray | None]:
    """Check a tensor; its name, and its values if they are few integers."""
    tensor = _message(data, 2, 9, 14)
    name = _text(tensor, 8) or name
    said = name.decode("utf-8", "replace")[:60]
    shape = [_signed(x) for x in _integers(tensor[1])]
    kind = tensor[2][0] if tensor[2] else 0
    if not isinstance(kind, int) or kind not in SIZES or tensor[3] or tensor[6]:
        raise Unfit(f"tensor '{said}' is of a kind that no export has")
    count = math.prod(shape)
    if min(shape, default=0) < 0 or len(shape) > 16:
        raise Unfit(f"tensor '{said}' has the shape {shape}"[:120])
    if tensor[13] or (tensor[14] and tensor[14][0] == 1):
        values = _outside(tensor[13], folder, said)
    elif tensor[9]:
        values = np.frombuffer(tensor[9][0], np.uint8)  # type: ignore[arg-type]
    else:
        return name, _listed(tensor, kind, count, said)
    if len(values) != count * SIZES[kind]:
        raise Unfit(f"tensor '{said}' claims {shape} and has {len(values)} bytes"[:160])
    if kind in FLOATS or kind == 16:
        _finite(_float(values, kind), said)
    few = kind in INTEGERS and count <= 16
    return name, np.frombuffer(values, INTEGERS[kind]) if few else None


def _float(values: np.ndarray, kind: int) -> np.ndarray:
    if kind == 16:  # the upper half of a float32
        return (values.view(np.dtype("<u2")).astype(np.uint32) << 16).view(np.float32)
    return values.view(FLOATS[kind])


def _finite(values: np.ndarray, said: str) -> None:
    """No nan; infinity alone, as a mask is made of."""
    if np.isnan(values).any() or (values.size > 1 and np.isinf(values).any()):
        raise Unfit(f"tensor '{said}' holds nan or infinity")


def _listed(tensor: Message, kind: int, count: int, said: str) -> np.ndarray | None:
    """Of values that stand one by one: floats (4), doubles (10), integers (5, 7, 11)."""
    for number, dtype in ((4, "<f4"), (10, "<f8")):
        if tensor[number]:
            parts = [np.frombuffer(x, dtype) for x in tensor[number]]  # type: ignore[arg-type]
            found = np.concatenate(parts)
            _finite(found, said)
            break
    else:
        whole = [_signed(x) for number in (5, 7, 11) for x in _integers(tensor[number])]
        found = np.array(whole, np.int64)
    if len(found) != count:
        raise Unfit(f"tensor '{said}' claims {count} values and has {len(found)}")
    return found if kind in INTEGERS and count <= 16 else None


def _outside(entries: list[int | Bytes], folder: Path, said: str) -> np.ndarray:
    """The bytes of a tensor that lie in another file of the folder."""
    pairs = (_message(x, 1, 2) for x in entries)
    found = {_text(pair, 1): _text(pair, 2).decode("utf-8", "replace") for pair in pairs}
    name = found.get(b"location", "")
    path = folder / name
    if not name or path.parent != folder or path.is_symlink() or not path.is_file():
        raise Unfit(f"tensor '{said}' lies in '{name[:60]}', which is no file of this folder")
    size = path.stat().st_size
    start, length = (_number(found.get(key, "")) for key in (b"offset", b"length"))
    start = start or 0
    length = size - start if length is None else length
    if start + length > size:
        raise Unfit(f"tensor '{said}' goes beyond the end of '{name[:60]}'")
    return np.memmap(path, np.uint8, "r", start, (length,)) if length else np.zeros(0, np.uint8)


def _number(text: str) -> int | None:
    if text and not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise Unfit("places a tensor nowhere")
    return int(text) if text else None


def _integers(values: list[int | Bytes]) -> Iterator[int]:
    """Of a repeated field, packed or not."""
    for value in values:
        if isinstance(value, int):
            yield value
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            yield number


def _signed(x: int) -> int:
    """Protobuf has negative numbers as their complement to 2^64."""
    return x - (1 << 64) if x >> 63 else x
