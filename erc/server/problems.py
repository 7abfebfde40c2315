"""What can go wrong with a request: a status and `{"error": {"type", "message"}}`, nothing else."""

from __future__ import annotations

import json
import logging
import traceback
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from erc.base.errors import ErcError

log = logging.getLogger("erc.server")
RETRY_AFTER = 1  # s; a queue of the usual size is worked off in less


class Problem(Exception):
    """Answered with `status`; `kind` is for programs, the message for people."""

    def __init__(self, status: int, kind: str, message: str, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status, self.kind, self.message, self.headers = status, kind, message, headers or {}

    def error(self) -> dict[str, str]:
        """As it stands in an answer."""
        return {"type": self.kind, "message": self.message}

    def response(self) -> Response:
        """The whole answer."""
        return json_response({"error": self.error()}, self.status, self.headers)


def busy(message: str) -> Problem:
    """Come back later."""
    return Problem(503, "Busy", message, {"Retry-After": str(RETRY_AFTER)})


def too_large(message: str) -> Problem:
    """Too many bytes, seconds or items."""
    return Problem(413, "TooLarge", message)


def problem_of(error: BaseException) -> Problem:
    """The problem behind any exception; what nobody foresaw is logged and not told."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ErcError):
        return Problem(422, type(error).__name__, str(error))
    if isinstance(error, ClientDisconnect):  # nobody reads the answer, and who leaves writes no log
        return Problem(499, "ClientGone", "the client left")
    # where, but not the message: it may quote what somebody said
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("a request failed: %s\n%s", type(error).__name__, where)
    return Problem(500, "InternalError", "the server failed on this request; its log says how")


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON as it is; nan is refused, as JSON has none."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return Response(text, status, headers, "application/json")
