"""The errors a user can meet. Each says what, where, what is allowed and what to do."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class ErcError(Exception):
    """Base of every error that is the input's fault, not the program's."""


class AudioError(ErcError):
    """A recording cannot be used: missing, unreadable, empty, too short, not finite."""


class CorpusError(ErcError):
    """A corpus folder or one of its files is not what its format says."""


class LabelError(ErcError):
    """An emotion, vote or rating lies outside what the scale allows."""


class ConfigError(ErcError):
    """An option, key or choice does not exist or contradicts another one."""


class CheckpointError(ErcError):
    """A model folder or checkpoint cannot be opened."""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return `" (did you mean 'happy'?)"` for the nearest allowed word, or an empty string.

    >>> did_you_mean("hapy", ["happy", "sad"])
    " (did you mean 'happy'?)"
    >>> did_you_mean("xyzzy", ["happy", "sad"])
    ''
    """
    near = difflib.get_close_matches(word, list(allowed), n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print an `ErcError` as one line on stderr and exit with 2; let everything else through."""
    try:
        yield
    except ErcError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        raise SystemExit(130) from None
