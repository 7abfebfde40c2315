"""Python, the command line, HTTP and exported models give the same numbers on 50 recordings."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import erc
from erc.base.space import KEMDY
from erc.cli.program import main

COUNT = 50


@pytest.fixture(scope="module")
def recordings(kemdy19, kemdy20) -> list[tuple[str, str]]:
    """(path, transcript) of simulated speech; every third without a transcript."""
    files = sorted(str(p) for root in (kemdy19, kemdy20) for p in root.glob("wav/*/**/*.wav"))
    assert len(files) >= COUNT
    return [(file, "" if i % 3 == 0 else "정말 좋았어") for i, file in enumerate(files[:COUNT])]


def numbers(rows) -> np.ndarray:
    """[N, 9]: probabilities, valence, arousal."""
    return np.array(
        [
            [*(r["probabilities"][e] for e in KEMDY.emotions), r["valence"], r["arousal"]]
            for r in rows
        ]
    )


@pytest.fixture(scope="module")
def python(run, recordings) -> np.ndarray:
    recognizer = erc.load(run / "model", runtime="torch-fp32")
    return numbers(p.to_dict() for p in recognizer.predict_many(recordings))


def test_the_command_line(run, recordings, python, tmp_path):
    table = tmp_path / "list.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file", "text"), *recordings])
    assert (
        main(
            ["predict", f"@{table}", "--model", str(run / "model"), "-o", str(tmp_path / "o.json")]
        )
        == 0
    )
    rows = [json.loads(line) for line in (tmp_path / "o.json").read_text("utf-8").splitlines()]
    assert np.abs(numbers(rows) - python).max() <= 1e-5


def test_http(run, recordings, python):
    from starlette.testclient import TestClient

    from erc.server.app import create_app
    from erc.server.run import about
    from erc.server.settings import Settings

    app = create_app(erc.load(run / "model"), Settings(max_seconds=60), about(run / "model"))
    found = []
    with TestClient(app, base_url="http://127.0.0.1") as client:
        for path, text in recordings:
            with open(path, "rb") as file:
                answer = client.post(
                    "/v1/predict", files={"file": file}, data={"text": text} if text else {}
                )
            assert answer.status_code == 200, answer.text
            found.append(answer.json())
    assert np.abs(numbers(found) - python).max() <= 1e-5


@pytest.mark.parametrize("format", ["onnx", pytest.param("openvino", marks=pytest.mark.slow)])
def test_exports(format, run, recordings, python, tmp_path):
    pytest.importorskip("onnxscript", reason="pip install 'erc[export]'")
    pytest.importorskip({"onnx": "onnxruntime"}.get(format, format))
    from erc.recognizer.export import export

    recognizer = erc.load(export(run / "model", tmp_path / "out", format=format), runtime="auto")
    found = numbers(p.to_dict() for p in recognizer.predict_many(recordings))
    assert recognizer.runtime.name == f"{format}-fp32"
    assert np.abs(found - python)[:, :7].max() <= 1e-3
    assert (found[:, :7].argmax(1) == python[:, :7].argmax(1)).all()
