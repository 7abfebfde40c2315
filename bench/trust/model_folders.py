"""Hostile model folders: each must be refused by name, fast, in little memory, and nothing run or asked.

python -m bench.trust.model_folders [--copies 3] [--seed 0]
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import shutil
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from bench.trust.measure import Cost, cost
from erc.base.errors import CheckpointError, ErcError

SECONDS, MEGABYTES = 2.0, 300.0
PROOF = "proof-that-code-ran"

Edit = Callable[[dict[str, Any]], Any]


def within(*path: str, value: Any) -> Edit:
    """Set a field of config.json."""

    def edit(config: dict[str, Any]) -> None:
        for name in path[:-1]:
            config = config.setdefault(name, {})
        config[path[-1]] = value

    return edit


def fields() -> dict[str, Edit]:
    """Name → what is done to config.json (its hash is taken away, so that the schema has to see it)."""
    audio, words = ("model", "speech", "model"), ("model", "text", "model")
    found: dict[str, Edit] = {}

    def put(*path: str, values: list[Any]) -> None:
        for value in values:
            found[f"{'.'.join(path)} = {value!r:.30}"] = within(*path, value=value)

    big = [10**6, 10**12, 2**63, -1, 0.5, "many", None, [1], True]
    put(*words, "num_hidden_layers", values=big)
    put(*audio, "num_hidden_layers", values=big[:5])
    put(*words, "hidden_size", values=[0, 2**31, 2**62, -64, "x"])
    put(*words, "vocab_size", values=[2**40, 0, -1])
    put(*words, "num_labels", values=[10**9])
    put(*words, "layer_norm_eps", values=[0.0, -1.0, "x", 1e300])
    put(*words, "model_type", values=["mine", 7, None, "../x", "timm_wrapper", "gpt2"])
    put(*words, "hidden_act", values=["os.system", "", 3])
    put(*audio, "conv_stride", values=[[0] * 7, [-5] * 7, [5, 2, 2, 2, 2, 2, 10**9], "5", [[5]]])
    put(*audio, "conv_kernel", values=[[0] * 7, [10**9] * 7, []])
    put(*audio, "conv_dim", values=[[2**40] * 7, [64] * 10**5])
    put("model", "dim", values=[0, 1, 10**9, "64", None, 2.5])
    put("model", "fusion", values=["magic", ["concat"], None])
    put(
        "model",
        "fusion_options",
        values=[{"depth": 10**7}, {"hidden": 10**12}, [], {"hidden": "x"}],
    )
    put("model", "segments", values=[0, 10**9])
    put("model", "dropout", values=[-1, 2, "x"])
    put("model", "speech", values=[{}, [], "wav2vec2"])
    put("meta", values=[None, [], "x"])
    put("meta", "prediction", values=[None, [], 3])
    temperatures = ["a", 0, -1, 1e400, float("nan"), None, True]
    put("meta", "prediction", "temperature", values=temperatures)
    put("meta", "prediction", "txt_max_length", values=[0, -1, "x", None, 1])
    put("meta", "prediction", "wav_max_length", values=[0, -5, "x", 1.5])
    put(
        "meta", "prediction", "regions", values=[[], {"happy": [1]}, {"happy": "xxxx"}, {"joy": []}]
    )
    put("meta", "learned", values=[[], {"emotions": []}, {"joy": 1}, {"valence": "x"}])
    put("meta", "results", values=["x", 5])
    put("emotions", values=[[], None, ["joy"] * 7])
    put("format", values=[None, 99, "1", True])
    put("extra", values=[1])
    return found


def config_files() -> dict[str, bytes]:
    """Name → bytes in the place of config.json."""
    return {
        "config.json is empty": b"",
        "config.json is deep": b'{"meta": ' * 50_000 + b"1" + b"}" * 50_000,
        "config.json is a list": b"[]",
        "config.json is not UTF-8": b"\xff\xfe\x00",
        "config.json holds 60 MB": b'{"a": "' + b"x" * 60_000_000 + b'"}',
        "config.json holds a number of 10^6 digits": b'{"format": ' + b"1" * 10**6 + b"}",
    }


def headers() -> dict[str, Callable[[bytes], bytes]]:
    """Name → what is done to the bytes of model.safetensors."""

    def header(edit: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
        def change(data: bytes) -> bytes:
            (length,) = struct.unpack("<Q", data[:8])
            found = json.loads(data[8 : 8 + length])
            edit(found)
            text = json.dumps(found).encode()
            return struct.pack("<Q", len(text)) + text + data[8 + length :]

        return change

    def claim(data: bytes, length: int) -> bytes:
        return struct.pack("<Q", length) + data[8:]

    def first(found: dict[str, Any]) -> dict[str, Any]:
        return found[next(name for name in found if name != "__metadata__")]

    deep = b'{"a":' * 100_000
    return {
        "weights are empty": lambda data: b"",
        "weights are cut": lambda data: data[: len(data) // 2],
        "weights have a tail": lambda data: data + b"\0" * 8,
        "header claims 2^63 bytes": lambda data: claim(data, 2**63),
        "header claims 90 MB": lambda data: claim(data + b" " * 90_000_000, 90_000_000),
        "header is deep": lambda data: struct.pack("<Q", len(deep)) + deep,
        "tensor of 2^60": header(lambda h: first(h).update(shape=[2**60])),
        "tensor of -1": header(lambda h: first(h).update(shape=[-1])),
        "tensor of bool": header(lambda h: first(h).update(dtype="BOOL")),
        "tensor of int64": header(lambda h: first(h).update(dtype="I64")),
        "tensor of float64": header(lambda h: first(h).update(dtype="F64")),
        "tensor without dtype": header(lambda h: first(h).pop("dtype")),
        "offsets overlap": header(lambda h: first(h).update(data_offsets=[8, 12])),
        "100,000 tensors": header(
            lambda h: h.update(
                {
                    f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
                    for i in range(100_000)
                }
            )
        ),
    }


def tensors() -> dict[str, Callable[[Any], Any]]:
    """Name → what is done to one tensor (torch)."""
    nan, inf = float("nan"), float("inf")
    return {
        "weight of nan": lambda t: t.flatten().index_fill(0, _zero(t), nan).view_as(t),
        "weight of inf": lambda t: t.flatten().index_fill(0, _zero(t), inf).view_as(t),
        "all nan": lambda t: t * nan,
        "as int64": lambda t: t.long(),
        "as bool": lambda t: t.bool(),
        "as float64": lambda t: t.double(),
        "one more": lambda t: t.repeat(2, *[1] * (t.ndim - 1)),
        "flat": lambda t: t.flatten()[:-1],
    }


def _zero(t: Any) -> Any:
    return t.new_zeros(1).long()


def tokenizers() -> dict[str, Callable[[Path], Any]]:
    """Name → what is done to the folder `tokenizer`."""

    def code(folder: Path) -> None:
        (folder / "code.py").write_text(f"open({str(folder / PROOF)!r}, 'w')\n")
        settings = {"tokenizer_class": "T", "auto_map": {"AutoTokenizer": ["code.T", "code.T"]}}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        (folder / "tokenizer.json").unlink()

    def edit(**parts: Any) -> Callable[[Path], Any]:
        def change(folder: Path) -> None:
            value = json.loads((folder / "tokenizer.json").read_text())
            (folder / "tokenizer.json").write_text(json.dumps(value | parts))

        return change

    regex = {"Regex": "(a+)+$"}
    grows = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}
    split = {"type": "Split", "pattern": regex, "behavior": "Isolated", "invert": False}
    template = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}] * 10**4,
    }
    return {
        "tokenizer of own code": code,
        "tokenizer that backtracks": edit(pre_tokenizer=split),
        "tokenizer that grows": edit(normalizer={"type": "Sequence", "normalizers": [grows] * 5}),
        "tokenizer of 10^4 copies": edit(
            post_processor=template | {"pair": [], "special_tokens": {}}
        ),
        "tokenizer without model": edit(model=None),
        "tokenizer with dropout": edit(
            model={"type": "BPE", "dropout": 1.0, "vocab": {}, "merges": []}
        ),
        "tokenizer of 200 MB": lambda f: os.truncate(f / "tokenizer.json", 200_000_000),
        "tokenizer is deep": lambda f: (f / "tokenizer.json").write_text("[" * 10**5),
    }


def links() -> dict[str, Callable[[Path], Any]]:
    """Name → what is done to the whole folder."""

    def link(name: str, target: str) -> Callable[[Path], Any]:
        def change(folder: Path) -> None:
            path = folder / name
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
            path.symlink_to(target)

        return change

    def pipe(folder: Path) -> None:
        (folder / "config.json").unlink()
        os.mkfifo(folder / "config.json")

    return {
        "weights are a link out": link("model.safetensors", "/etc/hosts"),
        "weights are /dev/zero": link("model.safetensors", "/dev/zero"),
        "tokenizer is a link out": link("tokenizer", "/etc"),
        "config is a link out": link("config.json", "/proc/self/environ"),
        "another file is a link out": link("notes.txt", "../../secret"),
        "config is a pipe": pipe,
        "exports is a link out": link("exports", "/"),
    }


def hostile(good: Path, work: Path, copies: int, seed: int) -> Iterator[tuple[str, Path]]:
    """(what was done, folder) of every kind, and `copies` flips and cuts of each file."""
    from safetensors.torch import load_file, save_file

    random_ = random.Random(seed)
    config = json.loads((good / "config.json").read_text("utf-8"))
    bare = {k: v for k, v in config.items() if k != "files"}
    weights = (good / "model.safetensors").read_bytes()

    def fresh() -> Path:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(good, work)
        return work

    for name, edit in fields().items():
        changed = copy.deepcopy(bare)
        edit(changed)
        (fresh() / "config.json").write_text(json.dumps(changed), "utf-8")
        yield name, work
    for name, data in config_files().items():
        (fresh() / "config.json").write_bytes(data)
        yield name, work
    for name, change in headers().items():
        (fresh() / "config.json").write_text(json.dumps(bare), "utf-8")
        (work / "model.safetensors").write_bytes(change(weights))
        yield name, work
    for name, alter in tensors().items():
        found = {k: v.clone() for k, v in load_file(good / "model.safetensors").items()}
        key = random_.choice(sorted(k for k, v in found.items() if v.numel() > 1))
        (fresh() / "config.json").write_text(json.dumps(bare), "utf-8")
        save_file(found | {key: alter(found[key]).contiguous()}, work / "model.safetensors")
        yield f"{name}: {key}", work
    for place, changes in (("tokenizer", tokenizers()), ("", links())):
        for name, apply in changes.items():
            (fresh() / "config.json").write_text(json.dumps(bare), "utf-8")
            apply(work / place)
            yield name, work
    for file in sorted(p.relative_to(good) for p in good.rglob("*") if p.is_file()):
        for _ in range(copies if file.name != "README.md" else 0):
            data = bytearray((good / file).read_bytes())
            place = random_.randrange(len(data))
            data[place] ^= 1 << random_.randrange(8)
            (fresh() / file).write_bytes(data)
            yield f"{file}: bit flipped at {place}", work
            (fresh() / file).write_bytes(data[:place])
            yield f"{file}: cut at {place}", work


def attempt(folder: Path, runtime: str = "torch-fp32") -> str:
    """What `erc.load` and one answer come to."""
    import erc

    try:
        said = erc.load(folder, runtime=runtime).predict(text="오늘 기분이 좋아")
    except CheckpointError as error:
        return "refused" if "\n" not in str(error) else "refused in several lines"
    except ErcError as error:
        return f"refused as {type(error).__name__}"
    except Exception as error:
        return f"TRACEBACK {type(error).__name__}: {str(error)[:100]}"
    return f"ANSWERED {said.label} {said.confidence}"


def small_model(folder: Path) -> Path:
    """A model folder that is in order: wav2vec2 and RoBERTa, tiny, random weights."""
    import torch

    from erc.model.emotion import EmotionModel
    from erc.model.encoders import SpeechEncoder, TextEncoder
    from erc.model.folder import checkpoint
    from erc.model.tokenizer import train_tokenizer

    torch.manual_seed(0)
    tokenizer = train_tokenizer(["오늘 기분이 정말 좋아", "비가 와서 슬퍼", "화가 났어"] * 3, 60)
    model = EmotionModel(
        SpeechEncoder.from_name("tiny-wav2vec2"),
        TextEncoder.from_name("tiny-roberta", vocab_size=len(tokenizer)),
        fusion="concat", dim=16,
    )  # fmt: skip
    meta = {"prediction": {"temperature": 1.0, "txt_max_length": 40}}
    checkpoint.save(folder, model, tokenizer=tokenizer, meta=meta, card="# A model\n")
    return folder


def attack(copies: int, seed: int, step: int = 1) -> list[tuple[str, Cost]]:
    """Every hostile folder, or every so many, opened. Where nobody answers, a question would raise."""
    with tempfile.TemporaryDirectory() as place:
        good = small_model(Path(place) / "good")
        assert attempt(good).startswith("ANSWERED"), attempt(good)
        folders = islice(
            hostile(good, Path(place) / "hostile", copies, seed), seed % step, None, step
        )
        found = [(name, cost(lambda folder=folder: attempt(folder))) for name, folder in folders]
        ran = list(Path(place).rglob(PROOF))
    assert not ran, "code of a model folder was run"
    return found


def main() -> int:
    """Print the counts and the worst; 1 if one was not refused, or at a price."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--copies", type=int, default=10)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    found, bad = attack(given.copies, given.seed), 0
    for name, (outcome, seconds, megabytes) in found:
        if outcome != "refused" or seconds > SECONDS or megabytes > MEGABYTES:
            print(f"{name}: {outcome}, {seconds:.1f} s, {megabytes:.0f} MB")
            bad += 1
    outcomes = Counter(cost.outcome for _, cost in found)
    slowest = max(found, key=lambda one: one[1].seconds)
    largest = max(found, key=lambda one: one[1].megabytes)
    print(f"{len(found)} hostile model folders, seed {given.seed}: {dict(outcomes)}")
    print(f"slowest {slowest[1].seconds:.2f} s ({slowest[0]})")
    print(f"largest {largest[1].megabytes:.0f} MB above the start ({largest[0]})")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
