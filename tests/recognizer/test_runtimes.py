from __future__ import annotations

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest

import erc
from erc.base.buckets import by_budget
from erc.base.devices import machine
from erc.base.errors import CheckpointError, ConfigError
from erc.base.space import KEMDY
from erc.labels.regions import conflicts, regions_of
from erc.recognizer import runtimes
from erc.recognizer.runtimes import Spec


def test_batches_by_budget_hold_every_index_once_and_fit():
    lengths = np.random.default_rng(0).integers(1, 200, 300)
    batches = by_budget(lengths, 1000)
    assert sorted(np.concatenate(batches)) == list(range(300))
    assert all(lengths[b].max() * len(b) <= 1000 for b in batches)
    # Nothing more would have fitted: the first of the next batch goes over the budget.
    for one, following in itertools.pairwise(batches):
        assert lengths[following[0]] * (len(one) + 1) > 1000


def test_batches_of_equal_length_and_number():
    lengths = np.array([5, 3, 5, 3, 3, 900])
    assert [b.tolist() for b in by_budget(lengths, 100, equal=True)] == [[1, 3, 4], [0, 2], [5]]
    assert [len(b) for b in by_budget(lengths, 100, most=2)] == [2, 2, 1, 1]
    assert by_budget(np.array([], int), 100) == []


def test_a_window_gives_the_same_bits_and_any_window_the_same_numbers(run, kemdy19):
    recognizer = erc.load(run / "model")
    files = sorted(kemdy19.glob("wav/*/*/*.wav"))[:20]
    first, again = (list(recognizer.predict_many(files, window=8)) for _ in range(2))
    assert first == again
    other = list(recognizer.predict_many(files, window=3))
    for a, b in zip(first, other, strict=True):
        assert a.probabilities == pytest.approx(b.probabilities, abs=1e-5)


def test_predict_many_takes_its_inputs_a_window_ahead_and_no_more(run, kemdy19):
    recognizer = erc.load(run / "model")
    file, taken = min(kemdy19.glob("wav/*/*/*.wav")), []

    def stream():
        for i in range(40):
            taken.append(i)
            yield {"audio": file, "name": str(i)}

    results = recognizer.predict_many(stream(), window=4)
    assert next(results).file == "0"
    assert len(taken) == 8


def test_bf16_is_near_and_pooling_stays_float32(run, kemdy19):
    exact, half = (erc.load(run / "model", runtime=f"torch-{t}") for t in ("fp32", "bf16"))
    clips = [exact.read(f, "좋았어") for f in sorted(kemdy19.glob("wav/*/*/*.wav"))[:6]]
    a, b = (r.encode_all(clips).pooled for r in (exact, half))
    for name in ("speech", "text"):
        assert b[name].dtype == np.float32
        error = np.linalg.norm(a[name] - b[name]) / np.linalg.norm(a[name])
        assert 0 < error < 0.02


def test_what_was_recorded_for_this_machine_is_used(run, tmp_path):
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(run / "model", folder)
    assert erc.load(folder).runtime.name == "torch-fp32"
    record = {"machines": {machine(): {"chosen": "torch-bf16"}}}
    (folder / runtimes.RECORD).write_text(json.dumps(record))
    assert erc.load(folder).runtime.name == "torch-bf16"
    (folder / runtimes.RECORD).write_text(json.dumps({"machines": {"another": {"chosen": "x"}}}))
    assert erc.load(folder).runtime.name == "torch-fp32"
    with pytest.raises(ConfigError, match="did you mean 'torch-bf16'"):
        erc.load(folder, runtime="torch-bf61")
    with pytest.raises(CheckpointError, match="erc export"):
        erc.load(folder, runtime="openvino-bf16")
    with pytest.raises(ConfigError, match="device 'cuda:9'"):
        erc.load(folder, device="cuda:9")


def test_tune_chooses_the_fastest_that_is_exact(run, tmp_path, monkeypatch):
    import shutil

    from erc.recognizer import tune

    folder = tmp_path / "model"
    shutil.copytree(run / "model", folder)
    monkeypatch.setattr(tune, "_race", lambda r, _: dict.fromkeys(r, 1.0) | {"torch-bf16": 9.0})
    assert tune.tune(folder)["chosen"] == "torch-bf16"
    monkeypatch.setattr(tune, "EXACT", 1e-12)
    entry = tune.tune(folder)
    assert entry["chosen"] == "torch-fp32"
    assert not entry["candidates"]["torch-bf16"]["exact"]
    assert "← chosen" in tune.table(entry)
    assert runtimes.recorded(folder) == "torch-fp32"


def test_spec_survives_json():
    spec = Spec(("speech",), {"speech": (13, 8)}, sequences=("speech",), max_samples=480_000)
    assert Spec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_a_recognizer_needs_no_torch():
    code = "import sys, erc.recognizer; print('torch' in sys.modules, 'pandas' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "False"]


def test_abstain_and_conflict(run, kemdy19):
    wav = min(kemdy19.glob("wav/*/*/*.wav"))
    assert erc.load(run / "model", abstain=1.0).predict(wav).abstain
    assert not erc.load(run / "model").predict(wav).abstain
    region = {"happy": (4.0, 3.0, 0.5, 0.5)}
    # 2.4477 deviations: the radius that holds 95 % of a normal distribution in the plane.
    assert conflicts("happy", 4.0 + 0.5 * 2.45, 3.0, region)
    assert not conflicts("happy", 4.0 + 0.5 * 2.44, 3.0, region)
    assert conflicts("sad", 4.0, 3.0, region) is None


def test_regions_are_means_and_deviations_of_the_ratings():
    rng = np.random.default_rng(0)
    va = rng.normal([4.0, 2.0], [0.5, 0.1], (2000, 2))
    emotions = np.zeros((2000, 7))
    emotions[:, KEMDY.emotions.index("happy")] = 1
    emotions[:4] = np.eye(7)[KEMDY.emotions.index("sad")]  # four: too few to tell a region
    va[5], emotions[6] = np.nan, np.nan
    found = regions_of(emotions, va)
    assert list(found) == ["happy"]
    assert found["happy"] == pytest.approx([4.0, 2.0, 0.5, 0.25], abs=0.03)


def test_table_of_predictions_and_failures(run, kemdy19):
    files = [min(kemdy19.glob("wav/*/*/*.wav")), "nowhere.wav"]
    frame = erc.table(erc.load(run / "model").predict_many(files))
    assert list(frame.columns[:3]) == ["file", "label", "valence"]
    assert frame.filter(like="p_").iloc[0].sum() == pytest.approx(1)
    assert "no such file" in frame.error[1]
