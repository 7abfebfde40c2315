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


@pytest.mark.parametrize("what", ["build", "prediction"])
def test_killed_commands_end_as_if_they_never_were(what):
    from bench.trust import kills

    assert kills.attack(getattr(kills, what), tries=4, seed=3) == [""] * 4


def test_labels_of_random_votes_break_no_rule():
    pytest.importorskip("hypothesis", reason="pip install 'erc[dev]'")
    from bench.trust import votes

    assert votes.attack(count=300, seed=1) >= 300


def test_hostile_graphs_are_refused_fast():
    pytest.importorskip("onnx", reason="pip install 'erc[export]'")
    from bench.trust import graphs

    found = graphs.attack(copies=0, seed=0)
    assert len(found) > 35
    for name, (outcome, seconds, megabytes) in found:
        assert outcome == "refused", name
        assert seconds < 4 * graphs.SECONDS, name  # of a machine that is busy
        assert megabytes < graphs.MEGABYTES, name


@pytest.mark.parametrize("command", ["prepare", "predict -o"])
def test_a_full_disk_leaves_the_old_or_the_new_and_is_named(command, tmp_path):
    pytest.importorskip("onnxscript", reason="pip install 'erc[export]'")
    from bench.trust import full

    (tmp_path / "room").mkdir()
    found = full.attack(tmp_path, tmp_path / "room", 2, 1, filled=False, only=command)
    assert found == {f"{command}: refused": 2}


def test_other_surroundings_the_same_bytes(tmp_path):
    pytest.importorskip("onnxscript", reason="pip install 'erc[export]'")
    from bench.trust import same

    found = dict(same.attack(tmp_path, seed=0, training=False, every=3))
    assert len(found) == 3
    assert set(found.values()) == {""}


def test_no_marker_in_logs_metrics_and_errors(exported, tmp_path):
    from bench.trust import markers

    found = markers.attack(exported, 80, 1, tmp_path)
    assert found.places.total() == 0
    assert {200, 401, 403, 422} <= found.statuses.keys()


def test_hostile_requests_cost_the_others_nothing(exported):
    """How fast is for `make trust`: here other tests run beside it."""
    import asyncio

    from bench.server import Server
    from bench.trust import load

    server = Server(exported, [], 1)
    try:
        found = asyncio.run(load.attack(server, (1, 8), 0.7, 2.0, seed=0, share=0.3, stretches=1))
    finally:
        server.stop()
    assert len({a.kind for a in found.soak}) > 5
    assert [x for x in found.problems() if "grows" not in x] == []


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
