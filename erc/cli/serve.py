"""Commands that answer until they are stopped: HTTP for programs, a page for people."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

from erc.base.errors import ConfigError
from erc.cli.command import COMMERCIAL, MODEL, RUNTIME, Option, command
from erc.server.settings import PAGE_PORT, Settings, flag

SETTINGS = [
    Option(
        flag(one.name), one.metadata["help"], metavar=one.metadata["unit"], default=one.default,
        type=str if one.default is None else type(one.default),
    )
    for one in fields(Settings)
]  # fmt: skip


@command(
    MODEL,
    *SETTINGS,
    RUNTIME,
    COMMERCIAL,
    Option("--web", "with the page for people, at /web", flag=True),
    Option("--ray", "replicas: local, auto or HOST:PORT of a Ray cluster", metavar="ADDRESS"),
    Option("--replicas", "with --ray", type=int, default=2, metavar="N"),
    Option("--cpus", "of each replica", type=float, default=1.0, metavar="N"),
)
def serve(
    model: str | None, runtime: str, commercial: bool, web: bool, ray: str | None, replicas: int,
    cpus: float, api_key: str | None, **settings: Any,
) -> int:  # fmt: skip
    """Answer over HTTP until told to stop."""
    from erc.model.folder.find import find_model
    from erc.server.run import serve

    api_key = api_key or os.environ.get("ERC_API_KEY") or None
    chosen, folder = Settings(api_key=api_key, **settings), find_model(model)
    if commercial:
        check_terms(folder)
    if ray:
        if web:
            raise ConfigError("--web is for one server; leave it out with --ray")
        if replicas < 1:
            raise ConfigError(f"--replicas {replicas}: give at least one")
        from erc.recognizer.bulk import Cluster
        from erc.server.replicas import serve as serve_replicas

        cluster = Cluster(ray, replicas, cpus)
        return serve_replicas(
            folder,
            chosen,
            runtime,
            cluster,
            lambda url: print(f"erc: listening on {url}", flush=True),
        )
    return serve(folder, chosen, runtime, web)


@command(
    MODEL,
    Option("--host", "of this machine; others: erc serve --web", default=Settings.host),
    Option("--port", "0 takes a free one", type=int, default=PAGE_PORT),
    Option("--open", "open it in the browser", flag=True),
    RUNTIME,
    COMMERCIAL,
)
def web(model: str | None, host: str, port: int, open: bool, runtime: str, commercial: bool) -> int:
    """Show the page for people on this machine: record or upload, and see emotion and why."""
    from erc.model.folder.find import find_model
    from erc.server.web import serve

    settings, folder = Settings(host=host, port=port), find_model(model)
    if commercial:
        check_terms(folder)
    return serve(folder, settings, browser=open, runtime=runtime)


def check_terms(folder: Path) -> None:
    """Raise ConfigError where a model may not be used commercially, before anything is started."""
    from erc.base.terms import from_json, refuse
    from erc.recognizer.public.opened import config_of

    refuse(from_json(config_of(folder)["meta"].get("terms")), f"the model {folder}")
