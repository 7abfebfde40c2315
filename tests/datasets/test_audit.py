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


def test_a_clean_split_has_no_warning() -> None:
    assert Audit(10, 0, 0, 0, 0, 0.3, 0.3).warnings == []
