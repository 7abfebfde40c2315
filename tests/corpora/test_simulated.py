"""The simulated corpora: their bytes follow the fact sheet, their truth can be recovered."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from erc.base.errors import ConfigError
from erc.base.sentences import PREDICATE, TAIL, sentence, transcript
from erc.base.space import KEMDY
from erc.base.voice import Delivery, cast, speak
from erc.corpora.simulated import PANELS, SESSIONS, TURNS, latents, rate, write_tree
from erc.corpora.simulated.kemdy_writer import TIE_ORDER, total_emotion
from erc.corpora.simulated.signals import clock, live

N = 30  # utterances a session
IDS = {
    "kemdy19": re.compile(r"Sess(\d{2})_(script\d{2}|impro\d{2})_([FM])(\d{3})"),
    "kemdy20": re.compile(r"Sess(\d{2})_(script\d{2})_User(\d{3})([FM])_(\d{3})"),
}
HEADERS = {  # before "Total Evaluation", as the real files print it
    "kemdy19": (
        "Numb,Wav,,ECG,,E4-EDA,,E4-TEMP,,Segment ID,Total Evaluation,,",
        ",start,end,start,end,start,end,start,end,,Emotion,Valence,Arousal",
    ),
    "kemdy20": (
        "Numb,WAV, ,Segment ID,Total Evaluation, , ",
        " ,start,end, ,Emotion,Valence,Arousal",
    ),
}


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("simulated")
    for layout in PANELS:
        write_tree(root / layout, layout, sessions=4, utterances=N)
    return {layout: root / layout for layout in PANELS}


def digest(root: Path, pattern: str = "**/*") -> dict[str, str]:
    files = sorted(p for p in root.glob(pattern) if p.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[2:]


def annotations(root: Path) -> list[Path]:
    return sorted((root / "annotation").iterdir())


@pytest.mark.parametrize("layout", PANELS)
def test_same_seed_same_bytes_other_seed_other_bytes(layout: str, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_tree(tmp_path / name, layout, sessions=1, utterances=12, seed=seed)
    a, b, c = (digest(tmp_path / name) for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize("layout", PANELS)
def test_growth_keeps_earlier_sessions(layout: str, tmp_path: Path) -> None:
    write_tree(tmp_path, layout, sessions=1, utterances=12)
    before = digest(tmp_path)
    summary = write_tree(tmp_path, layout, sessions=2, utterances=12)
    after = digest(tmp_path)
    assert {k: after[k] for k in before} == before
    assert len(after) > 1.6 * len(before)
    assert summary.utterances == 24
    assert "simulated" in str(summary)


@pytest.mark.parametrize(
    ("layout", "folder"), [("kemdy19", "KEMDy19"), ("kemdy20", "KEMDy20_v1_1")]
)
def test_header_bytes_are_those_of_the_fact_sheet(
    layout: str, folder: str, trees: dict[str, Path], shared: Path
) -> None:
    (sheet,) = (shared / "facts" / "kemdy_synth" / folder / "annotation").iterdir()
    ours = annotations(trees[layout])[0]
    assert ours.read_bytes().split(b"\n")[:2] == sheet.read_bytes().split(b"\n")[:2]


@pytest.mark.parametrize(("layout", "columns"), [("kemdy19", 43), ("kemdy20", 37)])
def test_annotation_files(layout: str, columns: int, trees: dict[str, Path]) -> None:
    files = annotations(trees[layout])
    assert len(files) == (8 if layout == "kemdy19" else 4)
    for path in files:
        raw = path.read_bytes()
        assert b"\r" not in raw
        assert b'"' not in raw
        first, second, *lines = raw.decode("utf-8").splitlines()
        for line, start in zip((first, second), HEADERS[layout], strict=True):
            assert line.startswith(start)
        assert {line.count(",") for line in (first, second, *lines)} == {columns - 1}
        assert [int(line.split(",")[0]) for line in lines] == list(range(1, N + 1))


@pytest.mark.parametrize(("layout", "at"), [("kemdy19", 10), ("kemdy20", 4)])
def test_totals_are_means_and_majorities_of_the_raters(
    layout: str, at: int, trees: dict[str, Path]
) -> None:
    order = [e.replace("disgust", "disqust") for e in TIE_ORDER[layout]]
    if layout == "kemdy19":
        order = TIE_ORDER[layout]
    ties = 0
    for path in annotations(trees[layout]):
        for row in rows(path):
            assert IDS[layout].fullmatch(row[at - 1])
            total, cells = row[at : at + 3], np.array(row[at + 3 :]).reshape(10, 3)
            for k in (1, 2):
                marks = cells[:, k].astype(int)
                assert marks.min() >= 1
                assert marks.max() <= 5
                assert float(total[k]) == pytest.approx(marks.mean(), abs=1e-9)
                assert re.fullmatch(r"[1-5](\.[1-9])?", total[k])
            counts = Counter(cells[:, 0].tolist())
            assert set(counts) <= set(KEMDY.emotions)
            top = {e for e, n in counts.items() if n == max(counts.values())}
            names = total[0].split(";")
            assert {n.replace("disqust", "disgust") for n in names} == top
            assert names == [e for e in order if e in names]
            ties += len(names) > 1
    assert ties > 0


def test_tie_order_and_spelling_per_corpus() -> None:
    every = np.arange(7)
    assert total_emotion(every, "kemdy19") == "neutral;happy;sad;angry;fear;disgust;surprise"
    assert total_emotion(every, "kemdy20") == "happy;surprise;angry;neutral;disqust;fear;sad"


def test_kemdy19_rates_speaker_and_listener(trees: dict[str, Path]) -> None:
    files = [trees["kemdy19"] / f"annotation/Session02_{g}_res.csv" for g in "FM"]
    f, m = (rows(path) for path in files)
    assert [r[:3] + r[9:10] for r in f] == [r[:3] + r[9:10] for r in m]  # all segments in both
    assert {IDS["kemdy19"].fullmatch(r[9])[3] for r in f} == {"F", "M"}
    assert all(a[3:9] != b[3:9] for a, b in zip(f, m, strict=True))  # bodies differ
    assert sum(a[10:] != b[10:] for a, b in zip(f, m, strict=True)) > 0.9 * N


@pytest.mark.parametrize(("layout", "encoding"), [("kemdy19", "utf-8"), ("kemdy20", "cp949")])
def test_recordings_and_transcripts(layout: str, encoding: str, trees: dict[str, Path]) -> None:
    root = trees[layout] / "wav"
    wavs = [p for p in root.rglob("*.wav") if p.parent.name != "converted"]
    assert len(wavs) == 4 * N
    for wav in wavs:
        info = soundfile.info(wav)
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        assert 0.4 < info.duration < 7
        depth = "Session{0}/Sess{0}_{1}/" if layout == "kemdy19" else "Session{0}/"
        session, dialogue = IDS[layout].fullmatch(wav.stem).groups()[:2]
        assert str(wav.relative_to(root)) == depth.format(session, dialogue) + wav.name
    texts = [p.read_bytes() for p in root.rglob("*.txt")]
    assert len(texts) == 4 * N - (layout == "kemdy19")  # one transcript is missing there
    assert all(t.endswith(b"\n") and t.count(b"\n") == 1 for t in texts)
    decoded = "".join(t.decode(encoding) for t in texts)
    assert re.search("[가-힣]", decoded)
    assert "b/" in decoded
    assert "+" in decoded
    if encoding == "cp949":
        with pytest.raises(UnicodeDecodeError):
            b"".join(texts).decode("utf-8")


def test_kemdy19_signals_are_ragged_and_timed(trees: dict[str, Path]) -> None:
    root = trees["kemdy19"]
    for kind, time, value in (("EDA", 1, 0), ("TEMP", 1, 0), ("ECG", 0, 1)):
        path = root / kind / "Session02" / "Original" / "Sess02F.csv"
        table = [line.split(",") for line in path.read_text().splitlines()]
        assert {len(r) for r in table} == {3, 4}
        assert {IDS["kemdy19"].fullmatch(r[3])[3] for r in table if len(r) == 4} == {"F", "M"}
        assert all(re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", r[2]) for r in table)
        times, values = (np.array([float(r[k]) for r in table]) for k in (time, value))
        assert (np.diff(times) > 0).all()
        assert np.isfinite(values).all()
        if kind != "ECG":
            np.testing.assert_allclose(times, (np.arange(len(times)) + 1) / 4)
        low, high = {"EDA": (0.04, 20), "TEMP": (27, 39), "ECG": (-1, 2)}[kind]
        assert low < values.min() <= values.max() < high


def test_kemdy20_signals_have_the_e4_headers(trees: dict[str, Path]) -> None:
    root = trees["kemdy20"]
    for kind in ("EDA", "TEMP", "IBI"):
        path = sorted((root / kind / "Session02").iterdir())[0]
        assert re.fullmatch(r"Sess02_script01_User\d{3}[FM]\.csv", path.name)
        first, second, *lines = path.read_text().splitlines()
        assert float(first.split(",")[0]) > 1.5e9
        fields = {line.count(",") + 1 for line in lines}
        if kind == "IBI":
            assert first.endswith(", IBI")
            assert fields <= {3, 4}
            assert all(0.3 < float(line.split(",")[1]) < 1.5 for line in lines)
        else:
            assert float(second) == 4
            assert fields == {2, 3}


def test_defects_are_there_and_can_be_left_out(trees: dict[str, Path], tmp_path: Path) -> None:
    old, new = trees["kemdy19"], trees["kemdy20"]
    decoys = {p.parent.name for p in old.rglob("converted")}
    assert len(decoys) == 9
    assert "Sess01_impro01" not in decoys
    unworn = [r[9] for r in rows(old / "annotation/Session01_M_res.csv") if r[3:9] == [""] * 6]
    assert {i.split("_")[1] for i in unworn} == {"impro03", "impro04"}
    assert "impro03" not in (old / "EDA/Session01/Original/Sess01M.csv").read_text()
    strays = [r[3] for r in rows(new / "annotation/Sess02_eval.csv") if "Sess02" not in r[3]]
    assert len(strays) == 1
    assert any(p.stat().st_size == 0 for p in (new / "IBI").rglob("*.csv"))
    assert len(list((new / "EDA/Session03").iterdir())) == 11
    for layout in PANELS:
        write_tree(tmp_path / layout, layout, sessions=3, utterances=N, defects=False)
    assert not list(tmp_path.rglob("converted"))
    assert len(list(tmp_path.rglob("*.txt"))) == 2 * (3 * N + 1)  # and the note
    assert all(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())


def test_the_tree_says_that_it_is_simulated(trees: dict[str, Path]) -> None:
    for root in trees.values():
        assert (root / "SIMULATED.txt").read_text(encoding="utf-8").startswith("SIMULATED DATA")


def test_truth_names_the_files(trees: dict[str, Path]) -> None:
    for layout, root in trees.items():
        truth = latents(layout, session=4, utterances=N)
        found = {p.stem for p in (root / "wav" / "Session04").rglob("*.wav")}
        assert found == set(truth.ids)
        assert len(truth.ids) == N


def test_raters_agree_as_raters_do_and_one_is_deaf_to_arousal() -> None:
    affect = np.concatenate([latents("kemdy19", s, 200).affect for s in (1, 2, 3)])
    votes = rate("kemdy19", 1, affect, 0, np.random.default_rng(0))
    deaf = PANELS["kemdy19"][0][1].split().index("06M")

    def with_the_others(marks: np.ndarray) -> np.ndarray:
        rest = [np.delete(marks, k, 1).mean(1) for k in range(10)]
        return np.array([np.corrcoef(marks[:, k], rest[k])[0, 1] for k in range(10)])

    arousal, valence = with_the_others(votes.arousal), with_the_others(votes.valence)
    assert arousal[deaf] < 0.1
    assert np.delete(arousal, deaf).min() > 0.4
    assert valence.min() > 0.6

    counts = (votes.emotion[..., None] == np.arange(7)).sum(1)
    agreement = ((counts**2).sum(1) - 10).mean() / 90
    chance = ((counts.sum(0) / counts.sum()) ** 2).sum()
    assert 0.45 < (agreement - chance) / (1 - chance) < 0.62  # Fleiss' kappa; KEMDy19 .49, .51
    top = np.sort(counts, 1)
    assert 0.01 < (top[:, -1] == top[:, -2]).mean() < 0.08
    assert 0.05 < (top[:, -1] == 10).mean() < 0.3


def test_the_same_people_rate_all_sessions_of_a_panel() -> None:
    affect = np.tile([3.0, 3.3, 3.0], (4000, 1))
    a, b, other = (
        rate("kemdy19", s, affect, 0, np.random.default_rng(s)).valence.mean(0) for s in (1, 7, 11)
    )
    assert np.abs(a - b).max() < 0.08 < np.abs(a - other).max()


def test_voice_follows_arousal_and_words_follow_valence() -> None:
    truth = [latents("kemdy19", s, 60) for s in (1, 2, 3, 4)]
    rng = np.random.default_rng(0)
    grade = {w: g for table in (PREDICATE, TAIL) for g, ws in enumerate(table, 1) for w in ws}
    level, seconds, wording = [], [], []
    affect = np.concatenate([t.affect for t in truth])
    speakers = [cast("FM"[i % 2], rng) for i in range(8)]
    for i, (v, a, d) in enumerate(affect):
        text = sentence(v, a, rng)
        samples = speak("회의가 끝났어", speakers[i % 8], Delivery(a, d, v), rng) / 32768
        level.append(np.log(np.mean(samples**2)))
        seconds.append(len(samples))
        wording.append(
            np.mean([g for w, g in grade.items() if text.endswith(w) or f" {w} " in text])
        )
    valence, arousal = affect[:, 0], affect[:, 1]
    assert np.corrcoef(level, arousal)[0, 1] > 0.85
    assert np.corrcoef(seconds, arousal)[0, 1] < -0.75
    assert np.corrcoef(wording, valence)[0, 1] > 0.9
    assert abs(np.corrcoef(wording, arousal)[0, 1]) < 0.35
    assert abs(np.corrcoef(level, valence)[0, 1]) < 0.35


def test_pitch_and_breath_of_the_voice() -> None:
    """Spectral peak of the autocorrelation against the planted pitch; noise against tension."""
    rng = np.random.default_rng(0)
    speaker = cast("M", rng)._replace(noise=-90.0, pitch=120.0)

    def periodicity(arousal: float, tension: float) -> tuple[float, float]:
        lags, heights = [], []
        for _ in range(6):
            x = speak("아아아아아아", speaker, Delivery(arousal, tension, 3), rng).astype(float)
            for frame in np.lib.stride_tricks.sliding_window_view(x, 800)[2000:-2000:800]:
                spectrum = np.abs(np.fft.rfft(frame - frame.mean(), 2048)) ** 2
                line = np.fft.irfft(spectrum)[40:260]
                lags.append(40 + line.argmax())
                heights.append(line.max() / spectrum.mean())
        return 16_000 / float(np.median(lags)), float(np.median(heights))

    calm, excited = periodicity(1.5, 4.0), periodicity(4.5, 4.0)
    assert calm[0] == pytest.approx(120 * 2 ** (-2.8 * 1.5 / 12), rel=0.12)
    assert 12 * np.log2(excited[0] / calm[0]) == pytest.approx(8.4, abs=2.0)  # semitones
    assert periodicity(3, 5)[1] > 1.5 * periodicity(3, 1)[1]


def test_body_follows_arousal() -> None:
    rng = np.random.default_rng(0)
    start = 3.0 * np.arange(200)
    arousal = rng.uniform(1, 5, 200)
    body = live(start, start + 2, arousal, rng)
    at = np.searchsorted(body.times, start + 2)
    eda = body.eda[at] - body.eda[np.searchsorted(body.times, start)]
    heart = np.interp(start + 2.2, body.times, body.beats) - np.interp(
        start + 0.5, body.times, body.beats
    )
    assert np.corrcoef(eda, arousal)[0, 1] > 0.4
    assert np.corrcoef(heart, arousal)[0, 1] > 0.4
    peaks = body.peaks()
    assert (body.ecg(peaks) > 0.6).all()
    assert clock(np.array([0.0, 3661.0125])) == ["00:00:00.000", "01:01:01.012"]


def test_transcripts_keep_every_word() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        text = sentence(rng.uniform(1, 5), 3, rng)
        line = transcript(text, rng)
        assert line.endswith("\n")
        clean = re.sub(r"\((.*?)\+.*?\)", r"\1", line)
        clean = re.sub(r"\b[blounNc]/|[*+]|[.?]", "", clean)
        assert clean.split() == text.split()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"layout": "kemdy91"}, "did you mean 'kemdy19'"),
        ({"sessions": 0}, "sessions"),
        ({"sessions": SESSIONS["kemdy19"] + 1}, "1–20"),
        ({"utterances": 0}, "utterances"),
        ({"utterances": 10 * TURNS + 1}, "utterances"),
        ({"seed": -1}, "seed"),
        ({"sessions": 2.0}, "sessions"),
    ],
)
def test_refuses_bad_arguments(change: dict, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        write_tree(tmp_path / "new", **change)
    assert not (tmp_path / "new").exists()


def test_refuses_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(ConfigError, match="not empty"):
        write_tree(tmp_path, sessions=1, utterances=1)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(ConfigError, match="is a file"):
        write_tree(tmp_path / "mine.txt", sessions=1, utterances=1)
    write_tree(tmp_path / "tree", sessions=2, utterances=1)
    with pytest.raises(ConfigError, match="these settings"):
        write_tree(tmp_path / "tree", sessions=2, utterances=1, seed=1)
    with pytest.raises(ConfigError, match="more than 1"):
        write_tree(tmp_path / "tree", sessions=1, utterances=1)
