"""Each logger for real: started, fed, closed, read back."""

import importlib.util
import json
import struct
import time

import numpy as np
import pandas as pd
import pytest
from lightning.pytorch.loggers import CSVLogger
from planted_scores import answers, results

from erc.base.errors import ConfigError
from erc.base.space import KEMDY
from erc.scores.plots import calibration, confusion_matrix
from erc.scores.results import ADAPTED
from erc.scores.scored import write
from erc.training import loggers
from erc.training.config import compose

MATRIX = np.arange(49).reshape(7, 7).tolist()
SCORES = {"test/uar": 0.5, "test/ccc_valence": 0.25}


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def log(tmp_path, name, *overrides):
    """Start a logger as training does, log one metric and what comes at the end."""
    pytest.importorskip("matplotlib")
    cfg = compose([f"run_dir={tmp_path}", f"logger={name}", "model=tiny", *overrides])
    started = loggers.start(cfg, tmp_path)
    for logger in started:
        logger.log_metrics({"val/loss": 1.5}, step=3)
        logger.save()
        logger.finalize("success")  # as Lightning does before we add to it
    rng = np.random.default_rng(0)
    figures = {
        "confusion": confusion_matrix(MATRIX, KEMDY.emotions),
        "calibration": calibration(rng.dirichlet(np.ones(7), 50), np.arange(50) % 7),
    }
    for logger in started:
        loggers.feed(logger, SCORES, MATRIX, figures, step=4)
    assert pd.read_csv(tmp_path / "metrics.csv")["val/loss"][0] == 1.5  # whatever is chosen
    return started


def test_csv(tmp_path):
    assert len(log(tmp_path, "csv")) == 1
    table = pd.read_csv(tmp_path / "confusion.csv", index_col=0)
    assert list(table.index) == list(table.columns) == list(KEMDY.emotions)
    assert table.to_numpy().tolist() == MATRIX
    for name in ("confusion", "calibration"):
        assert (tmp_path / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log(tmp_path, "tensorboard")
    found = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in found.Scalars("val/loss")] == [(3, 1.5)]
    assert [(e.step, e.value) for e in found.Scalars("test/uar")] == [(4, 0.5)]
    for name in ("confusion", "calibration"):
        assert found.Images(f"test/{name}")[0].encoded_image_string.startswith(b"\x89PNG")
    text = found.Tensors("test/confusion/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "|disgust|42|43|44|45|46|47|48|" in text
    assert "tiny-whisper" in (tmp_path / "hparams.yaml").read_text()


def test_mlflow(tmp_path):
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path}/new/mlflow.db"  # its folder is made
    place = tmp_path / "artifacts"
    started = log(
        tmp_path, "mlflow", f"logger.tracking_uri={uri}", f"logger.artifact_location={place}"
    )
    client = MlflowClient(uri)
    run = client.get_run(started[1].run_id)
    assert run.data.metrics == {"val/loss": 1.5} | SCORES
    assert run.data.params["model/text_encoder"] == "tiny-roberta"
    assert run.info.status == "FINISHED"
    files = {f.path for f in client.list_artifacts(run.info.run_id, "figures")}
    assert files == {"figures/confusion.png", "figures/calibration.png"}
    confusion = json.loads(next(place.rglob("confusion.json")).read_text())
    assert [row[1:] for row in confusion["rows"]] == MATRIX


def test_wandb_offline(tmp_path):
    wandb = pytest.importorskip("wandb")
    log(tmp_path, "wandb")
    assert wandb.run is None  # the next run in this process starts its own
    folder = next(tmp_path.glob("wandb/offline-run-*"))
    table = json.loads(next(folder.rglob("confusion*.table.json")).read_text())
    assert [row[1:] for row in table["data"]] == MATRIX
    images = [f.name for f in folder.rglob("*.png")]
    assert len(images) == 2
    history, end = {}, time.monotonic() + 60
    while not history and time.monotonic() < end:  # its own process writes, and is not waited for
        history = read_wandb(next(folder.glob("*.wandb")))
    expected = {"val/loss": 1.5, "test/uar": 0.5}
    assert {k: history.get(k) for k in expected} == expected, history


def read_wandb(path):
    """Metrics of a .wandb file: Record protobufs in LevelDB's log format after 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole, found = path.read_bytes(), 7, b"", {}
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:  # the rest of a block that holds no header is padding
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole record, or its last piece
            record = Record.FromString(whole)
            whole = b""
            for item in record.history.item:
                found[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
    return found


def test_missing_package_is_one_line(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "wandb" else real(n, *a)
    )
    cfg = compose(["logger=wandb", "run_dir=x"])
    with pytest.raises(ConfigError, match=r"pip install 'erc\[loggers\]'"):
        loggers.check(cfg.logger)


def test_passwords_are_not_written_down():
    cfg = compose(["logger=mlflow", "logger.tracking_uri=https://me:secret@host", "run_dir=x"])
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_PASSWORD") as caught:
        loggers.check(cfg.logger)
    assert "secret" not in str(caught.value)


def test_fast_dev_run_logs_nothing(tmp_path):
    cfg = compose(["logger=tensorboard", f"run_dir={tmp_path}", "trainer.fast_dev_run=true"])
    assert loggers.start(cfg, tmp_path) == []
    loggers.record([], tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_last_word_is_that_of_the_fullest_system(tmp_path):
    """27 of 40 right: what a logger gets of a run, counted by hand from its rows."""
    pytest.importorskip("matplotlib")
    both = answers(40, right=27)
    systems = [
        answers(40, 3, system="speech"),
        both,
        answers(40, 40, system=f"{both.system}, {ADAPTED}"),
    ]
    write(tmp_path / "predictions.csv", systems)
    results(*systems).write(tmp_path / "results.json")
    logger = CSVLogger(tmp_path, name="", version="")
    loggers.record([logger], tmp_path)
    table = pd.read_csv(tmp_path / "confusion.csv", index_col=0).to_numpy()
    assert np.trace(table) == 27
    assert table.sum() == 40
    for rated, said in zip(both.label, both.predicted):
        table[rated, said] -= 1
    assert not table.any()
