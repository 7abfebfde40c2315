"""EMO-DB and EMOVO: names of files as their owners give them, and what listeners recognised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from erc import corpora
from erc.base.errors import ConfigError, CorpusError
from erc.corpora import emodb, emovo

LISTENERS = (
    "Satz erkannt natuerlich\r\n03a01Fa.wav 90,00 60,00\r\n14b10Lb.wav\xa0 82,35 \xa0 70,00\r\n"
)


def write(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(1600), 16000)
    return folder


def test_what_a_name_of_emodb_says(tmp_path: Path) -> None:
    write(tmp_path, "wav/03a01Fa", "wav/14b10Lb")
    corpus = corpora.find(tmp_path)
    assert corpus.name == "emodb"
    happy, bored = corpus.utterances
    assert (happy.id, happy.speaker, happy.session, happy.gender, happy.dialogue, happy.text) == (
        "03a01Fa", "03", "03", "M", "a01", "Der Lappen liegt auf dem Eisschrank.",
    )  # fmt: skip
    assert happy.votes == (0, 0, 0, 0, 1, 0, 0)
    assert (bored.votes, bored.gender) == ((0, 1, 0, 0, 0, 0, 0), "F")
    assert "boredom" in corpus.space.emotions


def test_every_letter_of_emodb(tmp_path: Path) -> None:
    """As the documentation lists the German words: Wut, Langeweile, Ekel, Angst, Freude, Trauer."""
    words = {"W": "angry", "L": "boredom", "E": "disgust", "A": "fear", "F": "happy", "T": "sad"}
    write(tmp_path, *(f"wav/03a02{letter}b" for letter in (*words, "N")))
    for u in corpora.load("emodb", tmp_path).utterances:
        assert emodb.SPACE.emotions[u.votes.index(1)] == (words | {"N": "neutral"})[u.id[5]]


def test_what_few_listeners_recognised_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "wav/03a01Fa", "wav/14b10Lb", "wav/08a01Wa")
    (tmp_path / "erkennung.txt").write_bytes(LISTENERS.encode("latin-1"))
    assert len(corpora.load("emodb", tmp_path).utterances) == 3
    corpus = corpora.load("emodb", tmp_path, least_recognised=0.85)
    assert [u.id for u in corpus.utterances] == ["03a01Fa"]
    assert corpus.report.dropped == {
        "recognised by fewer listeners than least_recognised": 1,
        "not in erkennung.txt": 1,
    }


def test_ugly_names_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "wav/03a01Fa", "wav/07a01Fa", "wav/03a01Xa", "wav/03a01", "wav/copy/03a01Fa")
    corpus = corpora.load("emodb", tmp_path)
    assert [u.id for u in corpus.utterances] == ["03a01Fa"]
    assert corpus.report.dropped == {
        "unknown speaker": 1,
        "unknown code of an emotion": 1,
        "file name not understood": 1,
        "recording found before; the first counts": 1,
    }


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"EMO-DB.*wav/03a01Fa.wav.*download.zip"):
        corpora.load("emodb", tmp_path)
    write(tmp_path, "wav/03a01Fa")
    with pytest.raises(CorpusError, match=r"erkennung.txt is not there.*least_recognised=0"):
        corpora.load("emodb", tmp_path, least_recognised=0.5)
    with pytest.raises(ConfigError, match="it is a share, 0–1"):
        corpora.load("emodb", tmp_path, least_recognised=80)
    (tmp_path / "erkennung.txt").write_text("Satz erkannt\n03a01Fa.wav viel\n")
    with pytest.raises(CorpusError, match=r"erkennung.txt line 2: '03a01Fa.wav viel'; expected"):
        corpora.load("emodb", tmp_path, least_recognised=0.5)


def test_emovo(tmp_path: Path) -> None:
    words = "disgust happy neutral fear angry surprise sad".split()
    codes = "dis gio neu pau rab sor tri".split()
    write(tmp_path, *(f"f1/{code}-f1-b1" for code in codes), "m3/xyz-m3-n5", "m3/dis-m3-long")
    corpus = corpora.find(tmp_path)
    assert corpus.name == "emovo"
    said = {u.id[:3]: emovo.SPACE.emotions[u.votes.index(1)] for u in corpus.utterances}
    assert said == dict(zip(codes, words, strict=True))
    first = corpus.utterances[0]
    assert (first.speaker, first.session, first.gender, first.dialogue) == ("f1", "f1", "F", "b1")
    assert corpus.report.dropped == {"unknown code of an emotion": 1, "file name not understood": 1}
    with pytest.raises(CorpusError, match=r"EMOVO.*f1/dis-f1-b1.wav"):
        corpora.load("emovo", tmp_path / "f2")
