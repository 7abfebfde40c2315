"""KEMDy19: speakers and listeners, its known defects, the published system's rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from kemdy_trees import F1, HAPPY6, M1, RATERS, Tree19, rating_cells, small19

from erc.base.space import KEMDY


@pytest.fixture
def tree19(tmp_path: Path) -> Tree19:
    return small19(tmp_path)


def test_kemdy19_utterance(tree19: Tree19) -> None:
    valence, arousal = (1, 2, 3, 4, 5, 5, 5, 5, 5, 5), (1,) * 9 + (3,)
    tree19.annotate("01_M", {M1: rating_cells(HAPPY6, valence, arousal)})
    corpus = tree19.load()
    m, f = corpus.utterances
    assert (m.id, m.session, m.speaker, m.gender, m.dialogue) == (
        M1, "Session01", "Sess01M", "M", "script01",
    )  # fmt: skip
    assert m.audio == tree19.root / "wav/Session01/Sess01_script01" / f"{M1}.wav"
    assert m.text == "hello"
    assert m.votes == (0, 0, 0, 0, 6, 4, 0)
    assert m.dimensions == pytest.approx((4.0, 1.2))
    assert [r.rater for r in m.ratings] == RATERS
    assert m.ratings[1] == ("Eval02M", KEMDY.emotions.index("happy"), (2.0, 1.0))
    assert m.rater_group == "19-A"
    assert (f.id, f.speaker) == (F1, "Sess01F")
    assert sum(corpus.report.dropped.values()) == 1  # M1 in the F file
    assert not corpus.report.corrected


def test_kemdy19_listener_rows_are_counted_not_used(tree19: Tree19) -> None:
    corpus = tree19.load()
    assert corpus.report.dropped == {"listener row": 2}
    (tree19.root / "annotation/Session01_F_res.csv").unlink()
    corpus = tree19.load()
    assert [u.id for u in corpus.utterances] == [M1]
    assert corpus.report.dropped == {"listener row, and its speaker's own file has no such row": 1}


def test_kemdy19_second_rater_group(tree19: Tree19) -> None:
    tree19.speak("Sess11_impro01_F001")
    tree19.annotate("11_F", {"Sess11_impro01_F001": rating_cells(HAPPY6)})
    last = tree19.load().utterances[-1]
    assert (last.rater_group, last.session, last.dialogue) == ("19-B", "Session11", "impro01")


def test_kemdy19_same_id_twice_takes_the_first(tree19: Tree19) -> None:
    happy, sad = rating_cells(HAPPY6), rating_cells(["sad"] * 10)
    tree19.annotate("01_M", [(M1, happy), (F1, happy), (M1, sad)])
    corpus = tree19.load()
    assert [u.votes[4] for u in corpus.utterances] == [6, 0]
    assert corpus.report.dropped["id seen before; the first row counts"] == 1


def test_ids_that_are_none(tree19: Tree19) -> None:
    tree19.annotate("01_M", {M1: rating_cells(HAPPY6), "": [], "Sess01_scriptM001": [],
                             "Sess02_script01_M001": rating_cells(HAPPY6)})  # fmt: skip
    dropped = tree19.load().report.dropped
    assert dropped["segment id not understood"] == 2
    assert dropped["segment id of another session"] == 1


def test_kemdy19_session03_row_345(tree19: Tree19) -> None:
    right = "Sess03_impro02_F001"
    tree19.speak(right)
    rows = [(f"Sess03_script01_M{i:03d}", []) for i in range(345)]
    rows.append(("Sess03_impro02_M001", rating_cells(HAPPY6)))
    tree19.annotate("03_F", rows)
    corpus = tree19.load()
    assert corpus.utterances[-1].id == right
    assert corpus.report.corrected == {"wrong id (known defect)": 1}


def test_kemdy19_wrong_id_that_the_other_file_names_rightly(tree19: Tree19) -> None:
    ids = ["Sess03_impro02_M001", "Sess03_impro02_F001", "Sess03_impro02_F002"]
    tree19.speak(*ids)
    tree19.annotate("03_M", dict.fromkeys(ids, rating_cells(HAPPY6)))
    tree19.annotate("03_F", [(i, rating_cells(HAPPY6)) for i in (ids[0], ids[0], ids[2])])
    corpus = tree19.load()
    assert [u.id for u in corpus.utterances[2:]] == ids
    assert corpus.report.corrected == {"wrong id; the other file is right": 1}


@pytest.mark.parametrize(
    ("file", "row", "identity"),
    [
        ("09_F", 253, "Sess09_script06_M001"),
        ("09_F", 310, "Sess09_impro01_M001"),
        ("04_F", 467, "Sess04_impro03_F031"),
        ("04_M", 467, "Sess04_impro03_M031"),
    ],
)
def test_kemdy19_stray_ids(tree19: Tree19, file: str, row: int, identity: str) -> None:
    tree19.speak(identity)
    rows = [(f"{identity[:6]}_script01_{file[-1]}{i:03d}", []) for i in range(row)]
    tree19.annotate(file, [*rows, (identity, rating_cells(HAPPY6))])
    corpus = tree19.load()
    assert corpus.report.dropped["stray id (known defect)"] == 1
    assert identity not in [u.id for u in corpus.utterances]


def test_kemdy19_converted_folders_are_not_recordings(tree19: Tree19) -> None:
    folder = tree19.root / "wav/Session01/Sess01_script01"
    (folder / "converted").mkdir()
    (folder / f"{M1}.wav").rename(folder / "converted" / f"{M1}.wav")
    corpus = tree19.load()
    assert [u.id for u in corpus.utterances] == [F1]
    assert corpus.report.dropped["recording not found"] == 1


def test_kemdy19_blank_signals_matter_to_the_reference_only(tree19: Tree19) -> None:
    tree19.annotate("01_M", {M1: rating_cells(HAPPY6)}, bio="")
    assert [u.id for u in tree19.load().utterances] == [M1, F1]
    corpus = tree19.load(reference_rows=True)
    assert [u.id for u in corpus.utterances] == [F1]
    assert corpus.report.dropped["reference_rows: blank cell"] == 1


def test_kemdy19_reference_rows(tree19: Tree19) -> None:
    left_out = "Sess06_script02_F001"
    silent = "Sess06_script03_F001"
    tree19.speak(left_out)
    tree19.speak(silent, text=None)
    tree19.annotate("06_F", dict.fromkeys([left_out, silent], rating_cells(HAPPY6)))
    assert len(tree19.load().utterances) == 4
    corpus = tree19.load(reference_rows=True)
    assert [u.id for u in corpus.utterances] == [M1, F1]
    assert corpus.report.dropped["reference_rows: dialogue left out"] == 1
    assert corpus.report.dropped["reference_rows: no transcript"] == 1
    assert not corpus.report.corrected
