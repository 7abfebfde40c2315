"""KEMDy19: 20 sessions of two actors, six scripts and four improvisations, ten raters.

annotation/Session01_F_res.csv            all segments of the session, rated for the speaker F
wav/Session01/Sess01_script01/Sess01_script01_F001.wav + .txt
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from erc.corpora import devices, kemdy
from erc.corpora.about import About
from erc.corpora.kemdy import Row
from erc.corpora.utterance import Report, Utterance

ABOUT = About(
    title="KEMDy19",
    language="Korean",
    utterances=None,
    raters="10 an utterance",
    licence="ETRI agreement",
    source="https://nanum.etri.re.kr/share/kjnoh2/KEMDy19",
    how="sign ETRI's agreement; see docs/kemdy.md",
)
FILES = "annotation/Session*_res.csv"
LAYOUT = kemdy.Layout(
    "KEMDy19", re.compile(r"Session(\d+)_([FM])_res\.csv"), "Session01_F_res.csv", id_column=9
)
SEGMENT = re.compile(r"(Sess(\d{2}))_((?:script|impro)\d{2})_([FM])\d{3}")

# (file, row from 0 after the headers, id as written) → the right id, or None where nobody knows.
DEFECTS = {
    ("Session03_F_res.csv", 345, "Sess03_impro02_M001"): "Sess03_impro02_F001",
    ("Session09_F_res.csv", 253, "Sess09_script06_M001"): None,
    ("Session09_F_res.csv", 310, "Sess09_impro01_M001"): None,
    # The two files name different speakers for this one segment.
    **{
        (f"Session04_{file}_res.csv", 467, f"Sess04_impro03_{speaker}031"): None
        for file in "FM"
        for speaker in "FM"
    },
}

# Without EDA and TEMP, or with too many gaps in them.
REFERENCE_DROPPED = {
    "Sess01_impro03", "Sess01_impro04", "Sess03_script04", "Sess06_script02", "Sess07_script02",
}  # fmt: skip


def read(root: Path, report: Report, *, reference_rows: bool = False) -> Iterator[Utterance]:
    """Utterances session by session, in the order of the conversation.

    Args:
        root: the folder with `annotation` and `wav`.
        report: counts what is dropped or corrected.
        reference_rows: also drop what the published system dropped, to compare with its figures:
            five dialogues, rows with any blank cell (ECG, EDA, TEMP) and segments without transcript.

    Raises:
        CorpusError: the folder or a header is not KEMDy19's.
        LabelError: an unknown emotion or a rating off the 1–5 scale.
    """
    seen: set[str] = set()
    files = kemdy.annotation_files(root, LAYOUT)
    for session, pair in groupby(files, key=lambda file: file[1][1]):
        for row, gender in _speaker_rows(list(pair), session, report):
            audio = _recording(root, row.id)
            if reference_rows and not _in_reference(row, audio, report):
                continue
            if row.id in seen:
                report.drop("id seen before; the first row counts", f"{row.where}, {row.id}")
                continue
            utterance = _utterance(root, row, audio, gender, report)
            if utterance:
                seen.add(row.id)
                yield utterance


def _speaker_rows(
    pair: list[tuple[Path, re.Match[str]]], session: str, report: Report
) -> list[tuple[Row, str]]:
    """Rows in which the rated person speaks, each with the gender, of the session's two files.

    Each file lists all segments: in the F file, rows of M segments rate F while she listens.
    """
    tables = [(list(_known(path, report)), match[2]) for path, match in pair]
    if len(tables) == 2:
        _settle(tables[0][0], tables[1][0], report)
    own: list[tuple[Row, str]] = []
    others: list[tuple[Row, str]] = []
    for row, gender in [(row, gender) for table, gender in tables for row in table]:
        match = SEGMENT.fullmatch(row.id)
        if not match:
            report.drop("segment id not understood", f"{row.where}, '{row.id}'")
        elif int(match[2]) != int(session):
            report.drop("segment id of another session", f"{row.where}, {row.id}")
        else:
            (own if match[4] == gender else others).append((row, gender))
    spoken = {row.id for row, _ in own}
    ends = {gender: max((row.number for row in table), default=-1) for table, gender in tables}
    for row, gender in others:
        alone = "" if row.id in spoken else ", and its speaker's own file has no such row"
        if alone and any(row.number > end for other, end in ends.items() if other != gender):
            alone = ", and its speaker's own file ends before it"
        report.drop(f"listener row{alone}", f"{row.where}, {row.id}")
    return sorted(own, key=lambda item: (item[0].number, item[1]))


def _known(path: Path, report: Report) -> Iterator[Row]:
    """Rows of one file after the known defects."""
    for row in kemdy.rows(path, LAYOUT, report):
        right = DEFECTS.get((path.name, row.number, row.id), row.id)
        if right is None:
            report.drop("stray id (known defect)", f"{row.where}, {row.id}")
            continue
        if right != row.id:
            report.correct("wrong id (known defect)", f"{row.where}, {row.id} → {right}")
        yield row._replace(id=right)


def _settle(table: list[Row], other: list[Row], report: Report) -> None:
    """Where two files name row n differently, an id that its own file has twice is the wrong one."""
    for mine, theirs in ((table, other), (other, table)):
        count = Counter(row.id for row in mine)
        named = {row.number: row.id for row in theirs}
        for i, row in enumerate(mine):
            right = named.get(row.number, row.id)
            if count[row.id] > 1 and count[right] == 0:
                report.correct(
                    "wrong id; the other file is right", f"{row.where}, {row.id} → {right}"
                )
                mine[i] = row._replace(id=right)
                count[right] += 1
    named = {row.number: row.id for row in other}
    for row in table:
        if (there := named.get(row.number, row.id)) != row.id:
            report.correct(
                "row named otherwise in the other file; both are believed",
                f"{row.where}, {row.id} and {there}",
            )


def _in_reference(row: Row, audio: Path, report: Report) -> bool:
    """False, and a drop in the report, if the published system did not use this row."""
    if row.id.rpartition("_")[0] in REFERENCE_DROPPED:
        reason = "reference_rows: dialogue left out"
    elif not all(row.cells):
        reason = "reference_rows: blank cell"
    elif audio.is_file() and not audio.with_suffix(".txt").is_file():
        reason = "reference_rows: no transcript"
    else:
        return True
    report.drop(reason, f"{row.where}, {row.id}")
    return False


def _recording(root: Path, segment: str) -> Path:
    """Built, not searched for: some dialogues have a second set in a folder `converted`."""
    prefix, dialogue, _ = segment.split("_")
    return root / "wav" / f"Session{prefix[4:]}" / f"{prefix}_{dialogue}" / f"{segment}.wav"


def _utterance(root: Path, row: Row, audio: Path, gender: str, report: Report) -> Utterance | None:
    if not audio.is_file():
        report.drop("recording not found", f"{row.where}, {audio}")
        return None
    labels = kemdy.labels(row, report)
    if labels is None:
        return None
    prefix, dialogue, _ = row.id.split("_")
    number = prefix[4:]
    return Utterance(
        id=row.id,
        corpus="kemdy19",
        audio=audio,
        text=kemdy.transcript(audio.with_suffix(".txt"), report, f"{row.where}, {row.id}"),
        speaker=f"{prefix}{gender}",
        session=f"Session{number}",
        rater_group="19-A" if int(number) <= 10 else "19-B",
        gender=gender,
        dialogue=dialogue,
        physiology=devices.files(root, "kemdy19", number, gender, dialogue),
        **labels._asdict(),
    )
