"""Loading by name, finding by layout, and what is said when there is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from kemdy_trees import Tree19, Tree20, small19, small20

from erc import corpora
from erc.base.errors import ConfigError, CorpusError


@pytest.fixture
def tree19(tmp_path: Path) -> Tree19:
    return small19(tmp_path)


@pytest.fixture
def tree20(tmp_path: Path) -> Tree20:
    return small20(tmp_path)


def test_one_corpus_under_the_others_name(tree19: Tree19) -> None:
    with pytest.raises(CorpusError, match="no KEMDy20 annotation file"):
        corpora.load("kemdy20", tree19.root)


def test_missing_and_empty_folders(tmp_path: Path, tree19: Tree19) -> None:
    with pytest.raises(CorpusError, match=r"no KEMDy19 folder at .*ETRI.*ln -s .*synthetic"):
        corpora.load("kemdy19", tmp_path / "nowhere")
    with pytest.raises(CorpusError, match=r"no folder 'annotation'\. There is one in .*KEMDy19:"):
        corpora.load("kemdy19", tmp_path)
    empty = tmp_path / "empty/annotation"
    empty.mkdir(parents=True)
    with pytest.raises(CorpusError, match="holds no KEMDy19 annotation file"):
        corpora.load("kemdy19", tmp_path / "empty")
    (tree19.root / "wav").rename(tmp_path / "wav")
    with pytest.raises(CorpusError, match="no folder 'wav'"):
        tree19.load()


def test_a_corpus_without_any_usable_row_is_refused(tree20: Tree20) -> None:
    for path in tree20.root.glob("wav/*/*.wav"):
        path.unlink()
    with pytest.raises(CorpusError, match=r"no usable utterance\n.*dropped: 2"):
        tree20.load()


def test_unknown_option(tree20: Tree20) -> None:
    with pytest.raises(ConfigError, match=r"no option 'reference_row'.*has: none"):
        tree20.load(reference_row=True)
    with pytest.raises(ConfigError, match="did you mean 'reference_rows'"):
        corpora.load("kemdy19", tree20.root, reference_row=True)


def test_find_joins_what_lies_in_a_folder(tmp_path: Path, tree19: Tree19, tree20: Tree20) -> None:
    both = corpora.find(tmp_path)
    assert both.name == "kemdy19+kemdy20"
    assert [u.corpus for u in both.utterances] == ["kemdy19"] * 2 + ["kemdy20"] * 2
    assert both.report.dropped == {"listener row": 2}
    assert corpora.find(tmp_path, "KEMDy20").root == tree20.root
    assert corpora.find(tree19.root).name == "kemdy19"
    assert corpora.find(tmp_path, reference_rows=True).name == both.name


def test_find_follows_a_symbolic_link(tmp_path: Path, tree20: Tree20) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/KEMDy20_v1_1").symlink_to(tree20.root)
    assert len(corpora.find(tmp_path / "data").utterances) == 2


def test_find_refuses_what_it_cannot_tell(tmp_path: Path, tree20: Tree20) -> None:
    with pytest.raises(CorpusError, match=r"does not exist\. Expected.*dataset=synthetic"):
        corpora.find(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="no KEMDy19 folder"):
        corpora.find(tmp_path / "KEMDy19")
    with pytest.raises(ConfigError, match="did you mean 'kemdy20'"):
        corpora.find(tree20.root, "kemdi20")
    (tmp_path / "KEMDy20_v1_2").symlink_to(tree20.root)
    with pytest.raises(ConfigError, match="more than one copy"):
        corpora.find(tmp_path)


@pytest.mark.parametrize("layout", ["kemdy19", "kemdy20"])
def test_simulated_tree_comes_back(tmp_path: Path, layout: str) -> None:
    """The simulation's own truth: ids, words, and planted defects."""
    synthetic = pytest.importorskip("erc.corpora.simulated")
    synthetic.write_tree(tmp_path / "tree", layout, sessions=3, utterances=20, seed=3)
    corpus = corpora.find(tmp_path / "tree")
    truth = [i for s in (1, 2, 3) for i in synthetic.latents(layout, s, 20, 3).ids]
    assert corpus.name == layout
    assert [u.id for u in corpus.utterances] == truth
    assert {sum(u.votes) for u in corpus.utterances} == {10.0}
    reasons = set(corpus.report.dropped) | set(corpus.report.corrected)
    if layout == "kemdy19":
        assert corpus.report.dropped == {"listener row": 60}
        assert reasons <= {"listener row", "transcript missing, kept as speech only",
                           "wrong id; the other file is right"}  # fmt: skip
    else:
        assert reasons == {"wrong session in the segment id"}
