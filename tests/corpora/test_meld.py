"""MELD: tables and clips of its three sides, in the folders of the release."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from erc import corpora
from erc.base.errors import ConfigError, CorpusError, LabelError
from erc.corpora.meld import SPACE

HEAD = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,"
    "StartTime,EndTime\n"
)
TIMES = '4,7,"00:20:57,256","00:21:00,049"\n'
TRAIN = f'1,"Oh my God, he\u2019s lost it.",Phoebe,sadness,negative,0,0,{TIMES}'
LOST = f"2,What?,Monica,surprise,negative,0,1,{TIMES}"
TEST = f"1,Why do you?,Mark,joy,positive,0,0,{TIMES}2,Push!,Phoebe,anger,negative,0,1,{TIMES}"


def write(root: Path, side: str, rows: str, folder: str, clips: str) -> Path:
    (root / f"{side}_sent_emo.csv").write_text(HEAD + rows, "utf-8")
    (root / folder).mkdir(exist_ok=True, parents=True)
    for clip in clips.split():
        soundfile.write(root / folder / f"{clip}.wav", np.zeros(1600), 16000)
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "train", TRAIN + LOST, "train/train_splits", "dia0_utt0")
    return write(tmp_path, "test", TEST, "output_repeated_splits_test", "dia0_utt0 dia0_utt1")


def test_utterances_of_all_sides(folder: Path) -> None:
    (folder / "output_repeated_splits_test" / "dia0_utt0.mp4").touch()  # wav is taken
    corpus = corpora.find(folder)
    assert corpus.name == "meld"
    sad, happy, angry = corpus.utterances
    assert (sad.id, sad.speaker, sad.session, sad.gender, sad.dialogue, sad.text) == (
        "train_dia0_utt0", "train Phoebe", "train", "F", "train_dia0", "Oh my God, he’s lost it.",
    )  # fmt: skip
    said = [SPACE.emotions[u.votes.index(1)] for u in (sad, happy, angry)]
    assert said == ["sad", "happy", "angry"]
    assert happy.audio == folder / "output_repeated_splits_test" / "dia0_utt0.wav"
    assert (happy.gender, happy.session) == ("", "test")
    assert corpus.report.dropped == {"recording not found": 1}
    assert corpus.report.corrected == {
        "table of a split missing": 1,
        "actor is on an earlier side of the split as well": 1,
    }


def test_one_side_and_a_clip_as_video(folder: Path) -> None:
    (folder / "output_repeated_splits_test" / "dia0_utt1.wav").rename(
        folder / "output_repeated_splits_test" / "dia0_utt1.mp4"
    )
    corpus = corpora.load("meld", folder, split="test")
    assert [u.audio.suffix for u in corpus.utterances] == [".wav", ".mp4"]


def test_errors_name_file_and_row(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"split 'tset' is not one of .*'test'"):
        corpora.load("meld", folder, split="tset")
    with pytest.raises(CorpusError, match=r"holds no table of MELD.*MELD.Raw"):
        corpora.load("meld", folder / "train")
    write(folder, "test", TEST.replace("joy", "jay"), "test", "")
    with pytest.raises(LabelError, match=r"test_sent_emo.csv row 2: emotion 'jay'"):
        corpora.load("meld", folder)
    write(folder, "test", "1,Cut off,Mark\n", "test", "")
    with pytest.raises(CorpusError, match=r"test_sent_emo.csv row 2: 3 cells, the header has 11"):
        corpora.load("meld", folder)
