"""The merged table, folds and splits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from erc import corpora
from erc.base.errors import ConfigError, CorpusError
from erc.base.space import KEMDY
from erc.preprocess import get_folds, make_total_df, split

SESSIONS19 = [f"Session{i:02d}" for i in range(1, 21)]
SESSIONS20 = [f"Session{i:02d}" for i in range(1, 41)]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "a.wav").touch()
    head = ",".join(["id,audio,text,speaker,session,emotion", *KEMDY.emotions, "valence,arousal"])
    (folder / "manifest.csv").write_text(
        f"{head}\n"
        "a,a.wav,hi,s1,x,,1,0,0,0,1,0,0,4,3.5\n"
        'b,,"yes, ""b""",s2,y,,0,0,0,10,0,0,0,,\n'
        "c,a.wav,,s3,z,,,,,,,,,2,2\n"
        "d,gone.wav,hi,s3,z,,1,0,0,0,0,0,0,4,3\n",
        "utf-8",
    )
    return folder


def test_table(manifest: Path) -> None:
    table = make_total_df(manifest)
    df = table.df
    assert list(df) == [
        "id", "corpus", "audio", "text", "speaker", "gender", "session", "dialogue", "emotion",
        *KEMDY.emotions, "valence", "arousal", "raters",
    ]  # fmt: skip
    assert df.emotion.tolist() == ["surprise;happy", "neutral", ""]
    assert df.audio.tolist() == [str(manifest / "a.wav"), None, str(manifest / "a.wav")]
    assert df.text.tolist() == ["hi", 'yes, "b"', None]
    assert df.raters.tolist() == [2, 10, 0]
    assert df[list(KEMDY.emotions)].isna().all(axis=1).tolist() == [False, False, True]
    assert table.report.dropped == {"recording not found": 1}
    text = str(table)
    for line in (
        "3 utterances, 3 sessions, 3 speakers",
        "speech and text 1, speech only 1, text only 1",
        "neutral 1",
        "ties 1 (surprise;happy 1)",
        "valence 3.00 ± 1.41",
        "recording not found",
    ):
        assert line in text


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_saved_table_is_a_manifest(manifest: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "elsewhere" / f"total{suffix}"
    table = make_total_df(manifest, save_path=str(path))
    again = make_total_df(path)
    saved = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    assert saved.audio[0] == "../mine/a.wav"
    kept = [c for c in table.df if c != "audio"]
    pd.testing.assert_frame_equal(again.df[kept], table.df[kept])
    same = [a and Path(a).resolve() for a in again.df.audio]
    assert same == [a and Path(a).resolve() for a in table.df.audio]
    assert not again.report.corrected
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_save_path_of_another_kind(manifest: Path) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.csv or \.parquet"):
        make_total_df(manifest, save_path="total.xlsx")


def test_fire_prints_the_summary(manifest: Path) -> None:
    command = [sys.executable, "-m", "fire", "erc.preprocess", "make_total_df"]
    done = subprocess.run(
        [*command, f"--base_path={manifest}"], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.stdout.strip() == str(make_total_df(manifest))


def test_import_is_light() -> None:
    code = "import sys, erc.preprocess; print({'pandas', 'torch', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.stdout.strip() == "set()"


def test_folds_of_the_published_system() -> None:
    folds = get_folds(SESSIONS19)
    assert [len(f) for f in folds] == [4] * 5
    assert folds[4] == ["Session17", "Session18", "Session19", "Session20"]
    assert [len(f) for f in get_folds(SESSIONS20)] == [8] * 5


@pytest.mark.parametrize(("n", "k"), [(2, 2), (7, 3), (9, 5), (41, 8), (5, 5)])
def test_folds_are_contiguous_and_equal(n: int, k: int) -> None:
    names = [f"{i:03d}" for i in range(n)]
    folds = get_folds(np.random.default_rng(0).permutation(names * 2), k)
    assert [list(part) for part in np.array_split(names, k)] == folds  # numpy's rule


def test_folds_that_cannot_be() -> None:
    assert get_folds(["b", "a", "b"], "session") == [["a"], ["b"]]
    with pytest.raises(ConfigError, match=r"3 sessions \(a, b, c\) cannot make 5 folds.*≤ 3"):
        get_folds(["a", "b", "c"])
    for wrong in (1, 0, -2, 2.0, True, "speaker", None):
        with pytest.raises(ConfigError, match="num_folds"):
            get_folds(["a", "b", "c"], wrong)
    for few in ([], ["a"]):
        with pytest.raises(ConfigError, match="num_folds"):
            get_folds(few, "session")


def kemdy() -> tuple[list[str], list[str], list[str]]:
    """(sessions, speakers, corpora) of two utterances for each of the two speakers of a session."""
    rows = [
        (session, f"{session}{speaker}", corpus)
        for corpus, sessions in (("kemdy19", SESSIONS19), ("kemdy20", SESSIONS20))
        for session in sessions
        for speaker in "FMFM"
    ]
    return tuple(map(list, zip(*rows, strict=True)))


@pytest.mark.parametrize("fold", range(5))
@pytest.mark.parametrize("protocol", ["paper", "strict"])
def test_split_of_joined_corpora(fold: int, protocol: str) -> None:
    sessions, speakers, names = kemdy()
    held = split(sessions, speakers, names, fold, 5, protocol)
    sides = held.sides
    assert (held.number, held.count, held.protocol) == (fold, 5, protocol)
    units = {side: {(names[i], sessions[i]) for i in rows} for side, rows in sides.items()}
    assert units["test"] == {("kemdy19", s) for s in SESSIONS19[4 * fold : 4 * fold + 4]} | {
        ("kemdy20", s) for s in SESSIONS20[8 * fold : 8 * fold + 8]
    }
    assert units["train"].isdisjoint(units["test"] | units["valid"])
    assert set().union(*map(set, sides.values())) == set(range(len(sessions)))
    assert all(rows == sorted(rows) for rows in sides.values())
    if protocol == "paper":
        assert sides["valid"] == sides["test"]
    else:
        assert units["valid"].isdisjoint(units["test"])
        rest = sorted(units["train"] | units["valid"])
        assert units["valid"] == set(rest[::8])


def test_split_with_one_session_a_fold() -> None:
    sessions, speakers, names = kemdy()
    sides = split(sessions, speakers, names, 20, "session").sides
    assert {(names[i], sessions[i]) for i in sides["test"]} == {("kemdy20", "Session01")}
    with pytest.raises(ConfigError, match="60 folds, 0–59"):
        split(sessions, speakers, names, 60, "session")


def test_split_takes_arrays_and_gives_whole_numbers() -> None:
    sides = split(*map(np.array, kemdy()), validation_fold=0).sides
    assert all(type(i) is int for rows in sides.values() for i in rows)


@pytest.mark.parametrize("fold", [-1, 5, None, "4"])
def test_fold_out_of_range(fold: object) -> None:
    with pytest.raises(ConfigError, match=r"out of range; there are 5 folds, 0–4"):
        split(*kemdy(), validation_fold=fold)


def test_unknown_protocol() -> None:
    with pytest.raises(ConfigError, match=r"paper, strict, fixed \(did you mean 'strict'\?\)"):
        split(*kemdy(), validation_fold=0, protocol="strikt")


def test_strict_needs_three_sessions() -> None:
    two = (["a", "b"], ["s", "t"], ["c", "c"])
    assert split(*two, validation_fold=0, num_folds=2).sides["train"] == [1]
    with pytest.raises(ConfigError, match="needs two sessions besides"):
        split(*two, validation_fold=0, num_folds=2, protocol="strict")


def test_speaker_in_two_folds_is_refused() -> None:
    sessions, speakers = ["a", "b", "c", "d"], ["s", "t", "t", "u"]
    with pytest.raises(CorpusError, match="speaker 't' of x is in session 'b' and in session 'c'"):
        split(sessions, speakers, ["x"] * 4, 0, 2)
    speakers = ["s", "s", "t", "u"]  # within fold 0
    assert split(sessions, speakers, ["x"] * 4, 1, 2).sides["train"] == [0, 1]
    with pytest.raises(CorpusError, match="sides of protocol 'strict'"):
        split(sessions, speakers, ["x"] * 4, 1, 2, "strict")


def test_equal_names_in_two_corpora_are_different_people() -> None:
    names = ["x", "x", "y", "y"]
    sides = split(["a", "b", "b", "a"], ["s", "t", "s", "t"], names, 0, 2).sides
    assert sides["test"] == [0, 3]


def test_simulated_corpora_end_to_end(tmp_path: Path) -> None:
    synthetic = pytest.importorskip("erc.corpora.simulated")
    for layout in ("kemdy19", "kemdy20"):
        synthetic.write_tree(tmp_path / layout, layout, sessions=2, utterances=8)
    table = make_total_df(tmp_path, save_path=str(tmp_path / "total.csv"))
    assert table.name == "kemdy19+kemdy20"
    assert len(table.df) == 32
    assert (table.df[list(KEMDY.emotions)].sum(axis=1) == 10).all()
    assert set(table.df.raters) == {10}
    df = table.df
    sides = split(df.session, df.speaker, df.corpus, 1, 2).sides
    assert set(df.session[sides["test"]]) == {"Session02"}
    assert set(df.corpus[sides["train"]]) == {"kemdy19", "kemdy20"}
    again = corpora.load("manifest", tmp_path / "total.csv")
    assert [u.votes for u in again.utterances] == df[list(KEMDY.emotions)].apply(
        tuple, axis=1
    ).tolist()
    assert all(u.audio.is_file() for u in again.utterances)


def test_saved_table_behind_a_symbolic_link(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep/er")
    make_total_df(manifest, save_path=str(tmp_path / "link/total.csv"))
    assert len(make_total_df(tmp_path / "link/total.csv").df) == 3
