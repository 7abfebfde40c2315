"""The model card: numbers of the run and no others; metadata that the hub understands."""

from __future__ import annotations

import copy
import json

import numpy as np
import pandas as pd
import pytest
import yaml
from huggingface_hub import ModelCard
from omegaconf import OmegaConf

from erc.base import effort
from erc.scores.metrics import accuracy
from erc.training.card import card, licences, unmeasured
from erc.training.evaluation import arrays_of_frame


@pytest.fixture(scope="module")
def results(run) -> dict:
    return json.loads((run / "results.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def config(run) -> dict:
    return OmegaConf.to_container(OmegaConf.load(run / "config.yaml"))


@pytest.fixture(scope="module")
def text(run) -> str:
    return (run / "model" / "README.md").read_text("utf-8")


def test_training_writes_the_card_and_what_it_cost(run, text):
    meta = json.loads((run / "model" / "config.json").read_text("utf-8"))["meta"]
    assert 0 < meta["effort"]["seconds"] < 3600
    assert "cores" in meta["effort"]["device"]
    assert meta["effort"]["precision"] == meta["results"]["precision"] == "32-true"
    assert OmegaConf.load(run / "config.yaml").trainer.precision == "32-true"  # was: auto
    assert " in 32-true" in text
    assert effort.words(meta["effort"]) in text
    for heading in ("Made of", "Data", "Scores", "For whom", "Use"):
        assert f"\n## {heading}\n" in text
    assert "human ceiling" in text
    assert "95 % interval of F1 macro" in text
    assert "judging people at work" in text
    assert "simulated speech (no person was recorded)" in text


def test_the_hub_reads_the_metadata(run, results):
    read = ModelCard.load(run / "model" / "README.md")
    data = read.data
    assert (data.license, data.library_name, data.language) == ("other", "erc", ["ko"])
    assert data.pipeline_tag == "audio-classification"
    assert "simulated-data" in data.tags
    scores = results["scores"]["speech + text"]
    found = {r.metric_name: r.metric_value for r in data.eval_results}
    assert found["UAR (speech + text)"] == pytest.approx(scores["uar"], abs=1e-4)
    assert found["F1 macro (speech + text)"] == pytest.approx(scores["f1_macro"], abs=1e-4)
    assert all("simulated" in r.dataset_name for r in data.eval_results)
    head = yaml.safe_load(str(read).split("---")[1])
    assert head["model-index"][0]["results"]


def test_gaps_are_those_of_the_predictions(run, text):
    frame = pd.read_csv(run / "predictions.csv")
    frame = frame[frame.system == "speech + text"].reset_index(drop=True)
    found = {}
    for gender, rows in frame.groupby("gender"):
        q, _, _, hard, _ = arrays_of_frame(rows)
        known = hard >= 0
        found[gender] = accuracy(hard[known], q[known].argmax(-1))
    line = next(line for line in text.splitlines() if line.startswith("largest gap"))
    assert line.split()[2] == f"{np.ptp(list(found.values())):.3f}"
    women = next(line for line in text.splitlines() if line.startswith("women"))
    assert women.split()[1] == str((frame.gender == "F").sum())


def test_without_a_run_there_are_no_groups(results, config):
    text = card(results, config)
    assert "For whom" not in text
    assert "## Data" not in text
    assert "training took: not measured" in text


def test_genders_and_numbers_may_be_unknown(run, results, config, tmp_path):
    frame = pd.read_csv(run / "predictions.csv").assign(gender=np.nan)
    frame.to_csv(tmp_path / "predictions.csv", index=False)
    unknown = copy.deepcopy(results)
    for system in unknown["scores"].values():
        system["uar"] = system["ccc_valence"] = None
    text = card(unknown, config, tmp_path)
    assert "does not give genders" in text
    names = [r.metric_name for r in ModelCard(text).data.eval_results]
    assert not any("UAR" in name or "valence" in name for name in names)
    assert any("F1" in name for name in names)


def test_licences_travel(results, tmp_path):
    assert licences(results, ["tiny-whisper"]) == ["data: simulated by erc, none needed"]
    real = {**results, "simulated": False, "corpus": "/data/KEMDy19", "store": "kemdy19-12"}
    encoder = tmp_path / "my-encoder"
    encoder.mkdir()
    names = ["kresnik/wav2vec2-large-xlsr-korean", str(encoder), "someone/other"]
    data, known, mine, other = licences(real, names)
    assert "ETRI" in data
    assert known.endswith("Apache-2.0")
    assert "not known" in mine
    assert "not known" in other
    (encoder / "README.md").write_text("---\nlicense: mit\n---\n# Encoder\n", "utf-8")
    assert licences(real, [str(encoder)])[1] == f"{encoder}: mit"
    own = {**real, "corpus": "/data/interviews.csv", "store": "manifest-12"}
    assert "the terms of your corpus apply" in licences(own, [])[0]


def test_a_real_corpus_is_not_called_simulated(results, config):
    real = copy.deepcopy(results) | {"simulated": False, "corpus": "/data/mine", "store": "x"}
    other = copy.deepcopy(config)
    other["model"] |= {"speech_encoder": None, "text_encoder": "klue/roberta-large"}
    read = ModelCard(card(real, other))
    assert read.data.language is None
    assert read.data.pipeline_tag == "text-classification"
    assert read.data.base_model == ["klue/roberta-large"]
    assert "simulated-data" not in read.data.tags
    assert "simulated" not in read.text.lower().replace("not simulated", "")


def test_a_model_without_scores_says_so():
    class Model:
        modalities = ("speech",)

    text = unmeasured(Model(), {})
    assert "No scores are known of these weights. Check" in text
    assert ModelCard(text).data.license == "other"


def test_what_the_training_cost_in_words():
    spent = {"seconds": 3723.0, "device": "a CPU, 2 cores", "precision": "bf16-mixed"}
    assert effort.words(spent) == "1 h 2 min 3 s on a CPU, 2 cores in bf16-mixed"
    old = {"seconds": 0.2, "device": "cpu", "joules": 7.0, "resumed": True}  # as once written
    assert effort.words(old) == "under 1 s on cpu, counted since it was resumed"
    assert effort.words(None) == "not measured"
