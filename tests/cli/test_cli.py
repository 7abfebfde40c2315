"""The commands that people type, as they type them: DESIGN's entry points and the `erc` command."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from erc.base.errors import ConfigError
from erc.cli.program import COMMANDS, main, parse

ROOT = Path(__file__).resolve().parents[2]
TINY = [
    "model=tiny", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "export=false",
]  # fmt: skip


@pytest.fixture(scope="module")
def desk(kemdy19, kemdy20, tmp_path_factory) -> Path:
    """A working folder whose `data` is a symbolic link to a folder with both corpora."""
    folder = tmp_path_factory.mktemp("desk")
    store = tmp_path_factory.mktemp("disk")
    (store / "KEMDy19").symlink_to(kemdy19)
    (store / "KEMDy20_v1_1").symlink_to(kemdy20)
    (folder / "data").symlink_to(store)
    return folder


def python(desk: Path, *args: str, code: int = 0) -> str:
    """Run `python ARGS` in `desk`; returns stdout, or stderr when it should fail."""
    done = subprocess.run(
        [sys.executable, *args], cwd=desk, capture_output=True, text=True, timeout=240,
        env=os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def test_fire_builds_and_loads_the_dataset(desk):
    words = ("-m", "fire", "erc.datasets", "HF_KEMD", "--validation_fold=4")
    first = python(desk, *words, "--mode=train")
    assert "SIMULATED train side of fold 4" in first
    assert "64 utterances" in first  # both corpora: 2 × 5 sessions of 8, four of five folds
    again = python(desk, *words, "--mode=valid", "--dataset_name=kemdy19")
    assert "8 utterances" in again
    assert "store loaded from" in python(desk, *words, "--mode=valid", "--dataset_name=kemdy19")


def test_fire_prints_the_merged_table(desk):
    text = python(
        desk, "-m", "fire", "erc.preprocess", "make_total_df", "--base_path=./data/KEMDy19"
    )
    assert "40 utterances" in text
    assert "listener row" in text


def test_train_py(desk):
    text = python(
        desk, str(ROOT / "train.py"), *TINY, "+trainer.fast_dev_run=True", "+model.use_peakl=True",
        "dataset.validation_fold=3",
    )  # fmt: skip
    assert "speech + text" in text
    assert "one rater" in text
    assert list((desk / "runs").glob("*/*/model/config.json"))


def test_hydra_multirun_over_folds_and_seeds(desk):
    python(
        desk, str(ROOT / "train.py"), "-m", *TINY, "dataset.num_data=4", "dataloader.batch_size=4",
        "trainer.max_epochs=1", "dataset.validation_fold=0,1", "seed=1,2",
        "dataset.dataset_name=kemdy20",
    )  # fmt: skip
    runs = [path.parent for path in (desk / "runs").glob("sweep/*/*/results.json")]
    made = [OmegaConf.load(run / "config.yaml") for run in runs]
    pairs = sorted((cfg.dataset.validation_fold, cfg.seed) for cfg in made)
    assert pairs == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert all((run / "model" / "config.json").is_file() for run in runs)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["dataset.paths=./nowhere", "model=tiny"], "CorpusError: .*nowhere"),
        ([], "CheckpointError: .*kresnik/wav2vec2-large-xlsr-korean"),
        (["moddel=tiny"], "ConfigError: .*did you mean 'model'"),
    ],
)
def test_mistakes_are_one_line(desk, overrides, says):
    lines = python(desk, str(ROOT / "train.py"), *overrides, code=2).strip().splitlines()
    assert len(lines) == 1
    import re

    assert re.search(says, lines[0])


@pytest.mark.parametrize(
    ("overrides", "says"),
    [(["dataset.validation_fold=7"], "0–4"), (["trainer.max_epoch=3"], "max_epochs")],
)
def test_mistakes_that_only_data_or_trainer_know(desk, tmp_path, overrides, says):
    from erc.studies.experiment import run

    with pytest.raises(ConfigError, match=says):
        run([f"dataset.paths={desk / 'data'}", *TINY, *overrides], tmp_path)


def test_synth(tmp_path, capsys):
    assert (
        main(
            [
                "synth",
                str(tmp_path / "a"),
                "--layout",
                "kemdy20",
                "--sessions",
                "2",
                "--utterances",
                "3",
            ]
        )
        == 0
    )
    assert "simulated" in capsys.readouterr().out
    assert len(list((tmp_path / "a").glob("wav/*/*.wav"))) == 6


def test_prepare(kemdy19, capsys):
    assert main(["prepare", str(kemdy19)]) == 0
    assert "40 utterances" in capsys.readouterr().out


def test_predict(run, kemdy19, capsys):
    clip = str(next(kemdy19.glob("wav/*/*/*.wav")))
    assert main(["predict", clip, "--text", "좋아", "--model", str(run / "model")]) == 0
    row = json.loads(capsys.readouterr().out)
    assert list(row) == [
        "file", "label", "probabilities", "valence", "arousal", "confidence", "modalities",
        "abstain", "conflict", "prediction_set", "duration", "heard", "band_hz", "narrow_band",
        "typicality", "simulated", "model", "reason",
    ]  # fmt: skip
    assert len(row["probabilities"]) == 7
    assert main(["predict", clip, "nowhere.wav", "--model", str(run / "model")]) == 1


def test_predict_a_folder(run, kemdy19, tmp_path, capsys):
    for clip in sorted(kemdy19.glob("wav/*/*/*.wav"))[:2]:
        (tmp_path / clip.name).write_bytes(clip.read_bytes())
    (tmp_path / "broken.wav").write_bytes(b"")
    target = tmp_path / "out.csv"
    assert main(["predict", str(tmp_path), "--model", str(run), "-o", str(target)]) == 1
    lines = target.read_text("utf-8").splitlines()
    assert lines[0].startswith(
        "file,label,valence,arousal,confidence,modalities,abstain,conflict,prediction_set,p_surprise"
    )
    assert len(lines) == 4
    assert "broken.wav" in capsys.readouterr().err


def test_use_chooses_the_model(run, kemdy19, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("ERC_MODEL", raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["use", str(run)]) == 0
    assert capsys.readouterr().out == f"{run / 'model'} (by `erc use`)\n"
    clip = str(next(kemdy19.glob("wav/*/*/*.wav")))
    assert main(["predict", clip]) == 0
    signed = json.loads(capsys.readouterr().out)["model"]
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["id"], facts["default"]) == (signed, "by `erc use`")
    assert main(["use", "--forget"]) == 0  # and nothing else is there
    assert capsys.readouterr().out.startswith("the starter (no model under runs/ to take")


def test_evaluate(run, tmp_path, capsys):
    assert main(["evaluate", str(run), "-o", str(tmp_path)]) == 0
    assert "speech + text" in capsys.readouterr().out
    assert (tmp_path / "results.json").is_file()


def test_import_reference(shared, tmp_path):
    reference = shared / "reference"
    words = [str(reference / "concat_checkpoint.safetensors"), str(reference / "config.json")]
    assert main(["import-reference", *words, str(tmp_path / "model")]) == 0
    assert (tmp_path / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["predcit"], "did you mean 'predict'"),
        (["predict", "--text", "a", "--model", "nowhere"], "nowhere"),
        (["evaluate", "nowhere"], "not a run"),
        (["synth", "x", "--sessions", "0"], "sessions"),
        (["train", "model=tiney"], "did you mean 'tiny'"),
    ],
)
def test_mistakes_exit_with_2(words, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert says in capsys.readouterr().err


def test_without_a_word_it_shows_the_commands(capsys):
    assert main([]) == 0
    page = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == page
    assert "predict" in page


def test_options_stand_anywhere():
    assert parse(["predict", "a.wav", "--text", "좋아", "b.wav"])[1]["files"] == ["a.wav", "b.wav"]
    assert parse(["predict", "--text", "좋아", "--", "-a.wav"])[1]["files"] == ["-a.wav"]
    assert parse(["evaluate", "run", "-o", "out", "a=1"])[1] == {
        "run": "run", "output": "out", "overrides": ["a=1"],
    }  # fmt: skip
    for words in (["check", "kemdy19", "data"], ["check", "data", "--json"]):
        assert parse(words)[1]["root"] == "data"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--verison"], "did you mean '--version'"),
        (["predict", "--formt", "csv"], "did you mean '--format'"),
        (["predict", "--form", "csv"], "no option --form"),  # no abbreviation is guessed
        (["predict", "--format", "cvs"], "did you mean 'csv'"),
        (["tune", "m", "--export", "onnx", "onx"], "did you mean 'onnx'"),
        (["report", "a", "b"], "unexpected b"),
        (["report"], "required: run"),
        (["synth", "x", "--sessions", "many"], "invalid int value"),
    ],
)
def test_words_that_no_command_takes(words, says):
    with pytest.raises(ConfigError, match=says):
        parse(words)


def test_a_function_takes_what_its_options_give():
    for one in COMMANDS.values():
        wanted = inspect.signature(one.run).parameters.values()
        names = {o.names.split()[-1].strip("-").replace("-", "_") for o in one.options}
        assert {p.name for p in wanted if p.kind != p.VAR_KEYWORD} <= names
        assert any(p.kind == p.VAR_KEYWORD for p in wanted) or len(wanted) == len(names)
        assert one.summary.endswith(".")


def test_help_imports_nothing_heavy():
    heavy = python(
        ROOT, "-c",
        "import sys; from erc.cli.program import main; main([]); "
        "print([m for m in ('torch', 'pandas', 'lightning', 'transformers') if m in sys.modules])",
    )  # fmt: skip
    assert heavy.splitlines()[-1] == "[]"
