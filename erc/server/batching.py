"""Many requests, one model: items decoded by a few threads, clips answered together by one.

A batch is what has been decoded when the model becomes free, and what follows within the waiting
time of its first; `Recognizer.answer` then batches it by length. The busier the server, the larger
the batches.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from dataclasses import dataclass, field
from math import isfinite
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from erc.base.errors import AudioError
from erc.recognizer.explain import explain
from erc.recognizer.prediction import Prediction
from erc.server.decoding import decode
from erc.server.metrics import Metrics
from erc.server.problems import busy
from erc.server.settings import Settings
from erc.server.uploads import Item

if TYPE_CHECKING:
    from erc.recognizer import Clip, Recognizer

NO_ANSWER = "the model has no finite answer to it; are its samples far outside [−1, 1]?"
STUCK = 60.0  # s that decoding one recording may take before the server calls itself unhealthy


@dataclass(eq=False)
class Job:
    """An item on its way to its answer; or a clip that needs no decoding."""

    item: Item | None = None
    clip: Any = None  # a Clip once it is decoded
    future: Future = field(default_factory=Future)

    @property
    def explained(self) -> bool:
        """Whether it also asks why, which is computed clip by clip."""
        return self.item is not None and self.item.options.explain


WAKE = Job()  # ends the waiting, means nothing


class Batcher:
    """The threads between requests and a recognizer."""

    def __init__(self, recognizer: Recognizer, settings: Settings, metrics: Metrics):
        self.recognizer, self.settings, self.metrics = recognizer, settings, metrics
        self.depth, self._lock = 0, threading.Lock()
        self._unread: SimpleQueue[Job | None] = SimpleQueue()
        self._ready: SimpleQueue[Job | None] = SimpleQueue()
        self._closing = self._ended = False  # nothing more is accepted; nothing more is answered
        self._since: dict[int, float] = {}  # decoder → when it began with a recording
        # daemons: a decoder that never comes back must not keep the process alive
        self._decoders = [
            threading.Thread(target=self._decode, args=(i,), name=f"decoder-{i}", daemon=True)
            for i in range(settings.decoders)
        ]
        self._model = threading.Thread(target=self._run, name="model", daemon=True)
        for thread in (*self._decoders, self._model):
            thread.start()
        metrics.depth.set_function(lambda: self.depth)

    def submit(self, items: Sequence[Item]) -> list[Future]:
        """Accept all of them or none; the futures hold a Prediction or an Explanation each.

        Raises:
            Problem: 503, the queue is full.
        """
        most, jobs = self.settings.queue, [Job(item) for item in items]
        with self._lock:
            if self._closing:
                raise busy("the server is stopping")
            if self.depth + len(jobs) > most:
                raise busy(f"{self.depth} utterances are waiting, at most {most} may; try again")
            self.depth += len(jobs)
            for job in jobs:
                self._unread.put(job)
        for job in jobs:
            job.future.add_done_callback(self._leave)
        return [job.future for job in jobs]

    def answer(self, clips: Sequence[Clip]) -> list[Any]:
        """Predictions of the clips of a long piece of work, which queue up among all others."""
        jobs = [Job(clip=clip) for clip in clips]
        with self._lock:
            if self._ended:
                raise busy("the server is stopping")
            for job in jobs:
                self._ready.put(job)
        wait([job.future for job in jobs])
        return [job.future.result() for job in jobs]

    @property
    def stuck(self) -> bool:
        """Whether some recording keeps a decoder for longer than any should."""
        return any(time.monotonic() - since > STUCK for since in list(self._since.values()))

    def hurry(self) -> None:
        """Accept nothing more, let nothing wait for company. Takes no lock: signal handlers call it."""
        self._closing = True
        self._ready.put(WAKE)

    def close(self, seconds: float) -> bool:
        """Answer what was accepted, then end; returns whether that was possible in time."""
        end = time.monotonic() + seconds
        self.hurry()
        with self._lock:  # whoever was accepting has put his jobs into the queue
            pass
        for queue, threads in ((self._unread, self._decoders), (self._ready, [self._model])):
            with self._lock:  # whatever is behind the end would wait for ever
                self._ended = queue is self._ready
                for _ in threads:
                    queue.put(None)
            for thread in threads:
                thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in (*self._decoders, self._model))

    def _leave(self, _: Future) -> None:
        with self._lock:
            self.depth -= 1

    def _decode(self, number: int) -> None:
        while (job := self._unread.get()) is not None:
            if job.item is None or job.future.cancelled():
                continue
            self._since[number] = time.monotonic()
            try:
                job.clip = decode(job.item, self.recognizer, self.settings, self.metrics)
                self._ready.put(job)
            except BaseException as error:
                settle(job.future, error)
            self._since.pop(number, None)

    def _run(self) -> None:
        while (first := self._ready.get()) is not None:
            if first is WAKE:
                continue
            jobs = [job for job in self._collect(first) if not job.future.cancelled()]
            together = [job for job in jobs if not job.explained]
            if together:
                self.metrics.batches.observe(len(together))
                self._answer(together, self.recognizer.answer)
            for job in jobs:
                if job.explained:
                    self._answer([job], lambda clips: [explain(self.recognizer, clips[0])])

    def _collect(self, first: Job) -> list[Job]:
        """All that is there, and what comes while the first may wait."""
        jobs, end = [first], time.monotonic() + self.settings.batch_wait / 1000
        while len(jobs) < self.settings.batch_size:
            left = 0.0 if self._closing else end - time.monotonic()
            try:
                job = self._ready.get(left > 0, max(left, 0.0))
            except Empty:
                break
            if job is None:
                self._ready.put(None)
                break
            if job is not WAKE:
                jobs.append(job)
        return jobs

    def _answer(self, jobs: list[Job], answer: Callable[[list[Clip]], Sequence[Any]]) -> None:
        """Together; if that fails, one by one, so that an input only ever spoils its own answer."""
        try:
            answers: Sequence[Any] = answer([job.clip for job in jobs])
        except Exception as error:
            if len(jobs) > 1:
                for job in jobs:
                    self._answer([job], answer)
                return
            answers = [error]
        for job, one in zip(jobs, answers, strict=True):
            settle(
                job.future, one if is_finite(one) else AudioError(f"{job.clip.name}: {NO_ANSWER}")
            )


def is_finite(answer: Any) -> bool:
    """Whether an answer can be said: JSON has no nan, and a nan means nothing to anybody."""
    one = getattr(answer, "prediction", answer)
    if not isinstance(one, Prediction):
        return True
    return all(map(isfinite, (*one.probabilities.values(), *one.dimensions.values())))


def settle(future: Future, value: Any) -> None:
    """Hand over a result, or what was raised; the client may have gone meanwhile."""
    with suppress(InvalidStateError):
        if isinstance(value, BaseException):
            future.set_exception(value)
        else:
            future.set_result(value)
