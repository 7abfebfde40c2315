"""Corpora: raw folders → `Utterance`. One file a corpus, one registry line each."""

from __future__ import annotations

import importlib
import inspect
import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from erc.base.errors import ConfigError, CorpusError, ErcError, did_you_mean


class Rating(NamedTuple):
    """What one rater said of one utterance."""

    rater: str  # e.g. "Eval01F"; unique within `Utterance.rater_group`
    emotion: int  # index in `base.emotions.EMOTIONS`
    valence: float  # 1–5
    arousal: float  # 1–5


@dataclass(frozen=True, slots=True)
class Utterance:
    """One rated utterance, as a corpus gives it. Valence and arousal are means over raters, 1–5."""

    id: str
    corpus: str
    audio: Path | None  # None: no recording
    text: str | None  # None: no transcript
    speaker: str
    session: str  # the unit that folds keep together
    votes: (
        tuple[float, ...] | None
    )  # seven counts in the order of base.emotions.EMOTIONS; None: not labelled
    valence: float = math.nan
    arousal: float = math.nan
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
    examples: dict[str, list[str]] = field(
        default_factory=dict
    )  # reason → first places, for people

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


@dataclass
class Corpus:
    """All usable utterances of one root folder, in a stable order, and the report of the others."""

    name: str
    root: Path
    utterances: list[Utterance]
    report: Report

    @property
    def simulated(self) -> bool:
        """True if no person was recorded: the folder, or one in it, carries the note `SIMULATED`."""
        return any(self.root.glob(SIMULATED)) or any(self.root.glob(f"*/{SIMULATED}"))


SIMULATED = "SIMULATED.txt"  # the note that `synthetic.write_tree` leaves in what it writes

# name → module in this package with a function
# `read(root: Path, report: Report, *, options …) -> Iterator[Utterance]`
CORPORA = {
    "kemdy19": "kemdy19",
    "kemdy20": "kemdy20",
    "aihub": "aihub",
    "manifest": "manifest",
}

# By what files a corpus folder is known.
LAYOUTS = {
    "kemdy19": "annotation/Session*_res.csv",
    "kemdy20": "annotation/Sess*_eval.csv",
    "aihub": "[45]*.csv",
    "manifest": "manifest.*",
}


def load(name: str, root: str | Path, **options: Any) -> Corpus:
    """Read a corpus folder (or manifest file) into utterances.

    Args:
        name: a key of `CORPORA`.
        root: the corpus folder; for `manifest` the CSV, JSONL or Parquet file.
        options: those of the corpus module's `read`.

    Raises:
        ConfigError: unknown corpus name or option.
        CorpusError: the folder is missing, empty or not of this layout; no row is usable.
        LabelError: a label outside the seven emotions or the 1–5 scale.
    """
    if name not in CORPORA:
        raise ConfigError(
            f"corpus '{name}' is not one of {', '.join(CORPORA)}{did_you_mean(name, CORPORA)}"
        )
    read = importlib.import_module(f"erc.corpora.{CORPORA[name]}").read
    allowed = list(inspect.signature(read).parameters)[2:]
    for key in options:
        if key not in allowed:
            raise ConfigError(
                f"corpus '{name}' has no option '{key}'{did_you_mean(key, allowed)}; "
                f"it has: {', '.join(allowed) or 'none'}"
            )
    report = Report()
    utterances = list(read(Path(root), report, **options))
    if not utterances:
        raise CorpusError(f"{root}: no usable utterance\n{report}")
    return Corpus(name, Path(root), utterances, report)


def find(
    root: str | Path,
    name: str | None = None,
    *,
    emotion_map: dict[str, str] | None = None,
    where: dict[str, str] | None = None,
    reference_rows: bool = False,
) -> Corpus:
    """Read the corpus at `root`, or all KEMDy corpora in it as one; the layout tells which.

    Args:
        root: a corpus folder, a manifest (file or folder), or a folder that holds KEMDy folders.
        name: a key of `CORPORA`; None: what `root` looks like.
        emotion_map, where: see `erc.corpora.manifest.read`.
        reference_rows: see `erc.corpora.kemdy19.read`.

    Raises:
        ConfigError: unknown name, or an option that no corpus found here has.
        CorpusError, LabelError: see `load`.
    """
    name = name.lower() if name else None
    options = {"emotion_map": emotion_map, "where": where, "reference_rows": reference_rows}
    options = {key: value for key, value in options.items() if value}
    places = locate(Path(root), name)
    if len(places) == 1:
        return load(*places[0], **options)
    parts = [load(n, path, **(options if n == "kemdy19" else {})) for n, path in places]
    report = Report()
    for part in parts:
        report.add(part.report)
    utterances = [u for part in parts for u in part.utterances]
    return Corpus("+".join(part.name for part in parts), Path(root), utterances, report)


def layout(root: Path) -> str | None:
    """Which corpus lies directly in `root`, by its files; None if none that we know."""
    for name, pattern in LAYOUTS.items():
        if any(root.glob(pattern)):
            return name
    return "manifest" if root.is_file() else None


def locate(root: Path, name: str | None) -> list[tuple[str, Path]]:
    """(corpus name, folder) of what `root` is, or of the KEMDy folders in it."""
    here = layout(root)
    if here and name in (None, here):
        return [(here, root)]
    inside = [(layout(path), path) for path in sorted(root.glob("*/"))]
    kemdy = [(n, path) for n, path in inside if n and n.startswith("kemdy") and name in (None, n)]
    copies = [n for n, _ in kemdy]
    if len(set(copies)) < len(copies):
        found = ", ".join(str(path) for _, path in kemdy)
        raise ConfigError(
            f"{root} holds more than one copy of a corpus ({found}): name one of them"
        )
    if kemdy:
        return kemdy
    if name is None:
        name = next((n for n in LAYOUTS if n in root.name.lower()), None)
    if name is None:
        raise CorpusError(
            f"{root.absolute()} {'is not a corpus' if root.exists() else 'does not exist'}. Expected, "
            f"here or one folder deeper, {', '.join(LAYOUTS.values())}. "
            f"Give such a folder (`ln -s /where/it/is {root}`), "
            "write a manifest.csv (columns id, audio, text, speaker, session, emotion), "
            "or use dataset=synthetic, which needs no corpus"
        )
    return [(name, root)]
