"""Published models that are known: a table of what their cards said when it was written.

Every cell has its source in the last column; a cell is empty where the source does not say. Being
listed is no recommendation: nothing here was measured by erc.
"""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

FILE = "known.csv"


@dataclass(frozen=True)
class Known:
    """A published model.

    Attributes:
        id: on the Hugging Face hub.
        takes: "speech" or "text".
        language: as ISO 639-1 has it.
        gives: its own labels, or dimensions.
        licence: as its card declares it.
        weights: "safetensors"; "pickle", which erc does not open.
        claims: what its card says of data and scores.
        note: what else to know.
        source: where all this was read.
    """

    id: str
    takes: str
    language: str
    gives: str
    licence: str
    weights: str
    claims: str
    note: str
    source: str

    def to_json(self) -> dict[str, Any]:
        """Plain values; null where the source does not say."""
        return {name: value or None for name, value in asdict(self).items()}


def known() -> list[Known]:
    """The table, speech before text.

    >>> known()[0].id
    'audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim'
    """
    text = files("erc.recognizer.public").joinpath(FILE).read_text("utf-8")
    _, *rows = csv.reader(text.splitlines())
    return [Known(*row) for row in rows]


def show(models: list[Known]) -> None:
    """Print them for people, three lines each."""
    from rich.padding import Padding
    from rich.text import Text

    from erc.base.console import console

    with console(highlight=False) as page:
        for model in models:
            takes = f"{model.takes} {model.language}".strip()
            terms = f"licence {model.licence or 'not known'}"
            weights = "pickle, which erc does not open" if model.weights == "pickle" else ""
            page.print(Text(model.id, "bold"), no_wrap=True, overflow="ignore")
            for style, parts in (
                ("", (takes, model.gives, terms)),
                ("dim", (model.claims, model.note, weights)),
            ):
                if said := " · ".join(filter(None, parts)):
                    page.print(Padding(Text(said, style), (0, 0, 0, 2)))
        page.print(
            Text("\nAs their cards say, nothing measured by erc; --json has the sources.", "dim")
        )
