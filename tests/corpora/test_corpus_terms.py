"""Terms travel from the corpus to its store, and stop a training that may not be."""

from __future__ import annotations

import pytest

from erc import corpora
from erc.base.errors import ConfigError
from erc.base.terms import Terms
from erc.studies.experiment import run as train

TABLE = "id,text,speaker,session,emotion\n" + "".join(
    f"u{i},text {i},s{i},s{i},{'happy' if i % 2 else 'sad'}\n" for i in range(6)
)


@pytest.fixture
def own(tmp_path):
    folder = tmp_path / "interviews"
    folder.mkdir()
    (folder / "manifest.csv").write_text(TABLE, "utf-8")
    return folder


def test_a_manifest_declares_its_own(own):
    assert corpora.find(own).terms == [Terms("data: interviews", "unknown")]
    assert corpora.find(own, licence="CC BY 4.0").terms == [Terms("data: interviews", "CC BY 4.0")]


def test_others_have_their_owners(kemdy19):
    found = corpora.find(kemdy19)
    assert found.licences == {"kemdy19": "ETRI agreement"}
    assert found.terms == [Terms("data: simulated by erc", "none needed")]
    with pytest.raises(ConfigError, match="no option 'licence'"):
        corpora.find(kemdy19, licence="MIT")


@pytest.mark.parametrize(
    ("licence", "said"),
    [
        ("null", "data: interviews: licence unknown"),
        ("CC-BY-NC-4.0", "data: interviews: its licence 'CC-BY-NC-4.0' forbids it"),
    ],
)
def test_a_training_is_refused_before_it_begins(licence, said, own, tmp_path):
    words = [
        "dataset=manifest", f"dataset.paths={own}", f"dataset.licence={licence}", "model=tiny",
        "dataset.num_folds=3", "dataset.validation_fold=0", "commercial=true",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=said):
        train(words, tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()
