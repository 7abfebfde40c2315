"""A socket, and an application that runs on it until told to stop."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import uvicorn

from erc.base.errors import ConfigError
from erc.server.connections import Connection

if TYPE_CHECKING:
    from erc.recognizer import Recognizer

MESSAGE = 1 << 20  # bytes of one message of a WebSocket: half a minute of 16 kHz


def bound(host: str, port: int) -> socket.socket:
    """A socket that has the address but does not listen yet, so that nobody waits for the model.

    Raises:
        ConfigError: the address is taken, or not of this machine.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        place = socket.socket(family, kind, proto)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(address)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port} ({error.strerror or error}); "
            "choose another --port, 0 takes a free one"
        ) from None
    place.set_inheritable(True)
    return place


def warm(recognizer: Recognizer) -> None:
    """One answer to nothing in particular, so that the first client does not wait for set-up."""
    takes = recognizer.spec.modalities
    speech = None
    if "speech" in takes:
        with contextlib.suppress(ImportError):  # no scipy, no voice: the first client waits
            from erc.base.voice import Delivery, cast, speak

            rng = np.random.default_rng(0)
            speech = speak("안녕하세요", cast("F", rng), Delivery(3, 3, 3), rng) / np.float32(32768)
    text = "안녕" if "text" in takes and recognizer.tokens else None
    if (speech is not None or text) and "physiology" not in takes:
        recognizer.predict(speech, text, 16_000)


def listen(
    app: Any,
    place: socket.socket,
    ready: Callable[[str], None],
    stopping: Callable[[], None] = lambda: None,
    **options: Any,
) -> None:
    """Run an ASGI application on a bound socket until SIGTERM or Ctrl-C.

    Args:
        ready: told the address once it answers.
        stopping: called when the signal arrives, before open requests are answered.
        options: of `uvicorn.Config`.
    """

    class Server(uvicorn.Server):
        """Says where it listens, and when it stops."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            host, port = place.getsockname()[:2]
            ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")

        def handle_exit(self, *signal: Any) -> None:
            stopping()
            super().handle_exit(*signal)

    config = uvicorn.Config(
        app,
        http=Connection,
        ws="auto",
        ws_max_size=MESSAGE,
        ws_per_message_deflate=False,  # sound hardly shrinks, and a bomb would not grow
        log_level="warning",
        access_log=False,
        server_header=False,
        **options,
    )
    # uvicorn raises the signal again when it is done: that stopping was asked for is no failure
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    Server(config).run([place])
