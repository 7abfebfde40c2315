"""IEMOCAP in its official layout, written by hand: two sessions, two words, xxx and oth, mistakes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from erc import corpora
from erc.base.errors import CorpusError, LabelError
from erc.corpora.iemocap import SPACE

HEAD = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
FIRST = """[6.2901 - 8.2357]\tSes01F_impro01_F000\tang\t[1.5000, 4.0000, 4.5000]
C-E2:\tAnger;\t()
C-E3:\tAnger; Frustration;\t()
C-E4:\tOther;\t(threatening)
C-F1:\tSadness;\t()
A-E3:\tval 2; act 4; dom  4;\t()
A-E4:\tval 1; act 4; dom  5;\t(threatening, belligerent)
A-F1:\tval 5; act 1; dom  1;\t()

"""
SECOND = """[9.0000 - 9.5000]\tSes01F_impro01_M000\txxx\t[2.5000, 2.5000, 2.5000]
C-E2:\tExcited;\t()
C-E4:\tHappiness;\t()
A-E2:\tval 3; act 2; dom  ;\t()
A-E4:\tval 2; act 6; dom  3;\t()

"""
OTHER = """[1.0000 - 2.0000]\tSes02M_script01_1b_M012\toth\t[3.0000, 3.0000, 3.0000]
C-E1:\tOther;\t()
C-E2:\tOther;\t()
C-E4:\tNeutral state;\t()
A-E1:\tval 3; act 3; dom  3;\t()

"""
LOST = """[3.0000 - 4.0000]\tSes02M_script01_1b_F001\tneu\t[3.0000, 3.0000, 3.0000]
C-E1:\tNeutral;\t()

"""


def write(root: Path, dialogue: str, turns: str, words: str = "", wavs: str = "") -> Path:
    session = root / f"Session{int(dialogue[3:5])}"
    for folder in ("dialog/EmoEvaluation", "dialog/transcriptions", f"sentences/wav/{dialogue}"):
        (session / folder).mkdir(parents=True, exist_ok=True)
    (session / "dialog/EmoEvaluation" / f"{dialogue}.txt").write_text(HEAD + turns)
    (session / "dialog/EmoEvaluation" / f"._{dialogue}.txt").write_bytes(b"\x00\xb0")  # of a Mac
    if words:
        (session / "dialog/transcriptions" / f"{dialogue}.txt").write_text(words)
    for turn in wavs.split():
        path = session / "sentences/wav" / dialogue / f"{dialogue}_{turn}.wav"
        soundfile.write(path, np.zeros(1600), 16000)
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    words = "Ses01F_impro01_F000 [006.2901-008.2357]: Excuse  me.\nM: I know.\n"
    write(tmp_path, "Ses01F_impro01", FIRST + SECOND, words, "F000 M000")
    return write(tmp_path, "Ses02M_script01_1b", OTHER + LOST, "", "M012")


def named(votes: tuple[float, ...] | None) -> dict[str, float]:
    return {e: n for e, n in zip(SPACE.emotions, votes or (), strict=True) if n}


def test_a_turn_with_all_its_raters(folder: Path) -> None:
    corpus = corpora.find(folder)
    assert corpus.name == "iemocap"
    assert corpus.space == SPACE
    first, second, _ = corpus.utterances
    assert (first.id, first.speaker, first.session, first.gender, first.dialogue, first.text) == (
        "Ses01F_impro01_F000", "Ses01F", "Session1", "F", "impro01", "Excuse me.",
    )  # fmt: skip
    assert second.speaker == "Ses01M"
    assert named(first.votes) == {"angry": 2, "frustrated": 1}
    assert first.dimensions == (1.5, 4, 4.5)  # as the header says
    said = [(r.rater, r.emotion) for r in first.ratings]
    assert said == [("E2", 0), ("E3", 0), ("E4", -1)]
    assert first.ratings[2].dimensions == (1, 4, 5)
    assert math.isnan(first.ratings[0].dimensions[0])


def test_the_actors_on_themselves(folder: Path) -> None:
    first = corpora.load("iemocap", folder, self_reports=True).utterances[0]
    assert named(first.votes) == {"angry": 2, "frustrated": 1, "sad": 1}
    assert first.ratings[-1] == ("Ses01F", SPACE.emotions.index("sad"), (5, 1, 1))
    assert first.dimensions == pytest.approx((8 / 3, 3, 10 / 3))


def test_what_is_outside_the_space_is_counted(folder: Path) -> None:
    corpus = corpora.load("iemocap", folder)
    _, second, other = corpus.utterances
    assert named(second.votes) == {"excited": 1, "happy": 1}
    assert second.dimensions == (2.5, 2, 3)  # 6 is off the scale, a blank is none
    assert other.votes is None
    assert other.dimensions == (3, 3, 3)
    assert (other.speaker, other.session, other.dialogue) == ("Ses02M", "Session2", "script01_1")
    assert corpus.report.dropped == {"recording not found": 1}
    assert corpus.report.corrected == {
        "a rater's 'Other' is no vote": 3,
        "rater named several emotions, each is a vote": 1,
        "rating missing or off the scale, left out": 2,
        "no majority (xxx), votes are kept": 1,
        "majority is 'Other' (oth): no emotion, the scales are kept": 1,
        "transcript missing, kept as speech only": 2,
    }


def test_errors_name_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"holds no IEMOCAP evaluation .*form there"):
        corpora.load("iemocap", tmp_path)
    for turns, error, said in (
        (FIRST.replace("ang\t", ""), CorpusError, r"Ses01F_impro01.txt line 3: .*expected \[start"),
        (FIRST.replace("C-E2:", "C-2"), CorpusError, r"line 4: 'C-2.*expected C-E1: Neutral"),
        (FIRST.replace("Anger;\t", "Angr;\t"), LabelError, r"line 4: emotion 'angr' is not one of"),
        (FIRST.replace("\tang\t", "\tagn\t"), LabelError, r"line 3: 'agn' is not one of ang, hap"),
    ):
        with pytest.raises(error, match=said):
            corpora.load("iemocap", write(tmp_path, "Ses01F_impro01", turns, "", "F000"))
