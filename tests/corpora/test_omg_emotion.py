"""OMG-Emotion in its official layout: gold standard, raters in hundredths, words, mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from erc import corpora
from erc.base.errors import ConfigError, CorpusError, LabelError
from erc.corpora.omg_emotion import SPACE

HEAD = "link,start,end,video,utterance,arousal,valence,EmotionMaxVote\n"
LINK = "https://www.youtube.com/watch?v=xfsvvbTlR38"
ROWS = (
    f"{LINK},0.8,16.9,74de88564_1,utterance_1.mp4,0.25,-0.5,5\n"
    f"{LINK},17.2,32.8,74de88564_1,utterance_2.mp4,0.5,0.125,4\n"
    f"{LINK},33.0,34.0,74de88564_1,utterance_3.mp4,0.5,0.125,4\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "omg_ValidationVideos.csv").write_text(HEAD + ROWS)
    (tmp_path / "omg_ValidationTranscripts.csv").write_text(
        "link,video,utterance,transcript\n"
        f'"{LINK}",74de88564_1,utterance_1.mp4,"Black  Friday "\n'
        f'"{LINK}",74de88564_1,utterance_2.mp4,""\n'
    )
    raters = tmp_path / "DetailedAnnotation/validation/74de88564_1/utterance_1.mp4"
    for number, line in enumerate(("21.1,-40.9,Sad", "96.0,90.3,Surprise", "0,0,Sad")):
        (raters / "utterance_9.mp4").mkdir(parents=True, exist_ok=True)  # left by an older release
        (raters / f"{number}.txt").write_text(f"arousal,valence,emotion\n{line}\n")
    (tmp_path / "Validation/74de88564_1/video").mkdir(parents=True)
    for number in (1, 2):
        path = tmp_path / f"Validation/74de88564_1/video/utterance_{number}.wav"
        soundfile.write(path, np.zeros(1600), 16000)
    return tmp_path


def test_gold_standard_and_raters(folder: Path) -> None:
    corpus = corpora.find(folder)
    assert (corpus.name, corpus.space) == ("omg_emotion", SPACE)
    sad, neutral = corpus.utterances
    assert (sad.id, sad.speaker, sad.session, sad.dialogue, sad.text) == (
        "74de88564_1_utterance_1", "xfsvvbTlR38", "xfsvvbTlR38", "74de88564_1", "Black Friday",
    )  # fmt: skip
    assert sad.dimensions == (-0.5, 0.25)  # valence, arousal
    assert dict(zip(SPACE.emotions, sad.votes, strict=True)) == {
        "angry": 0, "disgust": 0, "fear": 0, "happy": 0, "neutral": 0, "sad": 2, "surprise": 1,
    }  # fmt: skip
    assert [r.rater for r in sad.ratings] == ["0", "1", "2"]
    assert sad.ratings[1].dimensions == pytest.approx((0.903, 0.96))
    assert neutral.votes == (0, 0, 0, 0, 1, 0, 0)  # no files of raters: the majority
    assert neutral.text is None
    assert corpus.report.dropped == {"recording not found": 1}
    assert corpus.report.corrected == {"transcript missing, kept as speech only": 1}


def test_errors_name_file_and_row(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"split 'valid' is not one of train, validation, test"):
        corpora.load("omg_emotion", folder, split="valid")
    with pytest.raises(CorpusError, match=r"holds no table of OMG-Emotion.*clone it"):
        corpora.load("omg_emotion", folder, split="test")
    rater = folder / "DetailedAnnotation/validation/74de88564_1/utterance_1.mp4/1.txt"
    rater.write_text("arousal,valence,emotion\n101,0,Sad\n")
    with pytest.raises(LabelError, match=r"utterance_1.mp4/1.txt row 2: arousal 1.01 is outside"):
        corpora.load("omg_emotion", folder)
    rater.unlink()
    table = folder / "omg_ValidationVideos.csv"
    table.write_text(HEAD + ROWS.replace("-0.5,5", "-0.5,7"))
    with pytest.raises(LabelError, match=r"omg_ValidationVideos.csv row 2: EmotionMaxVote '7'"):
        corpora.load("omg_emotion", folder)
    table.write_text(HEAD + ROWS.replace("0.25,", "loud,"))
    with pytest.raises(LabelError, match=r"row 2: arousal is 'loud', not a number"):
        corpora.load("omg_emotion", folder)
