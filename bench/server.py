"""The HTTP API: sixteen clients, dynamic batching against one by one.

Servers (`erc serve`) run side by side: with `--batch-size 1 --batch-wait 0` and with the default
batching, each in torch and with the exported copy, which answers by default. The load comes from this
process: sixteen connections that stay open, requests prepared beforehand, each client sending the next
when the last is answered. The recordings are those of the simulated corpus, 1–3.5 s; the model is
`model=tiny`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from bench.harness import Row, compare, table
from bench.isolated import ROOT

CLIENTS = 16
ALONE = ["--batch-size", "1", "--batch-wait", "0"]
VARIANTS: dict[str, list[str]] = {
    "one by one, torch": [*ALONE, "--runtime", "torch-fp32"],
    "dynamic batching, torch": ["--runtime", "torch-fp32"],
    "one by one, exported": ALONE,
    "dynamic batching, exported": [],
}
TEXT = "정말 좋았어 오늘은 일찍 집에 갔어"


class Server:
    """A running `erc serve`."""

    def __init__(self, model: Path, options: list[str], threads: int):
        command = [sys.executable, "-m", "erc", "serve", "--model", str(model), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        )  # fmt: skip
        assert self.process.stdout
        line = self.process.stdout.readline()
        if "listening on" not in line:
            raise RuntimeError(f"{' '.join(command)} did not start")
        self.port = urlsplit(line.split()[3]).port

    def cpu(self) -> float:
        """Seconds that its threads have computed."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


class Load:
    """What sixteen clients ask; `answers` and `latencies` (s) of the last time."""

    def __init__(self, server: Server, requests: list[bytes]):
        self.server, self.requests = server, requests
        self.latencies: list[float] = []
        self.cpu = 0.0

    def __call__(self) -> np.ndarray:
        """[requests, 9] probabilities, valence and arousal, in order."""
        before = self.server.cpu()
        bodies = asyncio.run(self._all())
        self.cpu = self.server.cpu() - before
        return np.array([_numbers(json.loads(body)) for body in bodies])

    async def _all(self) -> list[bytes]:
        self.latencies, found = [], [b""] * len(self.requests)
        coming = iter(range(len(self.requests)))

        async def client() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
            for i in coming:
                start = time.perf_counter()
                writer.write(self.requests[i])
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].split()[0])
                found[i] = await reader.readexactly(length)
                self.latencies.append(time.perf_counter() - start)
                if b" 200 " not in head[:20]:
                    raise RuntimeError(found[i].decode())
            writer.close()

        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        return found


def run(quick: bool) -> list[Row]:
    """Throughput and latency of a transcript alone, and of speech with a transcript."""
    with tempfile.TemporaryDirectory() as scratch:
        model, recordings = _trained(Path(scratch))
        count = 160 if quick else 640
        spoken = [form(recordings[i % len(recordings)], TEXT) for i in range(count)]
        written = [form(None, f"{TEXT} {i}") for i in range(count)]
        rows: list[Row] = []
        for threads in dict.fromkeys((1, os.cpu_count() or 1)):
            for what, requests in (("transcripts", written), ("speech + transcript", spoken)):
                rows += _measured(
                    f"HTTP, {what}, {threads} threads", model, requests, threads, quick
                )
    records = [record for row in rows for record in row.records]
    rows = [row for row in rows if not row.records]
    return [*rows, table("latency at 16 clients", records)]


def _measured(
    what: str, model: Path, requests: list[bytes], threads: int, quick: bool
) -> list[Row]:
    servers = {name: Server(model, options, threads) for name, options in VARIANTS.items()}
    try:
        loads = {name: Load(server, requests) for name, server in servers.items()}
        first, *others = loads.items()
        row = compare(
            what, first, others, (len(requests), "requests"), rounds=2 if quick else 5,
            target=3.0 if threads == 1 else None,
            equal=lambda a, b: float(np.abs(a - b).max()), allowed=1e-5,
            check="probabilities, valence and arousal",
        )  # fmt: skip
    finally:
        for server in servers.values():
            server.stop()
    records: list[dict[str, Any]] = []
    for name, load in loads.items():
        p50, p95, p99 = np.percentile(load.latencies, [50, 95, 99]) * 1000
        cpu = load.cpu / len(requests) * 1000
        records.append(
            {"what": f"{what}: {name}", "p50 ms": round(p50, 1), "p95 ms": round(p95, 1)}
            | {"p99 ms": round(p99, 1), "server CPU ms/request": round(cpu, 2)}
        )
    return [row, table(what, records)]


def _trained(scratch: Path) -> tuple[Path, list[bytes]]:
    """A tiny model after one epoch, and the recordings it was trained on."""
    from erc.corpora.simulated import write_tree
    from erc.studies.experiment import run as train

    corpus = scratch / "KEMDy19"
    write_tree(corpus, "kemdy19", sessions=5, utterances=16, seed=0, defects=False)
    os.environ.setdefault("ERC_CACHE", str(scratch / "cache"))
    train(
        [
            "dataset=hf", f"dataset.paths={corpus}", "dataset.protocol=strict", "model=tiny",
            "trainer.max_epochs=1", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false",
        ],
        scratch / "run",
    )  # fmt: skip
    paths = sorted(corpus.glob("wav/*/*/*.wav"))
    return scratch / "run" / "model", [path.read_bytes() for path in paths]


def form(recording: bytes | None, text: str) -> bytes:
    """A whole HTTP request."""
    parts = [(b'name="text"', text.encode())]
    if recording:
        parts.append((b'name="file"; filename="a.wav"', recording))
    body = b"".join(
        b"--B\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + content + b"\r\n"
        for head, content in parts
    )
    body += b"--B--\r\n"
    head = (
        "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: multipart/form-data; boundary=B\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _numbers(answer: dict[str, Any]) -> list[float]:
    return [*answer["probabilities"].values(), answer["valence"], answer["arousal"]]
