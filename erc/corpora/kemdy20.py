"""KEMDy20: 40 sessions of two speakers, six scripts, ten raters.

annotation/Sess01_eval.csv
wav/Session01/Sess01_script01_User001F_001.wav + .txt
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from erc.corpora import devices, kemdy
from erc.corpora.about import About
from erc.corpora.kemdy import Row
from erc.corpora.utterance import Report, Utterance

ABOUT = About(
    title="KEMDy20",
    language="Korean",
    utterances=13462,
    raters="10 an utterance",
    licence="ETRI agreement",
    source="https://nanum.etri.re.kr/share/kjnoh2/KEMDy20",
    how="sign ETRI's agreement; see docs/kemdy.md",
)
FILES = "annotation/Sess*_eval.csv"
LAYOUT = kemdy.Layout("KEMDy20", re.compile(r"Sess(\d+)_eval\.csv"), "Sess01_eval.csv", id_column=3)
SEGMENT = re.compile(r"Sess(\d{2})_((script\d{2})_(User\d{3})([FM])_\d{3})")


def read(root: Path, report: Report) -> Iterator[Utterance]:
    """Utterances session by session, in the order of the annotation.

    Args:
        root: the folder with `annotation` and `wav`.
        report: counts what is dropped or corrected.

    Raises:
        CorpusError: the folder or a header is not KEMDy20's.
        LabelError: an unknown emotion or a rating off the 1–5 scale.
    """
    seen: set[str] = set()
    for path, name in kemdy.annotation_files(root, LAYOUT):
        for row in kemdy.rows(path, LAYOUT, report):
            match = SEGMENT.fullmatch(row.id)
            if not match:
                report.drop("segment id not understood", f"{row.where}, '{row.id}'")
                continue
            right = f"Sess{name[1]}_{match[2]}"
            if right != row.id:  # a user takes part in one session only: the file's
                report.correct(
                    "wrong session in the segment id", f"{row.where}, {row.id} → {right}"
                )
            if right in seen:
                report.drop("id seen before; the first row counts", f"{row.where}, {right}")
                continue
            utterance = _utterance(root, row._replace(id=right), name[1], match, report)
            if utterance:
                seen.add(right)
                yield utterance


def _utterance(
    root: Path, row: Row, session: str, match: re.Match[str], report: Report
) -> Utterance | None:
    audio = root / "wav" / f"Session{session}" / f"{row.id}.wav"
    if not audio.is_file():
        report.drop("recording not found", f"{row.where}, {audio}")
        return None
    labels = kemdy.labels(row, report)
    if labels is None:
        return None
    return Utterance(
        id=row.id,
        corpus="kemdy20",
        audio=audio,
        text=kemdy.transcript(audio.with_suffix(".txt"), report, f"{row.where}, {row.id}"),
        speaker=match[4],
        session=f"Session{session}",
        rater_group="20",
        gender=match[5],
        dialogue=match[3],
        physiology=devices.files(root, "kemdy20", session, match[4] + match[5], match[3]),
        **labels._asdict(),
    )
