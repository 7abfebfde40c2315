"""What `erc check` sees in a whole corpus: annotation, transcripts, every recording, the folds."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.copies import copies
from erc.base.errors import ConfigError, ErcError
from erc.base.progress import progress
from erc.cli.check_findings import SEVERITIES, Finding, remedy_of, severity_of
from erc.cli.check_recording import Heard, listen
from erc.corpora import locate, options_of, reader
from erc.corpora.utterance import Report, Utterance
from erc.datasets.audit import alike
from erc.labels.lookup import MARGIN, cue_scores, gives_away, lookup, order, sentences
from erc.preprocess import get_folds

ORDINARY = ("listener row", "left out by where")  # drops that belong to the format
FOLDS = 5
USUAL = 0.9  # share of utterances that makes a number of votes the usual one


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
            {"check": c, "severity": severity_of(c), "count": len(places), "remedy": remedy_of(c),
             "places": places}
            for c, places in self.findings.items()
        ]  # fmt: skip
        counts = {f"{severity}s": self.count(severity) for severity in SEVERITIES}
        return vars(self) | {"hours": round(self.hours, 4), **counts, "findings": found}


def examine(
    root: Path,
    corpus: str | None = None,
    workers: int = 4,
    quiet: bool = True,
    manifest: Mapping[str, Any] | None = None,
) -> Diagnosis:
    """Read annotation, transcripts and every recording; one broken file never stops it.

    Args:
        manifest: options of `erc.corpora.manifest.read`; None: their defaults.
    """
    if workers < 1:
        raise ConfigError(f"--workers {workers}: give at least one")
    name = corpus.lower() if corpus else None
    if name:
        reader(name)  # raises, saying which there are
    places = locate(root, name)
    chart, utterances = Chart(), []
    for kind, path in places:
        options = {k: v for k, v in (manifest or {}).items() if v and k in options_of(kind)}
        utterances += _read(kind, path, chart, options)
    heard = _hear(utterances, workers, quiet)
    sounds = [sound for _, sound in heard]
    found = [
        *chart.findings,
        *(finding for sound in sounds for finding in sound.findings),
        *duplicates(heard),
        *transcripts(utterances),
        *votes(utterances),
        *physiology(utterances),
        *people(utterances),
        *folds(utterances, {id(u): sound for u, sound in heard}),
    ]
    return Diagnosis(
        root=str(root),
        corpora=[kind for kind, _ in places],
        utterances=len(utterances),
        recordings=len(heard),
        hours=sum(sound.seconds for sound in sounds) / 3600,
        findings=_grouped(found),
    )


def _read(kind: str, path: Path, chart: Chart, options: dict[str, Any]) -> list[Utterance]:
    """What the corpus's parser can make of it; the utterances before an error that ends it too."""
    found: list[Utterance] = []
    try:
        for utterance in reader(kind).read(path, chart, **options):
            found.append(utterance)
    except (ErcError, OSError, UnicodeError) as error:
        chart.findings.append(Finding("corpus cannot be read", str(error)))
    return found


def _hear(
    utterances: Iterable[Utterance], workers: int, quiet: bool
) -> list[tuple[Utterance, Heard]]:
    spoken = [u for u in utterances if u.audio is not None]
    paths = list(dict.fromkeys(u.audio for u in spoken))
    heard = {}
    with ThreadPoolExecutor(workers) as pool, progress("recordings", len(paths), quiet) as advance:
        for path, sound in zip(paths, pool.map(listen, paths), strict=True):
            heard[path] = sound
            advance(1)
    return [(u, heard[u.audio]) for u in spoken]


def _grouped(found: Iterable[Finding]) -> dict[str, list[str]]:
    """Check → places, errors first, then by number."""
    groups: dict[str, list[str]] = defaultdict(list)
    for finding in found:
        if finding.where not in groups[finding.check]:
            groups[finding.check].append(finding.where)
    rank = {severity: k for k, severity in enumerate(SEVERITIES)}
    return dict(sorted(groups.items(), key=lambda g: (rank[severity_of(g[0])], -len(g[1]))))


def duplicates(heard: list[tuple[Utterance, Heard]]) -> Iterator[Finding]:
    """Recordings with equal samples (=), and copies: louder, trimmed or encoded anew (≈)."""
    same: dict[str, list[Utterance]] = defaultdict(list)
    for utterance, sound in heard:
        if sound.digest:
            same[sound.digest].append(utterance)
    for group in same.values():
        if len(group) > 1:
            yield _twice(group, " = ")
    for i, j in copies([sound.signs for _, sound in heard]):
        (one, first), (other, second) = heard[i], heard[j]
        if first.digest != second.digest:
            yield _twice([one, other], " ≈ ")


def _twice(group: list[Utterance], sign: str) -> Finding:
    homes = {(u.corpus, u.speaker, u.session) for u in group}
    check = "same recording, other speaker or session"
    return Finding(
        check if len(homes) > 1 else "same recording twice",
        sign.join(f"{u.id} ({u.speaker}, {u.session})" for u in group),
    )


def transcripts(utterances: Iterable[Utterance]) -> Iterator[Finding]:
    """Text that was read in a wrong encoding: replacement marks, or Korean as rare Chinese signs."""
    for u in utterances:
        text = u.text or ""
        hanja = len(re.findall(r"[\u4e00-\u9fff\uf900-\ufaff]", text))
        korean = u.corpus in ("kemdy19", "kemdy20", "aihub")
        if "\ufffd" in text or (korean and hanja > len(re.findall("[가-힣]", text))):
            yield Finding("garbled transcript", f"{u.id}: {text[:40]!r}")


def votes(utterances: Iterable[Utterance]) -> Iterator[Finding]:
    """Utterances with another number of votes than nearly all others of their corpus have."""
    by_corpus: dict[str, list[Utterance]] = defaultdict(list)
    for u in utterances:
        if u.votes is not None:
            by_corpus[u.corpus].append(u)
    for group in by_corpus.values():
        usual, n = Counter(sum(u.votes or ()) for u in group).most_common(1)[0]
        if usual > 2 and n >= USUAL * len(group):  # one or two: a label or a tie, no votes
            for u in group:
                if (count := sum(u.votes or ())) != usual:
                    yield Finding("odd number of votes", f"{u.id}: {count:g}, others {usual:g}")


def physiology(utterances: Iterable[Utterance]) -> Iterator[Finding]:
    """Signal files that the layout promises: absent (a whole kind, or one file) or empty."""
    files: dict[str, Counter[Path]] = defaultdict(Counter)
    for u in utterances:
        for kind, path in (u.physiology or {}).items():
            files[f"{u.corpus} {kind}"][path] += 1
    for kind, paths in files.items():
        missing = [path for path in paths if not path.is_file()]
        if len(missing) == len(paths):
            yield Finding("no physiology of a kind", kind)
            continue
        for path in missing:
            yield Finding("physiology missing", f"{path} ({paths[path]} utterances)")
        for path in paths:
            if path.is_file() and not path.stat().st_size:
                yield Finding("empty physiology file", str(path))


def people(utterances: list[Utterance]) -> Iterator[Finding]:
    """Names of speakers that differ in case, width, spacing or punctuation only."""
    for corpus in sorted({u.corpus for u in utterances}):
        for names in alike(u.speaker for u in utterances if u.corpus == corpus):
            yield Finding("speakers who may be one person", f"{corpus}: {names}")


def folds(utterances: list[Utterance], heard: Mapping[int, Heard]) -> Iterator[Finding]:
    """What crosses from fold to fold when sessions make the folds, as training does.

    Args:
        heard: id(utterance) → what its recording sounds like.
    """
    for corpus in sorted({u.corpus for u in utterances}):
        mine = [u for u in utterances if u.corpus == corpus]
        try:
            cut = get_folds([u.session for u in mine], FOLDS)
        except ConfigError as error:
            yield Finding("too few sessions for five folds", str(error))
            continue
        fold_of = {session: k for k, fold in enumerate(cut) for session in fold}
        where: dict[str, set[int]] = defaultdict(set)
        for u in mine:
            where[u.speaker].add(fold_of[u.session])
        for speaker, places in where.items():
            if len(places) > 1:
                yield Finding("speaker crosses folds", f"{corpus} {speaker}: {sorted(places)}")
        sounds = [heard.get(id(u), Heard([])) for u in mine]
        yield from _given_away(corpus, mine, sounds, np.array([fold_of[u.session] for u in mine]))


def _given_away(
    corpus: str, mine: list[Utterance], sounds: list[Heard], fold: np.ndarray
) -> Iterator[Finding]:
    """How often a sentence remembered, or one crude cue, names the emotion, over all folds."""
    keep = np.array([u.votes is not None and u.votes.count(max(u.votes)) == 1 for u in mine], bool)
    if not keep.any():
        return
    said = [u for u, kept in zip(mine, keep) if kept]
    texts, label = np.array([u.text for u in said], object), np.array([_emotion(u) for u in said])
    numbers = {
        "duration": np.array([s.seconds or np.nan for s in sounds])[keep],
        "level": np.array([s.level or np.nan for s in sounds])[keep],
        "order": order(np.array([u.session for u in mine]))[keep],
    }
    scores: dict[str, list[float]] = defaultdict(list)
    for k in range(FOLDS):
        sides = np.flatnonzero(fold[keep] != k), np.flatnonzero(fold[keep] == k)
        right, majority = lookup(sentences(texts), label, *sides)
        cues = cue_scores(texts, numbers, label, *sides)
        for what, score in {"": majority, "a look-up of sentences": right, **cues}.items():
            scores[what].append(score)
    mean = {what: float(np.nanmean(values)) for what, values in scores.items()}
    majority = mean.pop("")
    for what, score in mean.items():
        sentence = what == "a look-up of sentences"
        if score > majority + MARGIN if sentence else gives_away(score, label):
            yield Finding(
                "sentences give the emotion away" if sentence else "a cue gives the emotion away",
                f"{corpus}: {what} is right in {score:.0%}, the most frequent emotion in {majority:.0%}",
            )


def _emotion(u: Utterance) -> int:
    return int(np.argmax(u.votes or ()))
