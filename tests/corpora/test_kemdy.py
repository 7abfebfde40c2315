"""What both KEMDy readers do, shown on KEMDy20, and KEMDy20's own defects."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kemdy_trees import HAPPY6, M1, RATERS, U1, U2, Tree20, rating_cells, recording, small20, write

from erc import corpora
from erc.base.errors import CorpusError, LabelError


@pytest.fixture
def tree20(tmp_path: Path) -> Tree20:
    return small20(tmp_path)


def test_kemdy20_utterance(tree20: Tree20) -> None:
    corpus = tree20.load()
    u, v = corpus.utterances
    assert (u.id, u.speaker, u.gender, u.session, u.rater_group, u.dialogue) == (
        U1, "User001", "F", "Session01", "20", "script01",
    )  # fmt: skip
    assert (v.speaker, v.gender) == ("User002", "M")
    assert not corpus.report.dropped
    assert not corpus.report.corrected


@pytest.mark.parametrize("blank", ["", " "])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_blank_headers_line_ends_and_byte_order_marks(
    tree20: Tree20, blank: str, newline: str, encoding: str
) -> None:
    tree20.blank, tree20.options = blank, {"newline": newline, "encoding": encoding}
    tree20.annotate("01", {U1: rating_cells(HAPPY6)})
    assert [u.id for u in tree20.load().utterances] == [U1]


def test_facts_sample_files_parse(shared: Path, tmp_path: Path) -> None:
    """The two sample annotations kept with the format description, with recordings added."""
    for name, folder, places in (
        ("kemdy19", "KEMDy19", [f"Session01/Sess01_script01/{M1}"]),
        ("kemdy20", "KEMDy20_v1_1", [f"Session01/{U1}", f"Session01/{U2}"]),
    ):
        root = tmp_path / folder
        root.mkdir()
        os.symlink(shared / "facts/kemdy_synth" / folder / "annotation", root / "annotation")
        for place in places:
            recording(root, place)
        found = corpora.load(name, root).utterances
        assert [u.id for u in found] == [p.rpartition("/")[2] for p in places]
    assert found[1].votes == (0, 0, 0, 4, 0, 2, 4)  # total says neutral;disqust


def test_disqust_in_total_and_in_raters(tree20: Tree20) -> None:
    emotions = ["disqust"] * 5 + ["disgust", "sad", "sad", "sad", "sad"]
    tree20.annotate("01", {U1: rating_cells(emotions, total=["disqust", "3", "4"])})
    corpus = tree20.load()
    assert corpus.utterances[0].votes == (0, 0, 0, 0, 0, 4, 6)
    assert not corpus.report.corrected


@pytest.mark.parametrize(
    "total", [["sad", "3", "4"], ["happy;sad", "3", "4"], ["happy", "3.2", "4"], ["", "", ""]]
)
def test_total_that_differs_is_counted_and_ratings_win(tree20: Tree20, total: list[str]) -> None:
    tree20.annotate("01", {U1: rating_cells(HAPPY6, total=total)})
    corpus = tree20.load()
    assert corpus.report.corrected == {"total differs from its ten raters; ratings win": 1}
    assert corpus.utterances[0].votes == (0, 0, 0, 0, 6, 4, 0)
    assert corpus.utterances[0].dimensions[0] == 3


def test_total_mean_is_rounded_to_one_decimal(tree20: Tree20) -> None:
    valence = (3,) * 9 + (4,)
    tree20.annotate("01", {U1: rating_cells(HAPPY6, valence, total=["happy", "3.1", "4"])})
    assert not tree20.load().report.corrected


def test_missing_transcript_and_recording(tree20: Tree20) -> None:
    wav = tree20.root / "wav/Session01"
    (wav / f"{U1}.txt").unlink()
    (wav / f"{U2}.wav").unlink()
    corpus = tree20.load()
    assert [(u.id, u.text) for u in corpus.utterances] == [(U1, None)]
    assert corpus.report.corrected == {"transcript missing, kept as speech only": 1}
    assert corpus.report.dropped == {"recording not found": 1}


def test_transcript_of_marks_only_and_cp949(tree20: Tree20) -> None:
    tree20.speak(U1, text=b"b/ l/ \n")
    tree20.speak(U2, text="아 정말? \n".encode("cp949"))
    corpus = tree20.load()
    assert [u.text for u in corpus.utterances] == [None, "아 정말?"]
    assert corpus.report.corrected == {"transcript without words, kept as speech only": 1}


@pytest.mark.parametrize("column", [0, 1, 2])
def test_blank_rating_is_dropped(tree20: Tree20, column: int) -> None:
    cells = rating_cells(HAPPY6)
    cells[3 + 27 + column] = ""
    tree20.annotate("01", {U1: cells, U2: rating_cells(HAPPY6)})
    corpus = tree20.load()
    assert [u.id for u in corpus.utterances] == [U2]
    assert corpus.report.dropped == {"blank rating cell": 1}


def test_row_cut_short_is_dropped(tree20: Tree20) -> None:
    tree20.annotate("01", {U1: rating_cells(HAPPY6)[:20], U2: rating_cells(HAPPY6)})
    assert tree20.load().report.dropped == {"row shorter than the header": 1}


def test_row_too_long_is_refused(tree20: Tree20) -> None:
    tree20.annotate("01", {U1: [*rating_cells(HAPPY6), "4"]})
    with pytest.raises(CorpusError, match=r"Sess01_eval\.csv row 3: 38 cells.*37"):
        tree20.load()


def test_kemdy20_same_id_twice_takes_the_first(tree20: Tree20) -> None:
    tree20.annotate("01", [(U1, rating_cells(HAPPY6)), (U1, rating_cells(["sad"] * 10))])
    corpus = tree20.load()
    assert [u.votes[4] for u in corpus.utterances] == [6]
    assert corpus.report.dropped == {"id seen before; the first row counts": 1}


def test_kemdy20_wrong_session_prefix(tree20: Tree20) -> None:
    tree20.annotate("01", {U1.replace("Sess01", "Sess07"): rating_cells(HAPPY6)})
    corpus = tree20.load()
    assert [u.id for u in corpus.utterances] == [U1]
    assert corpus.report.corrected == {"wrong session in the segment id": 1}


def test_unknown_emotion(tree20: Tree20) -> None:
    cells = rating_cells(["hapy", *HAPPY6[1:]], total=["happy", "3", "4"])
    tree20.annotate("01", {U2: rating_cells(HAPPY6), U1: cells})
    with pytest.raises(LabelError, match=r"Sess01_eval\.csv row 4, Eval01F.*'hapy'.*'happy'"):
        tree20.load()


@pytest.mark.parametrize("value", ["0", "6", "-1", "inf", "x"])
def test_rating_off_the_scale(tree20: Tree20, value: str) -> None:
    cells = rating_cells(HAPPY6)
    cells[5] = value  # arousal of the first rater
    tree20.annotate("01", {U1: cells})
    with pytest.raises(LabelError, match=r"Sess01_eval\.csv row 3, Eval01F: arousal"):
        tree20.load()


def test_wrong_number_of_raters(tree20: Tree20) -> None:
    path = tree20.root / "annotation/Sess01_eval.csv"
    write(path, tree20.header(RATERS[:9]))
    with pytest.raises(CorpusError, match=r"Sess01_eval\.csv: 9 raters .*34 columns.* 10 .*37"):
        tree20.load()


def test_swapped_valence_and_arousal_are_refused(tree20: Tree20) -> None:
    first, second = tree20.header()
    second[5], second[6] = second[6], second[5]
    write(tree20.root / "annotation/Sess01_eval.csv", [first, second])
    with pytest.raises(CorpusError, match="Emotion, Valence, Arousal"):
        tree20.load()


@pytest.mark.parametrize("content", [b"", b"\n", b"id,emotion\n1,happy\n", b"\xff\xfe\x00"])
def test_files_that_are_no_annotation(tree20: Tree20, content: bytes) -> None:
    (tree20.root / "annotation/Sess01_eval.csv").write_bytes(content)
    with pytest.raises(CorpusError, match=r"Sess01_eval\.csv"):
        tree20.load()
