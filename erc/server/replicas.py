"""`erc serve --ray`: the same application in several replicas of Ray Serve, on one machine or many.

    client → Ray's HTTP proxy → Front (reads the request, knows no model) → a Replica (the application)

Ray Serve does not send a request again that a replica took before it died: the client would get a 500.
An answer depends on nothing but its request, so the front keeps the request and asks another replica.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from erc.base.errors import ConfigError, optional
from erc.recognizer.bulk import Cluster, start
from erc.server.problems import Problem, busy
from erc.server.settings import Settings

NAME = "erc"  # of the application in Ray Serve
TRIES, PAUSE = 20, 0.5  # as long as another replica may take to be there
SCOPE = ("type", "http_version", "method", "scheme", "path", "raw_path", "query_string", "headers")


class Answer(NamedTuple):
    """Of HTTP: header names and values are bytes."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Replica:
    """The application with a model of its own."""

    def __init__(self, folder: Path, settings: Settings, runtime: str):
        from erc.base.devices import tune_memory
        from erc.recognizer import load
        from erc.server.app import create_app
        from erc.server.listen import warm
        from erc.server.run import about

        tune_memory()
        recognizer = load(folder, runtime=runtime)
        warm(recognizer)
        self.app: Any = create_app(recognizer, settings, about(folder))

    async def respond(self, scope: dict[str, Any], body: bytes) -> Answer:
        """What the application answers."""
        return await respond(self.app, scope, body)

    def check_health(self) -> None:
        """Ray Serve asks now and then, and replaces a replica that raises."""
        if self.app.app.state.service.status == "stuck":
            raise RuntimeError("a recording cannot be decoded to the end")


async def respond(app: Any, scope: dict[str, Any], body: bytes) -> Answer:
    """One request through an ASGI application.

    Args:
        scope: of ASGI, type "http".
        body: of the request, whole.
    """
    sent: list[dict[str, Any]] = []
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:  # the client is there until it has its answer
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *rest = sent
    return Answer(start["status"], start["headers"], b"".join(m.get("body", b"") for m in rest))


class Front:
    """An ASGI application that lets replicas answer, and asks another one where one dies.

    Args:
        ask: request → answer, by some replica.
        lost: what `ask` raises when the replica is gone.
        most: bytes of a body; one more is passed on, for the application to refuse.
    """

    def __init__(self, ask: Callable[..., Any], lost: type[Exception], most: int):
        self.ask, self.lost, self.most = ask, lost, most

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1013})
            return
        body, more = b"", True
        while more and len(body) <= self.most:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        answer = await self._answer({key: scope[key] for key in SCOPE if key in scope}, body)
        head = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        await send(head)
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: dict[str, Any], body: bytes) -> Answer:
        for _ in range(TRIES):
            try:
                return await self.ask(scope, body)
            except self.lost:
                await asyncio.sleep(PAUSE)
        problem: Problem = busy("no replica is there to answer; try again")
        response = problem.response()
        return Answer(response.status_code, response.raw_headers, bytes(response.body))


def serve(
    folder: Path, settings: Settings, runtime: str, cluster: Cluster, ready: Callable[[str], None]
) -> int:
    """Deploy on a cluster, and stop everything again on SIGTERM or Ctrl-C.

    Args:
        cluster: whose `actors` are the replicas; None: one.
        ready: told the address once it answers.

    Raises:
        ConfigError: no Ray, no cluster, or the address is taken.
    """
    with optional("--ray"):
        from ray import serve as ray_serve
    if settings.root_path:
        raise ConfigError("--root-path is for one server; with --ray, let the proxy cut it off")
    port = settings.port or _free(settings.host)
    ray, lost = start(cluster), _lost()

    def front() -> Front:
        handle = ray_serve.get_deployment_handle("Replica", app_name=NAME)
        return Front(handle.respond.remote, lost, settings.max_bytes)

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        ray_serve.start(http_options={"host": settings.host, "port": port})
        replica = ray_serve.deployment(Replica).options(
            num_replicas=cluster.actors or 1, max_ongoing_requests=settings.queue,
            ray_actor_options={"num_cpus": cluster.cpus, "num_gpus": cluster.gpus},
            health_check_period_s=5, graceful_shutdown_timeout_s=settings.timeout,
        )  # fmt: skip
        gate = ray_serve.deployment(ray_serve.ingress(front)()).options(
            name="Front", max_ongoing_requests=settings.queue, ray_actor_options={"num_cpus": 0}
        )
        ray_serve.run(gate.bind(replica.bind(folder.absolute(), settings, runtime)), name=NAME)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        ready(f"http://{host}:{port}")
        stop.wait()
        ray_serve.delete(NAME)
    finally:
        ray.shutdown()
    return 0


def _lost() -> type[Exception]:
    from ray.exceptions import RayActorError

    return RayActorError


def _free(host: str) -> int:
    with socket.socket() as one:
        one.bind((host, 0))
        return int(one.getsockname()[1])
