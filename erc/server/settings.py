"""What a server is told, and its limits. Every option, default and help text is written here only."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from erc.base.errors import ConfigError, not_installed

PAGE_PORT = 7860  # of `erc web`
LIVE = "/v1/live"  # where live streams are
HELD = 12  # bodies of the greatest size that may be in memory at once


def _option(default: Any, unit: str, text: str, **more: Any) -> Any:
    """A field with what `erc serve --help` says of it."""
    return field(default=default, metadata={"unit": unit, "help": text}, **more)


@dataclass(frozen=True)
class Settings:
    """Options of `erc serve`; the command line is made from these fields.

    Raises:
        ConfigError: an option out of range, or a public address without a key.
    """

    host: str = _option("127.0.0.1", "ADDRESS", "to listen on; a public one needs a key")
    port: int = _option(8000, "N", "0 takes a free one")
    api_key: str | None = _option(
        None, "KEY", "what clients must show (better: $ERC_API_KEY)", repr=False
    )
    max_seconds: float = _option(60.0, "S", "of a recording to predict")
    max_timeline: float = _option(3600.0, "S", "of a recording to make a timeline of")
    max_mb: float = _option(20.0, "MB", "of the body of a request")
    timeout: float = _option(30.0, "S", "for an answer; a timeline gets --max-timeline on top")
    max_live: int = _option(32, "N", "live streams at once, at most; one lasts --max-timeline")
    live_idle: float = _option(30.0, "S", "that a live stream may send nothing, or read nothing")
    queue: int = _option(256, "N", "utterances that are accepted and not yet answered, at most")
    batch_wait: float = _option(5.0, "MS", "that the first utterance of a batch waits for others")
    batch_size: int = _option(32, "N", "utterances in a batch, at most")
    allow_hosts: str = _option(
        "", "NAMES", "under which a proxy passes requests to a server without a key, a,b,…"
    )
    root_path: str = _option("", "/PATH", "below which a proxy shows the server")
    decoders: int = _option(2, "N", "threads that decode recordings")

    def __post_init__(self) -> None:
        if self.api_key is not None and not self.api_key.strip():
            raise ConfigError(
                "the API key is empty; leave --api-key and $ERC_API_KEY out, or set one"
            )
        if not self.api_key and not is_loopback(self.host):
            raise ConfigError(
                f"--host {self.host} can be reached from other machines: give --api-key or set "
                "$ERC_API_KEY, or stay on 127.0.0.1 behind a proxy that asks for one"
            )
        for name in ("max_seconds", "max_timeline", "max_mb", "timeout", "live_idle"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{flag(name)} {getattr(self, name):g}: give more than 0")
        for name in ("queue", "batch_size", "decoders", "max_live"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{flag(name)} {getattr(self, name)}: give at least 1")
        if not 0 <= self.batch_wait <= 1000 * self.timeout:
            raise ConfigError(f"--batch-wait {self.batch_wait:g}: ms between 0 and the time limit")
        if self.root_path and (self.root_path[0] != "/" or self.root_path[-1] == "/"):
            raise ConfigError(
                f"--root-path {self.root_path}: begins with / and does not end with it"
            )
        if not 0 <= self.port < 65536:
            raise ConfigError(f"--port {self.port}: ports are 1–65535, 0 takes a free one")

    @property
    def max_bytes(self) -> int:
        """Of one body."""
        return int(self.max_mb * 1e6)

    def known_host(self, host: str) -> bool:
        """Whether a server without a key may be called so: else a page whose name was made to point
        here (DNS rebinding) could use it through its visitor's browser."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        return is_loopback(name.strip("[]")) or name in self.allow_hosts.split(",")

    @property
    def max_held(self) -> int:
        """Bytes of all bodies that are in memory together."""
        return HELD * self.max_bytes


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address. A name other than localhost may be anything.

    >>> [is_loopback(h) for h in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org", "")]
    [True, True, True, False, False, False]
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def flag(name: str) -> str:
    """
    >>> flag("max_mb")
    '--max-mb'
    """
    return "--" + name.replace("_", "-")


def need(*packages: str) -> None:
    """Raises ConfigError for the first that is not installed, before a model is loaded."""
    for name in packages:
        if find_spec(name) is None:
            raise not_installed(name, "the page")
