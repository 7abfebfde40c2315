"""AI-Hub tables, written by hand: cp949, Korean names, mistakes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from erc import corpora
from erc.base.errors import CorpusError, LabelError
from erc.base.space import KEMDY
from erc.corpora import Corpus
from erc.studies.experiment import run

HEAD = (
    "wav_id,발화문,상황,"
    + ",".join(f"{k}번 감정,{k}번 감정세기" for k in range(1, 6))
    + ",나이,성별"
)
FIVE = "Sadness,1,sadness,2,Angry,1,Neutral,0,happiness,1"


def write(folder: Path, lines: list[str], name: str = "5차년도.csv", wavs: str = "abc") -> Path:
    (folder / name).write_bytes("\r\n".join([HEAD, *lines]).encode("cp949"))
    (folder / "wav").mkdir(exist_ok=True)
    for stem in wavs:
        (folder / "wav" / f"{stem}.wav").touch()
    return folder


def load(folder: Path) -> Corpus:
    return corpora.load("aihub", folder)


def test_an_utterance(tmp_path: Path) -> None:
    folder = write(tmp_path, [f'a,"헐! 나 어떡해, 정말",sad,{FIVE},27,male'])
    (u,) = load(folder).utterances
    assert (u.id, u.corpus, u.text, u.gender, u.dialogue) == (
        "a", "aihub", "헐! 나 어떡해, 정말", "M", "sad",
    )  # fmt: skip
    assert u.audio == folder / "wav" / "a.wav"
    votes = dict(zip(KEMDY.emotions, u.votes, strict=True))
    assert votes == dict.fromkeys(KEMDY.emotions, 0) | {
        "sad": 2,
        "angry": 1,
        "neutral": 1,
        "happy": 1,
    }
    assert [KEMDY.emotions[r.emotion] for r in u.ratings] == [
        "sad",
        "sad",
        "angry",
        "neutral",
        "happy",
    ]
    assert all(map(math.isnan, (*u.dimensions, *u.ratings[0].dimensions)))
    assert corpora.layout(folder) == "aihub"


def test_strength_may_stand_before_the_emotion(tmp_path: Path) -> None:
    swapped = "1,fear,2,fear,1.0,fear,0,disgust,1,surprise"
    (u,) = load(write(tmp_path, [f"a,글,x,{swapped},27,여"])).utterances
    assert (u.votes, u.gender) == ((1, 3, 0, 0, 0, 0, 1), "F")


def test_what_is_dropped_is_counted(tmp_path: Path) -> None:
    write(tmp_path, [f"a,글,x,{FIVE},27,male", f"z,글,x,{FIVE},27,male"], "4차년도.csv")
    write(
        tmp_path,
        [
            f"a,글,x,{FIVE},27,male",  # again
            "b,글,x,,,,,,,,,,,27,male",  # nobody rated it
            "c,글,x,angry,1,,,,,,,,,27,male",  # one rater
        ],
    )
    corpus = load(tmp_path)
    assert [u.id for u in corpus.utterances] == ["a", "c"]
    assert corpus.report.dropped == {
        "id listed before": 1, "recording not found": 1, "not labelled": 1,
    }  # fmt: skip
    assert corpus.report.corrected == {"fewer than five raters gave an emotion": 1}
    assert {u.rater_group for u in corpus.utterances} == {"aihub 4차년도", "aihub 5차년도"}


def test_sessions_depend_on_the_id_alone(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    lines = [f"{k},글,x,{FIVE},27,male" for k in "abc"]
    first = {u.id: u.session for u in load(write(one, lines)).utterances}
    second = {u.id: u.session for u in load(write(two, lines[::-1], "4차년도.csv")).utterances}
    assert first == second


def test_errors_name_file_and_row(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no AI-Hub table"):
        load(tmp_path)
    with pytest.raises(CorpusError, match=r"5차년도.csv row 2: 4 cells; expected 15"):
        load(write(tmp_path, ["a,글,x,angry"]))
    with pytest.raises(LabelError, match=r"5차년도.csv row 2: emotion 'hapy'.*'happy'"):
        load(write(tmp_path, [f"a,글,x,hapy,1,{FIVE[10:]},27,male"]))


def test_training_without_valence_and_arousal(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"u{i}" for i in range(60)]
    lines = [f"{name},글 {i},x,{FIVE},27,male" for i, name in enumerate(names)]
    write(tmp_path, lines, wavs="")
    for name in names:
        soundfile.write(tmp_path / "wav" / f"{name}.wav", rng.uniform(-0.1, 0.1, 4000), 16000)
    words = ["dataset=aihub", f"dataset.paths={tmp_path}", "model=tiny", f"cache={tmp_path / 'c'}"]
    words += [
        "trainer.accelerator=cpu",
        "trainer.max_epochs=1",
        "export=false",
        "trainer.enable_progress_bar=false",
    ]
    results = run(words, tmp_path / "run")
    both = results.systems["speech + text"].scores
    assert both["n_valence"] == both["n_arousal"] == 0
    assert math.isnan(both["ccc_valence"])
    assert 0 <= both["accuracy"] <= 1
    logged = pd.read_csv(tmp_path / "run" / "metrics.csv")["val/loss"].dropna()
    assert len(logged) == 1
    assert math.isfinite(logged.iloc[0])
