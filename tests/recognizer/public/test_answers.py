"""A published model through every door: the same numbers, its own labels, and what it admits."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from published import regression_head

import erc
from erc.base import hub
from erc.base.errors import CheckpointError, ConfigError
from erc.cli.program import main
from erc.recognizer.info import info
from erc.recognizer.public.late import Fusion

SAMPLES = Path(__file__).parents[3] / "docs" / "samples"
CLIP, MEETING = SAMPLES / "clip.wav", SAMPLES / "meeting.ogg"
EMOTIONS = ["angry", "happy", "sad", "neutral calm"]


@pytest.fixture(scope="module")
def regression(once) -> Path:
    return once("public-regression", regression_head)


@pytest.fixture(scope="module")
def both(once, model) -> Path:
    fusion = Fusion((0.6, 0.4), 1.3, {"neutral calm": "neutral"})
    return once("public-both", lambda folder: fusion.write(folder, model("hubert"), model("bert")))


def test_an_answer_has_the_labels_of_the_model(model):
    recognizer = erc.load(model("hubert"), device="cpu")
    p = recognizer.predict(CLIP)
    assert list(p.probabilities) == EMOTIONS
    assert sum(p.probabilities.values()) == pytest.approx(1)
    assert p.dimensions == {}
    assert (p.typicality, p.conflict, p.prediction_set, p.simulated) == (None, None, None, False)
    assert p.model.startswith("public-hubert@")
    assert "4 emotions" in repr(recognizer)
    with pytest.raises(ConfigError, match="takes speech, not text"):
        recognizer.predict(CLIP, text="why")
    with pytest.raises(ConfigError, match="cannot be adapted"):
        recognizer.adapt([CLIP])


def test_dimensions_are_on_their_own_scale(regression):
    p = erc.load(regression, device="cpu").predict(CLIP)
    assert list(p.dimensions) == ["arousal", "dominance", "valence"]
    assert all(0 <= value <= 1 for value in p.dimensions.values())
    assert p.label is None
    assert p.probabilities == {}
    assert "of 0–1" in repr(p)


def test_many_are_answered_as_one(model, clips):
    """In batches of every kind, in the order given."""
    for name in ("wavlm", "wav2vec2-base", "whisper"):
        recognizer = erc.load(model(name), device="cpu")
        inputs = [{"audio": clip, "sampling_rate": 16_000} for clip in [*clips, *clips, *clips]]
        many = [p.probabilities for p in recognizer.predict_many(inputs)]
        alone = [recognizer.predict(clip, sampling_rate=16_000).probabilities for clip in clips]
        for found, wanted in zip(many, alone * 3, strict=True):
            assert found == pytest.approx(wanted, abs=1e-5)


def test_command_and_http_say_the_same(both, tmp_path):
    from starlette.testclient import TestClient

    from erc.server.app import create_app
    from erc.server.run import about
    from erc.server.settings import Settings

    recognizer = erc.load(both, device="cpu")
    wanted = recognizer.predict(CLIP, text="why would you").to_dict()
    assert list(wanted["probabilities"]) == ["angry", "happy", "neutral calm"]
    out = tmp_path / "o.json"
    words = ["predict", str(CLIP), "--text", "why would you", "--model", str(both), "-o", str(out)]
    assert main(words) == 0
    app = create_app(recognizer, Settings(), about(both))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        files = {"file": CLIP.read_bytes()}
        posted = client.post("/v1/predict", files=files, data={"text": "why would you"})
    for found in (json.loads(out.read_text()), posted.json()):
        assert found["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-5)
        assert found["model"] == wanted["model"]


def test_the_page_names_licence_and_notes(both, model):
    from erc.server.web.answer import respond
    from erc.server.web.words import about

    recognizer = erc.load(both, device="cpu")
    page = about(recognizer.config, recognizer.spec.modalities)
    assert "public-hubert: unknown; public-bert: unknown" in page
    assert "left out: 1 (love)" in page
    *_, (sentence, html) = respond(recognizer, str(CLIP), "why would you", 60)
    assert sentence.split(",")[0] in ("angry", "happy", "neutral calm")
    assert "neutral calm" in html


def test_a_file_of_answers_does_not_go_on_with_another_pair(model, tmp_path):
    """The folder only names the two models, and is the same when one of them is another."""
    words = ["predict", str(CLIP), "--model", str(tmp_path / "m"), "-o", str(tmp_path / "o.csv")]
    shutil.copytree(model("hubert"), tmp_path / "heard")
    Fusion().write(tmp_path / "m", "../heard", model("bert"))
    assert main(words) == 0
    assert main(words) == 0  # complete: nothing to do
    shutil.copy(model("wavlm") / "config.json", tmp_path / "heard")
    shutil.copy(model("wavlm") / "model.safetensors", tmp_path / "heard")
    with pytest.raises(SystemExit):
        main(words)


def test_a_pair_answers_with_what_there_is(model):
    recognizer = erc.load((model("hubert"), model("bert")), device="cpu")
    heard, read = recognizer.predict(CLIP), recognizer.predict(text="why would you")
    one = erc.load(model("bert"), device="cpu").predict(text="why would you").probabilities
    assert list(read.probabilities) == ["angry", "happy"]
    share = one["anger"] / (one["anger"] + one["joy"])
    assert read.probabilities["angry"] == pytest.approx(share, abs=1e-5)
    assert heard.modalities == ("speech",)
    assert heard.probabilities != read.probabilities
    why = recognizer.explain(CLIP, text="why would you")
    assert set(why.shares) == {"speech", "text"}


def test_a_long_recording_becomes_turns(model, regression):
    pytest.importorskip("silero_vad", reason="pip install 'erc[timeline]'")
    for folder in (model("ast"), regression):
        recognizer = erc.load(folder, device="cpu")
        turns = recognizer.timeline(MEETING).turns
        assert len(turns) > 3
        assert all(turn.answered for turn in turns)
        assert {tuple(turn.probabilities) for turn in turns} <= {tuple(EMOTIONS), ()}
    whole = erc.load(model("ast"), device="cpu").predict(MEETING)  # 1.3 s at once
    assert whole.heard < whole.duration
    assert sum(whole.probabilities.values()) == pytest.approx(1)


def test_by_id_from_the_cache_of_the_hub(model, tmp_path, monkeypatch):
    root = tmp_path / "models--someone--voices"
    shutil.copytree(model("wavlm"), root / "snapshots" / ("a" * 40))
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "reachable", lambda: False)
    found = erc.load("someone/voices", device="cpu")
    assert found.model.startswith("someone/voices@")
    assert found.config["meta"]["licences"] == ["someone/voices: unknown"]


def test_info_says_what_is_known_and_what_is_not(model, both, regression, tmp_path, capsys):
    folder = shutil.copytree(model("hubert"), tmp_path / "m")
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-sa-4.0\n---\n# A model\n")
    facts = info(folder)
    assert facts["gives"] == EMOTIONS
    assert facts["licences"] == ["m: cc-by-nc-sa-4.0"]
    assert facts["calibrated"] is False
    assert facts["not_offered"] is None
    assert facts["id"] == erc.load(folder, device="cpu").model
    assert "not calibrated; typicality and training unknown" in facts["notes"][0]
    assert info(regression)["gives"] == ["arousal 0–1", "dominance 0–1", "valence 0–1"]
    assert main(["info", str(both)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for said in ("late: speech 0.6, text 0.4", "left out: 1 (love)", "temperature 1.300"):
        assert said in shown


def test_a_folder_of_neither_kind_says_what_was_looked_for(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "vit", "architectures": ["ViT"]}')
    with pytest.raises(
        CheckpointError, match=r"is ViT \(vit\); a model folder of erc has 'format'"
    ):
        erc.load(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="not a JSON object"):
        erc.load(tmp_path)


def test_answers_do_not_depend_on_threads(model):
    """A server decodes and asks from several threads."""
    from concurrent.futures import ThreadPoolExecutor

    recognizer = erc.load(model("bert"), device="cpu")
    texts = ["why would you", "I am happy today"] * 8
    wanted = [recognizer.predict(text=text).probabilities for text in texts]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: recognizer.predict(text=text).probabilities, texts))
    assert [list(p.values()) for p in found] == [list(p.values()) for p in wanted]
    assert np.ptp([p["joy"] for p in found]) > 0
