"""MSP-Podcast in its official layout: raters in all three forms, O and X, unknown speakers, mistakes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from erc import corpora
from erc.base.errors import ConfigError, CorpusError, LabelError
from erc.corpora.msp_podcast import SPACE

HEAD = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
CONSENSUS = HEAD + (
    "MSP-PODCAST_0001_0008.wav,N,2.5,4.0,2.6,30,Male,Test1\n"
    "MSP-PODCAST_0002_0001.wav,X,3.0,3.0,4.0,Unknown,Unknown,Train\n"
    "MSP-PODCAST_0002_0002.wav,O,3.0,3.0,9.0,Unknown,Unknown,Train\n"
    "MSP-PODCAST_0003_0001.wav,C,6.5,7.0,5.0,31,Female,Development\n"
)
RATERS = {
    "0001_0008": (
        "WORKER0000001; Neutral; Neutral,Confused; A:1.0; V:4.0; D:1.0;",
        "WORKER0000002; Contempt; A:4.0; V:4.0; D:4.0;",
    ),
    "0002_0001": (
        "WORKER0000001; Happy; Happy; A:3.0; V:3.0; D:4.0;",
        "WORKER0000003; Other-bored; tired (a bit); A:NaN; V:3.0; D:4.0;",
    ),
}


def write(root: Path, consensus: str = CONSENSUS, wavs: str = "0001_0008 0002_0001") -> Path:
    for folder in ("Labels", "Audios", "Transcripts"):
        (root / folder).mkdir(exist_ok=True)
    (root / "Labels" / "labels_consensus.csv").write_text(consensus)
    (root / "Transcripts" / "MSP-PODCAST_0001_0008.txt").write_text("So  what?\n")
    for name in wavs.split():
        soundfile.write(root / "Audios" / f"MSP-PODCAST_{name}.wav", np.zeros(1600), 16000)
    return root


def detailed(root: Path) -> Path:
    lines = [f'MSP-PODCAST_{k}.wav,"{line}"' for k, said in RATERS.items() for line in said]
    (root / "Labels" / "labels_detailed.csv").write_text("FileName,EmoDetail\n" + "\n".join(lines))
    return root


def text(root: Path) -> Path:
    lines = []
    for name, said in RATERS.items():
        lines += [f"MSP-PODCAST_{name}.wav; N; A:2.5; V:4.0; D:2.6;", *said, ""]
    (root / "Labels" / "labels.txt").write_text("\n".join(lines))
    return root


def columns(root: Path) -> Path:
    lines = ["FileName,WorkerID,EmoClass_Major,EmoClass_Second,EmoAct,EmoVal,EmoDom"]
    for name, said in RATERS.items():
        for line in said:
            worker, word, *_ = line.split("; ")
            scales = [cell.strip(" ;")[2:] for cell in line.split(";")[-4:-1]]
            lines.append(",".join([f"MSP-PODCAST_{name}.wav", worker, word, "", *scales]))
    (root / "Labels" / "labels_detailed.csv").write_text("\n".join(lines))
    return root


@pytest.mark.parametrize("form", [detailed, text, columns])
def test_every_rater_in_every_form(tmp_path: Path, form) -> None:
    corpus = corpora.find(form(write(tmp_path)))
    assert (corpus.name, corpus.space) == ("msp_podcast", SPACE)
    first, second = corpus.utterances
    assert (first.id, first.speaker, first.session, first.gender, first.dialogue, first.text) == (
        "MSP-PODCAST_0001_0008", "30", "Test1", "M", "MSP-PODCAST_0001", "So what?",
    )  # fmt: skip
    votes = dict(zip(SPACE.emotions, first.votes, strict=True))
    assert {e: n for e, n in votes.items() if n} == {"neutral": 1, "contempt": 1}
    assert first.dimensions == (4.0, 2.5, 2.6)  # valence, arousal, dominance
    assert first.ratings[0] == ("WORKER0000001", SPACE.emotions.index("neutral"), (4, 1, 1))
    assert second.speaker == "unknown of MSP-PODCAST_0002 Train"
    assert second.ratings[1].emotion == -1
    assert math.isnan(second.ratings[1].dimensions[1])
    assert second.votes == (0, 0, 1, 0, 0, 0, 0, 0)
    assert corpus.report.dropped == {"recording not found": 2}
    assert corpus.report.corrected == {
        "a rater's 'Other' is no vote": 1,
        "rating missing or off the scale, left out": 1,
        "consensus is X (no agreement), votes of raters are kept": 1,
        "transcript missing, kept as speech only": 1,
    }


def test_without_raters_the_consensus_is_the_vote(tmp_path: Path) -> None:
    write(tmp_path, wavs="0001_0008 0002_0001 0002_0002 0003_0001")
    corpus = corpora.load("msp_podcast", tmp_path)
    neutral, disagreed, other, contempt = corpus.utterances
    assert neutral.votes == (0, 0, 0, 0, 0, 0, 0, 1)
    assert contempt.votes == (0, 0, 0, 0, 0, 0, 1, 0)
    assert disagreed.votes is other.votes is None
    assert other.dimensions[:2] == (3, 3)
    assert math.isnan(other.dimensions[2])  # 9 is off the scale
    train = corpora.load("msp_podcast", tmp_path, splits=["Train"])
    assert {u.session for u in train.utterances} == {"Train"}
    assert train.report.dropped == {"left out by splits": 2}


def test_errors_name_file_and_row(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"labels_consensus.csv is not there.*academic licence"):
        corpora.load("msp_podcast", tmp_path)
    write(tmp_path)
    with pytest.raises(ConfigError, match=r"splits: 'Dev' is not one of Train, Development"):
        corpora.load("msp_podcast", tmp_path, splits=["Dev"])
    with pytest.raises(LabelError, match=r"labels_consensus.csv row 2: EmoClass 'Q' is not one of"):
        corpora.load("msp_podcast", write(tmp_path, CONSENSUS.replace(",N,", ",Q,")))
    file = detailed(write(tmp_path)) / "Labels" / "labels_detailed.csv"
    good = file.read_text()
    file.write_text(good.replace("A:1.0", "B:1.0"))
    with pytest.raises(CorpusError, match=r"labels_detailed.csv row 2: 'WORKER0000001.*expected"):
        corpora.load("msp_podcast", tmp_path)
    file.write_text(good.replace("1; Neutral;", "1; Netural;"))
    with pytest.raises(LabelError, match=r"labels_detailed.csv row 2: emotion 'Netural'"):
        corpora.load("msp_podcast", tmp_path)
    file.write_text("FileName,Else\nMSP-PODCAST_0001_0008.wav,1\n")
    with pytest.raises(CorpusError, match="neither a column EmoDetail nor WorkerID"):
        corpora.load("msp_podcast", tmp_path)
