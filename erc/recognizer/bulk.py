"""Bulk work: inputs in numbered blocks → one Parquet file a block, on as many machines as Ray has.

A block is answered whole, by whoever is free, and its file is a function of the block: one that is
answered twice, because the machine that had it is gone, is the same file again. Nothing but
`on_cluster` needs Ray.
"""

from __future__ import annotations

import io
import json
import pickle
import socket
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from erc import __version__
from erc.base.errors import ConfigError, ErcError, optional
from erc.base.space import Space
from erc.recognizer.engine import WINDOW
from erc.recognizer.prediction import cells, columns

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 4 * WINDOW  # inputs: whole windows, so that answers are those of `erc predict`
KEY = b"erc"  # of what a part says of itself, in the metadata of its schema
FLAGS = ("abstain", "conflict", "narrow_band", "simulated")
WORDS = ("file", "label", "modalities", "prediction_set", "model", "reason", "error")
PATIENCE = 10.0  # s that the head of a cluster may take to be reached
OBJECTS = 256 << 20  # bytes of shared memory that a local Ray takes: blocks are small


class Block(NamedTuple):
    """`number` counts from 0; `first` is the row of its first input, each as `predict_many` takes it."""

    number: int
    first: int
    inputs: Sequence[dict[str, Any]]


class Part(NamedTuple):
    """A block answered: its Parquet file, how many rows it has, and what the failed ones say."""

    number: int
    data: bytes
    rows: int
    errors: Sequence[str]


@dataclass(frozen=True)
class Task:
    """What all workers are told, once.

    Attributes:
        folder: of the model, under the same path on every machine.
        model: what its answers are signed with (`NAME@VERSION`), of workers as of whoever asks.
        made_from: hash of model, inputs and options, which every part carries.
        options: arguments of `erc.load`.
        version: of erc; workers have the same.
    """

    folder: Path
    model: str
    made_from: str
    options: Mapping[str, Any]
    version: str = __version__


@dataclass(frozen=True)
class Cluster:
    """Where the work is done.

    Attributes:
        address: local: this machine alone; auto: the cluster that this machine belongs to; HOST:PORT
            of its head.
        actors: workers, each with a model of its own, at most; None: as many as there is room for.
        cpus, gpus: that each has.
    """

    address: str = "local"
    actors: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.actors is not None and self.actors < 1:
            raise ConfigError(f"--actors {self.actors}: give at least one")
        if not 0 < self.cpus < float("inf"):
            raise ConfigError(f"--cpus {self.cpus:g}: give more than 0")


@dataclass
class Worker:
    """Opens the model once, and answers one block after another.

    Raises:
        ConfigError: this machine has another version of erc, or of the model.
        CheckpointError: the model is not there, or cannot be opened.
    """

    task: Task

    @cached_property
    def recognizer(self) -> Any:
        from erc.base.devices import tune_memory
        from erc.recognizer import load

        if self.task.version != __version__:
            raise ConfigError(f"a worker has erc {__version__}, not {self.task.version}")
        tune_memory()
        opened = load(self.task.folder, **self.task.options)
        if opened.model != self.task.model:
            raise ConfigError(
                f"{self.task.folder} is {opened.model} where a worker runs, not {self.task.model}; "
                "copy the model there, or put it where all machines see it"
            )
        return opened

    def answer(self, block: Block) -> Part:
        """One row an input, in order; a bad input is a row with its error."""
        results = [one.to_dict() for one in self.recognizer.predict_many(block.inputs)]
        errors = [one["error"] for one in results if "error" in one]
        said = {"made_from": self.task.made_from, "number": block.number, "rows": len(results),
                "failures": len(errors)}  # fmt: skip
        table = _table(results, block.first, self.recognizer.space, said)
        return Part(block.number, _parquet(table), len(results), errors)

    def __call__(self, batch: Mapping[str, Sequence[bytes]]) -> dict[str, list[bytes]]:
        """As Ray Data calls it: a row in is a pickled `Block`, a row out its pickled `Part`.

        Or the error that ends the work: of one that is raised Ray hands on the text, in many lines.
        """
        blocks = [pickle.loads(bytes(one)) for one in batch["block"]]
        return {"part": [pickle.dumps(self._try(block)) for block in blocks]}

    def _try(self, block: Block) -> Part | ErcError:
        try:
            return self.answer(block)
        except ErcError as error:
            return error


def cut(inputs: Sequence[dict[str, Any]], number: int) -> Block:
    """The block of this number.

    >>> cut([{"text": str(i)} for i in range(600)], 2).first
    512
    """
    first = number * BLOCK
    return Block(number, first, inputs[first : first + BLOCK])


def about(schema: Any) -> dict[str, Any]:
    """What a part says of itself; {} of a file that is none."""
    try:
        return dict(json.loads((schema.metadata or {})[KEY]))
    except (KeyError, ValueError, TypeError):
        return {}


def on_cluster(blocks: Sequence[bytes], task: Task, cluster: Cluster) -> Generator[Part]:
    """Parts as they are done, in any order, each block exactly once.

    A worker that is lost with its machine is replaced, and its block answered again.

    Args:
        blocks: pickled `Block`s.

    Raises:
        ConfigError: Ray is missing, there is no such cluster, it has no room for a worker, or it is
            gone.
        ErcError: what a worker raised when it opened the model.
    """
    ray = start(cluster)
    try:
        actors = cluster.actors or _room(ray, cluster)
        rows = ray.data.from_items(
            [{"block": one} for one in blocks], override_num_blocks=len(blocks)
        )
        done = rows.map_batches(  # Ray Data restarts workers and asks again without an end
            Worker, fn_constructor_args=(task,), batch_size=1, num_cpus=cluster.cpus,
            num_gpus=cluster.gpus or None,
            # it may shrink to one: workers of a lost machine wait for room that others give up
            compute=ray.data.ActorPoolStrategy(
                min_size=1, max_size=actors, initial_size=min(actors, len(blocks))
            ),
        )  # fmt: skip
        for batch in done.iter_batches(batch_size=None, prefetch_batches=0):
            for one in batch["part"]:
                if isinstance(part := pickle.loads(bytes(one)), ErcError):
                    raise part
                yield part
    except ray.exceptions.RayTaskError:
        raise  # a fault of the program's: with all that Ray knows of it
    except ray.exceptions.RayError as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ConfigError(f"--ray {cluster.address}: the work was given up: {reason}") from error
    finally:
        ray.shutdown()


def start(cluster: Cluster) -> Any:
    """Ray, connected, and silent but for errors."""
    import logging

    with optional("--ray"):
        import ray
        import ray.data
    options: dict[str, Any] = {"address": cluster.address}
    if cluster.address == "local":
        options |= {"include_dashboard": False, "object_store_memory": OBJECTS}
    try:
        host, _, port = cluster.address.removeprefix("ray://").rpartition(":")
        if host:  # Ray itself tries for minutes
            socket.create_connection((host, int(port)), PATIENCE).close()
        ray.init(**options, logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"--ray {cluster.address}: no cluster there: {str(error).splitlines()[0]}; `ray start "
            "--head` begins one, --ray local needs none"
        ) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _room(ray: Any, cluster: Cluster) -> int:
    there = ray.cluster_resources()
    count = there.get("CPU", 0) // cluster.cpus
    if cluster.gpus:
        count = min(count, there.get("GPU", 0) // cluster.gpus)
    if count < 1:
        needs = f"{cluster.cpus:g} CPUs" + (f" and {cluster.gpus:g} GPU" if cluster.gpus else "")
        raise ConfigError(f"--ray {cluster.address}: no room for a worker, which needs {needs}")
    return int(count)


def _table(rows: list[dict[str, Any]], first: int, space: Space, said: dict[str, Any]) -> pa.Table:
    """Columns `row`, the place of the input, and those of `prediction.columns`."""
    with optional("--ray"):
        import pyarrow as pa

    kinds = dict.fromkeys(FLAGS, pa.bool_()) | dict.fromkeys(WORDS, pa.string())
    schema = pa.schema(
        [("row", pa.int64()), *((name, kinds.get(name, pa.float64())) for name in columns(space))],
        metadata={KEY: json.dumps(said)},
    )
    found = [{"row": first + i, **cells(row)} for i, row in enumerate(rows)]
    return pa.Table.from_pylist(found, schema)


def _parquet(table: pa.Table) -> bytes:
    import pyarrow.parquet

    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue()
