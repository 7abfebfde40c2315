from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from erc.base.errors import ConfigError
from erc.cli.program import main
from erc.model import pretrained
from erc.studies import calibration, plan, planning
from erc.studies.planning import Constants, Encoder, Overhead, Work, advice, encoder, steps

MACHINE = Constants(
    "a machine", build_utterance=0.001, build_second=0.002, forward=100.0, train=50.0,
    precision="32-true", trained=Overhead(1.0, 0.01, 0.03), cached=Overhead(0.5, 0.002, 0.0001),
    date="2026-01-01",
)  # fmt: skip
SPEECH = Encoder("ears", 2, 100, 400, front=1.0, frames=50.0)
WORK = Work(1000, 4000.0, (SPEECH,), epochs=10, batch=8, folds=2, of=5, workers=1, cut=None)


def by_name(work, machine=MACHINE, rate=None):
    return {step.name.partition(",")[0]: step for step in steps(work, machine, rate)}


def counted(model, *inputs):
    model.set_attn_implementation("eager")  # torch does not count its fused attention on a CPU
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*inputs)
    return counter.get_total_flops() / 1e9


@pytest.mark.parametrize("seconds", [1.0, 4.0])
@pytest.mark.parametrize("large", [False, True])
def test_operations_of_wav2vec2_are_those_that_torch_counts(seconds, large):
    config = pretrained.TINY_SPEECH["tiny-wav2vec2"]
    if large:
        base = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 3}
        config = type(config)(**base, num_attention_heads=4)
    found = encoder("x", config.to_dict())
    model = pretrained.build(config).eval()
    real = counted(model, torch.zeros(1, int(16_000 * seconds)))
    assert found.gflop(seconds) == pytest.approx(real, rel=0.05)
    assert found.parameters == pytest.approx(sum(p.numel() for p in model.parameters()), rel=0.05)


def test_operations_of_whisper_and_of_a_text_encoder_are_those_that_torch_counts():
    whisper = pretrained.TINY_SPEECH["tiny-whisper"]
    real = counted(pretrained.build(whisper).eval(), torch.zeros(1, 80, 3000))
    assert encoder("x", whisper.to_dict()).gflop(30.0) == pytest.approx(real, rel=0.05)
    text = pretrained.TINY_TEXT["tiny-roberta"]
    real = counted(pretrained.build(text).eval(), torch.zeros(1, 40, dtype=torch.long))
    assert encoder("x", text.to_dict()).gflop(40 / planning.TOKENS) == pytest.approx(real, rel=0.05)


@pytest.mark.parametrize("name", ["tiny-whisper", "tiny-wav2vec2", "tiny-roberta"])
def test_known_sizes_are_those_of_the_encoders(name):
    real = (pretrained.TINY_SPEECH | pretrained.TINY_TEXT)[name]
    assert encoder(name, plan.KNOWN[name]) == encoder(name, real.to_dict())


def test_times_follow_from_planted_constants():
    found = by_name(WORK)
    gflop, each = SPEECH.gflop(4.0), 0.03 * 4.0 / planning.PILOT
    assert found["build the store"].seconds == pytest.approx(1000 * 0.001 + 4000 * 0.002)
    epoch = 1.0 + 75 * 0.01 + 600 * (each + 3 * gflop / 50)
    assert found["train"].seconds == pytest.approx(2 * 10 * epoch)
    scored = 1000 / 5 * 2
    assert found["score the held-out folds"].seconds == pytest.approx(
        scored * (each / 3 + gflop / 100)
    )
    assert found["predict as many others"].seconds == pytest.approx(1000 * (each / 3 + gflop / 100))
    assert by_name(WORK, rate=50.0)["predict as many others"].seconds == pytest.approx(20.0)
    frozen = by_name(replace(WORK, frozen=frozenset({"ears"}), numbers=200))
    assert frozen["features of frozen encoders"].seconds == pytest.approx(
        1000 * (each / 3 + gflop / 100)
    )
    assert frozen["features of frozen encoders"].disk == 1000 * 200 * 4
    assert frozen["train"].seconds == pytest.approx(20 * (0.5 + 75 * 0.002 + 600 * 0.0001))
    assert found["build the store"].disk == 4000 * (32_000 + 250) + 1000 * 1024


@pytest.mark.parametrize(
    "more",
    [{"utterances": 4000, "seconds": 16_000.0}, {"seconds": 8000.0}, {"epochs": 20}, {"folds": 4},
     {"encoders": (SPEECH, replace(SPEECH, name="eyes"))}, {"head_gflop": 1.0, "head_parameters": 1e6}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("frozen", [frozenset(), frozenset({"ears"})])
def test_more_work_never_costs_less(more, frozen):
    work = replace(WORK, frozen=frozen, numbers=200 if frozen else 0)
    less, whole = steps(work, MACHINE), steps(replace(work, **more), MACHINE)
    for a, b in zip(less, whole, strict=True):
        assert b.seconds >= a.seconds
        assert b.memory >= a.memory
        assert b.disk >= a.disk
    assert sum(s.seconds for s in whole) > sum(s.seconds for s in less)


def test_the_advice_names_what_takes_longest():
    assert "train" in advice(WORK, MACHINE)
    assert "model=frozen" in advice(WORK, MACHINE)
    huge = replace(WORK, utterances=10**8, seconds=4e8)
    assert "docs/clusters.md" in advice(huge, MACHINE)
    frozen = replace(huge, frozen=frozenset({"ears"}), numbers=200, epochs=1, closed_form=True)
    assert "docs/scale.md" in advice(frozen, MACHINE)
    assert "docs/scale.md" not in advice(replace(frozen, utterances=100, seconds=400.0), MACHINE)


def test_overheads_of_planted_epochs_come_back():
    told = [(s, n, 0.4 + 0.02 * s + 0.003 * n) for s, n in ((12, 48), (2, 48), (3, 12))]
    found = calibration.overheads(told)
    assert (found.epoch, found.step, found.utterance) == pytest.approx((0.4, 0.02, 0.003), rel=1e-6)
    noisy = calibration.overheads(
        [(12, 48, 1.0), (2, 48, 1.2), (3, 12, 0.5)]
    )  # more steps were faster
    assert min(noisy.epoch, noisy.step, noisy.utterance) >= 0


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """How often the machine was measured; planted constants come back."""
    asked = []
    monkeypatch.setenv("ERC_CACHE", str(tmp_path))
    monkeypatch.setattr(calibration, "measure", lambda: asked.append(1) or MACHINE)
    return asked


def test_the_machine_is_measured_once(measured, capsys):
    words = ["plan", "--hours", "10", "--utterances", "9000", "model=tiny", "trainer.max_epochs=3"]
    assert main(words) == 0
    first = capsys.readouterr().out
    assert main(words) == 0
    assert capsys.readouterr().out == first
    assert len(measured) == 1
    for part in (
        "9,000 utterances",
        "a machine",
        "build the store",
        "3 epochs",
        "measured:",
        "assumed",
    ):
        assert part in first
    assert main([*words, "--again", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(measured) == 2
    assert Constants.from_json(told["machine"]) == MACHINE
    assert told["seconds"] == pytest.approx(sum(step["seconds"] for step in told["steps"]))
    [file] = (calibration.cache_dir() / "machines").iterdir()
    file.write_text('{"machine": 1}')
    assert main(words) == 0
    assert len(measured) == 3


def test_a_corpus_is_counted(measured, kemdy19, capsys):
    assert main(["plan", "--data", str(kemdy19), "--json", "model=tiny"]) == 0
    work = json.loads(capsys.readouterr().out)["work"]
    assert work["utterances"] == 40
    assert 40 * 0.3 < work["seconds"] < 40 * 15


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--folds", "2"], "--hours"), (["--hours", "0"], "more than 0"),
     (["--hours", "1", "--folds", "0"], "--folds"),
     (["--hours", "1", "--data", "x"], "not both"), (["--hours", "1", "modle=tiny"], "modle")],
)  # fmt: skip
def test_wrong_words_end_before_anything_is_measured(measured, capsys, words, said):
    with pytest.raises(SystemExit) as end:
        main(["plan", *words])
    assert end.value.code == 2
    assert said in capsys.readouterr().err
    assert not measured


def test_which_features_are_kept_of_frozen_encoders():
    config = plan.resolve_plain(["model=frozen", "model.speech_encoder=openai/whisper-base"])
    work = plan.work_of(config, 1000, 3500.0, 1)
    assert (work.numbers, work.frozen) == (1024, {"openai/whisper-base"})  # mean and deviation
    assert work.share == pytest.approx(0.6)
    config = plan.resolve_plain(["experiment=frozen", "model.speech_encoder=openai/whisper-base"])
    work = plan.work_of(config, 1000, 3500.0, 1)
    assert (work.numbers, work.closed_form, work.cut) == (
        512 * 6 * 4,
        True,
        None,
    )  # thirds, 4 layers


def test_the_default_model_is_counted():
    work = plan.work_of(plan.resolve_plain([]), 1000, 3500.0, 5)
    assert work.head_gflop == pytest.approx(8.06, rel=0.01)  # docs/performance.md
    assert [round(e.parameters / 1e6) for e in work.encoders] == [315, 302]


def test_other_errors_of_sizes():
    with pytest.raises(ConfigError, match="how much"):
        plan.sized(None, None)
