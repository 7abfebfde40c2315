"""What `erc live` shows: a moving picture on a terminal, JSON lines in a pipe, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from erc.base.progress import clock
from erc.base.space import Space
from erc.model.folder.learned import SIMULATED
from erc.recognizer.prediction import Failure

if TYPE_CHECKING:
    from rich.console import RenderableType

    from erc.timeline import Heard

WIDTH = 32  # of a bar and a scale, in characters
SHOWN = 8  # turns that have ended


class Screen(Protocol):
    """Told of every answer, and of the time."""

    def tell(self, heard: Heard) -> None: ...

    def tick(self, seconds: float) -> None: ...


class Nothing:
    """With --quiet."""

    def tell(self, heard: Heard) -> None:
        """Nothing."""

    def tick(self, seconds: float) -> None:
        """Nothing."""


class Lines(Nothing):
    """Each turn as it ends, as JSON."""

    def __init__(self, space: Space):
        from erc.cli.predict_rows import Json, only_ascii

        self._form = Json(space, ascii=only_ascii(None))

    def tell(self, heard: Heard) -> None:
        if not heard.partial:
            print(self._form.row(heard.answer.to_dict()), end="", flush=True)


class Picture:
    """Emotions as bars, dimensions on their scales, and the last turns.

    Args:
        space: what the model answers in.
        simulated: it was trained on simulated speech.
    """

    def __init__(self, space: Space, simulated: bool):
        self.space, self.simulated = space, simulated
        self.seconds = 0.0
        self.turns: list[Any] = []
        self.now: Heard | None = None

    def tell(self, heard: Heard) -> None:
        """The newest answer."""
        self.now = heard
        if not heard.partial:
            self.turns.append(heard.answer)

    def tick(self, seconds: float) -> None:
        """So much was heard."""
        self.seconds = seconds

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        speaking = self.now is not None and self.now.partial
        head = Text.assemble(
            ("● ", "red" if speaking else "dim"), clock(self.seconds),
            ("  speaking" if speaking else "  listening; Ctrl-C ends", "dim"),
            (f"\n{SIMULATED}" if self.simulated else "", "yellow"),
        )  # fmt: skip
        grid = Table(box=None, show_header=False, padding=(0, 1))
        for row in self._bars():
            grid.add_row(*row)
        return Group(head, "", grid, "", *map(self._line, self.turns[-SHOWN:]))

    def _bars(self) -> Iterator[tuple[Any, ...]]:
        """A row for each emotion and each dimension; blank until something was said."""
        from rich.text import Text

        from erc.recognizer.scales import ends, number, share

        answer = self.now.answer if self.now else None
        if isinstance(answer, Failure):
            yield "", Text(answer.error, "red"), ""
            answer = None
        shares: dict[str, float] = answer.probabilities if answer else {}
        for name in self.space.emotions:
            p = shares.get(name)
            style = "bold" if answer and name == answer.label else "dim"
            full = round(WIDTH * (p or 0))
            bar = Text.assemble(("━" * full, style), ("─" * (WIDTH - full), "dim"))
            yield Text(name, style), bar, "" if p is None else f"{p:.0%}"
        for d in self.space.dimensions:
            x = answer.dimensions.get(d.name) if answer else None
            scale = ["─"] * WIDTH
            if x is not None:
                scale[round((WIDTH - 1) * share(d, x))] = "●"
            yield Text(d.name), Text("".join(scale)), Text("" if x is None else number(d, x))
            yield "", Text(ends(d), "dim"), ""

    def _line(self, turn: Any) -> RenderableType:
        from rich.text import Text

        from erc.recognizer.scales import said

        when = f"{turn.start:7.1f}–{turn.end:.1f} s  "
        who = f"{turn.speaker}  " if turn.speaker else ""
        if isinstance(turn, Failure):
            return Text.assemble((when, "dim"), who, (turn.error, "red"))
        best = " ".join(f"{e} {p:.0%}" for e, p in turn.top(1)) or turn.reason or ""
        placed = said(self.space, turn.dimensions)
        return Text.assemble((when, "dim"), who, (best, "bold"), "  ", (placed, "dim"))


@contextmanager
def screen(space: Space, simulated: bool, quiet: bool) -> Iterator[Screen]:
    """That for who is looking."""
    if quiet:
        yield Nothing()
    elif not sys.stdout.isatty():
        yield Lines(space)
    else:
        from rich.live import Live as Moving

        shown = Picture(space, simulated)
        with Moving(shown, refresh_per_second=10, transient=True):
            yield shown
