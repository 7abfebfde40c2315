"""MELD: scenes of the series "Friends", seven emotions, one label of three raters.

train_sent_emo.csv, dev_sent_emo.csv, test_sent_emo.csv
train_splits/dia0_utt0.mp4, dev_splits_complete/…, output_repeated_splits_test/…

Layout after the README of https://github.com/declare-lab/MELD and Poria et al., "MELD: A multimodal
multi-party dataset for emotion recognition in conversations" (2019). Recordings are the clips of the
release (the extra `formats` decodes mp4) or what was drawn from them, as wav or flac: in the three
folders, in `train`, `dev` and `test`, or in folders of these names below. Only the majority of the three
raters is published: one vote.

`session` is the split, which the field keeps. The same actors speak on all of its sides, so a score says
nothing about unknown voices: `speaker` names side and actor, and who was on an earlier side is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from erc.base.errors import ConfigError, CorpusError, LabelError, did_you_mean
from erc.base.space import Space
from erc.base.text import normalise
from erc.corpora.about import About
from erc.corpora.acted import one_vote
from erc.corpora.rows import rows
from erc.corpora.utterance import Report, Utterance

ABOUT = About(
    title="Multimodal EmotionLines Dataset (MELD)",
    language="English",
    utterances=13708,
    raters="3 an utterance, of which the majority is given",
    licence="GPL 3.0; the series is its owner's",
    source="https://github.com/declare-lab/MELD",
    how="download MELD.Raw.tar.gz as its README says; unpack it and the archives in it",
)
SPACE = Space(("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"))
FILES = "*_sent_emo.csv"
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
SPLITS = {
    "train": ("train_splits", "train"),
    "dev": ("dev_splits_complete", "dev_splits", "dev"),
    "test": ("output_repeated_splits_test", "test_splits", "test"),
}
SUFFIXES = (".wav", ".flac", ".mp4")  # the first that is there counts
WOMEN = ("Monica", "Phoebe", "Rachel")
MEN = ("Chandler", "Joey", "Ross")


def read(root: Path, report: Report, *, split: str | None = None) -> Iterator[Utterance]:
    """Utterances split by split, in the order of the tables.

    Args:
        root: the folder of the tables; recordings lie in folders below it.
        report: counts what is dropped or corrected.
        split: "train", "dev" or "test"; None: all that are there.

    Raises:
        CorpusError: no table; a column is missing; a row is cut off.
        LabelError: an emotion that MELD does not have.
        ConfigError: there is no such split.
    """
    if split is not None and split not in SPLITS:
        raise ConfigError(
            f"split '{split}' is not one of {', '.join(SPLITS)}{did_you_mean(str(split), SPLITS)}"
        )
    tables = {name: root / f"{name}_sent_emo.csv" for name in SPLITS if split in (None, name)}
    if not any(table.is_file() for table in tables.values()):
        raise CorpusError(
            f"{root.absolute()} holds no table of MELD ({', '.join(t.name for t in tables.values())})."
            f" Get it: {ABOUT.how} ({ABOUT.source})"
        )
    known: set[str] = set()  # actors of earlier sides
    for name, table in tables.items():
        if not table.is_file():
            report.correct("table of a split missing", str(table))
            continue
        here: set[str] = set()
        for utterance in _split(name, table, _clips(root, SPLITS[name]), report):
            actor = utterance.speaker.partition(" ")[2]
            here.add(actor)
            if actor in known:
                report.correct("actor is on an earlier side of the split as well", utterance.id)
            yield utterance
        known |= here


def _split(name: str, table: Path, clips: dict[str, Path], report: Report) -> Iterator[Utterance]:
    seen: set[str] = set()
    for place, row in rows(table, COLUMNS, ABOUT, report):
        clip = f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}"
        try:
            emotion = SPACE.emotions[SPACE.index(row["Emotion"], place)]
        except LabelError as error:
            report.refuse("label that the scale does not have", error)
            continue
        if clip in seen:
            report.drop("utterance listed before; the first counts", place)
        elif clip not in clips:
            report.drop("recording not found", f"{place}, {clip} in {' or '.join(SPLITS[name])}")
        else:
            seen.add(clip)
            speaker = row["Speaker"]
            yield Utterance(
                id=f"{name}_{clip}",
                corpus="meld",
                audio=clips[clip],
                text=normalise(row["Utterance"]) or None,
                speaker=f"{name} {speaker}",
                session=name,
                votes=one_vote(SPACE, emotion),
                dimensions=(),
                gender="F" if speaker in WOMEN else "M" if speaker in MEN else "",
                dialogue=f"{name}_dia{row['Dialogue_ID']}",
            )


def _clips(root: Path, folders: tuple[str, ...]) -> dict[str, Path]:
    """dia0_utt0 → its recording, in folders of these names anywhere below."""
    found: dict[str, Path] = {}
    places = [place for name in folders for place in sorted(root.rglob(name)) if place.is_dir()]
    for suffix in SUFFIXES:
        for place in places:
            for path in sorted(place.glob(f"dia*_utt*{suffix}")):
                found.setdefault(path.stem, path)
    return found
