"""IEMOCAP: five sessions of two actors, played from scripts and improvised, three raters and more.

Session1/dialog/EmoEvaluation/Ses01F_impro01.txt      turns, their consensus and every rater
Session1/dialog/transcriptions/Ses01F_impro01.txt     words
Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav

A turn of EmoEvaluation: `[6.29 - 8.23] Ses01F_impro01_F000 neu [2.5, 2.5, 2.5]` (valence, activation,
dominance), then a line `C-E2: Neutral; ()` and `A-E2: val 3; act 2; dom 2; ()` for each evaluator; `E`
are outsiders, `F` and `M` the actors on themselves. Layout after Busso et al., "IEMOCAP: interactive
emotional dyadic motion capture database" (2008), section 4, and the README of the release.

A rater may name several emotions: each is a vote, as in the majority of the paper; as the rater's own,
where one is needed (agreement), the first counts. Consensus and means of the release are those of the
outsiders alone; so they are here, unless `self_reports` asks for the actors as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from erc.base.errors import CorpusError, LabelError
from erc.base.space import Dimension, Space
from erc.base.text import decode, normalise
from erc.corpora.about import About
from erc.corpora.utterance import Rating, Report, Utterance

ABOUT = About(
    title="Interactive Emotional Dyadic Motion Capture (IEMOCAP)",
    language="English",
    utterances=10039,
    raters="3 an utterance or more, and the actor",
    licence="USC SAIL agreement, research only",
    source="https://sail.usc.edu/iemocap/",
    how="ask for it with the form there; unpack IEMOCAP_full_release",
)
SPACE = Space(
    (
        "angry",
        "happy",
        "excited",
        "sad",
        "frustrated",
        "neutral",
        "surprise",
        "fear",
        "disgust",
    ),
    (Dimension("valence"), Dimension("arousal"), Dimension("dominance")),
)
FILES = "Session[1-5]/dialog/EmoEvaluation/Ses*.txt"
CODES = dict(zip("ang hap exc sad fru neu sur fea dis".split(), SPACE.emotions, strict=True))
WORDS = SPACE.words({"frustration": "frustrated", "neutral state": "neutral", "other": None})
TURN = re.compile(
    r"\[[\d.]+ - [\d.]+\]\s+((Ses\d\d)[FM]_((?:impro|script)\d\d(?:_\d)?)[a-z]?_([FM])\w{3})"
    r"\s+(\w{3})\s+\[([\d.]+), ([\d.]+), ([\d.]+)\]"
)
CHOICE = re.compile(r"C-([EFM])(\d+):\s*([^()]*)")
SCALES = re.compile(r"A-([EFM])(\d+):\s*val\s*([\d.]*)\s*;\s*act\s*([\d.]*)\s*;\s*dom\s*([\d.]*)")
WORDS_OF = re.compile(r"(\S+) \[[^]]*\]:\s*(.*)")


@dataclass
class Turn:
    """One turn of EmoEvaluation, before it is counted."""

    match: re.Match[str]
    where: str
    named: dict[str, list[int]] = field(default_factory=dict)  # rater → emotions, "Other" left out
    scales: dict[str, tuple[float, ...]] = field(default_factory=dict)


def read(root: Path, report: Report, *, self_reports: bool = False) -> Iterator[Utterance]:
    """Utterances session by session, in the order of the files; folds keep a session together.

    Args:
        root: the folder of `Session1` … `Session5`.
        report: counts what is dropped or corrected.
        self_reports: the actors' ratings of themselves count like those of the others.

    Raises:
        CorpusError: no evaluation is there; a line that should be a turn or a rating is not.
        LabelError: a rater's word that is none of IEMOCAP's.
    """
    files = sorted(root.glob(FILES))
    if not files:
        raise CorpusError(
            f"{root.absolute()} holds no IEMOCAP evaluation ({FILES}). Get it: {ABOUT.how} "
            f"({ABOUT.source})"
        )
    seen: set[str] = set()
    for path in files:
        session = path.parents[2]
        words = _transcript(session / "dialog" / "transcriptions" / path.name, report)
        for turn in _turns(path, report, "EFM" if self_reports else "E"):
            name = turn.match[1]
            audio = session / "sentences" / "wav" / name.rpartition("_")[0] / f"{name}.wav"
            if name in seen:
                report.drop("turn listed before; the first counts", turn.where)
            elif not audio.is_file():
                report.drop("recording not found", f"{turn.where}, {audio}")
            elif utterance := _utterance(turn, session.name, audio, words.get(name), report):
                seen.add(name)
                yield utterance


def _turns(path: Path, report: Report, kinds: str) -> Iterator[Turn]:
    """The turns of a file with the ratings of the wanted kinds of raters."""
    turn: Turn | None = None
    for number, line in enumerate(decode(path.read_bytes(), str(path)).splitlines(), 1):
        where, line = f"{path.name} line {number}", line.strip()
        if line.startswith("["):
            if turn:
                yield turn
            match = TURN.match(line)
            turn = Turn(match, where) if match else None
            if not match:
                said = (
                    f"{where}: {line!r}; expected [start - end] Ses01F_impro01_F000 neu "
                    "[valence, activation, dominance]"
                )
                report.refuse("turn not as the format says", CorpusError(said))
        elif turn and line[:2] in ("C-", "A-"):
            try:
                _rated(turn, line, where, report, kinds)
            except LabelError as error:
                report.refuse("label that the scale does not have", error)
            except CorpusError as error:
                report.refuse("rating not as the format says", error)
    if turn:
        yield turn


def _rated(turn: Turn, line: str, where: str, report: Report, kinds: str) -> None:
    """Take in the line of one rater."""
    match = CHOICE.match(line) or SCALES.match(line)
    if not match:
        raise CorpusError(
            f"{where}: {line!r}; expected C-E1: Neutral; () or A-E1: val 3; act 2; dom 2; ()"
        )
    if match[1] not in kinds:
        return
    # Outsiders are the same people in all sessions, F1 and M1 are the actors of this one.
    rater = f"E{match[2]}" if match[1] == "E" else turn.match[2] + match[1]
    if line.startswith("C"):
        words = [word.strip().lower() for word in match[3].split(";") if word.strip()]
        if "other" in words:
            report.correct("a rater's 'Other' is no vote", where)
        named = [SPACE.index(word, where, WORDS) for word in words if word != "other"]
        turn.named[rater] = list(dict.fromkeys(named))
        if len(turn.named[rater]) > 1:
            report.correct("rater named several emotions, each is a vote", where)
        return
    values = tuple(float(cell) if cell else math.nan for cell in match.groups()[2:])
    if any(not (d.low <= v <= d.high) for d, v in zip(SPACE.dimensions, values, strict=True)):
        report.correct("rating missing or off the scale, left out", where)
    turn.scales[rater] = tuple(
        v if d.low <= v <= d.high else math.nan
        for d, v in zip(SPACE.dimensions, values, strict=True)
    )


def _utterance(
    turn: Turn, session: str, audio: Path, text: str | None, report: Report
) -> Utterance | None:
    """None, and a drop in the report, where nobody rated it."""
    name, who, scene, gender, code = turn.match.groups()[:5]
    votes = [0.0] * len(SPACE.emotions)
    for named in turn.named.values():
        for k in named:
            votes[k] += 1
    means = tuple(_mean([s[d] for s in turn.scales.values()]) for d in range(3))
    if code == "oth":  # most raters meant what has no name here: the others' votes would mislead
        report.correct("majority is 'Other' (oth): no emotion, the scales are kept", turn.where)
        votes = []
    elif code == "xxx":
        report.correct("no majority (xxx), votes are kept", turn.where)
    elif code not in CODES:
        error = LabelError(f"{turn.where}: '{code}' is not one of {', '.join(CODES)}, oth, xxx")
        report.refuse("label that the scale does not have", error)
        return None
    if not any(votes) and all(map(math.isnan, means)):
        report.drop("not labelled", turn.where)
        return None
    if text is None:
        report.correct("transcript missing, kept as speech only", turn.where)
    nothing = (math.nan,) * 3
    return Utterance(
        id=name,
        corpus="iemocap",
        audio=audio,
        text=text,
        speaker=who + gender,
        session=session,
        votes=tuple(votes) if any(votes) else None,
        dimensions=means,
        ratings=tuple(
            Rating(r, (turn.named.get(r) or [-1])[0], turn.scales.get(r, nothing))
            for r in dict.fromkeys([*turn.named, *turn.scales])
        ),
        rater_group="iemocap",
        gender=gender,
        dialogue=scene,
    )


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _transcript(path: Path, report: Report) -> dict[str, str]:
    """Turn → words; nothing where there is no such file."""
    if not path.is_file():
        return {}
    try:
        lines = decode(path.read_bytes(), str(path)).splitlines()
    except CorpusError as error:
        report.refuse("transcript that is not text", error)
        return {}
    found = (WORDS_OF.match(line) for line in lines)  # other lines: speech that is no turn
    return {m[1]: words for m in found if m and (words := normalise(m[2]))}
