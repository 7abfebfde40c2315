"""`erc check` finds every planted fault, in its place, and nothing in a clean corpus."""

from __future__ import annotations

import csv
import io
import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from erc.__main__ import main
from erc.cli.check_corpus import examine
from erc.cli.check_findings import ERROR
from erc.cli.check_recording import listen
from erc.corpora import load


@pytest.fixture(scope="module", params=["kemdy19", "kemdy20"])
def clean(request) -> Path:
    return request.getfixturevalue(request.param)


def test_nothing_is_found_in_a_clean_corpus(clean):
    found = examine(clean)
    assert found.findings == {}
    assert found.utterances == found.recordings == 40
    assert found.hours == pytest.approx(
        sum(soundfile.info(u.audio).duration for u in load(found.corpora[0], clean).utterances)
        / 3600
    )


class Patient:
    """A copy of the simulated KEMDy19, to be made ill one utterance at a time."""

    def __init__(self, root: Path):
        self.root = root
        self.utterances = load("kemdy19", root).utterances
        self.left = iter(self.utterances)

    def next(self):
        return next(self.left)

    def cell(self, u, change) -> None:
        """Apply `change` to the 43 cells of an utterance's row in its speaker's own file."""
        path = self.root / f"annotation/Session{u.session[-2:]}_{u.gender}_res.csv"
        lines = [line.split(",") for line in path.read_text("utf-8").splitlines()]
        change(next(line for line in lines if line[9] == u.id))
        path.write_text("".join(",".join(line) + "\n" for line in lines), "utf-8")


@pytest.fixture
def patient(kemdy19, tmp_path) -> Patient:
    root = tmp_path / "KEMDy19"
    shutil.copytree(kemdy19, root)
    return Patient(root)


def broken_list(path: Path) -> None:
    """A LIST chunk whose entry is far longer than the chunk, before the samples (libsndfile #1118)."""
    data = path.read_bytes()
    chunk = (
        b"LIST" + struct.pack("<I", 20) + b"INFOINAM" + struct.pack("<I", 0xFFFFFFF0) + b"12345678"
    )
    path.write_bytes(data[:36] + chunk + data[36:])


def rewrite(change):
    def fault(path: Path) -> None:
        samples, rate = soundfile.read(path)
        soundfile.write(path, *change(samples, rate))

    return fault


AUDIO = {  # check → what is done to a recording
    "unreadable recording": lambda p: p.write_bytes(b"no sound at all" * 100),
    "truncated recording": lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
    "Git LFS pointer": lambda p: p.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"),
    "silent recording": rewrite(lambda x, r: (x * 1e-3, r)),
    "clipped recording": rewrite(lambda x, r: (np.clip(x * 50, -1, 1), r)),
    "other rate or channels": rewrite(lambda x, r: (np.stack([x, x], 1), 48_000)),
    "recording too short": rewrite(lambda x, r: (x[:300], r)),
    "recording not found": lambda p: p.unlink(),
    "transcript missing, kept as speech only": lambda p: p.with_suffix(".txt").unlink(),
    "transcript that is not text": lambda p: p.with_suffix(".txt").write_bytes(b"\xff\xff\x80"),
    "garbled transcript": lambda p: p.with_suffix(".txt").write_text("乃亐侶 丁", "utf-8"),
}
ROWS = {  # check → what is done to the cells of a row: 10–12 total, then emotion, valence, arousal × 10
    "label that the scale does not have": lambda c: c.__setitem__(14, "7"),
    "blank rating cell": lambda c: c.__setitem__(13, ""),
    "total differs from its ten raters; ratings win": lambda c: c.__setitem__(11, "9.9"),
}


def test_every_planted_fault_is_found_and_nothing_else(patient):
    expected = {}
    for check, fault in AUDIO.items():
        u = patient.next()
        fault(u.audio)
        expected[check] = [u.id]
    for check, change in ROWS.items():
        u = patient.next()
        patient.cell(u, change)
        expected[check] = [u.id]
    broken_list(patient.next().audio)  # of which the samples are sound
    u = patient.next()
    u.audio.write_bytes(b"")
    expected["unreadable recording"].append(u.id)
    unknown = patient.next()
    patient.cell(unknown, lambda c: c.__setitem__(16, "hapy"))
    expected["label that the scale does not have"].append(unknown.id)

    copy, other = patient.next(), patient.utterances[-1]
    shutil.copy(other.audio, copy.audio)
    twice = [
        u for u in patient.utterances if (u.speaker, u.session) == (other.speaker, other.session)
    ]
    shutil.copy(twice[0].audio, twice[1].audio)
    expected["same recording, other speaker or session"] = [f"{copy.id} ({copy.speaker}"]
    expected["same recording twice"] = [f"{twice[0].id} ({other.speaker}"]
    (patient.root / "EDA/Session02/Original/Sess02F.csv").unlink()
    (patient.root / "TEMP/Session03/Original/Sess03M.csv").write_bytes(b"")
    expected["physiology missing"] = ["Sess02F.csv"]
    expected["empty physiology file"] = ["Sess03M.csv"]

    found = examine(patient.root).findings
    assert {check: len(places) for check, places in found.items()} == {
        check: len(places) for check, places in expected.items()
    }
    for check, names in expected.items():
        for name in names:
            row = check in ROWS
            assert row or any(name in place for place in found[check]), (check, found[check])
    assert any("'hapy'" in place for place in found["label that the scale does not have"])


def test_exit_code_table_and_json(patient, capsys):
    words = ["check", "kemdy19", str(patient.root), "--quiet"]
    assert main(words) == 0
    assert "0 errors, 0 warnings, 0 notes" in " ".join(capsys.readouterr().out.split())
    for _ in range(5):
        patient.next().audio.unlink()
    assert main(words) == 1
    table = capsys.readouterr().out
    assert "recording not found" in " ".join(table.split())
    assert "and 2 more" in " ".join(table.split())
    assert main([*words, "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert (found["severity"], found["count"], len(found["places"])) == (ERROR, 5, 5)


def test_one_broken_annotation_file_does_not_stop_the_round(patient):
    (patient.root / "annotation/Session02_F_res.csv").write_text("Numb,Wav\n1,2\n", "utf-8")
    found = examine(patient.root)
    assert found.findings.keys() >= {"annotation not as the format says"}
    assert found.utterances > 32


def manifest(folder: Path, rows: list[tuple], votes: str = "") -> Path:
    rng = np.random.default_rng(0)
    lines = ["id,audio,text,speaker,session,emotion" + ",surprise,fear,angry,neutral,happy,sad,disgust"
             * bool(votes)]  # fmt: skip
    for identity, speaker, session, text, emotion, *counts in rows:
        soundfile.write(folder / f"{identity}.flac", 0.1 * rng.standard_normal(1600), 16_000)
        cells = [identity, f"{identity}.flac", text, speaker, session, emotion, *counts]
        lines.append(",".join(map(str, cells)))
    path = folder / "manifest.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_speakers_and_sentences_that_cross_folds(tmp_path):
    rows = [
        (f"u{s}{k}", f"s{s}", f"s{s}", f"line {k}", ("happy", "sad")[k % 2])
        for s in range(5)
        for k in range(4)
    ]
    rows[4] = ("u10", "s0", "s1", "line 0", "happy")
    found = examine(manifest(tmp_path, rows)).findings
    assert found == {
        "speaker crosses folds": [f"{tmp_path.name} s0: [0, 1]"],
        "sentences give the emotion away": [
            f"{tmp_path.name}: a look-up of sentences is right in 100%, "
            "the most frequent emotion in 50%"
        ],
        "a cue gives the emotion away": [
            f"{tmp_path.name}: {cue} is right in 100%, the most frequent emotion in 50%"
            for cue in ("one word", "order")
        ],
    }


def test_copies_and_spellings_of_a_speaker(tmp_path, kemdy19):
    found = load("kemdy19", kemdy19).utterances[:10]
    x, _ = soundfile.read(found[0].audio)
    lines = ["id,audio,speaker,session,emotion"]
    for i, u in enumerate(found):
        lines.append(
            f"{u.id},{u.audio},{'s1' if i % 2 else 'S 1'},{i % 5},{'happy sad'.split()[i % 2]}"
        )
    soundfile.write(tmp_path / "copy.mp3", 0.2 * x[1500:], 16_000)
    lines.append("copy,copy.mp3,s2,s2,happy")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n", "utf-8")
    seen = examine(tmp_path / "manifest.csv").findings
    assert seen["speakers who may be one person"] == [f"{tmp_path.name}: 'S 1', 's1'"]
    (twice,) = seen["same recording, other speaker or session"]
    assert twice == f"{found[0].id} (S 1, 0) ≈ copy (s2, s2)"


def test_odd_numbers_of_votes(tmp_path):
    rows = [
        (f"u{s}{k}", f"s{s}", f"s{s}", f"line {s} {k}", "", 0, 0, 0, 3, 7, 0, 0)
        for s in range(5)
        for k in range(3)
    ]
    rows[7] = (*rows[7][:5], "", *rows[7][6:-1], 1)
    found = examine(manifest(tmp_path, rows, votes="yes")).findings
    assert found == {"odd number of votes": ["u21: 11, others 10"]}


def test_no_exception_leaves_listen(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(1600), 16_000)
    monkeypatch.setattr("erc.cli.check_recording.recorded", lambda *a: 1 / 0)
    assert [f.check for f in listen(path).findings] == ["unreadable recording"]
    assert [f.check for f in listen(tmp_path).findings] == ["unreadable recording"]


def test_real_corpora(shared):
    for name in ("nemo", "korean_emotion"):
        found = examine(shared / "corpora" / name)
        assert found.count(ERROR) == 0, found.findings
        assert found.recordings == found.utterances


@pytest.mark.parametrize("name", ["audio", "path", "file"])
def test_recordings_under_any_name_that_predict_takes(name, tmp_path):
    path = manifest(tmp_path, [(f"u{k}", f"s{k}", f"s{k}", f"line {k}", "sad") for k in range(5)])
    path.write_text(path.read_text("utf-8").replace("id,audio", f"id,{name}", 1), "utf-8")
    assert examine(path).recordings == 5


def test_recordings_under_another_name_are_not_passed_over(tmp_path, capsys):
    path = manifest(tmp_path, [("u", "s", "t", "line", "sad")])
    path.write_text(path.read_text("utf-8").replace("id,audio", "id,clip", 1), "utf-8")
    assert main(["check", str(path), "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert "there is no column audio, but clip holds u.flac" in found["places"][0]


def test_a_wrong_separator_is_named(tmp_path, capsys):
    path = tmp_path / "m.csv"
    path.write_text("id;text;speaker;session;emotion;valence\n1;a;s;s;happy;4,2\n", "utf-8")
    assert main(["check", str(path), "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert "separated by semicolons" in found["places"][0]


def test_words_of_a_corpus(tmp_path, capsys):
    table = tmp_path / "manifest.csv"
    rows = "id,text,speaker,session,emotion\na,x,s,s,excited\nb,y,t,t,xxx\nc,z,t,t,sad\n"
    table.write_text(rows, "utf-8")
    assert main(["check", str(table)]) == 1
    assert "'excited'" in capsys.readouterr().out
    assert main(["check", str(table), "--emotion-map", "excited=happy,xxx="]) == 0
    capsys.readouterr()
    assert main(["check", str(table), "--emotion-map", "excited=hapy,xxx="]) == 1
    assert "did you mean 'happy'" in " ".join(capsys.readouterr().out.split())
    assert main(["prepare", str(table), "--folds", "2", "--emotion-map", "excited=happy,xxx="]) == 0
    assert "2 utterances" in capsys.readouterr().out


def _shifted(rows: list[list[str]]) -> list[list[str]]:
    """The segment ids of all rows one row up."""
    ids = [row[9] for row in rows[3:]] + [rows[2][9]]
    return rows[:2] + [[*r[:9], i, *r[10:]] for r, i in zip(rows[2:], ids, strict=True)]


@pytest.mark.parametrize(
    ("edit", "check"),
    [
        (lambda rows: rows[:-5], "listener row, and its speaker's own file ends before it"),
        (lambda rows: [*rows[:-1], rows[-1][:20]], "row shorter than the header"),
        (lambda rows: rows[:2] + [r[:6] + r[7:] for r in rows[2:]], "row shorter than the header"),
        (_shifted, "row named otherwise in the other file; both are believed"),
    ],
)
def test_annotation_that_is_cut_or_shifted_is_an_error(kemdy19, tmp_path, edit, check):
    root = shutil.copytree(kemdy19, tmp_path / "KEMDy19")
    path = root / "annotation" / "Session02_F_res.csv"
    rows = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(edit(rows))
    found = examine(root)
    assert found.count(ERROR)
    assert check in found.findings
