"""The corpus doctor, `erc check`: what is wrong with a corpus, before it costs a training run."""

from __future__ import annotations

import importlib
import json
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from erc.base.errors import ConfigError, ErcError
from erc.base.progress import progress
from erc.cli import checks as checks
from erc.cli.checks import CHECKS, ERROR, NOTE, WARNING, Finding
from erc.corpora import CORPORA, Report, Utterance, load, locate

ORDER = (ERROR, WARNING, NOTE)
ORDINARY = ("listener row", "left out by where")  # drops that belong to the format
EXAMPLES = 3


class Chart(Report):
    """A parser's report that keeps every place, and reads on after a row against the format."""

    def __init__(self) -> None:
        super().__init__()
        self.findings: list[Finding] = []

    def refuse(self, reason: str, error: ErcError) -> None:
        self.findings.append(Finding(reason, str(error)))

    def _count(self, counter: Any, reason: str, where: str) -> None:
        super()._count(counter, reason, where)
        if reason != ORDINARY[0] and not reason.startswith(ORDINARY[1]):
            self.findings.append(Finding(reason, where))


@dataclass
class Diagnosis:
    """All that was found, and in how much."""

    root: str
    corpora: list[str]
    utterances: int = 0
    recordings: int = 0
    hours: float = 0.0
    findings: dict[str, list[str]] = field(default_factory=dict)  # check → places

    def count(self, severity: str) -> int:
        """Findings of a severity, over all checks."""
        return sum(len(places) for c, places in self.findings.items() if severity_of(c) == severity)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, with every place."""
        found = [
            {"check": c, "severity": severity_of(c), "count": len(places), "remedy": _remedy(c),
             "places": places}
            for c, places in self.findings.items()
        ]  # fmt: skip
        counts = {f"{severity}s": self.count(severity) for severity in ORDER}
        return vars(self) | {"hours": round(self.hours, 4), **counts, "findings": found}


def severity_of(check: str) -> str:
    """As `CHECKS` says; any other drop or correction of a parser is a warning."""
    return CHECKS.get(check, (WARNING, ""))[0]


def _remedy(check: str) -> str:
    return CHECKS.get(check, (WARNING, ""))[1]


def check(
    root: str | Path,
    corpus: str | None = None,
    as_json: bool = False,
    workers: int = 4,
    quiet: bool = False,
) -> int:
    """Examine a corpus and print what was found.

    Returns:
        1 if there are errors, else 0.

    Raises:
        ConfigError, CorpusError: there is no such corpus at all.
    """
    found = examine(Path(root), corpus, workers, quiet)
    if as_json:
        print(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
    else:
        show(found)
    return 1 if found.count(ERROR) else 0


def examine(
    root: Path, corpus: str | None = None, workers: int = 4, quiet: bool = True
) -> Diagnosis:
    """Read annotation, transcripts and every recording; one broken file never stops it."""
    if workers < 1:
        raise ConfigError(f"--workers {workers}: give at least one")
    name = corpus.lower() if corpus else None
    if name and name not in CORPORA:
        load(name, root)  # says which there are
    places = locate(root, name)
    chart, utterances = Chart(), []
    for kind, path in places:
        utterances += _read(kind, path, chart)
    heard = _hear(utterances, workers, quiet)
    sounds = [sound for _, sound in heard]
    found = [
        *chart.findings,
        *(finding for sound in sounds for finding in sound.findings),
        *checks.duplicates(heard),
        *checks.transcripts(utterances),
        *checks.votes(utterances),
        *checks.physiology(utterances),
        *checks.folds(utterances),
    ]
    return Diagnosis(
        root=str(root),
        corpora=[kind for kind, _ in places],
        utterances=len(utterances),
        recordings=len(heard),
        hours=sum(sound.seconds for sound in sounds) / 3600,
        findings=_grouped(found),
    )


def _read(kind: str, path: Path, chart: Chart) -> list[Utterance]:
    """What the corpus's parser can make of it; the utterances before an error that ends it too."""
    found: list[Utterance] = []
    try:
        read = importlib.import_module(f"erc.corpora.{CORPORA[kind]}").read
        for utterance in read(path, chart):
            found.append(utterance)
    except (ErcError, OSError, UnicodeError) as error:
        chart.findings.append(Finding("corpus cannot be read", str(error)))
    return found


def _hear(
    utterances: Iterable[Utterance], workers: int, quiet: bool
) -> list[tuple[Utterance, checks.Heard]]:
    spoken = [u for u in utterances if u.audio is not None]
    paths = list(dict.fromkeys(u.audio for u in spoken))
    heard = {}
    with ThreadPoolExecutor(workers) as pool, progress("recordings", len(paths), quiet) as advance:
        for path, sound in zip(paths, pool.map(checks.examine, paths), strict=True):
            heard[path] = sound
            advance(1)
    return [(u, heard[u.audio]) for u in spoken]


def _grouped(found: Iterable[Finding]) -> dict[str, list[str]]:
    """Check → places, errors first, then by number."""
    groups: dict[str, list[str]] = defaultdict(list)
    for finding in found:
        if finding.where not in groups[finding.check]:
            groups[finding.check].append(finding.where)
    rank = {severity: k for k, severity in enumerate(ORDER)}
    return dict(sorted(groups.items(), key=lambda g: (rank[severity_of(g[0])], -len(g[1]))))


def show(found: Diagnosis) -> None:
    """Print a table for people: counts and the first places."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table("", "", "finding", "where", "what to do", box=None, pad_edge=False)
    colour = {ERROR: "bold red", WARNING: "yellow", NOTE: "dim"}
    for name, places in found.findings.items():
        kind = severity_of(name)
        more = [f"… and {len(places) - EXAMPLES} more (--json has all)"]
        shown = places[:EXAMPLES] + more * (len(places) > EXAMPLES)
        short = [place.replace(f"{found.root}/", "") for place in shown]
        table.add_row(Text(kind, colour[kind]), f"{len(places)}", Text(name),
                      Text("\n".join(short), overflow="fold"), Text(_remedy(name)))  # fmt: skip
    if found.findings:
        console.print(table)
    counts = ", ".join(f"{found.count(s)} {s}{'s' * (found.count(s) != 1)}" for s in ORDER)
    console.print(
        f"{found.root} ({' + '.join(found.corpora)}): {found.utterances} utterances, "
        f"{found.recordings} recordings, {found.hours:.2f} h; {counts}",
        style="bold", highlight=False, markup=False,
    )  # fmt: skip
