"""`erc serve`: load a model, listen, and stop cleanly."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

from erc.base.errors import AudioWarning
from erc.server.settings import Settings, need

AFTER = 5.0  # s beyond the time limit of a request that stopping may take


def serve(folder: Path, settings: Settings, runtime: str = "auto", web: bool = False) -> int:
    """Serve a model folder until SIGTERM or Ctrl-C; whatever was accepted is answered before.

    Raises:
        ConfigError: the address is taken, or gradio is missing.
        CheckpointError: no model.
    """
    if web:
        need("gradio")
    from erc.server.listen import bound, listen, warm

    place = bound(settings.host, settings.port)

    from erc.base.devices import tune_memory
    from erc.recognizer import load

    warnings.simplefilter("ignore", AudioWarning)  # what clients send is not for the log
    tune_memory()
    recognizer = load(folder, runtime=runtime)
    if warning := recognizer.learned.warning():
        print(f"erc serve: {warning}", file=sys.stderr)
    warm(recognizer)

    from erc.server.app import create_app

    app: Any = create_app(recognizer, settings, about(folder))
    service = app.app.state.service
    if web:  # its predictions queue up with all others
        from erc.server.web import mount

        answering = recognizer.through(service.batcher.answer)
        mount(app.app, answering, root_path=settings.root_path)
    listen(
        app, place, lambda url: print(f"erc: listening on {url} (Ctrl-C stops)", flush=True),
        service.stop, lifespan="on", timeout_keep_alive=30,
        timeout_graceful_shutdown=int(settings.timeout + AFTER),
    )  # fmt: skip
    if not service.close(AFTER):
        print("erc: a recording could not be decoded to the end; leaving it", file=sys.stderr)
        sys.stdout.flush()
        os._exit(0)  # a thread inside libsndfile cannot be ended in any other way
    return 0


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
