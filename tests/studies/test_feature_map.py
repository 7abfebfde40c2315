"""The study of the feature space: which utterances count, files, the picture."""

import json

import numpy as np
import pytest
from planted_scores import space

from erc.base.emotions import EMOTIONS
from erc.scores.alignment import align
from erc.studies import feature_map as embedding


def test_ties_and_unrated_utterances_do_not_count():
    class Column:
        path = None

        def column(self, name):
            return np.array([f"{name}{i}" for i in range(30)])

    class Data:
        rows = np.arange(30)
        store = Column()

        class labels:
            tied = np.arange(30) == 4
            hard = np.eye(7)[np.arange(30) % 5]
            valence_arousal = np.where(np.arange(30)[:, None] == 7, np.nan, 3.0)

    found = embedding.of_split(Data(), np.zeros((30, 2)))
    assert len(found) == 29
    assert "id7" not in found.id
    assert found.label[found.id == "id4"] == -1


def test_files(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    s = space("planted", 42)
    monkeypatch.setattr(embedding, "umap", lambda features, *_: features[:, :2])
    embedding.write_map(tmp_path, s, simulated=True, seed=0)
    lines = (tmp_path / "embedding.csv").read_text().splitlines()
    assert lines[0] == "id,emotion,valence,arousal,x,y"
    assert len(lines) == 43
    assert lines[1].split(",")[1] == EMOTIONS[0]
    assert (tmp_path / "embedding.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow  # numba compiles for half a minute
def test_umap_is_deterministic_and_turned_towards_the_ratings():
    pytest.importorskip("umap")
    s = space("planted", 210)
    placed = embedding.umap(s.features, s.valence_arousal, s.label)
    assert placed.shape == (210, 2)
    assert np.array_equal(placed, embedding.umap(s.features, s.valence_arousal, s.label))
    for axis in (0, 1):  # not mirrored
        assert np.corrcoef(placed[:, axis], s.valence_arousal[:, axis])[0, 1] > 0.3


def test_table_says_simulated_and_json_is_plain():
    found = align(space("planted", 42), permutations=9) | {"simulated": True}
    assert "SIMULATED" in embedding.table(found)
    assert json.loads(json.dumps(found)) == found
