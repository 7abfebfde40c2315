"""Tables and pages for people, printed as every other text is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def console(**options: Any) -> Iterator[Console]:
    """A console of rich whose text is printed when the block ends.

    rich on its own ends the process with 1 when the reader has gone (`erc info | head -1`), and fails
    at a letter that the terminal does not have.
    """
    from rich.console import Console

    made = Console(**options)
    with made.capture() as text:
        yield made
    print(text.get(), end="", file=options.get("file"))
