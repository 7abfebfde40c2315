"""What a corpus gives: `Utterance`, the `Rating`s of one, and the `Report` of what was left out."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from erc.base.errors import ErcError

SIMULATED = "SIMULATED.txt"  # the note in a folder whose speakers nobody recorded


NO_RATING = (math.nan, math.nan)  # of valence and arousal


class Rating(NamedTuple):
    """What one rater said of one utterance."""

    rater: str  # e.g. "Eval01F"; unique within `Utterance.rater_group`
    emotion: int  # index in `Space.emotions` of the corpus; −1: none given
    dimensions: tuple[float, ...]  # in the order and units of `Space.dimensions`; nan: none given


@dataclass(frozen=True, slots=True)
class Utterance:
    """One rated utterance, as a corpus gives it, in the label space of that corpus."""

    id: str
    corpus: str
    audio: Path | None  # None: no recording
    text: str | None  # None: no transcript
    speaker: str
    session: str  # the unit that folds keep together
    votes: tuple[float, ...] | None  # counts in the order of `Space.emotions`; None: not labelled
    dimensions: tuple[float, ...] = NO_RATING  # means over raters, as in `Space.dimensions`
    ratings: tuple[Rating, ...] = ()
    rater_group: str = ""  # raters with equal names in different groups are different people
    gender: str = ""  # "F", "M" or ""
    dialogue: str = ""  # script or scene, for split audits
    physiology: dict[str, Path] | None = None  # files of EDA, TEMP, ECG or IBI, see `devices`


@dataclass
class Report:
    """Every row that was dropped, and every row that was kept after a known correction, by reason."""

    dropped: Counter[str] = field(default_factory=Counter)
    corrected: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)  # reason → first places

    def drop(self, reason: str, where: str) -> None:
        """Count a row that is left out. `reason` is a fixed phrase, `where` names file and row."""
        self._count(self.dropped, reason, where)

    def correct(self, reason: str, where: str) -> None:
        """Count a row that is kept, but not exactly as the file says."""
        self._count(self.corrected, reason, where)

    def refuse(self, reason: str, error: ErcError) -> None:
        """A row or file against the format: raises. A report that overrides this reads on."""
        raise error

    def add(self, other: Report) -> None:
        """Count in what another report counted."""
        self.dropped += other.dropped
        self.corrected += other.corrected
        for reason, places in other.examples.items():
            self.examples[reason] = (self.examples.get(reason, []) + places)[:3]

    def _count(self, counter: Counter[str], reason: str, where: str) -> None:
        counter[reason] += 1
        places = self.examples.setdefault(reason, [])
        if len(places) < 3:
            places.append(where)

    def __str__(self) -> str:
        lines = []
        for title, counter in (
            ("dropped", self.dropped),
            ("kept with a correction", self.corrected),
        ):
            lines += [f"{title}: {sum(counter.values())}"]
            lines += [
                f"  {n:6d}  {r}  (e.g. {self.examples[r][0]})" for r, n in counter.most_common()
            ]
        return "\n".join(lines)
