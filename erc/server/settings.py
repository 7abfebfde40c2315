"""What a server is told, and its limits."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from erc.base.errors import ConfigError

HELD = 12  # bodies of the greatest size that may be in memory at once


@dataclass(frozen=True)
class Settings:
    """Options of `erc serve`.

    Attributes:
        host: address to listen on; another than loopback needs a key.
        port: 0 takes a free one.
        api_key: what clients must show; None: nobody is asked.
        max_seconds: of a recording to predict.
        max_timeline: of a recording to make a timeline of, s.
        max_mb: of a request's body.
        queue: utterances that are accepted and not yet answered, at most.
        batch_wait: ms that the first of a batch waits for others.
        batch_size: utterances in a batch, at most.
        decoders: threads that decode recordings.
        timeout: s from the first byte of a request to its answer; a timeline has as much again as
            its recording may last.

    Raises:
        ConfigError: an option out of range, or a public address without a key.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = field(default=None, repr=False)
    max_seconds: float = 60.0
    max_timeline: float = 3600.0
    max_mb: float = 20.0
    queue: int = 256
    batch_wait: float = 5.0
    batch_size: int = 32
    decoders: int = 2
    timeout: float = 30.0

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
        for name in ("max_seconds", "max_timeline", "max_mb", "timeout"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{_option(name)} {getattr(self, name):g}: give more than 0")
        for name in ("queue", "batch_size", "decoders"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{_option(name)} {getattr(self, name)}: give at least 1")
        if not 0 <= self.batch_wait <= 1000 * self.timeout:
            raise ConfigError(f"--batch-wait {self.batch_wait:g}: ms between 0 and the time limit")
        if not 0 <= self.port < 65536:
            raise ConfigError(f"--port {self.port}: ports are 1–65535, 0 takes a free one")

    @property
    def max_bytes(self) -> int:
        """Of one body."""
        return int(self.max_mb * 1e6)

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


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
