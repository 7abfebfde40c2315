"""Several corpora as one, against tables and counts written by hand; all of it is made up here."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from erc.base.errors import ConfigError
from erc.base.terms import Terms
from erc.corpora import find as find_one
from erc.corpora.mixing import find, mix
from erc.datasets import HF_KEMD
from erc.datasets.batches import BucketSampler, shares, weights
from erc.model.emotion import Output
from erc.model.losses import MultiTaskLoss
from erc.studies.experiment import run
from erc.training.adaptation import adapt_table
from erc.training.evaluation import scored

HEAD = "id,text,speaker,session,emotion,valence,dominance\n"
LEFT = [  # speaker 01 is in RIGHT, too, and another person
    "a1,one,01,01,joy,7,1", "a2,two,01,01,boredom,4,", "a3,three,02,02,calm,1,",
    "a4,four,02,02,neutral,,", "a5,five,03,03,joy;boredom,,", "a6,six,03,03,boredom,,",
]  # fmt: skip
RIGHT = [
    "b1,uno,01,01,happy,5,", "b2,due,01,01,sad,1,", "b3,tre,02,02,neutral,3,", "b4,quattro,02,02,sad,,",
]  # fmt: skip


def table(folder: Path, rows: list[str]) -> Path:
    folder.mkdir(parents=True)
    (folder / "manifest.csv").write_text(HEAD + "\n".join(rows) + "\n", "utf-8")
    return folder


@pytest.fixture
def left(tmp_path) -> dict:
    return {
        "paths": str(table(tmp_path / "left", LEFT)),
        "emotions": ["joy", "boredom", "calm", "neutral", "contempt"],
        "dimensions": {"valence": [1, 7], "dominance": [0, 1]},
        "licence": "CC-BY-NC-4.0",
    }


@pytest.fixture
def right(tmp_path) -> dict:
    return {"paths": str(table(tmp_path / "right", RIGHT)), "licence": "MIT"}


def by_id(corpus) -> dict:
    return {u.id: u for u in corpus.utterances}


def test_union_of_emotions_and_scales(left, right):
    mixed = find([right, left])
    assert mixed.space.emotions == (
        "neutral",
        "happy",
        "sad",
        "boredom",
        "calm",
    )  # contempt: nobody's
    assert mixed.labels == {
        "right": {"neutral": "neutral", "happy": "happy", "sad": "sad"},
        "left": {"joy": "happy", "boredom": "boredom", "calm": "calm", "neutral": "neutral"},
    }
    found = by_id(mixed)
    assert found["a1"].votes == (0, 1, 0, 0, 0)
    assert found["a5"].votes == (0, 1, 0, 1, 0)  # a tie stays one
    # The scale of the first corpus, 1–5: 7 of 1–7 is its end, 4 its middle.
    assert mixed.space.names == ("valence", "dominance")
    assert [found[i].dimensions[0] for i in ("a1", "a2", "a3", "b1")] == [5, 3, 1, 5]
    assert found["a1"].dimensions[1] == 1
    assert math.isnan(found["b1"].dimensions[1])
    assert mixed.report.corrected == Counter({"left: valence moved onto the scale of the mix": 3})
    assert mixed.terms == [
        Terms("data: right", "MIT"), Terms("data: left", "CC-BY-NC-4.0"),
    ]  # fmt: skip
    assert not mixed.simulated


def test_what_is_left_out_is_counted(left, right):
    mixed = find([left, right], emotions="common", dimensions={})
    assert mixed.space.emotions == ("neutral", "happy")
    assert mixed.space.dimensions == ()
    # a5 is a tie with boredom: its joy is no majority.
    assert sorted(by_id(mixed)) == ["a1", "a4", "b1", "b3"]
    assert mixed.report.dropped == Counter(
        {
            "left: boredom has no place in the mix": 3, "left: calm has no place in the mix": 1,
            "right: sad has no place in the mix": 2,
        }
    )  # fmt: skip
    assert mixed.labels["left"]["boredom"] is None
    kept = find([left, right], emotions="common")  # rated all the same: kept for its ratings
    assert by_id(kept)["a2"].votes is None
    assert by_id(kept)["a2"].dimensions[0] == 4
    assert kept.report.corrected["left: boredom has no place in the mix; its ratings stay"] == 1
    assert len(mixed.utterances) + sum(mixed.report.dropped.values()) == len(LEFT) + len(RIGHT)


def test_a_map_and_a_list(left, right):
    mixed = find(
        [left, right], emotions=["happy", "neutral", "sad"], emotion_map={"calm": "neutral"}
    )
    assert by_id(mixed)["a3"].votes == (1, 0, 0)
    with pytest.raises(ConfigError, match=r"no corpus of the mix has 'clam' .did you mean 'calm'"):
        find([left, right], emotion_map={"clam": "neutral"})
    with pytest.raises(ConfigError, match=r"no corpus of the mix has fear.*left: boredom, calm"):
        find([left, right], emotions=["happy", "fear"])
    with pytest.raises(ConfigError, match=r"neither union nor common.*did you mean 'common'"):
        find([left, right], emotions="comon")
    with pytest.raises(ConfigError, match="would have 1 emotions"):
        find([left, right], emotions=["happy"])
    with pytest.raises(ConfigError, match="rated on arousal"):
        find([left, right], dimensions={"arousal": [1, 5]})


def test_two_of_one_name_and_options_in_the_wrong_place(left, right):
    with pytest.raises(ConfigError, match="two corpora of the mix are called 'left'"):
        find([left, left])
    with pytest.raises(
        ConfigError, match="a mix has no option 'where': write it beside its corpus"
    ):
        find([left, right], where={"part": "plain"})
    with pytest.raises(ConfigError, match="names no folder"):
        find([{"path": "x"}])
    with pytest.raises(ConfigError, match="empty list"):
        find([])
    one = mix([find_one(**{"root": right.pop("paths")} | right)])
    assert one.space.emotions == ("neutral", "happy", "sad")


def test_votes_of_raters_and_a_lost_majority(tmp_path, right):
    folder = tmp_path / "votes"
    folder.mkdir()
    (folder / "manifest.csv").write_text(
        "id,text,speaker,session,happy,calm,fear\nv1,a,1,1,3,5,0\nv2,b,1,1,5,3,0\nv3,c,2,2,0,0,4\n"
    )
    own = {"paths": str(folder), "emotions": ["happy", "calm", "fear"], "dimensions": {}}
    mixed = find([own, right], emotions=["happy", "sad"])
    assert by_id(mixed)["v2"].votes == (5, 0)
    assert "v1" not in by_id(mixed)  # 5 of 8 heard calm: 3 votes do not make it happy
    assert mixed.report.corrected["votes for emotions outside the mix left out"] == 1
    assert mixed.report.dropped["votes: neutral has no place in the mix"] == 0
    assert mixed.report.dropped["votes: calm has no place in the mix"] == 1


def test_the_view_says_the_table_and_what_each_corpus_offers(left, right):
    view = HF_KEMD([left, right], group="corpus", num_folds="session", validation_fold=0)
    assert "labels of left: joy → happy, boredom, calm, neutral" in str(view)
    assert set(view.store.column("corpus")[view.rows]) == {"right"}  # left is held out
    assert set(view.side("test").store.column("corpus")[view.side("test").rows]) == {"left"}
    offered = dict(zip(view.store.column("id"), view.offered.tolist()))
    # neutral, happy, sad, boredom, calm
    assert offered["b1"] == [True, True, True, False, False]
    assert offered["a1"] == [True, True, False, True, True]
    assert HF_KEMD([left], num_folds=2, validation_fold=0).offered is None


def test_peakl_of_a_row_is_that_of_its_corpus_by_itself(tmp_path):
    """K of the formula is 3 on the left and 2 on the right; together they have 4 emotions."""
    tables = {
        "left": "joy,calm,anger\na1,a,1,1,3,1,1\na2,b,2,2,0,2,1\na3,c,3,3,,,",
        "right": "joy,sad\nb1,d,1,1,1,5\nb2,e,2,2,6,0",
    }
    parts = []
    for name, rows in tables.items():
        (tmp_path / f"{name}.csv").write_text("id,text,speaker,session," + rows + "\n")
        words = rows.partition("\n")[0].split(",")
        parts += [{"paths": str(tmp_path / f"{name}.csv"), "emotions": words, "dimensions": {}}]
    options = {"protocol": "fixed", "num_folds": 2, "validation_fold": 0, "cache": str(tmp_path)}
    both = HF_KEMD(parts, mode="all", **options)
    found = dict(zip(both.store.column("id"), both.labels.peakl))
    names = list(both.space.emotions)
    assert len(names) == 4
    y = np.array([0.6, 0.2, 0.2])
    peak = np.maximum(0, y - np.tanh(-(y * np.log(y)).sum()) / 3)
    kinds = [names.index(w) for w in ("happy", "neutral", "angry")]
    np.testing.assert_allclose(found["a1"][kinds], peak / peak.sum())
    y = np.array([5, 1]) / 6
    peak = np.maximum(0, y - np.tanh(-(y * np.log(y)).sum()) / 2)
    kinds = [names.index(w) for w in ("sad", "happy")]
    np.testing.assert_allclose(found["b1"][kinds], peak / peak.sum())
    np.testing.assert_allclose(found["a1"].sum(), 1)
    assert set(found) == {"a1", "a2", "b1", "b2"}  # a3 says nothing


def test_two_speakers_of_one_name_are_two(left, right):
    view = HF_KEMD([left, right], mode="all", num_folds=2, validation_fold=0)
    n, k = len(view), len(view.space.emotions)
    rows = scored("any", view, np.full((n, k), 1 / k), np.tile(view.space.middle, (n, 1)))
    assert len(set(rows.speaker)) == 3  # 01 and 02 are in both
    assert len(set(rows.people)) == 5
    assert rows.intervals()["accuracy"].clusters == 5


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["soft_ce", "kl", "focal"])
def test_a_row_says_nothing_of_what_its_corpus_lacks(kind, smoothing):
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.standard_normal((3, 5)), requires_grad=True)
    offered = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 1, 0, 1, 1]], dtype=torch.bool)
    target = torch.tensor([[0.5, 0.5, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]).double()
    loss = MultiTaskLoss(kind, cls_coef=1.0, label_smoothing=smoothing)
    nothing = torch.zeros(3, 0)
    found = loss(Output(logits, nothing, logits), target, nothing, offered).total
    alone = [
        loss(
            Output(logits[[i]][:, own], nothing[:1], logits), target[[i]][:, own], nothing[:1]
        ).total
        for i, own in enumerate(offered)
    ]
    assert found.item() == pytest.approx(sum(alone).item() / 3, abs=1e-6)
    found.backward()
    assert (logits.grad[~offered] == 0).all()
    assert (logits.grad[offered] != 0).all()


def test_balanced_draws_lose_nothing_and_repeat_evenly():
    sizes = {"big": 160, "small": 40}
    corpora = np.repeat(list(sizes), list(sizes.values()))
    lengths = np.random.default_rng(0).uniform(1, 7, 200)
    for options in ({}, {"budget": 30.0}):
        sampler = BucketSampler(lengths, 8, True, 3, corpora=corpora, tau=0.5, **options)
        seen: Counter = Counter()
        for epoch in range(6):
            sampler.set_epoch(epoch)
            batches = list(sampler)
            assert batches == list(sampler)  # the epoch and the seed, nothing else
            drawn = [i for batch in batches for i in batch]
            assert Counter(corpora[drawn].tolist()) == {"big": 133, "small": 67}  # 2 : 1 = √(4 : 1)
            assert len(batches) == pytest.approx(len(sampler), abs=1 if options else 0)
            seen.update(drawn)
        assert set(seen) == set(range(200))
        for name in sizes:
            times = [seen[i] for i in np.flatnonzero(corpora == name)]
            assert max(times) - min(times) <= 1
    sampler.set_epoch(2)
    whole = list(sampler)
    sampler.go_on(2, 5)
    assert list(sampler) == whole[5:]
    as_it_was = list(BucketSampler(lengths, 8, True, 3))
    assert list(BucketSampler(lengths, 8, True, 3, corpora=corpora, tau=1.0)) == as_it_was
    everything = BucketSampler(lengths, 8, False, 3, corpora=corpora, tau=0.0)
    assert sorted(i for batch in everything for i in batch) == list(range(200))
    with pytest.raises(ConfigError, match=r"tau=1.5 is outside"):
        BucketSampler(lengths, 8, corpora=corpora, tau=1.5)


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0])
def test_shares_and_weights_say_the_same(tau):
    sizes = [700, 200, 100]
    counts = weights(np.repeat(["a", "b", "c"], sizes), tau)
    counts = np.ones(1000) if counts is None else counts
    assert counts.mean() == pytest.approx(1)
    expected = [counts[:700].sum(), counts[700:900].sum(), counts[900:].sum()]
    np.testing.assert_allclose(shares(sizes, tau), expected, atol=1)
    np.testing.assert_allclose(np.array(expected) / expected[0], (np.array(sizes) / 700) ** tau)


def test_a_corpus_is_heard_against_its_training_side():
    rng = np.random.default_rng(0)
    offset = np.repeat([[0.0, 0.0], [50.0, -20.0]], 400, 0)
    table = torch.tensor(rng.standard_normal((800, 2)) + offset)
    corpora = np.repeat(["a", "b"], 400)
    known = np.zeros(800, bool)
    known[:300] = True  # a has 300 of training, b none
    table[300:400] += 7.0  # test rows of a, which must not shape its baseline
    heard, mean = torch.ones(800, dtype=torch.bool), torch.zeros(2)
    found = adapt_table(table, corpora.tolist(), heard, mean, known=known)
    shrunk = 300 / 310 * table[:300].mean(0)
    np.testing.assert_allclose(found[:400], table[:400] - shrunk)
    np.testing.assert_allclose(found[400:].mean(0), table[400:].mean(0) * 10 / 410, atol=1e-9)


@pytest.mark.parametrize("model", ["linear", "tiny"])
def test_a_whole_run(kemdy19, kemdy20, tmp_path, model):
    words = [
        "dataset=mix", f"dataset.paths=[{kemdy19},{kemdy20}]", "dataset.num_folds=2", "export=false",
        "dataset.validation_fold=0", "dataset.protocol=fixed", f"model={model}",
        "trainer.accelerator=cpu", "dataset.emotions=[happy,angry,neutral,sad]",
    ]  # fmt: skip
    more = {
        "linear": ["model.speech_encoder=tiny-whisper", "adaptation=corpus"],
        "tiny": ["trainer.max_epochs=1", "trainer.enable_progress_bar=false"],
    }
    found = run([*words, *more[model]], tmp_path / "run")
    assert found.space.emotions == ("angry", "neutral", "happy", "sad")
    assert found.simulated
    assert ("speech, corpus-adapted" in found.systems) == (model == "linear")
    assert found.speakers == 12


def test_the_real_ones(shared):
    """Three manifests of real speech: what each has is what its table says."""
    places = [shared / "corpora" / name for name in ("korean_emotion", "nemo", "ravdess")]
    mixed = find(places, emotions="common")
    assert mixed.space.emotions == ("angry", "neutral", "happy", "sad")
    assert mixed.space.dimensions == ()
    counts = Counter(u.corpus for u in mixed.utterances)
    for part in mixed.parts:
        [name] = part.licences
        rows = pd.read_csv(part.root / "manifest.csv")
        kept = rows.emotion.isin(mixed.space.emotions)
        assert counts[name] == kept.sum()
        lost = [n for why, n in mixed.report.dropped.items() if why.startswith(f"{name}: ")]
        assert sum(lost) == (~kept).sum()
