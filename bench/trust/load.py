"""A server under load, with hostile requests in between: does everybody else get an answer, and soon?

python -m bench.trust.load [--seconds 60] [--soak 600] [--seed 0] [--model FOLDER]

`erc serve` on loopback, an exported model. First 1, 4, 16 and 64 clients, each sending its next request
when the last is answered. Then more than the queue holds. Then a soak at half of what the server can
do: stretches in which one request of a hundred is hostile, and shorter ones without, in turn. At last
SIGTERM while requests are on their way.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.server import Server
from bench.trust.forks import small_export
from bench.trust.hostile_requests import GONE, expected, good_requests, hostile_requests

CLIENTS = (1, 4, 16, 64)
SOAKING = 8  # clients of the soak
HOSTILE = 0.01  # of its requests
PATIENCE = 60.0  # s until a request counts as not answered
SLOPE, RATIO = 1.0, 2.0  # MB a minute; p95 with hostile requests to without
COMPANY = 16  # items in each request of those who ask for too much


class Answer(NamedTuple):
    """Of one request."""

    kind: str  # "good", or the name of what is hostile
    status: int  # 0: none came
    seconds: float
    again: bool  # with a Retry-After


class Client:
    """A connection that stays open, and is opened anew where the server has closed it."""

    def __init__(self, port: int):
        self.port = port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def ask(self, kind: str, request: bytes) -> Answer:
        """Send a whole request; the answer that came."""
        start = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                status, again = await self._ask(request)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            self.close()
            status, again = 0, False
        return Answer(kind, status, time.perf_counter() - start, again)

    async def _ask(self, request: bytes) -> tuple[int, bool]:
        if self.writer is None or self.writer.is_closing():
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        assert self.reader
        self.writer.write(request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split()[0])
        await self.reader.readexactly(length)
        if b"connection: close" in head:
            self.close()
        return int(head.split()[1]), b"retry-after:" in head

    async def leave(self, kind: str, part: bytes) -> Answer:
        """Send something and go away without waiting."""
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(part)
            await writer.drain()
            writer.close()
        except OSError:
            pass
        return Answer(kind, GONE, 0.0, False)

    def close(self) -> None:
        """Forget the connection."""
        if self.writer is not None:
            self.writer.close()
        self.writer = None


class Memory:
    """MB of a process and those it started, once a second."""

    def __init__(self, pid: int):
        self.pid, self.seen = pid, list[tuple[float, float]]()  # (s, MB)

    async def watch(self) -> None:
        while True:
            self.seen.append((time.monotonic(), sum(map(resident, family(self.pid)))))
            await asyncio.sleep(1)

    @property
    def slope(self) -> float:
        """MB a minute, of a straight line through all but the first fifth."""
        late = np.array(self.seen[len(self.seen) // 5 :])
        return float(np.polyfit(late[:, 0] / 60, late[:, 1], 1)[0]) if len(late) > 2 else 0.0


def family(pid: int) -> Iterator[int]:
    """A process and all that it started, and these."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from family(int(child))


def resident(pid: int) -> float:
    """MB."""
    try:
        return (
            int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6
        )
    except (OSError, IndexError):
        return 0.0


async def drive(
    port: int,
    clients: int,
    seconds: float,
    asked: Callable[[Client, random.Random], Awaitable[Answer]],
    seed: str,
    pause: float = 0.0,
) -> list[Answer]:
    """Answers to what so many clients ask, one request after another each.

    Args:
        pause: s between an answer and the next request, on average.
    """
    found: list[Answer] = []
    end = time.monotonic() + seconds

    async def one(number: int) -> None:
        client, draw = Client(port), random.Random(f"{seed}-{number}")
        while time.monotonic() < end:
            if pause:
                await asyncio.sleep(draw.expovariate(1 / pause))
            found.append(await asked(client, draw))
        client.close()

    await asyncio.gather(*(one(i) for i in range(clients)))
    return found


class Report(NamedTuple):
    """What came of it all."""

    steps: dict[int, list[Answer]]  # clients → answers
    above: list[Answer]  # to more than the queue holds
    calm: list[Answer]
    soak: list[Answer]
    memory: tuple[float, float, float]  # MB at the start of the soak, at its end; MB a minute
    stopped: list[Answer]  # of requests that were on their way at SIGTERM
    healthy: bool  # after all but the last

    def problems(self) -> list[str]:
        """Promises that were broken."""
        good = [a for found in (*self.steps.values(), self.calm, self.soak) for a in found]
        bad = Counter(a.status for a in good if a.kind == "good" and a.status != 200)
        found = [f"good requests answered {dict(bad)}"] if bad else []
        strange = {
            (a.kind, a.status)
            for a in self.soak
            if a.kind != "good" and not expected(a.kind, a.status)
        }
        found += [f"hostile {kind} answered {status}" for kind, status in sorted(strange)]
        unclean = Counter(
            a.status for a in self.above if not (a.status == 200 or (a.status == 503 and a.again))
        )
        found += [f"above saturation {dict(unclean)}"] if unclean else []
        found += ["it was not healthy afterwards"] * (not self.healthy)
        lost = [a for a in self.stopped if a.status not in (200, 503)]
        found += [f"{len(lost)} not answered while it stopped"] if lost else []
        found += [f"memory grows {self.slope:.1f} MB a minute"] * (self.slope > SLOPE)
        found += [f"p95 grows {self.ratio:.1f} times"] * (self.ratio > RATIO)
        return found

    @property
    def slope(self) -> float:
        """MB a minute."""
        return self.memory[2]

    @property
    def ratio(self) -> float:
        """p95 of good requests, with hostile ones to without."""
        calm, soak = (p95(found) for found in (self.calm, self.soak))
        return soak / calm if calm else 0.0


def p95(found: list[Answer]) -> float:
    """ms, of the good ones."""
    seconds = [a.seconds for a in found if a.kind == "good"]
    return 1000 * float(np.percentile(seconds, 95)) if seconds else 0.0


async def attack(
    server: Server,
    clients: tuple[int, ...],
    seconds: float,
    soak: float,
    seed: int,
    share: float = HOSTILE,
    stretches: int = 10,
) -> Report:
    """Everything that the module says, in this order."""
    good, hostile = good_requests(seed), hostile_requests(seed)
    company = good_requests(seed, COMPANY)
    port, memory = server.port, Memory(server.process.pid)

    async def ask(client: Client, draw: random.Random) -> Answer:
        return await client.ask("good", draw.choice(good))

    async def ask_much(client: Client, draw: random.Random) -> Answer:
        return await client.ask("good", draw.choice(company))

    async def mixed(client: Client, draw: random.Random) -> Answer:
        if draw.random() >= share:
            return await ask(client, draw)
        kind = draw.choice(sorted(hostile))
        request = draw.choice(hostile[kind])
        own = Client(port)
        found = await (own.leave if expected(kind, GONE) else own.ask)(kind, request)
        own.close()
        return found

    steps = {n: await drive(port, n, seconds, ask, f"{seed}-{n}") for n in clients}
    rate = max(len(found) for found in steps.values()) / seconds
    above = await drive(port, max(clients), seconds / 4, ask_much, f"{seed}-above")
    # what a request takes is no growth: each kind was there, several at once, before memory is watched
    for kind in sorted(hostile):
        own = [Client(port) for _ in range(SOAKING)]
        given = [hostile[kind][i % len(hostile[kind])] for i in range(SOAKING)]
        ways = [c.leave if expected(kind, GONE) else c.ask for c in own]
        await asyncio.gather(*(way(kind, one) for way, one in zip(ways, given)))
        for client in own:
            client.close()
    pause = SOAKING / (rate / 2)
    calm: list[Answer] = []
    rough: list[Answer] = []
    watch = asyncio.ensure_future(memory.watch())
    for number in range(stretches):
        long, name = soak / stretches, f"{seed}-soak-{number}"
        calm += await drive(port, SOAKING, long / 4, ask, f"{name}-calm", pause)
        rough += await drive(port, SOAKING, long, mixed, name, pause)
    watch.cancel()
    ready = [Client(port) for _ in range(16)]  # accepted, each of them, before the last requests
    look = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    healthy = {h.status for h in await asyncio.gather(*(c.ask("health", look) for c in ready))}
    last = [asyncio.ensure_future(c.ask("good", one)) for c, one in zip(ready, good)]
    await asyncio.wait(last, return_when=asyncio.FIRST_COMPLETED)  # all are sent, the others wait
    server.process.send_signal(signal.SIGTERM)
    stopped = list(await asyncio.gather(*last))
    took = (memory.seen[0][1], memory.seen[-1][1], memory.slope)
    return Report(steps, above, calm, rough, took, stopped, healthy == {200})


def main() -> int:
    """Print every figure; 1 if a promise was broken."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--seconds", type=float, default=60, help="for each number of clients")
    options.add_argument("--soak", type=float, default=600, help="s, of it with hostile requests")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--model", type=Path, help="default: a tiny one with random weights")
    given = options.parse_args()
    seconds, soak = given.seconds, given.soak
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as place:
        server = Server(given.model or small_export(Path(place)), [], os.cpu_count() or 1)
        try:
            found = asyncio.run(attack(server, CLIENTS, seconds, soak, given.seed))
        finally:
            server.stop()
    for clients, answers in found.steps.items():
        p50, p95_, p99 = 1000 * np.percentile([a.seconds for a in answers], [50, 95, 99])
        print(
            f"{clients} clients, {seconds:g} s: {len(answers) / seconds:.0f} requests/s, "
            f"p50 {p50:.0f} ms, p95 {p95_:.0f} ms, p99 {p99:.0f} ms, "
            f"{dict(Counter(a.status for a in answers))}"
        )
    print(
        f"{max(CLIENTS)} clients × {COMPANY} items: {dict(Counter(a.status for a in found.above))}"
    )
    hostile = [a for a in found.soak if a.kind != "good"]
    print(
        f"soak {soak:g} s, {len(found.soak)} requests, {len(hostile)} of them hostile: p95 of good ones "
        f"{p95(found.soak):.0f} ms, {p95(found.calm):.0f} ms without (× {found.ratio:.2f}); "
        f"memory {found.memory[0]:.0f} MB at its start, {found.memory[1]:.0f} at its end, "
        f"{found.slope:+.2f} a minute"
    )
    for kind in sorted({a.kind for a in hostile}):
        statuses = Counter(a.status for a in hostile if a.kind == kind)
        slowest = max(a.seconds for a in hostile if a.kind == kind)
        print(f"  {kind}: {dict(sorted(statuses.items()))}, at most {slowest:.1f} s")
    print(f"SIGTERM with 16 on their way: {dict(Counter(a.status for a in found.stopped))}")
    print(
        f"seed {given.seed}, {os.cpu_count()} cores, load average {before:.1f} before, Python "
        f"{platform.python_version()}: {'; '.join(found.problems()) or 'every promise held'}"
    )
    return int(bool(found.problems()))


if __name__ == "__main__":
    sys.exit(main())
