"""What the routes do: items → answers as JSON values, and a timeline in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from erc.base.sources import named
from erc.recognizer.explain import Explanation
from erc.server.batching import Batcher, settle
from erc.server.decoding import check_recording
from erc.server.metrics import Metrics
from erc.server.problems import Problem, busy
from erc.server.schemas import Options
from erc.server.settings import Settings
from erc.server.uploads import Item

if TYPE_CHECKING:
    from erc.recognizer import Clip, Recognizer
    from erc.timeline import Live, Timeline

TIMELINES = 4  # at most so many wait for one another


class Service:
    """A recognizer for many clients.

    Attributes:
        stopping: no new work; what was accepted will be answered.
        streams: that are live now.
        pool: threads in which they are heard.
    """

    def __init__(self, recognizer: Recognizer, settings: Settings, metrics: Metrics):
        self.recognizer, self.settings, self.metrics = recognizer, settings, metrics
        self.batcher = Batcher(recognizer, settings, metrics)
        self.stopping = False
        self._one, self._timelines = asyncio.Lock(), 0
        self.streams = 0
        self.pool = ThreadPoolExecutor(settings.max_live, "live")  # one waits for each stream

    @property
    def status(self) -> str:
        """ok | stopping | stuck."""
        return "stopping" if self.stopping else "stuck" if self.batcher.stuck else "ok"

    async def answer(
        self, request: Request, items: Sequence[Item | Problem]
    ) -> list[dict[str, Any] | BaseException]:
        """Results in the order of the items: JSON values, or what went wrong with this one."""
        good = [item for item in items if isinstance(item, Item)]
        results = iter(await unless_gone(request, self.batcher.submit(good)))
        return [
            self._values(next(results), item.options) if isinstance(item, Item) else item
            for item in items
        ]

    def _values(self, result: Any, options: Options) -> dict[str, Any] | BaseException:
        """A Prediction or an Explanation as JSON; an exception as it is."""
        if isinstance(result, BaseException):
            return result
        prediction, why = result, {}
        if isinstance(result, Explanation):
            prediction = result.prediction
            values = result.to_dict()
            why = {"explanation": {k: values[k] for k in ("nothing", "shares", "time", "words")}}
        if options.sets:
            prediction = self.recognizer.with_set(prediction, options.sets)
        fewer = options.top_k is not None and options.top_k < len(prediction.probabilities)
        top = {"probabilities": dict(prediction.top(options.top_k))} if fewer else {}
        return prediction.to_dict() | top | why

    async def timeline(
        self, request: Request, name: str, data: bytes, segments: Any, options: dict[str, Any]
    ) -> Timeline:
        """One at a time; its batches take turns with those of everybody else."""
        if self.stopping or self._timelines >= TIMELINES:
            raise busy("the server is stopping" if self.stopping else "other timelines are waiting")
        self._timelines += 1
        gone = threading.Event()

        def answer(clips: Sequence[Clip]) -> list[Any]:
            if gone.is_set():
                raise busy("nobody waits for this any more")
            return self.batcher.answer(clips)

        def make() -> Timeline:
            self.metrics.audio.inc(check_recording(data, name, self.settings.max_timeline))
            recognizer = self.recognizer.through(answer)
            return recognizer.timeline(named(data, name), segments, **options)

        try:
            async with self._one:
                result = (await unless_gone(request, [in_thread(make)]))[0]
        finally:
            gone.set()
            self._timelines -= 1
        if isinstance(result, BaseException):
            raise result
        return replace(result, file=name)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Of one live stream; raises Problem 503 if there is none."""
        if self.stopping or self.streams >= self.settings.max_live:
            full = f"{self.streams} live streams are open, no more may be; try again"
            raise busy("the server is stopping" if self.stopping else full)
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    def live(self, options: dict[str, Any]) -> Live:
        """A stream whose turns are answered with everybody else's."""
        return self.recognizer.through(self.batcher.answer).live(**options)

    def stop(self) -> None:
        """Take no new work; may be called by a signal handler."""
        self.stopping = True
        self.batcher.hurry()

    def close(self, seconds: float) -> bool:
        """See `Batcher.close`."""
        self.stop()
        self.pool.shutdown(wait=False)
        return self.batcher.close(seconds)


async def unless_gone(request: Request, futures: Sequence[Future]) -> list[Any]:
    """Results or exceptions; all is cancelled if the client leaves or the time is over."""
    waiting: asyncio.Future[list[Any]] = asyncio.gather(
        *map(asyncio.wrap_future, futures), return_exceptions=True
    )
    left: asyncio.Future[Any] = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({waiting, left}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise Problem(499, "ClientGone", "the client left")
        return waiting.result()
    finally:
        left.cancel()
        if not waiting.done():
            waiting.add_done_callback(lambda f: f.cancelled() or f.exception())  # nobody asks
            waiting.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def in_thread(call: Callable[[], Any]) -> Future:
    """Its result; the thread is a daemon, which keeps no process alive."""
    future: Future = Future()

    def run() -> None:
        try:
            settle(future, call())
        except BaseException as error:
            settle(future, error)

    threading.Thread(target=run, name="timeline", daemon=True).start()
    return future
