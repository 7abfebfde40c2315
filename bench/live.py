"""Live streams: from the end of a turn to its answer, sixteen clients at once.

Each client plays a simulated conversation of its own through `/v1/live` in real time, 20 ms a
message. A turn is known to have ended half a second after its last sound (`Rule.min_silence`); latency
is the time from then on until the answer is there, while the partial answers of all streams are
computed. Server and clients share the processors. The base encoder is wav2vec2-base with random
weights, exported to ONNX; a row says where it gives no partial answers.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.harness import Row, table
from bench.server import Server, _trained

RATE = 16_000
STEP = 320  # samples, 20 ms
PAUSE = (
    0.5 - 0.03 + 0.032
)  # s from the end of a turn, which holds .03 s of pause, until it is known


def run(quick: bool) -> list[Row]:
    """Sixteen streams of the tiny model; one, and two, of the base encoder exported."""
    seconds, rows = (15 if quick else 40), []
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        tiny, _ = _trained(Path(scratch))
        for streams in (1, 16):
            rows.append(_measured("tiny", tiny, streams, seconds, 0.5))
        if not quick:
            base = _base(Path(scratch))
            for streams, every in ((1, 0.5), (2, 0.5), (4, 0)):
                rows.append(_measured("base, exported", base, streams, seconds, every))
    cores = os.cpu_count() or 1
    note = f"{cores} processors; load average {load:.1f} when it began"
    note += ": other jobs ran on this machine" * (load > cores / 2)
    return [table("from the end of a turn to its answer", rows, note=note)]


def _base(scratch: Path) -> Path:
    """The base encoder with a head, its exported copy alone."""
    from bench.encoder import exported

    return Path(exported(scratch, ["onnx-fp32"])["onnx-fp32"])


def _measured(what: str, model: Path, streams: int, seconds: int, every: float) -> dict[str, Any]:
    server = Server(model, ["--batch-wait", "0"], threads=1 if what == "tiny" else 2)
    try:
        before, start = server.cpu(), time.perf_counter()
        told = asyncio.run(_all(server.port or 0, streams, seconds, every))
        busy = (server.cpu() - before) / (time.perf_counter() - start)
    finally:
        server.stop()
    late = np.concatenate([[at - PAUSE for at in times] for times, _, _ in told]) * 1000
    p50, p95 = np.percentile(late, [50, 95])
    partial, spoken = sum(p for _, p, _ in told), sum(s for *_, s in told)
    return {
        "what": f"{what}, {streams} stream{'s' * (streams > 1)}"
        + (", no partial answers" if not every else ""),
        "turns": len(late), "p50 ms": round(p50), "p95 ms": round(p95), "max ms": round(late.max()),
        "partial answers a second of speech": round(partial / spoken, 2),
        "server, processors": round(busy, 2),
    }  # fmt: skip


async def _all(port: int, streams: int, seconds: int, every: float) -> list[Any]:
    talks = [_conversation(seconds, seed) for seed in range(streams)]
    return list(await asyncio.gather(*(_one(port, pcm, every, i) for i, pcm in enumerate(talks))))


async def _one(port: int, pcm: np.ndarray, every: float, i: int) -> tuple[list[float], int, float]:
    """Seconds from the end of each turn to its answer; how many partial ones; seconds of speech."""
    from websockets.asyncio.client import connect

    late, partial, spoken = [], 0, 0.0
    await asyncio.sleep(0.037 * i)  # they do not begin together
    async with connect(f"ws://127.0.0.1:{port}/v1/live", proxy=None, compression=None) as socket:
        await socket.send(json.dumps({"rate": RATE, "every": every}))
        await socket.recv()
        start = time.perf_counter()

        async def play() -> None:
            for first in range(0, len(pcm), STEP):
                due = start + (first + STEP) / RATE
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                await socket.send(pcm[first : first + STEP].tobytes())
            await socket.send("end")

        playing = asyncio.create_task(play())
        async for message in socket:
            now, values = time.perf_counter() - start, json.loads(message)
            if values.get("type") == "turn":
                turn = values["turn"]
                late.append(now - turn["end"])
                spoken += turn["end"] - turn["start"]
            elif "error" in values:
                raise RuntimeError(message)
            partial += values["type"] == "partial"
        await playing
    return late, partial, spoken


def _conversation(seconds: int, seed: int) -> np.ndarray:
    """Two simulated voices in turn, with pauses of 0.8–3 s; it ends in two seconds of silence."""
    from soundfile import read

    from bench.timeline import make_recording

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "a.wav")
        make_recording(path, 1, seed)
        pcm = read(path, dtype="int16")[0][: seconds * RATE]
    return np.concatenate([pcm, np.zeros(2 * RATE, np.int16)])
