"""`/v1/live`: a WebSocket with 16-bit PCM in, and out of it every turn as it ends.

    client                                          server
    {"rate": 16000, "speaker": "Ann"}               {"type": "ready", …}
    binary PCM, mono, little-endian, any size       {"type": "partial" | "turn", "turn": {…}} …
    end                                             {"type": "end", …}, close 1000

Or `{"error": {"type", "message"}}`, and a close code. What waits to be heard is bounded: a client that
sends faster than the server hears, or does not read its answers, is not read from, and nobody else
waits for it.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from erc.server.problems import Problem, problem_of, too_large
from erc.server.schemas import LiveRequest
from erc.server.service import Service
from erc.server.settings import LIVE
from erc.server.uploads import parsed, validated

if TYPE_CHECKING:
    from fastapi import FastAPI

    from erc.timeline import Heard, Live

WAITING = 4  # s of sound that wait to be heard before no more is read
CODES = {413: 1009, 422: 1007, 500: 1011, 503: 1013}  # RFC 6455 and its registry; others: policy
POLICY = 1008


def add(app: FastAPI, service: Service) -> None:
    """Give an application the route."""

    @app.websocket(LIVE)
    async def live(websocket: WebSocket) -> None:
        await talk(websocket, service)


async def talk(websocket: WebSocket, service: Service) -> None:
    """One stream from its first message to its last."""
    try:
        with service.place():
            await websocket.accept()
            await _Stream(websocket, service).run()
    except WebSocketDisconnect:
        pass
    except Exception as error:
        await _fail(websocket, problem_of(error), service.settings.live_idle)


async def _fail(websocket: WebSocket, problem: Problem, patience: float) -> None:
    """Say what is wrong, to who is not there yet as the answer to his request."""
    if websocket.application_state.name == "CONNECTING":
        await websocket.send_denial_response(problem.response())
        return
    with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):  # he may not read even that
        async with asyncio.timeout(patience):
            await websocket.send_text(_text({"error": problem.error()}))
            await websocket.close(CODES.get(problem.status, POLICY))


class _Stream:
    """What is between a socket and its `Live`: sound that waits, and a task at each end of it."""

    def __init__(self, websocket: WebSocket, service: Service):
        self.websocket, self.service, self.settings = websocket, service, service.settings
        self.waiting, self.over = bytearray(), False
        self.news, self.room = asyncio.Event(), asyncio.Event()
        self.most = self.left = 0  # bytes that may wait, and that may still come

    async def run(self) -> None:
        """Until the client has said "end" and heard all; raises what ended it before."""
        options = await self._options()
        live = self.service.live(options.model_dump())
        second = 2 * options.rate
        self.most, self.left = WAITING * second, int(self.settings.max_timeline * second)
        await self._send(self._ready(options))
        tasks = {asyncio.create_task(self._hear()), asyncio.create_task(self._answer(live, second))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
                task.add_done_callback(lambda t: t.cancelled() or t.exception())  # nobody asks
            await asyncio.wait(tasks)

    async def _options(self) -> LiveRequest:
        message = await self._receive()
        if message.get("text") is None:
            raise Problem(
                422,
                "ConfigError",
                'the first message is JSON, e.g. {"rate": 16000}; sound comes next',
            )
        return validated(LiveRequest, parsed(message["text"].encode()), ())

    async def _hear(self) -> None:
        """Messages → what waits, as long as there is room."""
        while not self.over:
            message = await self._receive()
            if (text := message.get("text")) is not None:
                if text != "end":
                    raise Problem(422, "ConfigError", 'send sound as binary messages, then "end"')
                self.over = True
            data = message.get("bytes") or b""
            self.left -= len(data)
            if self.left < 0:
                most = self.settings.max_timeline
                raise too_large(f"a live stream lasts {most:g} s at most; begin another one")
            self.waiting += data
            self.news.set()
            while len(self.waiting) >= self.most:
                self.room.clear()
                await self.room.wait()

    async def _answer(self, live: Live, second: int) -> None:
        """What waits → answers. All of it at once: who falls behind gets fewer partial ones."""
        loop, call = asyncio.get_running_loop(), self.service.pool
        while True:
            await self.news.wait()
            self.news.clear()
            over, data = self.over, bytes(self.waiting)
            self.waiting.clear()
            self.room.set()
            self.service.metrics.audio.inc(len(data) / second)
            await self._tell(await loop.run_in_executor(call, live.feed, data))
            if over:
                await self._tell(await loop.run_in_executor(call, live.close))
                await self._send(_end(live))
                await self.websocket.close()
                return

    async def _tell(self, heard: list[Heard]) -> None:
        for one in heard:
            await self._send(one.to_dict())

    async def _receive(self) -> Any:
        """The next message; raises Problem where none comes in time."""
        message = await self._in_time(self.websocket.receive(), "nothing was sent")
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1006)
        return message

    async def _send(self, value: dict[str, Any]) -> None:
        await self._in_time(self.websocket.send_text(_text(value)), "no answer was read")

    async def _in_time(self, step: Any, what: str) -> Any:
        try:
            async with asyncio.timeout(self.settings.live_idle):
                return await step
        except TimeoutError:
            raise Problem(408, "Idle", f"{what} for {self.settings.live_idle:g} s") from None

    def _ready(self, options: LiveRequest) -> dict[str, Any]:
        one = self.service.recognizer
        about = {"model": one.model, "simulated": one.learned.simulated, **one.space.to_json()}
        return {"type": "ready", **about, "settings": options.model_dump()}


def _end(live: Live) -> dict[str, Any]:
    """The averages of the whole stream, as a timeline has them."""
    made = live.timeline()
    return {
        "type": "end",
        "duration": made.duration,
        "turns": len(made.turns),
        "shares": dict(made.shares()),
        "simulated": made.simulated,
    }


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
