"""Voice activity against the published package, planted turns and real recordings."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import numpy as np
import planted
import pytest

from erc.base.audio import SAMPLE_RATE, load
from erc.base.errors import ConfigError
from erc.recognizer import vad

pytest.importorskip("silero_vad")


def probabilities(samples: np.ndarray, chunk: int, forward=None) -> np.ndarray:
    detector = vad.Detector(forward)
    pieces = [detector.feed(samples[i : i + chunk]) for i in range(0, len(samples), chunk)]
    return np.concatenate([*pieces, detector.finish()])


def seconds(turns: list[tuple[int, int]]) -> np.ndarray:
    return np.array(turns, float).reshape(-1, 2) / SAMPLE_RATE


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return planted.conversation()[0]


def test_probabilities_are_those_of_the_published_package(samples):
    import silero_vad
    import torch

    model = silero_vad.load_silero_vad(onnx=True)
    padded = np.pad(samples, (0, -len(samples) % 512)).reshape(-1, 512)
    expected = [model(torch.from_numpy(frame), SAMPLE_RATE).item() for frame in padded]
    found = probabilities(samples, len(samples))
    assert len(found) == len(expected)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("chunk", [100, 5_000, 65_536, 65_537])
def test_streamed_is_bit_for_bit_the_whole(samples, chunk):
    assert (probabilities(samples, chunk) == probabilities(samples, len(samples))).all()


def test_torch_and_onnxruntime_agree(samples, monkeypatch):
    expected = probabilities(samples, len(samples))
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name)
    )
    found = probabilities(samples, 12_345)
    assert np.abs(found - expected).max() < 1e-4
    assert vad.detect([samples]) == vad.detect([samples], forward=vad.network())


@pytest.mark.parametrize("seed", range(4))
def test_planted_turns_are_found_within_a_fifth_of_a_second(seed):
    samples, times = planted.conversation(8, seed)
    found = seconds(vad.detect(np.array_split(samples, 7)))
    assert found.shape == (8, 2)
    assert np.abs(found - times).max() < 0.2


def test_real_speech_is_found_between_silences(shared):
    """Korean and Polish recordings, each with a second of digital silence before and behind."""
    silence = np.zeros(SAMPLE_RATE, np.float32)
    for corpus in ("korean_emotion", "nemo"):
        folder = shared / "corpora" / corpus
        with (folder / "manifest.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))[:200:20]
        for row in rows:
            clip = load(folder / row["audio"])
            found = seconds(vad.detect([silence, clip, silence]))
            end = 1 + len(clip) / SAMPLE_RATE
            assert len(found), row["audio"]
            assert found[0, 0] > 0.9, row["audio"]
            assert found[-1, 1] < end + 0.2, row["audio"]
            assert (found[:, 1] - found[:, 0]).sum() > 0.5 * (end - 1), row["audio"]


@pytest.mark.parametrize("length", [0, 1, 100, 512, 1600, 65_536, 65_537])
def test_silence_of_any_length_has_no_turns(length):
    assert vad.detect([np.zeros(length, np.float32)]) == []


def test_speech_up_to_the_last_sample_ends_there():
    clip = planted.speech(0)[960:-4000]
    [(_, end)] = vad.detect([clip])
    assert end == len(clip)


# The rule alone, on probabilities that are written down. One window is 32 ms.
LOOSE = vad.Rule(min_silence=0.128, min_speech=0.064, pad=0.032)  # 4, 2 and 1 windows


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ("", []),
        ("0000", []),
        ("0990000000", [(0, 4)]),  # padded by one window at both ends
        ("0090000000", []),  # 1 window < 2
        ("0099099000", [(1, 8)]),  # never quiet for long enough; the end is where it got quiet
        ("0994444000000", [(0, 8)]),  # 0.4 is no pause: between exit 0.35 and threshold
        ("9900000099", [(0, 3), (7, 10)]),  # open at both ends
        ("990000990", [(0, 9)]),  # 4 quiet windows are 3 from first to last
    ],
)
def test_rule(p, expected):
    values = np.array([int(c) / 10 for c in p], np.float32)
    for pieces in ([values], values[:, None], np.array_split(values, 3)):
        found = list(vad.turns(pieces, len(p) * vad.WINDOW, LOOSE))
        assert [(a / vad.WINDOW, b / vad.WINDOW) for a, b in found] == expected


def test_rule_is_the_published_one():
    """Without padding, and ending in silence: what is open at the end, they end with the file."""
    from silero_vad import get_speech_timestamps_from_probs

    rng = np.random.default_rng(0)
    total = 0
    for _ in range(20):
        walk = np.repeat(rng.uniform(0, 1, 60) ** 2, rng.integers(1, 20, 60))
        values = np.concatenate([walk, np.zeros(30)]).astype(np.float32)
        expected = get_speech_timestamps_from_probs(
            values.tolist(), min_silence_duration_ms=500, speech_pad_ms=0
        )
        found = list(vad.turns([values], rule=vad.Rule(pad=0, min_silence=0.5)))
        assert found == [(turn["start"], turn["end"]) for turn in expected]
        total += len(found)
    assert total > 60


def test_padding_never_makes_turns_overlap():
    values = np.tile([0.9] * 3 + [0.0] * 5, 20)
    rule = vad.Rule(min_silence=0.128, min_speech=0, pad=3)
    found = seconds(list(vad.turns([values], None, rule)))
    assert len(found) == 20
    assert (found[1:, 0] >= found[:-1, 1]).all()


@pytest.mark.parametrize(
    "wrong",
    [{"threshold": 1.5}, {"threshold": 0}, {"exit": 0.9}, {"pad": -1}, {"min_speech": np.nan}],
)
def test_rule_refuses(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        vad.Rule(**wrong)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"--no-deps silero-vad.*none"):
        vad.Detector()


def test_an_old_package_is_named(monkeypatch, tmp_path: Path):
    spec = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ConfigError, match="too old"):
        vad.network()


@pytest.mark.parametrize("seed", range(8))
def test_a_pause_that_goes_on_ends_the_turn_as_it_was_foretold(seed):
    rule = vad.Rule(max_speech=3.0)
    level = np.repeat(np.random.default_rng(seed).uniform(0, 1, 60), 5)
    finder, seen = vad.Finder(rule), 0
    for i, p in enumerate(level):
        finder.feed([p])
        if finder.ending:
            assert finder.pause > 0
            alone = vad.Finder(rule)
            found = alone.feed([*level[: i + 1], *[0.0] * 17])
            assert found[-1] == finder.ending
            seen += 1
    assert seen > 20
