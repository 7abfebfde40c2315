"""Shortened attacks of bench/trust/, each by seed; `make trust` runs all of them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch", reason="pip install 'erc[train]'")


def test_hostile_model_folders_are_refused_fast_and_run_nothing():
    from bench.trust import model_folders

    found = model_folders.attack(copies=1, seed=0, step=4)
    assert len(found) > 35
    for name, (outcome, seconds, megabytes) in found:
        assert outcome == "refused", name
        assert seconds < 4 * model_folders.SECONDS, name  # of a machine that is busy
        assert megabytes < model_folders.MEGABYTES, name


def test_mutated_recordings_are_decoded_or_refused():
    from bench.trust import audio

    found = audio.attack(files=80, seed=1)
    for name, (outcome, seconds, megabytes) in found:
        assert outcome in ("decoded", "refused"), name
        assert seconds < 4 * audio.SECONDS, name  # of a machine that is busy
        assert megabytes < audio.MEGABYTES, name
    assert {outcome for _, (outcome, *_) in found} == {"decoded", "refused"}


def test_damaged_stores_caches_and_model_folders_are_built_again_or_refused():
    from bench.trust import damage

    assert damage.attack(times=8, seed=0) == {
        "store: as before": 8,
        "features: computed again": 8,
        "model folder: refused": 8,
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from bench.trust.model_folders import small_model

    return small_model(tmp_path_factory.mktemp("trust") / "model")


def test_answers_in_another_order_differ_by_rounding_alone(model):
    """Batches differ with the order, and with them the order of sums in a matrix product."""
    import erc

    recognizer, random = erc.load(model, runtime="torch-fp32"), np.random.default_rng(0)
    clips = [
        {"audio": random.normal(0, 0.1, n).astype(np.float32), "sampling_rate": 16_000, "text": t}
        for n in random.integers(2000, 40_000, 12)
        for t in ("오늘 기분이 좋아", "슬퍼")
    ]
    order = random.permutation(len(clips))
    said = recognizer.predict_many(clips)
    again = dict(zip(order, recognizer.predict_many(clips[i] for i in order), strict=True))
    for place, one in enumerate(said):
        assert one.label == again[place].label
        assert one.probabilities == pytest.approx(again[place].probabilities, abs=1e-5)
        assert one.valence == pytest.approx(again[place].valence, abs=1e-5)


WATCHED = """
import sys
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind", "socket.sendto"):
        print("NETWORK", event, args[1:], flush=True)
sys.addaudithook(watch)
from erc.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_answering_opens_no_socket(model, tmp_path):
    tone = 0.3 * np.sin(np.arange(16_000) / 9)
    soundfile.write(tmp_path / "a.flac", tone, 16_000)
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, "predict", str(tmp_path / "a.flac"), "--model", str(model)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "NETWORK" not in done.stdout
