"""The errors a user can meet. Each says what, where, what is allowed and what to do."""

from __future__ import annotations

import difflib
import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress


class ErcError(Exception):
    """Base of every error that is the input's fault, not the program's."""


class AudioError(ErcError):
    """A recording cannot be used: missing, unreadable, empty, too short, not finite."""


class AudioWarning(UserWarning):
    """A recording can be used, but is not all that it should be."""


class ModelWarning(UserWarning):
    """A model can be used, but its answers need a word of explanation."""


class CorpusError(ErcError):
    """A corpus folder or one of its files is not what its format says."""


class LabelError(ErcError):
    """An emotion, vote or rating lies outside what the scale allows."""


class ConfigError(ErcError):
    """An option, key or choice does not exist or contradicts another one."""


class CalibrationError(ErcError):
    """No temperature makes these answers mean what they say."""


class TrainingError(ErcError):
    """A training has left the numbers: its loss is nan or infinite."""


class CheckpointError(ErcError):
    """A model folder or checkpoint cannot be opened."""


EXTRAS = {  # package → the part of erc that brings it
    **dict.fromkeys(("hydra", "lightning", "omegaconf", "pandas", "peft", "pyarrow"), "train"),
    **dict.fromkeys(("torch", "transformers"), "train"),
    "optuna": "sweep",
    **dict.fromkeys(("jinja2", "matplotlib"), "report"),
    "audformat": "audformat",
    "av": "formats",
    **dict.fromkeys(("fsspec", "ray"), "scale"),
    "gradio": "web",
    "scipy": "physiology",
    "sounddevice": "live",
}


def not_installed(package: str, what: str) -> ConfigError:
    """What to say of a package that is not there.

    >>> not_installed("pandas.core", "a table")
    ConfigError("a table needs pandas: pip install 'erc[train]'")
    """
    package = package.partition(".")[0]
    return ConfigError(f"{what} needs {package}: pip install 'erc[{EXTRAS[package]}]'")


@contextmanager
def optional(what: str) -> Iterator[None]:
    """`with optional("a table"): import pandas`; raises ConfigError where it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRAS:
            raise
        raise not_installed(error.name or "", what) from None


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return `" (did you mean 'happy'?)"` for the nearest allowed word, or an empty string.

    >>> did_you_mean("hapy", ["happy", "sad"])
    " (did you mean 'happy'?)"
    >>> did_you_mean("xyzzy", ["happy", "sad"])
    ''
    """
    near = difflib.get_close_matches(word, list(allowed), n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""


def exit_code(error: ErcError | OSError) -> int:
    """2: what was asked for cannot be; 1: it can, but there is no room to write it."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return 1 if isinstance(error, OSError) and error.errno in full else 2


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print an `ErcError`, an `OSError` or what to install as one line on stderr and exit with 2, or,
    where the disk is full, with 1.

    Everything else goes through.

    Ctrl-C exits with 130. So does, with 141 and without a word, a reader that has seen enough
    (`erc … | head`): the codes that a shell gives for these signals.
    """
    try:
        with optional("this"):
            yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        with suppress(OSError, ValueError):  # what is still in the buffer goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except (ErcError, OSError) as error:  # a full disk is no fault of the program either
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        raise SystemExit(exit_code(error)) from None
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        raise SystemExit(130) from None


def one_line_errors_of_fire() -> None:
    """Under `python -m fire erc.…`, whose main program is not ours, do the same."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is None or spec.name != "fire.__main__":
        return
    hook = sys.excepthook

    def one_line(kind, error, trace) -> None:
        if not isinstance(error, ErcError | OSError):  # e.g. a full disk
            hook(kind, error, trace)
            return
        sys.stdout.flush()
        print(f"{kind.__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(exit_code(error))  # an exception hook cannot choose the exit code

    sys.excepthook = one_line


one_line_errors_of_fire()
