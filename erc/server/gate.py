"""Around every request: where it comes from, key, size, time limit, and counting. Plain ASGI.

A WebSocket passes the same checks before it is accepted; its own limits are in `erc.server.live`.
"""

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
SAFE = {"GET", "HEAD", "OPTIONS"}  # change nothing, and no other page may read the answer: no CORS
SLOW = 0.5  # s that the answer to a wrong key takes
GUESSES = 16  # wrong keys that wait at once; more are turned away unread
ROUTES = {
    "/v1/predict",
    "/v1/predict/batch",
    "/v1/timeline",
    "/v1/live",
    "/health",
    "/info",
    "/metrics",
}


class Gate:
    """ASGI middleware; see the module.

    Attributes:
        held: bytes of the bodies that are in memory now.
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics):
        self.app, self.settings, self.metrics = app, settings, metrics
        self.held = self.guesses = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        root = self.settings.root_path
        path = scope["path"].removeprefix(root)
        # as ASGI has it, whether a proxy cut the prefix off or not
        scope = {**scope, "root_path": root, "path": root + path}
        route = path if path in ROUTES else "other"
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
            accepted = 101 if message["type"] == "websocket.accept" else status
            status = message.get("status", accepted)
            await send(message)

        try:
            await self._check(scope, path)
            async with asyncio.timeout(self._seconds(route)):
                await self.app(scope, limited, noted)
        except Exception as error:  # Starlette raises what it has answered with 500 once more
            if not status:
                await self._problem(error).response()(scope, receive, noted)
        finally:
            self.held -= size
            self.metrics.requests.labels(route, str(status or 499)).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - start)

    async def _check(self, scope: Scope, path: str) -> None:
        headers = Headers(scope=scope)
        if not (self.settings.api_key or self.settings.known_host(headers.get("host", ""))):
            raise Problem(
                403, "Forbidden", "without a key this server answers to names of its own machine only; "
                "behind a proxy that keeps the name: --allow-hosts",
            )  # fmt: skip
        # who opens a WebSocket may always read the answer, whatever page it is
        if scope.get("method") not in SAFE and not same_origin(headers):
            raise Problem(403, "Forbidden", "a page of another site may not send anything here")
        if self.settings.api_key and path not in OPEN:
            shown = _shown(headers).encode()
            if not hmac.compare_digest(shown, self.settings.api_key.encode()):
                await self._refuse(guessed=bool(shown))
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self.settings.max_bytes:
            raise self._too_large()

    async def _refuse(self, guessed: bool) -> None:
        """Slowly, where a key was tried."""
        if guessed:
            if self.guesses >= GUESSES:
                raise Problem(429, "TooManyKeys", "too many wrong keys", {"Retry-After": "1"})
            self.guesses += 1
            try:
                await asyncio.sleep(SLOW)
            finally:
                self.guesses -= 1
        raise Problem(
            401, "Unauthorized", "give the API key: Authorization: Bearer KEY, or X-API-Key",
            {"WWW-Authenticate": 'Basic realm="erc"'},  # alone: Chromium reads one scheme a line
        )  # fmt: skip

    def _seconds(self, route: str) -> float | None:
        if route in ("other", "/v1/live"):
            return None  # the page streams for as long as somebody looks at it
        long = route == "/v1/timeline"
        return self.settings.timeout + (self.settings.max_timeline if long else 0)

    def _too_large(self) -> Problem:
        return too_large(f"the request has more than {self.settings.max_mb:g} MB")

    def _problem(self, error: Exception) -> Problem:
        if isinstance(error, TimeoutError):
            return Problem(504, "Timeout", f"no answer within {self.settings.timeout:g} s")
        return problem_of(error)


def same_origin(headers: Headers) -> bool:
    """Whether a request comes from no page at all, or from one of this server.

    Browsers send forms to any address without asking it, and say so: in `Sec-Fetch-Site` (W3C Fetch
    Metadata), older ones in `Origin`; a page can forge neither.
    """
    if site := headers.get("sec-fetch-site"):
        return site in ("same-origin", "none")
    own = (headers.get("host"), headers.get("x-forwarded-host"))
    return "origin" not in headers or headers["origin"].partition("://")[2] in own


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
