"""The model card: numbers of the run and no others; metadata that the hub understands."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from huggingface_hub import ModelCard
from omegaconf import OmegaConf

from erc.base import effort
from erc.base.effort import Effort
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


def counters(root: Path, **values: int) -> Path:
    for name, value in values.items():
        zone = root / name.replace("_", ":")
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "energy_uj").write_text(str(value))
        (zone / "max_energy_range_uj").write_text("1000000")
    return root


def rapl(root: Path, first: int, second: int) -> Path:
    return counters(root, **{"intel-rapl_0": first, "intel-rapl_1": second, "intel-rapl_0_0": 7})


def test_energy_is_counted_over_packages_and_around_the_end(tmp_path):
    clock = Effort(rapl(tmp_path, 900_000, 0))
    rapl(tmp_path, 400_000, 250_000)  # the first one has turned over
    clock.look()
    rapl(tmp_path, 500_000, 250_000)
    spent = clock.stop("cpu")
    assert spent["joules"] == pytest.approx(0.5 + 0.25 + 0.1, abs=0.06)
    assert "kWh by the processor's own counter" in effort.words(spent)


def test_energy_is_never_invented(tmp_path):
    assert Effort(tmp_path / "nothing").stop("cpu")["joules"] is None
    clock = Effort(rapl(tmp_path, 5, 5))
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    spent = clock.stop("cpu")
    assert spent["joules"] is None
    assert "energy not measured" in effort.words(spent)
    assert effort.words(None) == "not measured"
    assert effort.words(spent | {"seconds": 3723.0}).startswith("1 h 2 min 3 s on cpu")
