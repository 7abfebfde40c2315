from __future__ import annotations

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from erc.base import arrays
from erc.datasets.batches import BucketSampler, Collator
from erc.datasets.view import Example
from erc.model.tokenizer import train_tokenizer

NAN = np.full(7, np.nan)


def example(row: int, samples: int, text: str | None = "좋아") -> Example:
    speech = np.arange(1, samples + 1, dtype=np.int16)
    va = np.array([3.0, np.nan])
    soft, peakl, hard, target = np.eye(7)[:4]
    return Example(
        row=row, speech=speech, text=text, soft=soft, peakl=peakl, hard=hard, target=target,
        dimensions=va,
    )  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["오늘 기분이 좋아", "정말 싫어"])


def test_padding_and_lengths(tokenizer):
    batch = Collator(tokenizer)(
        [example(4, 600), example(2, 400, None), example(7, 0, "싫어 싫어")]
    )
    assert batch.speech.shape == (3, 600)
    assert batch.speech_lengths.tolist() == [600, 400, 0]
    assert batch.rows.tolist() == [4, 2, 7]
    assert not batch.speech[1, 400:].any()
    assert batch.speech[0, 99] == 100 / 32768
    assert batch.text_lengths[1] == 0
    longest = int(batch.text_lengths.max())
    ids = batch.input_ids[0, : batch.text_lengths[0]].tolist()
    assert tokenizer.decode(ids, skip_special_tokens=True) == "좋아"
    assert (batch.input_ids[1] == tokenizer.pad_token_id).all()
    assert batch.input_ids.shape == (3, longest)


def test_a_tokenizer_without_a_token_for_padding():
    """GPT-2 has none; what stands beyond a row's length is masked whatever it is."""
    without = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"a": 5, "?": 6}, unk_token="?"))
    )
    batch = Collator(without)([example(0, 400, "a"), example(1, 400, None)])
    assert without.pad_token_id is None
    assert batch.input_ids.tolist() == [[5], [0]]
    assert batch.text_lengths.tolist() == [1, 0]


def test_targets_are_what_the_dataset_aims_at():
    batch = Collator()([example(0, 400)])
    assert batch.target.argmax() == 3
    assert batch.dimensions[0, 0] == 3
    assert batch.dimensions[0, 1].isnan()


def test_each_clip_is_normalised_by_its_own_statistics():
    batch = Collator(normalize=True)([example(0, 400), example(1, 1000)])
    for i, n in enumerate((400, 1000)):
        assert batch.speech[i, :n].mean() == pytest.approx(0, abs=1e-5)
        assert batch.speech[i, :n].std(correction=0) == pytest.approx(1, abs=0.01)
    assert not batch.speech[0, 400:].any()


def test_known_features_need_no_samples():
    batch = Collator(pooled=frozenset({"speech"}))([example(0, 400), example(1, 0)])
    assert batch.speech.shape == (2, 0)
    assert (batch.speech_lengths > 0).tolist() == [True, False]


def test_hiding_a_modality(tokenizer):
    batch = Collator(tokenizer)([example(0, 400)])
    assert batch.only(("text",)).speech_lengths.tolist() == [0]
    assert batch.only(("text",)).text_lengths.tolist() == batch.text_lengths.tolist()
    assert batch.only(None).speech_lengths.tolist() == [400]


LENGTHS = np.random.default_rng(0).integers(400, 112_000, 1000)


@pytest.mark.parametrize("shuffle", [True, False])
def test_every_utterance_once_an_epoch(shuffle):
    sampler = BucketSampler(LENGTHS, 7, shuffle)
    batches = list(sampler)
    assert sorted(i for b in batches for i in b) == list(range(1000))
    assert len(batches) == len(sampler)
    assert max(map(len, batches)) == 7


def test_little_is_padded_and_epochs_differ_reproducibly():
    sampler = BucketSampler(LENGTHS, 8)
    first = list(sampler)
    padded = sum(len(b) * LENGTHS[b].max() for b in first)
    assert padded < 1.1 * LENGTHS.sum()
    shuffled = np.random.default_rng(0).permutation(1000).reshape(-1, 8)
    assert sum(8 * LENGTHS[b].max() for b in shuffled) > 1.5 * LENGTHS.sum()
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(BucketSampler(LENGTHS, 8, seed=1)) != first


def test_longest_first_without_shuffle():
    batches = list(BucketSampler(LENGTHS, 8, shuffle=False))
    assert LENGTHS[batches[0]].max() == LENGTHS.max()


def test_tokens_are_remembered_and_the_same(tokenizer, monkeypatch):
    texts = ["안녕 하세요", None, "", "네", "안녕 하세요"]
    expected = [tokenizer(t)["input_ids"] if t else [] for t in texts]
    collate, spy = Collator(tokenizer), Spy(tokenizer)
    monkeypatch.setattr(collate, "tokenizer", spy)
    for _ in range(2):
        batch = collate.inputs([np.zeros(0, np.int16)] * 5, texts)
        for ids, size, wanted in zip(batch.input_ids, batch.text_lengths, expected):
            assert ids[:size].tolist() == wanted
            assert (ids[size:] == tokenizer.pad_token_id).all()
    assert spy.calls == [["안녕 하세요", "네"]]
    monkeypatch.setattr("erc.datasets.batches.REMEMBERED", 1)
    again = collate.inputs([np.zeros(0, np.int16)] * 5, texts)
    assert torch.equal(again.input_ids, batch.input_ids)


class Spy:
    def __init__(self, tokenizer):
        self.tokenizer, self.pad_token_id, self.calls = tokenizer, tokenizer.pad_token_id, []

    def __call__(self, new, **options):
        self.calls.append(list(new))
        return self.tokenizer(new, **options)


@pytest.mark.parametrize("normalize", [True, False])
def test_whole_numbers_and_floats_make_the_same_batch(normalize):
    rng = np.random.default_rng(0)
    clips = [rng.integers(-9000, 9000, n).astype(np.int16) for n in (400, 1700, 0, 999)]
    collate = Collator(normalize=normalize)
    whole = collate.inputs(clips, [None] * 4)
    floats = collate.inputs([arrays.from_int16(c) for c in clips], [None] * 4)
    assert (whole.speech - floats.speech).abs().max() < 1e-5
    assert not whole.speech[2].any()
    assert not whole.speech[0, 400:].any()
    for clip, row in zip(clips, whole.speech.numpy()):
        x = clip / 32768
        wanted = (x - x.mean()) / np.sqrt(x.var() + 1e-7) if normalize and len(x) else x
        assert np.allclose(row[: len(x)], wanted, atol=1e-5)
