"""The study of the feature space: which utterances count, files, the picture."""

import json

import numpy as np
import pandas as pd
import pytest
import sklearn.decomposition
from planted_scores import answers, results, space
from scipy.spatial.distance import pdist

from erc.base.errors import ConfigError
from erc.base.space import KEMDY
from erc.scores.alignment import Mapped, align
from erc.scores.scored import write
from erc.studies import feature_map as embedding


def finished(folder, **changed):
    """A run's folder as `embed` reads it: features that are a linear map of the ratings."""
    said = answers(60, **changed)
    rng = np.random.default_rng(0)
    known = np.nan_to_num(said.ratings, nan=3.0)
    features = known @ rng.normal(size=(2, 12)) + 0.01 * rng.normal(size=(60, 12))
    write(folder / "predictions.csv", [said])
    results(said).write(folder / "results.json")
    np.save(folder / "features.npy", features.astype(np.float32))
    return said, features


def test_a_run_is_embedded_from_what_training_kept(tmp_path):
    """Unrated utterances do not count, ties carry no emotion; no model is opened for it."""
    rated = np.random.default_rng(1).uniform(1, 5, (60, 2))
    rated[7] = np.nan
    said, features = finished(tmp_path, ratings=rated, dimensions=np.full((60, 2), 3.0))
    found = embedding.embed(str(tmp_path))
    rows = np.arange(60) != 7
    label = np.where(said.tie, -1, said.label)
    want = align(
        Mapped(
            *(x[rows] for x in (features.astype(np.float32), rated, label, said.speaker, said.id))
        )
    )
    assert found["n"] == 59
    assert found["rsa"]["value"] == pytest.approx(want["rsa"]["value"], abs=1e-4)  # of CSV digits
    assert found["rsa"]["value"] > 0.9
    frame = pd.read_csv(tmp_path / "embedding.csv", dtype=str)
    assert frame.id.tolist() == said.id[rows].tolist()
    assert frame.emotion.isna().tolist() == (label[rows] == -1).tolist()


def test_emotions_without_ratings_are_drawn_and_nothing_is_measured(tmp_path, capsys):
    finished(tmp_path, ratings=np.full((60, 2), np.nan), dimensions=np.full((60, 2), 3.0))
    found = embedding.embed(str(tmp_path))
    assert found["simulated"]
    assert "rsa" not in found
    assert "nobody rated valence and arousal" in capsys.readouterr().out
    assert (tmp_path / "embedding.png").is_file()


def test_features_of_other_utterances_are_refused(tmp_path):
    finished(tmp_path)
    np.save(tmp_path / "features.npy", np.zeros((59, 2)))
    with pytest.raises(ConfigError, match=r"59 rows, predictions\.csv 60"):
        embedding.embed(str(tmp_path))


def test_files(tmp_path):
    pytest.importorskip("matplotlib")
    s = space("planted", 42)
    embedding.write_map(tmp_path, s, simulated=True)
    lines = (tmp_path / "embedding.csv").read_text().splitlines()
    assert lines[0] == "id,emotion,valence,arousal,x,y"
    assert len(lines) == 43
    assert lines[1].split(",")[1] == KEMDY.emotions[0]
    assert (tmp_path / "embedding.png").read_bytes().startswith(b"\x89PNG")


def test_the_plane_is_turned_towards_the_ratings_and_not_bent():
    s = space("planted", 210)
    placed = embedding.plane(s.features, s.valence_arousal, s.label)
    for axis in (0, 1):  # not mirrored
        assert np.corrcoef(placed[:, axis], s.valence_arousal[:, axis])[0, 1] > 0.3
    components = sklearn.decomposition.PCA(2).fit_transform(s.features)
    np.testing.assert_allclose(pdist(placed), pdist(components), rtol=1e-6)


def test_one_feature_and_no_ratings():
    flat = embedding.plane(np.arange(6.0)[:, None], np.full((6, 2), np.nan), np.arange(6) % 3)
    np.testing.assert_allclose(
        np.abs(flat), np.c_[np.abs(np.arange(6) - 2.5), np.zeros(6)], atol=1e-9
    )


def test_table_says_simulated_and_json_is_plain():
    found = align(space("planted", 42), permutations=9) | {"simulated": True}
    assert "SIMULATED" in embedding.table(found)
    assert json.loads(json.dumps(found)) == found
