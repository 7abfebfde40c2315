"""What crosses from training to test, on a small corpus with planted crossings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from erc.base.errors import ConfigError
from erc.datasets import HF_KEMD
from erc.datasets.audit import Audit, audit
from erc.datasets.view import View


def corpus(folder: Path, texts: list[str], emotions: list[str], speakers: list[str]) -> str:
    rng = np.random.default_rng(0)
    rows = []
    for i, (text, emotion, speaker) in enumerate(zip(texts, emotions, speakers, strict=True)):
        soundfile.write(folder / f"{i}.wav", rng.uniform(-0.1, 0.1, 1600), 16000)
        rows.append(
            {"id": f"u{i}", "audio": f"{i}.wav", "text": text, "emotion": emotion}
            | {"speaker": speaker, "session": speaker, "sentence": text[:1]}
        )
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return str(folder / "manifest.csv")


def fold(path: str, **options) -> View:
    folder = str(Path(path).parent / "cache")
    options = {"num_folds": 2, "protocol": "fixed", "validation_fold": 1, "cache": folder} | options
    return HF_KEMD(path, "train", dataset_name="manifest", **options)


ACTED = {  # everybody says every line in every mood
    "texts": ["yes", "yes", "no", "no"] * 2,
    "emotions": ["happy", "sad"] * 4,
    "speakers": ["a"] * 4 + ["b"] * 4,
}


def test_sentences_cross_but_tell_nothing(tmp_path: Path) -> None:
    found = audit(fold(corpus(tmp_path, **ACTED)))
    assert (found.n, found.speakers, found.sentences, found.recordings) == (4, 0, 4, 0)
    assert found.dialogues == 4
    assert found.lookup == found.majority == 0.5
    assert not found.warnings


def test_a_sentence_of_one_emotion_is_a_look_up(tmp_path: Path) -> None:
    emotions = ["happy", "happy", "sad", "sad"] * 2
    found = audit(fold(corpus(tmp_path, **ACTED | {"emotions": emotions})))
    assert (found.lookup, found.majority) == (1.0, 0.5)
    assert "look-up" in found.warnings[0]
    assert "warning" in str(found)
    assert found.to_dict()["warnings"] == found.warnings


def test_holding_sentences_out_lets_speakers_cross(tmp_path: Path) -> None:
    path = corpus(tmp_path, **ACTED)
    for group in ("sentence", "dialogue"):
        data = fold(path, group=group)
        found = audit(data)
        assert (found.sentences, found.dialogues, found.speakers) == (0, 0, 4)
        assert "known voices" in found.warnings[0]
        sides = [set(data.side(s).rows) for s in ("train", "test")]
        assert sides[0].isdisjoint(sides[1])
        assert len(sides[0] | sides[1]) == 8
    with pytest.raises(ConfigError, match=r"dataset.group 'sentense'.*did you mean 'sentence'"):
        fold(path, group="sentense")


def test_copies_are_found(tmp_path: Path) -> None:
    path = corpus(tmp_path, **ACTED)
    (tmp_path / "7.wav").write_bytes((tmp_path / "0.wav").read_bytes())
    assert audit(fold(path)).recordings == 1


def test_a_copy_that_is_louder_and_encoded_anew_is_found(tmp_path: Path, kemdy19: Path) -> None:
    path = corpus(tmp_path, **ACTED)
    spoken, _ = soundfile.read(next(kemdy19.rglob("*.wav")))
    soundfile.write(tmp_path / "0.wav", spoken, 16000)
    soundfile.write(tmp_path / "7.wav", 0.2 * spoken[800:], 16000, format="MP3")
    assert audit(fold(path)).recordings == 1


def test_one_person_under_two_spellings_and_words_typed_otherwise(tmp_path: Path) -> None:
    texts = ["Yes!", "yes", "no", "NO …"] + ["yes", "ＹＥＳ", "n o", "no?"]
    found = audit(
        fold(corpus(tmp_path, **ACTED | {"texts": texts, "speakers": ["a"] * 4 + ["A "] * 4}))
    )
    assert found.sentences == 4
    assert found.alike == ("'A', 'a'",)
    assert "may be one person" in found.warnings[0]
    assert found.to_dict()["alike"] == ["'A', 'a'"]


def test_speakers_of_two_corpora_are_two_people(tmp_path: Path) -> None:
    path = corpus(tmp_path, **ACTED | {"speakers": list("aabbAABB")})
    assert audit(fold(path)).alike == ("'A', 'a'", "'B', 'b'")
    table = pd.read_csv(path, dtype=str)
    table.assign(corpus=["one"] * 4 + ["two"] * 4).to_csv(path, index=False)
    assert audit(fold(path)).alike == ()


def test_a_level_that_gives_the_emotion_away(tmp_path: Path) -> None:
    n, rng = 60, np.random.default_rng(0)
    mood = ["happy", "sad", "angry"]
    emotions = [mood[i] for i in rng.integers(0, 3, n)]
    texts = [f"line {i}" for i in range(n)]
    path = corpus(tmp_path, texts, emotions, ["a"] * (n // 2) + ["b"] * (n // 2))
    assert not audit(fold(path)).telling
    for i, emotion in enumerate(emotions):
        x = 0.05 * (1 + mood.index(emotion)) * rng.uniform(-1, 1, 1600)
        soundfile.write(tmp_path / f"{i}.wav", x, 16000)
    found = audit(fold(path))
    assert found.telling == ("level",)
    assert found.cues["level"] > 0.9
    assert any("level alone is right" in w for w in found.warnings)


def test_a_clean_split_has_no_warning() -> None:
    assert Audit(10, 0, 0, 0, 0, 0.3, 0.3).warnings == []
