"""Bulk work with Ray Data against plain `erc predict`: rate, memory, a worker killed, a machine lost.

    python -m bench.ray_bulk                       # 2,000 utterances and a tenth of them; minutes
    python -m bench.ray_bulk --utterances 10000

Short utterances (0.3–1.5 s of noise), tiny encoders with random weights, both ways on the same CPUs and
one after the other. Every run is a command of its own. The rate leaves the start out: it is what the
other nine tenths cost. Needs `pip install 'erc[scale]'`.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq

from bench.inference import small_model, write

RATE = 16_000
EVERY = 0.2  # s between two looks at processes
WORKER = "ray::MapWorker"


class Run:
    """A command of `erc predict` while it runs, watched.

    Attributes:
        wall: s from start to end.
        cpu: s that all its processes computed; what they did in their last moments is missing.
        memory: MB resident, by kind of process: the largest sum that was seen.
    """

    def __init__(self, *words: object, half: Callable[[], None] | None = None, out: Path):
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        env["RAY_worker_niceness"] = "0"  # else other work goes before Ray's, but not before ours
        start, self.memory, self._cpu = time.perf_counter(), {}, {}
        parts = -(-len(list(Path(str(words[0])).iterdir())) // 256)
        command = [sys.executable, "-m", "erc", "predict", *map(str, words), "-q", "-o", str(out)]
        with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
            while process.poll() is None:
                self._look(process.pid)
                if half and len(list(out.glob("part-*"))) >= parts / 2:
                    half()
                    half = None
                time.sleep(EVERY)
            self.said = process.stderr.read() if process.stderr else ""
        self.wall, self.cpu = time.perf_counter() - start, sum(self._cpu.values())
        if process.returncode:
            sys.exit(f"{' '.join(command)}\n{self.said}")
        if half:
            sys.exit("it ended before half of it was seen; give more --utterances")

    def _look(self, pid: int) -> None:
        found: dict[str, float] = {}
        for one in workers_of(pid):
            try:
                kind, size = one.name(), one.memory_info().rss / 1e6
                self._cpu[one.pid] = sum(one.cpu_times()[:2])
            except psutil.Error:
                continue
            if kind.startswith("ray::Map"):
                found["largest worker"] = max(found.get("largest worker", 0), size)
            kind = "command" if one.pid == pid else "Ray's processes"
            found[kind] = found.get(kind, 0) + size
        found["all"] = sum(found.values())
        self.memory |= {k: max(v, self.memory.get(k, 0)) for k, v in found.items()}


def workers_of(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    try:
        return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


def kill_a_worker() -> None:
    """SIGKILL, to one of those that answer."""
    for one in workers_of(os.getpid()):
        if " ".join(one.cmdline()).startswith(WORKER):
            print(f"  killed {one.cmdline()[0]}, process {one.pid}")
            one.kill()
            return
    sys.exit("no worker was there to be killed")


def same(out: Path, plain: Path) -> str:
    """Whether every input has one row, in order, with the answer of plain prediction."""
    expected = list(csv.DictReader(plain.open(encoding="utf-8")))
    found = [row for path in sorted(out.glob("part-*")) for row in pq.read_table(path).to_pylist()]
    assert [row["row"] for row in found] == list(range(len(expected)))
    assert [row["file"] for row in found] == [row["file"] for row in expected]
    numbers = [key for key in expected[0] if key.startswith("p_") or key == "confidence"]
    worst = max(
        abs(float(a[key]) - b[key]) for a, b in zip(expected, found) for key in numbers if a[key]
    )
    return f"{len(found)} rows, each input once, furthest from plain {worst:.1e}"


def lost_machine(words: list[object], out: Path) -> Run:
    """A cluster of a head without CPUs and two machines of one; one of these goes half-way."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    try:
        cluster.wait_for_nodes()

        def lose() -> None:
            cluster.remove_node(nodes[1], allow_graceful=False)
            print("  lost one of two machines")

        return Run(*words, "--ray", cluster.address, out=out, half=lose)
    finally:
        cluster.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--utterances", type=int, default=2000)
    parser.add_argument("--without-machines", action="store_true", help="leave the lost one out")
    asked = parser.parse_args()
    rng, sizes = np.random.default_rng(0), (asked.utterances // 10, asked.utterances)
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        model = small_model(place / "model")
        common = ["--model", model, "--runtime", "torch-fp32"]
        runs: dict[str, list[Run]] = {"plain": [], "ray": []}
        for size in sizes:
            lengths = rng.integers(RATE * 3 // 10, RATE * 3 // 2, size).tolist()
            wavs = write(place / f"{size}", lengths)
            runs["plain"].append(Run(wavs, *common, out=place / f"{size}.csv"))
            out = place / f"{size}-ray"
            runs["ray"].append(Run(wavs, *common, "--ray", "local", out=out))
            print(f"{size}: {same(out, place / f'{size}.csv')}")
        for kind, (small, large) in runs.items():
            more, cpu = sizes[1] - sizes[0], large.cpu - small.cpu
            print(
                f"{kind}: {small.wall:.1f} s, {large.wall:.1f} s, "
                f"{more / (large.wall - small.wall):.1f} utterances/s; "
                f"{1000 * cpu / more:.1f} ms of CPU each, {small.cpu:.1f} s for the small one"
            )
            for process in large.memory:
                a, b = small.memory.get(process, 0), large.memory[process]
                print(f"  {process}: {a:.0f} MB at 1×, {b:.0f} MB at 10×")
        out, wavs = place / "killed", place / f"{sizes[1]}"
        killed = Run(wavs, *common, "--ray", "local", out=out, half=kill_a_worker)
        print(f"a worker killed: {killed.wall:.1f} s; {same(out, place / f'{sizes[1]}.csv')}")
        if not asked.without_machines:
            out = place / "lost"
            lost = lost_machine([wavs, *common], out)
            print(f"a machine lost: {lost.wall:.1f} s; {same(out, place / f'{sizes[1]}.csv')}")
    print(f"load after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
