"""Manifests: three formats, three kinds of labels, and tables with mistakes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from erc import corpora
from erc.base.errors import ConfigError, CorpusError, LabelError
from erc.base.space import KEMDY
from erc.corpora import Corpus

ROW = {"id": "a", "audio": "a.wav", "text": "hi", "speaker": "s", "session": "s", "emotion": "sad"}
VOTES = {"surprise": 1, "fear": 0, "anger": 2, "neutral": 0, "joy": 7, "sadness": 0, "disqust": 0}
MISSPELT = {"suprise" if word == "surprise" else word: n for word, n in VOTES.items()}


def write(path: Path, rows: list[dict]) -> Path:
    (path.parent / "a.wav").touch()
    if path.suffix == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    elif path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def load(folder: Path, rows: list[dict], **options) -> Corpus:
    return corpora.load("manifest", write(folder / "manifest.csv", rows), **options)


def without(*columns: str, **new) -> dict:
    return {k: v for k, v in ROW.items() if k not in columns} | new


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_formats_are_equal(tmp_path: Path, suffix: str) -> None:
    rows = [
        ROW | {"valence": 4.5, "arousal": 1, "gender": "female", "sentence": 7},
        ROW | {"id": "b", "audio": None, "valence": None, "arousal": None, "gender": None},
    ]
    root = tmp_path / "my_corpus"
    root.mkdir()
    path = write(root / f"manifest{suffix}", rows)
    for place in (root, path):
        a, b = corpora.load("manifest", place).utterances
        assert (a.id, a.corpus, a.text, a.speaker, a.session, a.gender) == (
            "a", "my_corpus", "hi", "s", "s", "F",
        )  # fmt: skip
        assert a.audio == root / "a.wav"
        assert a.votes == (0, 0, 0, 0, 0, 1, 0)
        assert a.dimensions == (4.5, 1.0)
        assert a.dialogue.startswith("7")  # numbers with gaps are written 7.0
        assert b.audio is None
        assert b.gender == ""
        assert math.isnan(b.dimensions[0])


def test_seven_votes_with_other_names(tmp_path: Path) -> None:
    corpus = load(tmp_path, [without("emotion", **VOTES)])
    assert corpus.utterances[0].votes == (1, 0, 2, 0, 7, 0, 0)


def test_votes_win_over_emotion_and_differences_are_counted(tmp_path: Path) -> None:
    corpus = load(tmp_path, [ROW | VOTES, ROW | VOTES | {"id": "b", "emotion": "happy"}])
    assert corpus.utterances[0].votes == (1, 0, 2, 0, 7, 0, 0)
    assert corpus.report.corrected == {"emotion differs from its votes; votes win": 1}


def test_two_columns_of_one_emotion_are_added(tmp_path: Path) -> None:
    corpus = load(tmp_path, [ROW | VOTES | {"happy": 1, "calm": 3}])
    assert corpus.utterances[0].votes == (1, 0, 2, 3, 8, 0, 0)


def test_votes_for_further_emotions_are_counted(tmp_path: Path) -> None:
    """Else `contempt 2, other 4, happy 1` would be unanimously happy, and nobody told."""
    row = without("emotion") | VOTES | {"contempt": 2, "other": 4, "take": "b1"}
    corpus = load(tmp_path, [row, row | {"id": "b", "other": 0}])
    assert list(corpus.report.corrected.values()) == [2, 1]
    assert all("contempt" in r or "other" in r for r in corpus.report.corrected)
    meant = load(tmp_path, [row], emotion_map={"contempt": "disgust", "other": None})
    assert meant.utterances[0].votes == (1, 0, 2, 0, 7, 0, 2)
    assert not meant.report.corrected


def test_a_word_for_no_emotion_and_a_number_for_one(tmp_path: Path) -> None:
    rows = [
        ROW | {"emotion": "xxx", "valence": 4},
        ROW | {"id": "b", "emotion": "5"},
        ROW | {"id": "c", "emotion": "xxx"},
    ]
    corpus = load(tmp_path, rows, emotion_map={"xxx": None, 5: "angry"})
    assert [u.votes for u in corpus.utterances] == [None, (0, 0, 1, 0, 0, 0, 0)]
    assert corpus.utterances[0].dimensions[0] == 4
    assert corpus.report.dropped == {"not labelled": 1}


def test_valence_and_arousal_alone(tmp_path: Path) -> None:
    rows = [without("emotion", valence=3, arousal=2), without("emotion", id="b")]
    corpus = load(tmp_path, rows)
    assert [u.votes for u in corpus.utterances] == [None]
    assert corpus.report.dropped == {"not labelled": 1}


def test_tie_and_mapped_words(tmp_path: Path) -> None:
    rows = [ROW | {"emotion": "neutral;happy"}, ROW | {"id": "b", "emotion": "Excited"}]
    corpus = load(tmp_path, rows, emotion_map={"excited": "happy"})
    assert [u.votes for u in corpus.utterances] == [(0, 0, 0, 1, 1, 0, 0), (0, 0, 0, 0, 1, 0, 0)]


def test_missing_modalities(tmp_path: Path) -> None:
    rows = [
        ROW | {"id": "no_audio", "audio": ""},
        ROW | {"id": "no_text", "text": " "},
        ROW | {"id": "nothing", "audio": "", "text": ""},
        ROW | {"id": "lost", "audio": "gone.wav"},
    ]
    corpus = load(tmp_path, rows)
    assert [(u.id, u.audio is None, u.text) for u in corpus.utterances] == [
        ("no_audio", True, "hi"),
        ("no_text", False, None),
    ]
    assert corpus.report.dropped == {"neither audio nor text": 1, "recording not found": 1}


def test_text_only_table(tmp_path: Path) -> None:
    assert load(tmp_path, [without("audio")]).utterances[0].audio is None


def test_text_is_only_normalised(tmp_path: Path) -> None:
    """Parentheses and slashes are KEMDy marks, not everybody's."""
    corpus = load(tmp_path, [ROW | {"text": " (laughs)  b/ km/h "}])
    assert corpus.utterances[0].text == "(laughs) b/ km/h"


def test_byte_order_mark_cp949_quotes_and_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    table = 'ID, Audio,text,speaker,session,emotion\n\na,a.wav,"아, 정말?\n네",s,s,sad\n,,,,,\n'
    for encoding in ("utf-8-sig", "cp949"):
        (tmp_path / "manifest.csv").write_bytes(table.encode(encoding))
        (u,) = corpora.load("manifest", tmp_path).utterances
        assert u.text == "아, 정말? 네"


def test_where(tmp_path: Path) -> None:
    rows = [ROW | {"part": "1"}, ROW | {"id": "b", "part": "2"}]
    corpus = load(tmp_path, rows, where={"part": 2})
    assert [u.id for u in corpus.utterances] == ["b"]
    assert corpus.report.dropped == {"left out by where part=2": 1}
    with pytest.raises(ConfigError, match=r"no column 'prat' \(did you mean 'part'\?\)"):
        load(tmp_path, rows, where={"prat": "1"})
    with pytest.raises(CorpusError, match="no usable utterance"):
        load(tmp_path, rows, where={"part": "3"})


@pytest.mark.parametrize("column", ["id", "speaker", "session"])
def test_required_columns_and_cells(tmp_path: Path, column: str) -> None:
    with pytest.raises(CorpusError, match=rf"no column {column}; its columns are .*text.*repeat"):
        load(tmp_path, [without(column)])
    with pytest.raises(CorpusError, match=rf"manifest\.csv row 3: {column} is blank"):
        load(tmp_path, [ROW, ROW | {"id": "b"} | {column: ""}])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (without("audio", "text"), "no column audio or text"),
        (without("emotion"), "no labels.*or votes in 7 columns"),
        (without("emotion", happy=1, sad=2), "no column of votes for surprise, fear.*write 0"),
        (ROW | {"happy": 1, "sad": 2}, "no column of votes for surprise, fear.*write 0"),
        (ROW | MISSPELT, r"no column of votes for surprise \(did you mean 'suprise'\?\)"),
    ],
)
def test_tables_that_lack_something(tmp_path: Path, row: dict, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        load(tmp_path, [row])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROW | {"emotion": "hapy"}, r"row 3: emotion 'hapy'.*did you mean 'happy'"),
        (ROW | {"valence": 5.1}, r"row 3: valence 5\.1 is outside 1–5"),
        (ROW | {"arousal": "high"}, "row 3: arousal is 'high', not a number"),
        (without("emotion", **VOTES | {"fear": -1}), "row 3: -1 votes for fear"),
        (without("emotion", **VOTES | {"fear": "inf"}), "row 3: inf votes for fear"),
        (without("emotion", **VOTES | {"fear": "many"}), "row 3: votes for fear is 'many'"),
    ],
)
def test_labels_that_cannot_be(tmp_path: Path, row: dict, message: str) -> None:
    good = {k: v for k, v in (ROW | VOTES).items() if k in row} | {"id": "first"}
    with pytest.raises(LabelError, match=message):
        load(tmp_path, [good, row])


def test_row_without_votes_is_not_labelled(tmp_path: Path) -> None:
    none = without("emotion", id="b", **dict.fromkeys(VOTES, 0))
    corpus = load(tmp_path, [without("emotion", **VOTES), none])
    assert corpus.report.dropped == {"not labelled": 1}


def test_same_id_twice(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"row 3: id 'a' is also that of manifest\.csv row 2"):
        load(tmp_path, [ROW, ROW])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("manifest.csv", b"", "no rows"),
        ("manifest.csv", b"id,audio,text,speaker,session,emotion\n", "no rows"),
        ("manifest.csv", b"id,id,text,speaker,session,emotion\n", "two columns are named 'id'"),
        ("manifest.csv", b"id,text\na,b,c\n", "row 2: 3 cells, the header has 2"),
        ("manifest.csv", b'id,text\na,"b\n', "unexpected end"),
        ("manifest.csv", b"id,text\na,\xff\xff\n", "neither UTF-8 nor CP949"),
        ("manifest.jsonl", b'{"id": 1}\n{"id": \n', "row 2: not JSON"),
        ("manifest.jsonl", b"[1]\n", "row 1: not an object"),
        ("manifest.parquet", b"PAR1", "not a Parquet file"),
        ("manifest.xlsx", b"", "must hold exactly one manifest.csv"),
    ],
)
def test_broken_tables(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        corpora.load("manifest", tmp_path)


def test_which_table(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no manifest at"):
        corpora.load("manifest", tmp_path / "gone.csv")
    (tmp_path / "table.tsv").touch()
    with pytest.raises(CorpusError, match=r"not '\.tsv'"):
        corpora.load("manifest", tmp_path / "table.tsv")
    write(tmp_path / "manifest.csv", [ROW])
    write(tmp_path / "manifest.jsonl", [ROW])
    with pytest.raises(CorpusError, match=r"found 2 \(manifest\.csv, manifest\.jsonl\)"):
        corpora.load("manifest", tmp_path)


@pytest.mark.parametrize(
    ("name", "speakers", "emotions"), [("nemo", 9, 6), ("korean_emotion", 15, 4)]
)
def test_real_manifests(shared: Path, name: str, speakers: int, emotions: int) -> None:
    corpus = corpora.find(shared / "corpora" / name)
    table = pd.read_csv(shared / "corpora" / name / "manifest.csv", dtype=str)
    assert [u.id for u in corpus.utterances] == table.id.tolist()
    assert [KEMDY.emotions[u.votes.index(1)] for u in corpus.utterances] == table.emotion.tolist()
    assert [u.dialogue for u in corpus.utterances] == table.sentence.tolist()
    assert len({u.speaker for u in corpus.utterances}) == speakers
    assert len({u.votes for u in corpus.utterances}) == emotions
    assert not corpus.report.dropped


def test_a_space_of_its_own(tmp_path: Path) -> None:
    """Nine emotions, three dimensions on 1–7: columns of these names, and no others."""
    emotions = [
        "anger",
        "boredom",
        "contempt",
        "disgust",
        "fear",
        "joy",
        "neutral",
        "sadness",
        "pride",
    ]
    scales = {name: [1, 7] for name in ("valence", "arousal", "dominance")}
    row = {k: v for k, v in ROW.items() if k != "emotion"}
    rows = [
        row | dict.fromkeys(emotions, 0) | {"boredom": 3, "joy": 1, "dominance": 6.5},
        row | {"id": "b", "emotion": "happy"} | dict.fromkeys(emotions, ""),
        row | {"id": "c", "dominance": 1, "valence": 7},
    ]
    corpus = load(tmp_path, rows, emotions=emotions, dimensions=scales)
    a, b, c = corpus.utterances
    assert corpus.space.emotions == tuple(emotions)
    assert dict(zip(emotions, a.votes))["boredom"] == 3
    assert b.votes == tuple(float(e == "joy") for e in emotions)  # another spelling of it
    assert (c.votes, c.dimensions[0], c.dimensions[2]) == (None, 7, 1)
    with pytest.raises(LabelError, match=r"row 2: dominance 7\.5 is outside 1–7"):
        load(tmp_path, [rows[0] | {"dominance": 7.5}], emotions=emotions, dimensions=scales)
    with pytest.raises(LabelError, match="'surprise' is not one of anger, boredom"):
        load(tmp_path, [rows[1] | {"emotion": "surprise"}], emotions=emotions)
    with pytest.raises(ConfigError, match="label space"):
        load(tmp_path, rows, emotions="anger")


def test_rows_of_a_long_parquet_file_are_counted_through(tmp_path: Path) -> None:
    size = 2500  # more than are decoded at once
    rows = {"id": [str(i) for i in range(size)], "text": ["yes"] * size}
    rows |= {"speaker": ["s"] * size, "session": ["S"] * size, "emotion": ["happy"] * size}
    rows["emotion"][2400] = "hapy"
    pd.DataFrame(rows).to_parquet(tmp_path / "manifest.parquet")
    with pytest.raises(LabelError, match=r"manifest\.parquet row 2401: "):
        corpora.load("manifest", tmp_path)
    rows["emotion"][2400] = "sad"
    pd.DataFrame(rows).to_parquet(tmp_path / "manifest.parquet")
    assert [u.id for u in corpora.load("manifest", tmp_path).utterances] == rows["id"]


def test_a_long_table_in_cp949_and_one_with_a_byte_order_mark(tmp_path: Path) -> None:
    head = "id,text,speaker,session,emotion\n"
    table = head + "".join(f"{i},아 정말 좋았어요,s,S,happy\n" for i in range(300))
    for encoding in ("cp949", "utf-8-sig", "utf-8"):
        (tmp_path / "manifest.csv").write_bytes(table.encode(encoding))
        found = corpora.load("manifest", tmp_path).utterances
        assert {u.text for u in found} == {"아 정말 좋았어요"}
        assert (len(found), found[0].id) == (300, "0")
