"""Around every request: API key, size of the body, time limit, and counting. Plain ASGI."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from erc.server.metrics import Metrics
from erc.server.problems import Problem, busy, problem_of, too_large
from erc.server.settings import Settings

OPEN = {"/health"}  # for load balancers, which have no key
ROUTES = {"/v1/predict", "/v1/predict/batch", "/v1/timeline", "/health", "/info", "/metrics"}


class Gate:
    """ASGI middleware; see the module.

    Attributes:
        held: bytes of the bodies that are in memory now.
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics):
        self.app, self.settings, self.metrics = app, settings, metrics
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        route = scope["path"] if scope["path"] in ROUTES else "other"
        start, status, size = time.perf_counter(), 0, 0

        async def limited() -> Message:
            nonlocal size
            message = await receive()
            length = len(message.get("body", b""))
            size += length
            self.held += length
            if size > self.settings.max_bytes:
                raise self._too_large()
            if self.held > self.settings.max_held:
                raise busy("too many large requests at once; try again")
            return message

        async def noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            self._check(scope)
            async with asyncio.timeout(self._seconds(route)):
                await self.app(scope, limited, noted)
        except Exception as error:  # Starlette raises what it has answered with 500 once more
            if not status:
                await self._problem(error).response()(scope, receive, noted)
        finally:
            self.held -= size
            self.metrics.requests.labels(route, str(status or 499)).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - start)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if self.settings.api_key and scope["path"] not in OPEN:
            shown = _shown(headers).encode()
            if not hmac.compare_digest(shown, self.settings.api_key.encode()):
                raise Problem(
                    401, "Unauthorized", "give the API key: Authorization: Bearer KEY, or X-API-Key",
                    {"WWW-Authenticate": 'Bearer, Basic realm="erc"'},
                )  # fmt: skip
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self.settings.max_bytes:
            raise self._too_large()

    def _seconds(self, route: str) -> float | None:
        if route == "other":
            return None  # the page streams for as long as somebody looks at it
        long = route == "/v1/timeline"
        return self.settings.timeout + (self.settings.max_timeline if long else 0)

    def _too_large(self) -> Problem:
        return too_large(f"the request has more than {self.settings.max_mb:g} MB")

    def _problem(self, error: Exception) -> Problem:
        if isinstance(error, TimeoutError):
            return Problem(504, "Timeout", f"no answer within {self.settings.timeout:g} s")
        return problem_of(error)


def _shown(headers: Headers) -> str:
    """The key a client shows: X-API-Key, a bearer token, or the password a browser asks for."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    if key := headers.get("x-api-key"):
        return key
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""
