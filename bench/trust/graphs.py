"""Hostile exported copies: graphs that want files, memory or time that are not theirs, or answer nan.

python -m bench.trust.graphs [--copies 20] [--seed 0]

Of a model folder with an exported copy (ONNX), one graph is changed, and `config.json` says nothing of
hashes, as whoever changes a graph would see to. The copy is opened and asked once, in a process that may
not take the machine with it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.trust.forks import FORK, quietly, small_export
from bench.trust.measure import Cost, cost
from bench.trust.model_folders import attempt

SECONDS, MEGABYTES = 2.0, 300.0
CEILING = 8 << 30  # bytes of address space, and 20 s, if a graph is not refused
Edit = Callable[[Any, Path], Any]  # of an onnx.ModelProto, in place or anew; the folder it lies in


def edits() -> dict[str, Edit]:
    """Name → what is done to the graph of transcripts."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    def weight(model: Any) -> Any:
        return max(model.graph.initializer, key=lambda t: len(t.raw_data))

    def outside(location: str, *, write: bool = False, offset: str = "", length: str = "") -> Edit:
        def edit(model: Any, folder: Path) -> None:
            one = weight(model)
            if write:
                (folder / location).write_bytes(one.raw_data)
            one.ClearField("raw_data")
            one.data_location = TensorProto.EXTERNAL
            given = {"location": location, "offset": offset, "length": length}
            for key, value in given.items():
                if value:
                    one.external_data.add(key=key, value=value)

        return edit

    def linked(model: Any, folder: Path) -> None:
        (folder / "w.bin").symlink_to("/dev/zero")
        outside("w.bin")(model, folder)

    def shape(*dims: int) -> Edit:
        def edit(model: Any, folder: Path) -> None:
            del weight(model).dims[:]
            weight(model).dims.extend(dims)

        return edit

    def values(value: float) -> Edit:
        def edit(model: Any, folder: Path) -> None:
            one = weight(model)
            found = numpy_helper.to_array(one).copy()
            found.flat[found.size // 2] = value
            one.raw_data = found.tobytes()

        return edit

    def constant(*numbers: int) -> Any:
        return helper.make_tensor("n", TensorProto.INT64, [len(numbers)], list(numbers))

    def add_to_answer(model: Any, zero: str) -> None:
        answer = model.graph.output[0].name
        for node in model.graph.node:
            for names in (node.input, node.output):
                names[:] = ["before" if name == answer else name for name in names]
        model.graph.node.append(helper.make_node("Add", ["before", zero], [answer]))

    def bomb(kind: str, *numbers: int, plain: bool = False) -> Edit:
        """Something very large, of zeros, whose sum is added to the answer."""

        def edit(model: Any, folder: Path) -> None:
            given = {"value_ints": numbers} if plain else {"value": constant(*numbers)}
            nodes = [helper.make_node("Constant", [], ["size"], **given)]
            start = helper.make_tensor("s", TensorProto.FLOAT, [1], [0.0])
            if kind == "ConstantOfShape":
                nodes.append(helper.make_node(kind, ["size"], ["large"], value=start))
            else:
                nodes.append(helper.make_node("Constant", [], ["one"], value=start))
                nodes.append(helper.make_node(kind, ["one", "size"], ["large"]))
            nodes.append(helper.make_node("ReduceSum", ["large"], ["zero"], keepdims=0))
            model.graph.node.extend(nodes)
            add_to_answer(model, "zero")

        return edit

    def loop(model: Any, folder: Path) -> None:
        flag = helper.make_tensor_value_info("go", TensorProto.BOOL, [])
        carried = [helper.make_tensor_value_info(n, TensorProto.BOOL, []) for n in ("a", "b", "on")]
        body = helper.make_graph(
            [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Not", ["a"], ["b"])],
            "body", [helper.make_tensor_value_info("i", TensorProto.INT64, []), flag, carried[0]],
            [carried[2], carried[1]],
        )  # fmt: skip
        whole = helper.make_tensor("b", TensorProto.BOOL, [], [True])
        model.graph.node.extend(
            [
                helper.make_node("Constant", [], ["times"], value=constant(2**62)),
                helper.make_node("Constant", [], ["yes"], value=whole),
                helper.make_node("Loop", ["times", "yes", "yes"], ["round"], body=body),
                helper.make_node("Cast", ["round"], ["number"], to=TensorProto.FLOAT),
                helper.make_node("Mul", ["number", "naught"], ["zero"]),
                helper.make_node("Constant", [], ["naught"], value_float=0.0),
            ]
        )
        add_to_answer(model, "zero")

    def own(model: Any, folder: Path) -> None:
        model.graph.node.append(helper.make_node("Shell", [], ["told"], domain="evil", run="id"))
        model.opset_import.append(helper.make_opsetid("evil", 1))

    def function(model: Any, folder: Path) -> None:
        inner = [helper.make_node("Identity", ["a"], ["b"])]
        opset = [helper.make_opsetid("", 20)]
        model.functions.append(helper.make_function("mine", "f", ["a"], ["b"], inner, opset))

    def convolved(model: Any, folder: Path) -> None:
        pooled = helper.make_node(
            "AveragePool", ["wave"], ["large"], kernel_shape=[2**28], pads=[2**28 - 1] * 2
        )
        wave = helper.make_tensor("w", TensorProto.FLOAT, [1, 1, 1], [0.0])
        model.graph.node.append(helper.make_node("Constant", [], ["wave"], value=wave))
        model.graph.node.extend(
            [pooled, helper.make_node("ReduceSum", ["large"], ["zero"], keepdims=0)]
        )
        add_to_answer(model, "zero")

    def text(model: Any, folder: Path) -> None:
        model.graph.initializer.append(helper.make_tensor("t", TensorProto.STRING, [1], [b"x" * 9]))

    def nan_constant(model: Any, folder: Path) -> None:
        number = numpy_helper.from_array(np.full(3, np.nan, np.float32))
        model.graph.node.append(helper.make_node("Constant", [], ["nan"], value=number))

    def many(model: Any, folder: Path) -> None:
        model.graph.initializer.extend(
            TensorProto(name=f"t{i}", data_type=TensorProto.FLOAT, dims=[2**33]) for i in range(50)
        )

    def renamed(which: str) -> Edit:
        def edit(model: Any, folder: Path) -> None:
            getattr(model.graph, which)[0].name = "other"

        return edit

    return {
        "weights in /etc/passwd": outside("/etc/passwd"),
        "weights in ../config.json": outside("../config.json"),
        "weights in a folder below": outside("tokenizer/tokenizer.json"),
        "weights in a link to /dev/zero": linked,
        "weights in no file": outside("nowhere.bin"),
        "weights behind the end": outside("w.bin", write=True, offset="8"),
        "weights before the start": outside("w.bin", write=True, offset="-8"),
        "weights of 2^63 bytes": outside("w.bin", write=True, length=str(2**63)),
        "a tensor of 2^40": shape(2**40),
        "a tensor of 2^40 × 2^40": shape(2**40, 2**40),
        "a tensor of −1": shape(-1, 64),
        "a tensor of 17 axes": shape(*[1] * 17),
        "a tensor of 0": shape(0),
        "50 tensors of 2^33, empty": many,
        "a weight of nan": values(float("nan")),
        "a weight of inf": values(float("inf")),
        "a constant of nan": nan_constant,
        "ConstantOfShape 2^40": bomb("ConstantOfShape", 2**40),
        "ConstantOfShape 2^29": bomb("ConstantOfShape", 2**29),
        "ConstantOfShape 2^15 × 2^14": bomb("ConstantOfShape", 2**15, 2**14),
        "Expand to 2^29": bomb("Expand", 2**29),
        "Expand to 2^29, said as a list": bomb("Expand", 2**29, plain=True),
        "Tile of 2^29": bomb("Tile", 2**29),
        "a window of 2^28": convolved,
        "a loop of 2^62": loop,
        "an operator of its own": own,
        "a function of its own": function,
        "a tensor of text": text,
        "an input of another name": renamed("input"),
        "an output of another name": renamed("output"),
    }


def files() -> dict[str, Callable[[bytes], bytes]]:
    """Name → bytes of a graph → others."""
    return {
        "an empty file": lambda data: b"",
        "a cut file": lambda data: data[: len(data) // 2],
        "a tail": lambda data: data + b"\0" * 8,
        "no protobuf": lambda data: b"\xff" * 1000,
        "a length of 2^60": lambda data: b"\x3a" + b"\xff" * 8 + b"\x0f" + data,
        "the graph twice": lambda data: data + data,
        "nested 10^5 times": lambda data: _nested(100_000),
        "text": lambda data: b"import os; os.system('id')\n" * 100,
        "another file altogether": lambda data: b"\x80\x04\x95" + data,
    }


def _nested(depth: int) -> bytes:
    """A graph in an attribute of a node of a graph …; each with its length."""
    inner, parts, size = b"", [], 0
    for _ in range(depth):
        for field in (0x32, 0x2A, 0x0A):  # attribute.g, node.attribute, graph.node
            head = bytes([field]) + _varint(size)
            parts.append(head)
            size += len(head)
    whole = b"".join(reversed(parts)) + inner
    return b"\x3a" + _varint(len(whole)) + whole


def _varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found, value = found + bytes([value & 127 | 128]), value >> 7
    return found + bytes([value])


def hostile(good: Path, work: Path, copies: int, seed: int) -> Iterator[str]:
    """What was done to the export in `work`, which is another each time."""
    import onnx

    draw, graph = random.Random(seed), "text.onnx"
    config = json.loads((good / "config.json").read_text("utf-8"))
    config.pop("files", None)

    def fresh() -> Path:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(good, work)
        (work / "config.json").write_text(json.dumps(config), "utf-8")
        return work / graph

    for name, edit in edits().items():
        model = onnx.load(fresh())
        edit(model, work)
        (work / graph).write_bytes(model.SerializeToString())
        yield name
    for name, change in files().items():
        path = fresh()
        path.write_bytes(change(path.read_bytes()))
        yield name
    for number in range(copies):
        path = fresh()
        data = bytearray(path.read_bytes())
        for _ in range(draw.choice([1, 8, 64])):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(data)
        yield f"bits flipped, {number}"


def tried(folder: Path) -> Cost:
    """What comes of opening it and one question, in a process with a ceiling."""
    ours, theirs = FORK.Pipe()

    def there() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (CEILING, CEILING))
        with quietly():
            theirs.send(tuple(cost(lambda: attempt(folder, "onnx-fp32"))))

    process = FORK.Process(target=there)
    process.start()
    theirs.close()
    found = Cost("HANGS", 20.0, 0.0)
    if ours.poll(20):
        try:
            found = Cost(*ours.recv())
        except EOFError:
            found = Cost("CRASHES", 0.0, 0.0)
    process.kill()
    process.join()
    return found


def attack(copies: int, seed: int, step: int = 1) -> list[tuple[str, Cost]]:
    """Every hostile graph, or every so many, opened and asked."""
    found = []
    for module in ("erc.recognizer", "erc.recognizer.runtimes.onnx", "onnxruntime", "onnx"):
        import_module(module)  # once, not in every process
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        good = small_export(place) / "exports" / "onnx"
        assert tried(good).outcome.startswith("ANSWERED"), tried(good)
        for number, name in enumerate(hostile(good, place / "hostile", copies, seed)):
            if number % step == 0:
                found.append((name, tried(place / "hostile")))
    return found


def harmless(name: str, outcome: str) -> bool:
    """A bit that was flipped may change a weight a little: without hashes, nobody can know that."""
    return outcome == "refused" or (name.startswith("bits") and outcome.startswith("ANSWERED"))


def main() -> int:
    """Print what came of them, and the worst; 1 if one was not refused, or at a price."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--copies", type=int, default=20)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    found, bad = attack(given.copies, given.seed), 0
    for name, (outcome, seconds, megabytes) in found:
        if not harmless(name, outcome) or seconds > SECONDS or megabytes > MEGABYTES:
            print(f"{name}: {outcome}, {seconds:.1f} s, {megabytes:.0f} MB")
            bad += 1
    counts = Counter(outcome.partition(" ")[0] for _, (outcome, *_) in found)
    slowest = max(found, key=lambda one: one[1].seconds)
    largest = max(found, key=lambda one: one[1].megabytes)
    print(f"{len(found)} hostile graphs, seed {given.seed}: {dict(counts)}")
    print(f"slowest {slowest[1].seconds:.2f} s ({slowest[0]})")
    print(f"largest {largest[1].megabytes:.0f} MB above the start ({largest[0]})")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
