"""`erc serve`: load a model, listen, and stop cleanly."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from erc.base.errors import ConfigError
from erc.server.settings import Settings

if TYPE_CHECKING:
    from erc.recognizer import Recognizer

AFTER = 5.0  # s beyond the time limit of a request that stopping may take


def serve(model: str | None, settings: Settings, runtime: str = "auto", web: bool = False) -> int:
    """Serve a model until SIGTERM or Ctrl-C; whatever was accepted is answered before.

    Raises:
        ConfigError: the address is taken, or the packages of the extra are missing.
        CheckpointError: no model.
    """
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"`erc serve` needs {error.name}: pip install 'erc[serve]'") from None
    page = _web() if web else None
    place = bound(settings)

    from erc.base.devices import tune_memory
    from erc.cli.predict import model_folder
    from erc.recognizer import load

    tune_memory()
    folder = model_folder(model)
    recognizer = load(folder, runtime=runtime)
    warm(recognizer)

    from erc.server.app import create_app

    app: Any = create_app(recognizer, settings, about(folder))
    if page:  # its predictions queue up with all others
        page(app.app, app.app.state.service.batcher.behind(lambda: False))
    listen(app, settings, place)
    return 0


def listen(app: Any, settings: Settings, place: socket.socket) -> None:
    """Run the application on a bound socket until told to stop."""
    import uvicorn

    service = app.app.state.service

    class Server(uvicorn.Server):
        """Says where it listens; while it stops, /health tells load balancers."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            host, port = place.getsockname()[:2]
            host = f"[{host}]" if ":" in host else host
            print(f"erc: listening on http://{host}:{port} (Ctrl-C stops)", flush=True)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            service.stop()
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, lifespan="on",
        timeout_graceful_shutdown=int(settings.timeout + AFTER), timeout_keep_alive=30,
    )  # fmt: skip
    # uvicorn raises the signal again when it is done: that stopping was asked for is no failure
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    Server(config).run([place])
    if not service.close(AFTER):
        print("erc: a recording could not be decoded to the end; leaving it", file=sys.stderr)
        sys.stdout.flush()
        os._exit(0)  # a thread inside libsndfile cannot be ended in any other way


def bound(settings: Settings) -> socket.socket:
    """A socket that has the address but does not listen yet, so that nobody waits for the model."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )[0]
        place = socket.socket(family, kind, proto)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(address)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror or error}); "
            "choose another --port, 0 takes a free one"
        ) from None
    place.set_inheritable(True)
    return place


def about(folder: Path) -> dict[str, Any]:
    """Name, licences carried along and forbidden use of a model, as its folder states them."""
    from erc.recognizer.info import info

    facts = info(folder)
    name = folder.parent if folder.name == "model" else folder
    return {
        "model": name.resolve().name,
        "licences": facts["licences"] or [],
        "forbidden_use": facts["not_for"],
    }


def warm(recognizer: Recognizer) -> None:
    """One answer to nothing in particular, so that the first client does not wait for set-up."""
    import numpy as np

    takes = recognizer.spec.modalities
    speech = np.zeros(16_000, np.float32) if "speech" in takes else None
    text = "안녕" if "text" in takes and recognizer.tokens else None
    if (speech is not None or text) and "physiology" not in takes:
        recognizer.predict(speech, text, 16_000)


def _web() -> Any:
    """`erc.server.web.mount`, checked before a model is loaded."""
    try:
        import gradio  # noqa: F401

        from erc.server.web import mount
    except ImportError as error:
        raise ConfigError(f"--web needs {error.name}: pip install 'erc[serve]'") from None
    return mount
