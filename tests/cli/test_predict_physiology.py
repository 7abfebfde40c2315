"""What a body did, from the files of its devices: the command, a manifest and training see the same."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import erc
from erc import corpora
from erc.__main__ import main
from erc.base.errors import CorpusError
from erc.base.physiology_features import features
from erc.corpora.devices import Reader
from erc.corpora.utterance import Report
from erc.model.emotion import EmotionModel
from erc.model.encoders import SpeechEncoder
from erc.model.folder import checkpoint
from erc.model.physiology import PhysiologyEncoder

KINDS = {"kemdy19": ("eda", "temp", "ecg"), "kemdy20": ("eda", "temp", "ibi")}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """Untrained: speech and 16 numbers of physiology, side by side."""
    torch.manual_seed(0)
    net = EmotionModel(
        speech=SpeechEncoder.from_name("tiny-whisper"), physiology=PhysiologyEncoder("features"),
        dim=16, fusion="concat",
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("body") / "model"
    checkpoint.save(folder, net.eval())
    return str(folder)


def utterances(root: Path, corpus: str):
    found = [u for u in corpora.load(corpus, root).utterances if Reader().signals(u, Report())]
    assert len(found) > 3
    return found


def table(path: Path, rows: list[dict]) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        sheet = csv.DictWriter(file, sorted({key for row in rows for key in row}))
        sheet.writeheader()
        sheet.writerows(rows)
    return str(path)


def of(u) -> dict:
    return {kind.lower(): path for kind, path in u.physiology.items()}


@pytest.mark.parametrize("corpus", KINDS)
def test_files_that_are_named_say_what_the_corpus_says(request, corpus):
    for u in utterances(request.getfixturevalue(corpus), corpus)[:4]:
        expected = features(Reader().signals(u, Report()))
        np.testing.assert_array_equal(features(Reader().given(u.physiology, u.id)), expected)


@pytest.mark.parametrize("corpus", KINDS)
def test_the_command_takes_them_from_a_table(request, corpus, model, tmp_path, capsys):
    some = utterances(request.getfixturevalue(corpus), corpus)[:3]
    rows = [{"audio": u.audio, **of(u)} for u in some] + [{"audio": some[0].audio}]
    rows += [{"segment": some[0].id, **of(some[0])}]
    sheet = table(tmp_path / "t.csv", rows)
    assert main(["predict", sheet, "--model", model, "--quiet"]) == 0
    found = list(map(json.loads, capsys.readouterr().out.splitlines()))
    recognizer = erc.load(model)
    for u, row in zip(some, found, strict=False):
        signals = Reader().signals(u, Report())
        said = recognizer.predict(u.audio, physiology=signals)
        assert row["modalities"] == ["speech", "physiology"]
        assert row["probabilities"] == pytest.approx(said.probabilities, abs=1e-5)
        assert said.probabilities != recognizer.predict(u.audio).probabilities
    assert [row["modalities"] for row in found[3:]] == [["speech"], ["physiology"]]


def test_a_bad_file_is_one_bad_row(kemdy19, model, tmp_path, capsys):
    u = utterances(kemdy19, "kemdy19")[0]
    (tmp_path / "empty.csv").write_text("")
    rows = [
        {"audio": u.audio, "eda": "nowhere.csv"}, {"audio": u.audio, "eda": "empty.csv"},
        {"audio": u.audio, "segment": "Sess99_nothing", **of(u)}, {"audio": u.audio, **of(u)},
    ]  # fmt: skip
    assert main(["predict", table(tmp_path / "t.csv", rows), "--model", model]) == 1
    out, err = capsys.readouterr()
    found = list(map(json.loads, out.splitlines()))
    assert ["error" in row for row in found] == [True, True, True, False]
    for words in ("no file", "without a usable row", "segment not in the file"):
        assert words in err


def test_a_model_that_has_not_learned_it_says_so_once(run, kemdy19, tmp_path, capsys):
    some = utterances(kemdy19, "kemdy19")[:2]
    sheet = table(tmp_path / "t.csv", [{"audio": u.audio, **of(u)} for u in some])
    assert main(["predict", sheet, "--model", str(run / "model"), "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err.count("has not learned physiology: that of 2 inputs is not used") == 1
    assert all(json.loads(row)["modalities"] == ["speech"] for row in out.splitlines())


def test_what_was_measured_changes_what_a_stopped_run_may_go_on_with(kemdy19, tmp_path):
    from erc.cli.predict_inputs import collect

    u = utterances(kemdy19, "kemdy19")[0]
    file = tmp_path / "eda.csv"
    file.write_bytes(u.physiology["EDA"].read_bytes())
    sheet = table(tmp_path / "t.csv", [{"audio": u.audio, "eda": file}])
    before = collect([sheet]).found[0].identity()
    file.write_bytes(file.read_bytes() + b"\n")
    assert collect([sheet]).found[0].identity() != before


@pytest.mark.parametrize("marked", [True, False])
def test_a_manifest_has_columns_for_them(kemdy20, tmp_path, marked):
    """Rows marked with the id of the utterance, or a file of its own for each without marks."""
    rows, expected = [], []
    for u in utterances(kemdy20, "kemdy20")[:4]:
        row = {"id": u.id, "audio": u.audio, "speaker": u.speaker, "session": u.session}
        row |= {"emotion": "sad", "eda": u.physiology["EDA"]}
        signals = Reader().given({"EDA": u.physiology["EDA"]}, u.id)
        if not marked:
            times, values = signals.get("eda")
            inside = (times >= signals.start) & (times <= signals.end)
            row["eda"] = tmp_path / f"{u.id}.csv"
            clock = [f"{t // 3600:02.0f}:{t % 3600 // 60:02.0f}:{t % 60:06.3f}" for t in times]
            lines = [f"{x},0,{c}" for x, c, i in zip(values, clock, inside, strict=True) if i]
            row["eda"].write_text("\n".join(lines))
        rows.append(row)
        expected.append(features(signals)[0])  # mean level during the utterance
    table(tmp_path / "manifest.csv", rows)
    found = corpora.load("manifest", tmp_path)
    levels = [features(Reader().signals(u, Report()))[0] for u in found.utterances]
    assert levels == pytest.approx(expected, rel=1e-4)
    assert all(u.physiology.keys() == {"EDA"} for u in found.utterances)


def test_nothing_named_is_an_error():
    with pytest.raises(CorpusError, match="no file of its body"):
        Reader().given({}, "a")


def test_over_http_numbers_and_never_a_path(model, kemdy20):
    from starlette.testclient import TestClient

    from erc.server.app import create_app
    from erc.server.settings import Settings

    u, recognizer = utterances(kemdy20, "kemdy20")[0], erc.load(model)
    body = {"eda": [0.5, 0.6, 0.9, 0.8] * 3, "ibi": [0.8, 0.9, 0.85], "start": 0.5, "end": 2.5}
    expected = recognizer.predict(u.audio, physiology=body)
    app = create_app(recognizer, Settings())
    with TestClient(app, base_url="http://127.0.0.1:8000") as http:
        file = {"file": ("a.wav", u.audio.read_bytes())}
        one = http.post("/v1/predict", files=file, data={"physiology": json.dumps(body)}).json()
        assert one["modalities"] == ["speech", "physiology"]
        assert one["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
        path = {"physiology": {"eda": str(u.physiology["EDA"])}}
        refused = http.post("/v1/predict", json=path)
        assert refused.status_code == 422
        assert "not a list of numbers" in refused.json()["error"]["message"]
