"""Ugly device files → signals → features; planted truth; trilinear fusion; missing is normal."""

from __future__ import annotations

import dataclasses
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import erc
from erc import corpora
from erc.base.errors import ConfigError
from erc.base.physiology import SIGNALS, Signals, Track, beats_of_ecg, r_peaks, resample
from erc.base.physiology_features import FEATURES, features, given_input, model_input
from erc.corpora import devices
from erc.corpora import simulated as synthetic
from erc.corpora.devices import FORMS, Reader, read
from erc.corpora.utterance import Report, Utterance
from erc.datasets import HF_KEMD, shards
from erc.datasets.batches import Collator
from erc.datasets.body import model_inputs, standardised
from erc.model.emotion import EmotionModel
from erc.model.encoders import SpeechEncoder, TextEncoder
from erc.model.fusion import Trilinear
from erc.model.physiology import PhysiologyEncoder
from erc.scores.results import Results
from erc.training.evaluation import Condition, predict_split

F1 = "Sess01_script01_F001"
WRIST, CHEST = FORMS["kemdy19"]["EDA"], FORMS["kemdy19"]["ECG"]


def eda19(rows: list[tuple[float, float, str, str]], newline: str = "\n") -> str:
    """(value, seconds, clock, id) → lines of 4 fields, or 3 where there is no id."""
    return "".join(",".join(str(c) for c in row if c != "") + newline for row in rows)


def track(tmp_path, text: str | bytes, form=WRIST, owner="_F") -> Track:
    path = tmp_path / "device.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path, form, owner)


def by_name(x: np.ndarray) -> dict[str, float]:
    return dict(zip(FEATURES, x.tolist(), strict=True))


# Files of KEMDy19


def test_ragged_rows(tmp_path):
    t = track(tmp_path, eda19([
        (0.20, 400.00, "16:50:37.000", ""),
        (0.21, 400.25, "16:50:37.250", F1),
        (0.22, 400.50, "16:50:37.500", F1),
        (0.23, 400.75, "16:50:37.750", ""),
    ]))  # fmt: skip
    assert t.values == pytest.approx([0.20, 0.21, 0.22, 0.23])
    assert t.times.tolist() == [60637.0, 60637.25, 60637.5, 60637.75]
    assert t.spans["script01_F001"][:2] == (60637.25, 60637.5)
    assert not t.notes


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_bom_line_ends_and_a_last_line_without_one(tmp_path, newline, bom):
    text = eda19([(1, 0.25, "10:00:00.250", F1), (2, 0.5, "10:00:00.500", F1)], newline)
    t = track(tmp_path, bom + text.rstrip().encode())
    assert t.values.tolist() == [1, 2]
    assert list(t.spans) == ["script01_F001"]
    assert not t.notes


def test_blocks_of_any_size_give_the_same(tmp_path, monkeypatch):
    text = eda19([(1 + i, i / 4, f"10:00:{i / 4:06.3f}", F1 if i > 9 else "") for i in range(40)])
    whole = track(tmp_path, text)
    monkeypatch.setattr(devices, "BLOCK", 100)
    parts = track(tmp_path, text)
    assert np.array_equal(whole.values, parts.values)
    assert np.array_equal(whole.times, parts.times)
    assert whole.spans == parts.spans


def test_a_restarted_device_is_followed_by_the_clock(tmp_path):
    t = track(tmp_path, eda19([
        (1, 2680.50, "18:33:30.000", F1),
        (2, 2680.75, "18:33:30.250", F1),
        (3, 0.25, "18:33:33.000", F1),  # the seconds start again, the clock does not
        (4, 0.50, "18:33:33.250", ""),
    ]))  # fmt: skip
    assert np.diff(t.times).tolist() == [0.25, 2.75, 0.25]
    assert t.run.tolist() == [0, 0, 1, 1]
    s = Signals.cut({"eda": t}, "script01_F001")
    assert s.end - s.start == 3
    assert s.get("eda")[1].tolist() == [1, 2, 3, 4]
    course = resample(s)[:, 0]
    assert np.isnan(course[14])  # nothing is made up
    assert np.isfinite(course[[8, 9, 20]]).all()


def test_context_does_not_reach_across_an_interruption(tmp_path):
    t = track(tmp_path, eda19([
        (9, 100.0, "10:00:00.000", ""),
        (1, 0.25, "10:00:01.500", F1),
        (2, 0.50, "10:00:01.750", F1),
    ]))  # fmt: skip
    assert Signals.cut({"eda": t}, "script01_F001").get("eda")[1].tolist() == [1, 2]


def test_midnight(tmp_path):
    t = track(tmp_path, eda19([(1, 1, "23:59:59.750", F1), (2, 1, "00:00:00.000", F1)]))
    assert np.diff(t.times).tolist() == [0.25]
    assert t.run.tolist() == [0, 0]


def test_a_clock_that_cannot_be_read_goes_by_the_order_of_rows(tmp_path):
    t = track(tmp_path, eda19([
        (1, 0.25, "10:00:00.250", ""), (2, 0.5, "??", F1), (3, 0.75, "?", F1),
        (4, 1.0, "10:00:01.000", ""),
    ]))  # fmt: skip
    assert t.times.tolist() == [36000.25, 36000.5, 36000.75, 36001.0]
    assert t.notes == {"clock not readable, taken from the order of rows": 2}


def test_the_other_persons_segments_are_context(tmp_path):
    rows = [(i, i / 4, f"10:00:{i / 4:06.3f}", "") for i in range(1, 9)]
    ids = [
        "",
        "Sess01_script01_M001",
        "Sess01_script01_M001",
        F1,
        F1,
        "",
        "Sess01_script01_M002",
        "",
    ]
    t = track(tmp_path, eda19([(*r[:3], i) for r, i in zip(rows, ids, strict=True)]))
    assert list(t.spans) == ["script01_F001"]
    assert len(Signals.cut({"eda": t}, "script01_F001").get("eda")[0]) == 8


def test_garbage_is_counted(tmp_path):
    t = track(tmp_path, "1,0.25,10:00:00.250\nx,0.5,10:00:00.500\n\n0.0,0.75,10:00:00.750\n"
              "nan,1.0,10:00:01.000\n2,1.25,10:00:01.250,a,b\n1,1,1,1,1,1,1,1,1\n"
              f"3,1.5,10:00:01.500,{F1}\n")  # fmt: skip
    assert t.values.tolist() == [1, 3]
    assert t.notes["value missing or impossible"] == 3  # x, nan, and 0.0: no contact with the skin
    assert t.notes["row not understood"] >= 2


def test_columns_of_ecg_and_eda_differ_and_may_be_swapped(tmp_path):
    ecg = [round(float(np.sin(i)), 4) for i in range(50)]
    lines = [f"{i / 250:.3f},{x},10:00:{i / 250:06.3f},{F1}\n" for i, x in enumerate(ecg)]
    swapped = [f"{x},{i / 250:.3f},10:00:{i / 250:06.3f},{F1}\n" for i, x in enumerate(ecg)]
    right = track(tmp_path, "".join(lines), CHEST)
    assert right.values == pytest.approx(ecg)
    assert not right.notes
    other = track(tmp_path, "".join(swapped), CHEST)
    assert other.values == pytest.approx(ecg)
    assert other.notes == {"value and seconds in the other order": 1}


@pytest.mark.parametrize("text", ["", "\n\n", "1591844484.0\n4.0\n", "1591844484.0, IBI\n"])
def test_files_without_a_row(tmp_path, text):
    for form in FORMS["kemdy20"].values():
        t = track(tmp_path, text, form)
        assert (len(t.times), t.spans) == (0, {})


def test_an_id_in_two_places_means_the_longer_one(tmp_path):
    rows = [(1, 0, "10:00:00.000", F1), (1, 0, "10:05:00.000", F1), (1, 0, "10:05:00.250", F1)]
    span = track(tmp_path, eda19(rows)).spans["script01_F001"]
    assert (span.start, span.end) == (36300.0, 36300.25)


# Files of KEMDy20

U = "Sess01_script01_User001F_001"
HEADERS = ["1591844484.000000\n4.000000\n", "1591844484.000000,,\n4.000000,,\n"]


@pytest.mark.parametrize("header", HEADERS)
def test_e4_header_and_rows_of_two_or_three(tmp_path, header):
    text = header + f"0.5,2020-06-11 03:01:24.250\n0.6,2020-06-11 03:01:24.500,{U}\n"
    t = track(tmp_path, text, FORMS["kemdy20"]["EDA"], "_User001F_")
    assert t.values == pytest.approx([0.5, 0.6])
    assert list(t.spans) == ["script01_User001F_001"]
    assert not t.notes
    none = track(tmp_path, text, FORMS["kemdy20"]["EDA"], "_User002M_")
    assert not none.spans


def test_ibi(tmp_path):
    text = "1591844484.0, IBI\n" + "".join(
        f"{s},{gap},2020-06-11 03:01:{24 + s:06.3f},{U}\n"
        for s, gap in ((1.0, 0.8), (1.8, 0.8), (2.7, 0.9), (3.6, 9.0))
    )
    t = track(tmp_path, text, FORMS["kemdy20"]["IBI"], "_User001F_")
    assert t.values == pytest.approx([0.8, 0.8, 0.9])  # nine seconds are no heart beat
    x = by_name(features(Signals.cut({"heart": t}, "script01_User001F_001")))
    assert x["heart_rate"] == pytest.approx(60 / np.mean([0.8, 0.8, 0.9]))
    assert x["sdnn"] == pytest.approx(1000 * np.std([0.8, 0.8, 0.9]), rel=1e-4)
    assert x["rmssd"] == pytest.approx(1000 * np.sqrt(0.1**2 / 2), rel=1e-4)
    assert np.isnan(x["eda_level"])


def test_missing_is_counted_by_reason(tmp_path):
    (tmp_path / "EDA.csv").write_text(eda19([(1, 0.25, "10:00:00.250", F1)]))
    (tmp_path / "TEMP.csv").write_text("")
    files = {k: tmp_path / f"{k}.csv" for k in ("EDA", "TEMP", "ECG")}
    report, reader = Report(), Reader()
    for name in (F1, "Sess01_script01_F002"):
        u = Utterance(name, "kemdy19", None, "a", "Sess01F", "Session01", None, gender="F",
                      physiology=files)  # fmt: skip
        found = reader.signals(u, report)
        assert (found is None) == (name != F1)
    assert report.corrected == {
        "EDA: segment not in the file, kept without": 1,
        "TEMP: file without a usable row, kept without": 2,
        "ECG: no file, kept without": 2,
    }
    nobody = Utterance("x", "manifest", None, "a", "s", "s", None)
    assert reader.signals(nobody, report) is None


# Features


def test_features_of_known_courses():
    t = np.arange(0, 40) / 4
    bump = np.where(t >= 4, 0.5 * np.exp(-((t - 5) ** 2)), 0)
    tracks = {
        "eda": (t, 2 + 0.1 * t + bump),
        "temp": (t, 34 - 0.02 * t),
        "heart": (np.cumsum(np.full(12, 0.75)), np.full(12, 0.75)),
    }
    x = by_name(features(Signals(3.0, 7.0, tracks)))
    inside = (t >= 3) & (t <= 7)
    assert x["eda_level"] == pytest.approx((2 + 0.1 * t + bump)[inside].mean(), rel=1e-5)
    assert x["eda_responses"] == 2  # the bump, and a rise that has not ended
    assert x["eda_slope"] == pytest.approx(np.polyfit(t, 2 + 0.1 * t + bump, 1)[0], rel=1e-4)
    assert x["temp_slope"] == pytest.approx(-0.02, rel=1e-4)
    assert x["temp_level"] == pytest.approx(33.9, rel=1e-5)
    assert (x["heart_rate"], x["heart_rate_max"]) == pytest.approx((80, 80))
    assert (x["heart_slope"], x["sdnn"], x["rmssd"]) == pytest.approx((0, 0, 0), abs=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("value", [1.0, np.nan])
def test_almost_nothing_measured(n, value):
    tracks = {name: (np.arange(n) / 4, np.full(n, value)) for name in SIGNALS}
    s = Signals(0.0, 0.25, tracks)
    x = features(s)
    assert x.shape == (len(FEATURES),)
    assert np.isfinite(x).any() == (n > 0 and value == 1)
    assert (len(resample(s)) > 0) == (n > 0 and value == 1)
    assert np.isnan(features(None)).all()
    assert resample(None).shape == (0, 3)


@pytest.mark.parametrize("rate", [128, 250, 512])
@pytest.mark.parametrize("sign", [1, -1])
def test_planted_heart_beats_are_found(rate, sign):
    rng = np.random.default_rng(0)
    beats = np.cumsum(rng.uniform(0.5, 1.1, 60))
    t = np.arange(0, beats[-1] + 0.5, 1 / rate)
    nearest = (t[:, None] - beats)[np.arange(len(t)), np.abs(t[:, None] - beats).argmin(1)]
    wave = np.exp(-((nearest / 0.012) ** 2) / 2) + 0.25 * np.exp(
        -(((nearest - 0.25) / 0.05) ** 2) / 2
    )
    ecg = sign * wave + 0.4 * np.sin(2 * np.pi * 0.3 * t) + 0.03 * rng.standard_normal(len(t))
    found = r_peaks(ecg, rate) / rate
    gaps = np.abs(found[:, None] - beats).min(1)
    assert len(found) == pytest.approx(60, abs=1)
    assert np.quantile(gaps, 0.95) < 0.012


def test_heart_beats_agree_with_neurokit2():
    nk = pytest.importorskip("neurokit2", reason="neurokit2 is not installed")
    ecg = nk.ecg_simulate(duration=30, sampling_rate=250, heart_rate=80, random_state=0)
    theirs = nk.ecg_peaks(ecg, sampling_rate=250)[1]["ECG_R_Peaks"]
    ours = r_peaks(ecg, 250)
    assert len(ours) == pytest.approx(len(theirs), abs=1)
    assert np.abs(ours[:, None] - theirs).min(1).max() <= 5  # samples


def test_no_beat_spans_an_interruption():
    t = np.r_[np.arange(0, 5, 1 / 250), np.arange(9, 14, 1 / 250)]
    ecg = np.exp(-((((t + 0.35) % 0.7 - 0.35) / 0.012) ** 2) / 2)
    gaps = beats_of_ecg(Track(t, ecg, np.r_[0, np.cumsum(np.diff(t) > 0.1)], {}))
    assert gaps.values == pytest.approx(0.7, abs=0.01)
    flat = Track(t, np.zeros(len(t)), np.zeros(len(t), int), {})
    assert len(beats_of_ecg(flat).times) == 0
    assert len(r_peaks(np.zeros(3), 250)) == 0


def test_a_speakers_baseline():
    x = np.array([[1.0, np.nan], [3.0, 5.0], [10.0, 7.0], [np.nan, 7.0]])
    z = standardised(x, ["a", "a", "b", "b"])
    assert z[:2, 0].tolist() == [-1, 1]
    assert z[1, 1] == z[2, 0] == z[2, 1] == 0  # known once, or always the same
    assert np.isnan(z[[0, 3], [1, 0]]).all()


# Simulated corpora: what was planted comes out


@pytest.fixture(scope="module")
def bodies(tmp_path_factory):
    """A store of four simulated sessions, its speakers and the arousal that was planted."""
    root = tmp_path_factory.mktemp("bodies") / "kemdy19"
    synthetic.write_tree(root, "kemdy19", sessions=4, utterances=40, seed=1)
    built = shards.build(corpora.load("kemdy19", root), root.parent / "cache")
    truth = {}
    for session in range(1, 5):
        latents = synthetic.latents("kemdy19", session, 40, seed=1)
        truth |= dict(zip(latents.ids, latents.arousal, strict=True))
    return built, np.array([truth[i] for i in built.column("id")])


def test_skin_and_heart_follow_the_planted_arousal(bodies):
    built, arousal = bodies
    table = np.concatenate([
        x if len(x) else np.full((1, len(FEATURES)), np.nan)
        for x in model_inputs(built, "features", "speaker")
    ])  # fmt: skip
    for name, least in (("eda_level", 0.6), ("heart_rate", 0.6), ("eda_rise", 0.2)):
        x = table[:, FEATURES.index(name)]
        known = np.isfinite(x)
        assert known.mean() > 0.9
        assert np.corrcoef(x[known], arousal[known])[0, 1] > least
    slope = table[:, FEATURES.index("temp_slope")]
    assert np.corrcoef(slope[np.isfinite(slope)], arousal[np.isfinite(slope)])[0, 1] < -0.2


def test_a_speakers_baseline_helps(bodies):
    built, arousal = bodies
    x = built.physiology()[:, FEATURES.index("eda_level")]
    known = np.isfinite(x)
    z = standardised(x[known, None], built.column("speaker")[known])[:, 0]
    correlation = [np.corrcoef(v, arousal[known])[0, 1] for v in (x[known], z)]
    assert correlation[1] > correlation[0] + 0.2


def test_the_wrist_band_was_off(bodies):
    built, _ = bodies
    first = [i for i, d in enumerate(built.column("dialogue"))
             if built.column("session")[i] == "Session01" and d in ("impro03", "impro04")]  # fmt: skip
    table = built.physiology()[first]
    assert np.isnan(table[:, :10]).all()
    assert np.isfinite(table[:, FEATURES.index("heart_rate")]).any()  # the chest strap was on
    assert built.report.corrected["EDA: segment not in the file, kept without"] == len(first)


def test_kemdy20_counts_its_empty_and_missing_files(tmp_path):
    synthetic.write_tree(tmp_path / "k", "kemdy20", sessions=3, utterances=24, seed=0)
    built = shards.build(corpora.load("kemdy20", tmp_path / "k"), tmp_path / "cache")
    reasons = built.report.corrected
    assert reasons["IBI: file without a usable row, kept without"] > 0  # Session01, script06
    assert reasons["EDA: no file, kept without"] == reasons["TEMP: no file, kept without"] > 0
    assert np.isfinite(built.physiology()[:, FEATURES.index("heart_rate")]).mean() > 0.5
    assert shards.build(corpora.load("kemdy20", tmp_path / "k"), tmp_path / "cache").loaded


def test_the_store_gives_back_what_the_files_say(bodies):
    built, _ = bodies
    u = next(
        corpora.load("kemdy19", built.path.parent.parent / "kemdy19").utterances[i] for i in [3]
    )
    row = built.column("id").tolist().index(u.id)
    signals = Reader().signals(u, Report())
    np.testing.assert_array_equal(built.physiology()[row], features(signals))
    np.testing.assert_array_equal(built.signals(row), resample(signals))


def test_a_changed_signal_file_rebuilds_its_session(tmp_path):
    synthetic.write_tree(tmp_path / "k", "kemdy19", sessions=2, utterances=10, seed=0)
    first = shards.build(corpora.load("kemdy19", tmp_path / "k"), tmp_path / "c")
    (tmp_path / "k" / "EDA/Session02/Original/Sess02F.csv").unlink()
    second = shards.build(corpora.load("kemdy19", tmp_path / "k"), tmp_path / "c")
    assert not second.loaded
    assert first.path != second.path
    assert second.report.corrected["EDA: no file, kept without"] > 0


# Fusion


@pytest.mark.parametrize("rank", [None, 1, 5])
@pytest.mark.parametrize(("dim", "patch"), [(4, 2), (6, 6), (12, 3)])
def test_factorised_equals_a_literal_sum(dim, patch, rank):
    torch.manual_seed(0)
    fusion = Trilinear(dim, patch_size=patch, rank=rank, mixer_dim=5, depth=1).double()
    u, v, w = torch.randn(3, 2, dim, dtype=torch.double)
    n = dim // patch
    cubes = torch.einsum("bi,bj,bk->bijk", u, v, w).reshape(2, n, patch, n, patch, n, patch)
    literal = torch.einsum("bgahxkc,oaxc->bghko", cubes, fusion.full_weight()) + fusion.bias
    torch.testing.assert_close(fusion.embed(u, v, w), literal.flatten(1, 3))
    torch.testing.assert_close(fusion.embed_materialised(u, v, w), literal.flatten(1, 3))


@pytest.mark.parametrize("rank", [None, 64])
@pytest.mark.parametrize(("dim", "patch", "batch"), [(64, 16, 4), (128, 32, 2), (256, 64, 1)])
def test_factorised_equals_materialised_at_real_sizes(dim, patch, batch, rank):
    torch.manual_seed(0)
    fusion = Trilinear(dim, patch_size=patch, rank=rank, mixer_dim=16, depth=1)
    u, v, w = torch.randn(3, batch, dim)
    with torch.no_grad():
        difference = fusion.embed(u, v, w) - fusion.embed_materialised(u, v, w)
    assert difference.abs().max() <= 1e-4


def test_low_rank_fusion_is_the_special_case_of_one_cube():
    torch.manual_seed(0)
    fusion = Trilinear(8, patch_size=8, rank=3, mixer_dim=4, depth=0)
    u, v, w = torch.randn(3, 2, 8)
    a, b, c = fusion.factors
    literal = ((u @ a.T) * (v @ b.T) * (w @ c.T)) @ fusion.weight.T + fusion.bias
    torch.testing.assert_close(fusion.embed(u, v, w)[:, 0], literal)


def test_options_of_trilinear_are_checked():
    with pytest.raises(ConfigError, match="does not divide"):
        Trilinear(64, patch_size=10)
    with pytest.raises(ConfigError, match="rank 0"):
        Trilinear(64, rank=0)


# Model


def build(kind: str = "features", **options) -> EmotionModel:
    torch.manual_seed(0)
    return EmotionModel(
        SpeechEncoder.from_name("tiny-wav2vec2"),
        TextEncoder.from_name("tiny-roberta", vocab_size=50),
        PhysiologyEncoder(kind),
        dim=16,
        fusion_options={"patch_size": 4, "mixer_dim": 12, "depth": 1, "rank": 8},
        **options,
    ).eval()


def inputs(kind: str = "features", steps: tuple[int, ...] = (1, 1, 0)) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    channels = 16 if kind == "features" else 3
    body = torch.randn(3, max(steps), channels, generator=g)
    body[0, 0, 1] = torch.nan
    return {
        "speech": torch.randn(3, 4000, generator=g) * 0.1,
        "speech_lengths": torch.tensor([4000, 2000, 3000]),
        "input_ids": torch.randint(3, 50, (3, 6), generator=g),
        "text_lengths": torch.tensor([6, 3, 2]),
        "physiology": body,
        "physiology_lengths": torch.tensor(steps),
    }


@pytest.mark.parametrize(("kind", "steps"), [("features", (1, 1, 0)), ("conv", (20, 9, 0))])
def test_missing_physiology(kind, steps):
    model, given = build(kind), inputs(kind, steps)
    assert model.modalities == ("speech", "text", "physiology")
    with torch.no_grad():
        whole = model(**given)
        without = model(**{k: v for k, v in given.items() if not k.startswith("physiology")})
        alone = model(physiology=given["physiology"][:2],
                      physiology_lengths=given["physiology_lengths"][:2])  # fmt: skip
    assert whole.logits.isfinite().all()
    torch.testing.assert_close(whole.logits[2], without.logits[2])  # length 0 is absence
    assert not torch.allclose(whole.logits[:2], without.logits[:2])
    assert alone.logits.isfinite().all()


def test_one_utterance_alone_equals_the_batch():
    model, given = build("conv"), inputs("conv", (20, 9, 4))
    with torch.no_grad():
        whole = model(**given)
        for i, n in enumerate((20, 9, 4)):
            one = {k: v[i : i + 1] for k, v in given.items()}
            one["physiology"] = one["physiology"][:, :n]
            torch.testing.assert_close(
                model(**one).logits[0], whole.logits[i], atol=1e-5, rtol=1e-5
            )


@pytest.mark.parametrize("kind", ["features", "conv"])
def test_nan_neither_passes_nor_stops_a_gradient(kind):
    encoder = PhysiologyEncoder(kind)
    x = torch.full((2, 4, 16 if kind == "features" else 3), torch.nan)
    x[0, 0, 0] = 1e9  # an artefact
    encoder.fit(x[:, 0])
    frames, _ = encoder(x, torch.tensor([4, 2]))
    frames.square().mean().backward()
    assert frames.isfinite().all()
    assert all(p.grad.isfinite().all() for p in encoder.parameters())


def test_fit_leaves_nan_out():
    encoder = PhysiologyEncoder("conv")
    encoder.fit(torch.tensor([[1.0, torch.nan, 5.0], [3.0, torch.nan, 5.0]]))
    assert encoder.mean.tolist() == [2, 0, 5]
    assert encoder.scale.tolist() == [1, 1, 1]


def test_training_takes_every_subset_but_the_empty_one():
    model = build(modality_dropout=0.5).train()
    torch.manual_seed(0)
    kept = Counter(map(tuple, model._drop_modality(torch.ones(2000, 3, dtype=torch.bool)).tolist()))
    assert len(kept) == 7
    assert (False, False, False) not in kept
    assert kept[True, True, True] == pytest.approx(500, abs=80)  # (1 − ½)²


def test_config_round_trip_and_two_modality_models_as_before():
    model = build("conv")
    again = EmotionModel.from_config(model.to_config())
    again.load_state_dict(model.state_dict())
    with torch.no_grad():
        given = inputs("conv", (20, 9, 0))
        torch.testing.assert_close(again.eval()(**given).logits, model(**given).logits)
    two = EmotionModel(
        SpeechEncoder.from_name("tiny-wav2vec2"), TextEncoder.from_name("tiny-roberta"), dim=16
    )
    assert not any("physiology" in key for key in [*two.to_config(), *two.state_dict()])


def test_a_wrong_number_of_modalities_is_refused():
    with pytest.raises(ConfigError, match="joins 3 modalities"):
        EmotionModel(SpeechEncoder.from_name("tiny-wav2vec2"), fusion="trilinear")
    with pytest.raises(ConfigError, match="did you mean 'conv'"):
        PhysiologyEncoder("convv")


# The whole path


@pytest.fixture(scope="module")
def third(bodies, tmp_path_factory):
    """Folder of a run with physiology, one epoch."""
    from erc.studies.experiment import run

    folder = tmp_path_factory.mktemp("third")
    root = bodies[0].path.parent.parent / "kemdy19"
    run(
        [
            "dataset=hf", f"dataset.paths={root}", "dataset.num_folds=4", "model=trilinear",
            "dataset.validation_fold=0", "dataset.protocol=strict", "dataset.num_data=24",
            "trainer.max_epochs=1", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false",
            "dataset.physiology_baseline=speaker", "export=false",
        ],
        folder,
    )  # fmt: skip
    return folder


def test_every_subset_is_scored(third):
    found = Results.read(third)
    assert sum(not system.baseline for system in found.systems.values()) == 7
    assert found.fullest.name == "speech + text + physiology"
    assert np.isfinite(found.fullest["ccc_arousal"].value)


def test_prediction_from_signals(third):
    recognizer = erc.load(third / "model")
    rng = np.random.default_rng(0)

    def given() -> dict:
        return {"eda": 2 + rng.random(20), "temp": 34 + 0.1 * rng.random(20),
                "ibi": 0.8 + 0.1 * rng.random(6), "start": 1.0, "end": 4.0}  # fmt: skip

    here = given() | {"baseline": [given() for _ in range(5)]}
    p = recognizer.predict(text="정말 좋았어", physiology=here)
    assert p.modalities == ("text", "physiology")
    assert recognizer.predict(text="정말 좋았어").modalities == ("text",)
    assert recognizer.predict(physiology=here).modalities == ("physiology",)
    [many] = recognizer.predict_many([(None, "정말 좋았어", here)])
    assert many.probabilities == pytest.approx(p.probabilities)
    with pytest.raises(ConfigError, match="give baseline"):
        recognizer.predict(physiology=given())
    with pytest.raises(ConfigError, match="did you mean 'eda'"):
        recognizer.predict(physiology=here | {"edaa": [1.0]})
    with pytest.raises(ConfigError, match="nothing measured"):
        recognizer.predict(physiology={"baseline": [given()], "start": 0.0})


def test_two_modality_models_refuse_physiology(run):
    with pytest.raises(ConfigError, match="not physiology; leave it out"):
        erc.load(run / "model").predict(text="아", physiology={"eda": [1.0, 1.0]})


def test_signals_of_refuses_what_it_cannot_use():
    with pytest.raises(ConfigError, match="ecg_rate"):
        Signals.of({"ecg": [0.0] * 100})
    with pytest.raises(ConfigError, match="not a list of numbers"):
        Signals.of({"eda": "no"})
    with pytest.raises(ConfigError, match="shape"):
        Signals.of({"eda": [[1.0]]})
    with pytest.raises(ConfigError, match="leave baseline out"):
        given_input({"eda": [1.0], "baseline": [{"eda": [1.0]}]}, "conv")
    assert model_input(Signals.of({"ibi": [0.8] * 5}), "features").shape == (1, 16)


def test_an_utterance_without_the_modality_asked_for_still_gets_an_answer(bodies):
    built, _ = bodies
    root = built.path.parent.parent / "kemdy19"
    data = HF_KEMD(
        str(root), "test", 0, num_folds=4, cache=str(built.path.parent), physiology="features"
    )
    assert not data.has("physiology").all() or len(data.rows) == data.has("physiology").sum()
    data = dataclasses.replace(data, body=[x[:0] for x in data.body])  # nobody wore anything
    parts = SimpleNamespace(
        model=build(), sides={"test": data}, collate=Collator(None), device=torch.device("cpu"),
        tables={}, adapted={},
    )  # fmt: skip
    [said] = predict_split(parts, "test", [Condition(("physiology",))])
    assert np.isfinite(said.logits).all()
