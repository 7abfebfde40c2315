"""CREMA-D in its official layout: the votes' table, every single answer, and what is wrong in them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from erc import corpora
from erc.base.errors import ConfigError, CorpusError, LabelError

TABLE = '"","A","D","F","H","N","S","fileName","numResponses","meanEmoResp"'
FINAL = (
    '"","localid","pos","ans","ttr","queryType","numTries","clipNum","questNum","subType","clipName",'
    '"sessionNums","respEmo","respLevel","dispEmo","dispVal","dispLevel"'
)
FIRST = (
    '"","localid","sessionNums","queryType","questNum","pos","ttr","numTries","clipNum","clipName"'
)
ANGRY, HAPPY = "1001_IEO_ANG_HI", "1002_DFA_HAP_XX"


def tree(folder: Path, *names: str, table: str = "", people: bool = True) -> Path:
    for name in names or (ANGRY, HAPPY):
        path = folder / "AudioWAV" / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, 1600)
        soundfile.write(path, noise, 16000)
    if table:
        (folder / "processedResults").mkdir(exist_ok=True)
        (folder / "processedResults" / "tabulatedVotes.csv").write_text(f"{TABLE}\n{table}")
    if people:
        (folder / "VideoDemographics.csv").write_text(
            '"ActorID","Age","Sex"\n1001,51,"Male"\n1002,21,"Female"\n'
        )
    return folder


VOTES = f"""\
"100001",6,0,1,0,3,0,"{ANGRY}",10,61.5
"200001",0,9,0,0,0,0,"{ANGRY}",9,50
"100002",0,0,0,4,4,0,"{HAPPY}",8,-1
"""


class TestVotes:
    def test_of_the_voice(self, tmp_path):
        folder = tree(tmp_path, table=VOTES)
        assert corpora.layout(folder) == "crema_d"
        corpus = corpora.find(folder)
        angry, happy = corpus.utterances
        assert corpus.space.emotions == ("angry", "disgust", "fear", "happy", "neutral", "sad")
        assert angry.votes == (6, 0, 1, 0, 3, 0)
        assert happy.votes == (0, 0, 0, 4, 4, 0)
        assert angry.dimensions == (61.5,)
        assert math.isnan(happy.dimensions[0])  # −1: nobody gave one
        assert (angry.speaker, angry.session, angry.gender) == ("1001", "1001", "M")
        assert (angry.text, angry.dialogue) == ("It's eleven o'clock.", "IEO")
        assert (happy.gender, happy.text) == ("F", "Don't forget a jacket.")

    def test_of_the_face(self, tmp_path):
        corpus = corpora.load("crema_d", tree(tmp_path, table=VOTES), presentation="face")
        assert [u.votes for u in corpus.utterances] == [(0, 9, 0, 0, 0, 0)]
        assert corpus.report.dropped == {"not labelled": 1}
        with pytest.raises(
            ConfigError, match=r"presentation 'voices' is not one of voice, face, both"
        ):
            corpora.load("crema_d", tmp_path, presentation="voices")

    def test_what_is_left_out_is_counted(self, tmp_path):
        table = VOTES + '"100003",1,0,0,0,0,0,"1003_TIE_ANG_XX",1,9\n' + VOTES.splitlines()[0]
        folder = tree(tmp_path, ANGRY, HAPPY, "1004_XYZ_ANG_XX", "1001_TSI_SAD_LO", table=table)
        corpus = corpora.load("crema_d", folder)
        assert [u.id for u in corpus.utterances] == [ANGRY, HAPPY]
        assert corpus.report.dropped == {
            "recording not found": 1,  # 1003
            "file name not understood": 1,  # 1004
            "not labelled": 1,  # TSI
            "recording listed before": 1,
        }

    def test_errors_name_file_and_row(self, tmp_path):
        with pytest.raises(
            CorpusError, match=r"holds no recording of CREMA-D.*clone it with git-lfs"
        ):
            corpora.load("crema_d", tmp_path)
        folder = tree(tmp_path)
        with pytest.raises(CorpusError, match=r"tabulatedVotes\.csv nor finishedResponses\.csv"):
            corpora.load("crema_d", folder)
        tree(tmp_path, table=f'"100001",6,-1,1,0,3,0,"{ANGRY}",10,61.5')
        with pytest.raises(LabelError, match=r"tabulatedVotes\.csv row 2: A 6, D -1, .*counts ≥ 0"):
            corpora.load("crema_d", folder)
        tree(tmp_path, table='"100001",6')
        with pytest.raises(
            CorpusError, match=r"tabulatedVotes\.csv row 2: 2 cells, the header has 10"
        ):
            corpora.load("crema_d", folder)


def answer(rater: str, emotion: str, level: object, question: int = 1, **other: object) -> str:
    """A row of finishedResponses.csv."""
    own = {"kind": 1, "clip": ANGRY, "session": 7} | other
    return (
        f'"1","{rater}",1,"{emotion}_{level}",900,{own["kind"]},0,1,{question},4,"{own["clip"]}",'
        f'{own["session"]},"{emotion}","{level}","A",80,"H"'
    )


class TestAnswers:
    def tree(self, folder: Path, answers: list[str], slow: int = 0, **more: str) -> Path:
        """`slow`: the question whose first click came after more than 10 s."""
        first = [
            f'"1","x",7,1,{question},1,{10001 if question == slow else 10000},0,1,"{ANGRY}"'
            for question in range(1, 5)
        ]
        (folder / "finishedResponses.csv").write_text("\n".join([FINAL, *answers]))
        (folder / "finishedEmoResponses.csv").write_text("\n".join([FIRST, *first]))
        return tree(folder, ANGRY, **more)

    def test_every_rater_is_kept(self, tmp_path):
        answers = [
            answer("R1", "A", 80),
            answer("R2", "A", 60),
            answer("R3", "S", "NA"),
            answer("R1", "D", 10, kind=2),  # the face
        ]
        corpus = corpora.load("crema_d", self.tree(tmp_path, answers, table=VOTES))
        (u,) = corpus.utterances
        assert [(r.rater, r.emotion) for r in u.ratings] == [("R1", 0), ("R2", 0), ("R3", 5)]
        assert [r.dimensions[0] for r in u.ratings[:2]] == [80, 60]
        assert math.isnan(u.ratings[2].dimensions[0])
        assert u.votes == (2, 0, 0, 0, 0, 1)  # of the answers, not of the table
        assert u.dimensions == (70,)
        assert corpus.report.corrected == {"answer without an intensity": 1}

    def test_slow_second_and_broken_answers(self, tmp_path):
        answers = [
            answer("R1", "A", 80),
            answer("R1", "H", 50, question=2),  # changed their mind
            answer("R2", "F", 60, question=3),  # slow
            answer("R3", "", "", question=4),
        ]
        corpus = corpora.load("crema_d", self.tree(tmp_path, answers, slow=3))
        (u,) = corpus.utterances
        assert u.votes == (0, 0, 0, 1, 0, 0)
        assert corpus.report.corrected == {
            "second answer of a rater; the last counts": 1,
            "answer after more than 10 s left out, as in the owner's votes": 1,
            "answer without an emotion left out": 1,
        }


def test_published_votes(shared, tmp_path):
    """7,442 recordings of 91 actors and twelve sentences, 4–12 votes each; the recordings are empty
    files here, as the votes alone lie beside the repository."""
    source = shared / "labels" / "crema_d"
    (tmp_path / "processedResults").symlink_to(source)
    (tmp_path / "AudioWAV").mkdir()
    names = {
        line.split('"')[3] for line in (source / "summaryTable.csv").read_text().split("\n")[1:-1]
    }
    for name in names:
        (tmp_path / "AudioWAV" / f"{name}.wav").touch()
    for kind, agreed in (("voice", 0.409), ("both", 0.636)):
        corpus = corpora.load("crema_d", tmp_path, presentation=kind)
        assert len(corpus.utterances) == 7442
        assert not corpus.report.dropped
        assert len({u.speaker for u in corpus.utterances}) == 91
        assert len({u.dialogue for u in corpus.utterances}) == 12
        votes = np.array([u.votes for u in corpus.utterances])
        assert votes.sum(1).min() >= 4
        assert votes.sum(1).max() <= 12
        meant = [
            "ANG DIS FEA HAP NEU SAD".split().index(u.id.split("_")[2]) for u in corpus.utterances
        ]
        share = votes[np.arange(len(votes)), meant].sum() / votes.sum()
        assert share == pytest.approx(agreed, abs=0.01)  # as the paper says, within a point
