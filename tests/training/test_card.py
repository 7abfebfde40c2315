"""The model card: numbers of the run and no others; metadata that the hub understands."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace

import audmetric
import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard
from omegaconf import OmegaConf
from planted_scores import answers
from planted_scores import results as results_of
from sklearn import metrics as sk

from erc.base import effort
from erc.base.space import KEMDY
from erc.base.terms import Terms
from erc.model.folder.published import unmeasured
from erc.scores.results import Results
from erc.scores.scored import write
from erc.training.card import card
from erc.training.ledger import made_from


@pytest.fixture(scope="module")
def results(run) -> Results:
    return Results.read(run)


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
    assert "one rater" in text
    assert "95 % interval of F1 macro" in text
    assert "judging people at work" in text
    assert "simulated speech (no person was recorded)" in text


def test_the_hub_reads_the_metadata(config):
    """54 of 60 right: what the hub shows is what scikit-learn makes of the same answers."""
    rows = answers(60, right=54)
    read = ModelCard(card(results_of(rows), config))
    data = read.data
    assert (data.license, data.library_name, data.language) == ("other", "erc", None)
    assert data.pipeline_tag == "audio-classification"
    assert "simulated-data" in data.tags
    label, guess = rows.label, rows.probabilities.argmax(1)
    expected = {
        "UAR": sk.balanced_accuracy_score(label, guess),
        "F1 macro": sk.f1_score(label, guess, average="macro"),
        "CCC valence": audmetric.concordance_cc(rows.ratings[:, 0], rows.dimensions[:, 0]),
        "CCC arousal": audmetric.concordance_cc(rows.ratings[:, 1], rows.dimensions[:, 1]),
    }
    found = {r.metric_name: r.metric_value for r in data.eval_results}
    assert found == pytest.approx(
        {f"{name} (speech + text)": value for name, value in expected.items()}, abs=1e-4
    )
    assert {r.dataset_name for r in data.eval_results} == {"simulated speech, fold 4 of 5"}
    head = yaml.safe_load(str(read).split("---")[1])
    assert head["model-index"][0]["results"]


def test_gaps_are_counted_by_hand(config, tmp_path):
    """Of 40 women 30 are right, of 20 men 10: accuracies of .75 and .5, a gap of .25."""
    gender = np.array(["F"] * 40 + ["M"] * 20)
    label = np.arange(60) % 7
    wrong = np.concatenate([np.arange(40) >= 30, np.arange(20) >= 10])
    guess = np.where(wrong, (label + 1) % 7, label)
    rows = answers(60, gender=gender, label=label, probabilities=0.9 * np.eye(7)[guess] + 0.1 / 7)
    write(tmp_path / "predictions.csv", [rows])
    lines = card(results_of(rows), config, tmp_path).splitlines()
    cells = {line.split()[0]: line.split() for line in lines if line}
    assert cells["women"][1:4] == ["40", "6", "0.750"]
    assert cells["men"][1:4] == ["20", "6", "0.500"]
    assert cells["largest"][:3] == ["largest", "gap", "0.250"]
    shares = [(~wrong)[rows.speaker == s].mean() for s in set(rows.speaker)]
    assert any(f"accuracy {min(shares):.3f}–{max(shares):.3f};" in line for line in lines)


def test_without_a_run_there_are_no_groups(results, config):
    text = card(results, config)
    assert "For whom" not in text
    assert "## Data" not in text
    assert "training took: not measured" in text


def test_genders_and_numbers_may_be_unknown(config, tmp_path):
    unrated = np.full((20, 2), np.nan)
    rows = answers(20, gender=[""] * 20, ratings=unrated)
    write(tmp_path / "predictions.csv", [rows])
    text = card(results_of(rows), config, tmp_path)
    assert "does not give genders" in text
    names = [r.metric_name for r in ModelCard(text).data.eval_results]
    assert not any("CCC" in name for name in names)
    assert any("F1" in name for name in names)


def test_a_card_tells_no_folder_of_this_machine(run, config):
    """Neither the card of a run nor one of a local encoder: both travel with the model."""
    model = run / "model"
    for file in (model / "README.md", model / "config.json"):
        assert str(run.parent) not in file.read_text("utf-8"), file
        assert "KEMDy19" in file.read_text("utf-8"), file  # its name is told
    own = copy.deepcopy(config)
    own["model"]["text_encoder"] = "/home/me/encoders/mine"
    real = results_of(answers(12), simulated=False, corpus="['/data/one', '/data/two']", store="x")
    text = card(real, own)
    assert not re.search(r"(?<![\w:/])/(home|data)", text)
    assert "what it was made from: unknown" in text
    assert "data: ['one', 'two']" in text


def test_licences_travel(results, config, tmp_path):
    class Store:
        terms = (Terms("data: kemdy19", "ETRI agreement"),)

    encoder = tmp_path / "my-encoder"
    encoder.mkdir()
    model = {"speech_encoder": "kresnik/wav2vec2-large-xlsr-korean", "text_encoder": str(encoder)}
    assert list(map(str, made_from(model, None, Store))) == [
        "data: kemdy19: ETRI agreement (no commercial use)",
        "kresnik/wav2vec2-large-xlsr-korean: Apache-2.0",
        "my-encoder: unknown",
    ]
    (encoder / "README.md").write_text("---\nlicense: mit\n---\n# Encoder\n", "utf-8")
    terms = made_from(model, str(tmp_path / "last.ckpt"), Store)
    assert list(map(str, terms))[2:] == ["my-encoder: mit", "weights of last.ckpt: unknown"]
    assert made_from({"speech_encoder": "tiny-whisper"}, None, Store) == [*Store.terms]
    real = replace(results, simulated=False, corpus="/data/KEMDy19", store="kemdy19-12")
    text = card(real, config, terms=terms)
    assert "  - my-encoder: mit\n" in text
    assert "- commercial use: forbidden\n" in text
    assert "- commercial use: not known, so do not\n" in card(real, config)


def test_a_real_corpus_is_not_called_simulated(results, config):
    real = replace(results, simulated=False, corpus="/data/mine", store="x")
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
        modalities, space = ("speech",), KEMDY

    text = unmeasured(Model(), {})
    assert "No scores are known of these weights. Check" in text
    assert ModelCard(text).data.license == "other"


def test_what_the_training_cost_in_words():
    spent = {"seconds": 3723.0, "device": "a CPU, 2 cores", "precision": "bf16-mixed"}
    assert effort.words(spent) == "1 h 2 min 3 s on a CPU, 2 cores in bf16-mixed"
    old = {"seconds": 0.2, "device": "cpu", "joules": 7.0, "resumed": True}  # as once written
    assert effort.words(old) == "under 1 s on cpu, counted since it was resumed"
    assert effort.words(None) == "not measured"
