"""Connections that cost nothing to open must not keep others out: uvicorn's protocol with limits."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD_SECONDS = 10.0  # that the head of a request may take
REST_SECONDS = 30.0  # that the rest of a body may take whose answer is already sent
HEAD_BYTES = 1 << 16


def _most() -> int:
    """Connections at once: half of the files that this process may open."""
    try:
        import resource
    except ImportError:  # Windows
        return 512
    return min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


class Connection(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    """Closed when a head takes too long or never ends; and the oldest of those that are owed no
    answer, half-sent requests among them, makes room when there are too many."""

    owed_nothing: ClassVar[dict[Connection, None]] = {}  # oldest first
    _timer: asyncio.TimerHandle | None = None
    _upgraded = False
    _head = 0  # bytes

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._close_in(HEAD_SECONDS)
        self.owed_nothing[self] = None
        if len(self.connections) > _most():
            next(iter(self.owed_nothing)).transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._upgraded:
            return
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._close_in(None)
            if not cycle.more_body:
                self.owed_nothing.pop(self, None)
        elif cycle is not None and cycle.more_body:  # answered before it was sent: it may go on
            if self._timer is None:
                self._close_in(REST_SECONDS)
        else:
            if self._timer is None:
                self._close_in(HEAD_SECONDS)
            self._head += len(data)
            if self._head > HEAD_BYTES:
                self.transport.abort()

    def handle_websocket_upgrade(self, *head: Any) -> None:
        """Another protocol has the transport from here on, with limits of its own."""
        self._upgraded = True
        self._close_in(None)
        self.owed_nothing.pop(self, None)
        super().handle_websocket_upgrade(*head)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.owed_nothing.pop(self, None)
        self.owed_nothing[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._close_in(None)
        self.owed_nothing.pop(self, None)

    def _close_in(self, seconds: float | None) -> None:
        if self._timer:
            self._timer.cancel()
        self._head = 0
        self._timer = self.loop.call_later(seconds, self.transport.abort) if seconds else None
