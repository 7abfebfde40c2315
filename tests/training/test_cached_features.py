"""Features of frozen encoders: cached or not they are the same, and so is the model trained on them."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from erc.corpora import simulated as synthetic
from erc.datasets import HF_KEMD
from erc.datasets.batches import Collator
from erc.datasets.view import View
from erc.model.branch import Branch
from erc.model.emotion import EmotionModel
from erc.model.encoders import STACKED, SpeechEncoder, TextEncoder
from erc.model.tokenizer import train_tokenizer
from erc.studies.experiment import configure
from erc.training import feature_cache
from erc.training.assembly import Assembly
from erc.training.features import pooled
from erc.training.task import make_task


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("features") / "KEMDy19"
    synthetic.write_tree(root, "kemdy19", sessions=2, utterances=8, defects=False)
    return root


@pytest.fixture(scope="module")
def data(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> View:
    return HF_KEMD(str(corpus), num_folds=2, validation_fold=0, wav_max_length=32000,
                   cache=str(tmp_path_factory.mktemp("cache")))  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer(data: View):
    return train_tokenizer([t for t in data.store.column("text") if t], 300)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of utterances of each batch that any encoder was run on."""
    batches: list[int] = []
    plain = Branch.encode

    def spy(self, x, lengths):
        batches.append(int((lengths > 0).sum()))
        return plain(self, x, lengths)

    monkeypatch.setattr(Branch, "encode", spy)
    return batches


def listener(layer: int | str = -1, speech: str = "tiny-wav2vec2", **options) -> EmotionModel:
    """A model that listens with an encoder that is the same each time."""
    torch.manual_seed(0)
    encoder = SpeechEncoder.from_name(speech, layer=layer)
    return EmotionModel(encoder, dim=8, freeze_speech=True, **options)


def features(model: EmotionModel, data: View, cache: Path, *args, **options) -> torch.Tensor:
    collate = Collator(None, model.speech.normalize)
    return pooled(model, data, collate, cache, *args, **options)["speech"]


def one_by_one(model: EmotionModel, data: View, collate: Collator) -> dict[str, torch.Tensor]:
    model.eval()
    everything, said = data.side("all"), []
    with torch.inference_mode():
        for i in range(len(everything)):
            batch = collate([everything[i]])
            said.append({m: b.encode(*batch.modality(m)) for m, b in model.branches.items()})
    return {m: torch.cat([row[m] for row in said]) for m in model.branches}


@pytest.mark.parametrize("speech", ["tiny-wav2vec2", "tiny-whisper"])
@pytest.mark.parametrize("pooling", ["mean_std", "attention"])
def test_cached_equal_uncached(data, tokenizer, tmp_path: Path, speech, pooling, encoded) -> None:
    torch.manual_seed(0)
    model = EmotionModel(
        SpeechEncoder.from_name(speech),
        TextEncoder.from_name("tiny-roberta", vocab_size=len(tokenizer)),
        dim=8, fusion="concat", freeze_speech=True, freeze_text=True, speech_pooling=pooling,
        text_pooling="mean", segments=3,
    )  # fmt: skip
    collate = Collator(tokenizer, model.speech.normalize)
    first = pooled(model, data, collate, tmp_path)
    assert sum(encoded) == len(set(data.store.column("audio_hash"))) + len(
        {t for t in data.store.column("text") if t}
    )
    encoded.clear()
    second = pooled(model, data.side("test"), collate, tmp_path)  # whatever the side
    assert not encoded
    for modality, plain in one_by_one(model, data, collate).items():
        torch.testing.assert_close(first[modality], plain, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(second[modality], first[modality], atol=0, rtol=0)


def test_rows_belong_to_the_audio_not_to_the_corpus(data, corpus, tmp_path, encoded) -> None:
    files = sorted(corpus.glob("wav/*/*/*.wav"))
    numbers = range(len(files))
    rows = pd.DataFrame({"audio": map(str, files), "id": [f"x{i}" for i in numbers]})
    people = [f"a{i % 2}" for i in numbers]
    rows = rows.assign(speaker=people, session=people, emotion="happy")

    def manifest(number: int) -> View:
        rows[:number].to_csv(tmp_path / "mine.csv", index=False)
        return HF_KEMD(str(tmp_path / "mine.csv"), dataset_name="manifest", num_folds=2,
                       validation_fold=0, wav_max_length=32000, cache=str(tmp_path))  # fmt: skip

    some = features(listener(), manifest(9), tmp_path)
    assert sum(encoded) == 9
    other = manifest(len(files))
    found = features(listener(), other, tmp_path)  # recordings were added
    assert sum(encoded) == len(files)
    assert (some[:, None] == found).all(-1).any(-1).all()
    kemdy = features(listener(), data, tmp_path)  # another corpus, other ids and order
    assert sum(encoded) == len(files)
    place = {h: i for i, h in enumerate(other.store.column("audio_hash"))}
    order = [place[h] for h in data.store.column("audio_hash")]
    assert torch.equal(kemdy, found[order])


def test_what_shapes_features_is_told_apart_and_nothing_else(data, tmp_path, encoded) -> None:
    def rows(model: EmotionModel, data: View = data) -> int:
        encoded.clear()
        features(model, data, tmp_path)
        return sum(encoded)

    everything = rows(listener())
    assert everything == len(data.store)
    other = listener()
    with torch.no_grad():
        next(other.speech.parameters()).view(-1)[0] += 1e-3
    assert rows(other) == everything
    assert rows(listener(speech_pooling="mean_std")) == everything
    assert rows(listener(0)) == everything
    normalised = listener()
    normalised.speech.normalize = not normalised.speech.normalize
    assert rows(normalised) == everything
    short = dataclasses.replace(data, wav_max_length=16000)
    assert rows(listener(), short) == everything
    # The same again: another head, another number for the last layer, what only training uses.
    assert rows(listener(2, dropout=0.5)) == 0
    torch.manual_seed(0)
    augmented = SpeechEncoder.from_name("tiny-wav2vec2", spec_augment=True, train_layers=1)
    assert rows(EmotionModel(augmented, dim=16, freeze_speech=True)) == 0


def test_tokens_tell_text_features_apart(data, tokenizer, tmp_path: Path, encoded) -> None:
    torch.manual_seed(0)
    text = TextEncoder.from_name("tiny-roberta", vocab_size=len(tokenizer))
    model = EmotionModel(None, text, dim=8, freeze_text=True)
    pooled(model, data, Collator(tokenizer), tmp_path)
    texts = sum(encoded)
    pooled(model, data, Collator(tokenizer, normalize=True), tmp_path)  # of no concern to text
    assert sum(encoded) == texts
    pooled(model, data, Collator(tokenizer, txt_max_length=4), tmp_path)
    assert sum(encoded) == 2 * texts
    others = train_tokenizer(["all other words there are"] * 9, 300)
    pooled(model, data, Collator(others), tmp_path)
    assert sum(encoded) == 3 * texts


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_all_layers_share_one_table(data, tmp_path: Path, pooling, encoded, capsys) -> None:
    shared, own = tmp_path / "shared", tmp_path / "own"
    for layer in (1, -1, "mean", "weighted", "middle"):
        model = listener(layer, speech_pooling=pooling)
        found = features(model, data, shared, all_layers=True)
        assert sum(encoded) == len(data.store)  # one pass for all
        assert (model.speech.layer, bool(model.speech.stacked)) == (layer, layer in STACKED)
        torch.testing.assert_close(
            found, one_by_one(model, data, Collator(None, True))["speech"], atol=1e-6, rtol=1e-5
        )
        del encoded[1 + encoded.index(encoded[-1]) :]
        encoded[:] = [len(data.store)]
    assert len(list(shared.glob("features/speech-*"))) == 1
    features(listener(1, speech_pooling=pooling), data, own)
    bytes_of = [sum(f.stat().st_size for f in d.rglob("part-*")) for d in (shared, own)]
    assert bytes_of[0] > 2.9 * bytes_of[1]
    # "weighted" is that table, asked for or not.
    encoded.clear()
    features(listener("weighted", speech_pooling=pooling), data, shared)
    assert not encoded


def test_the_deviation_of_a_mean_is_not_read_from_layers(data, tmp_path: Path) -> None:
    model = listener("mean", speech_pooling="mean_std")
    found = features(model, data, tmp_path, all_layers=True)
    plain = one_by_one(model, data, Collator(None, True))["speech"]
    torch.testing.assert_close(found, plain, atol=1e-6, rtol=1e-5)


def test_a_run_that_was_killed_goes_on(data, tmp_path: Path, monkeypatch, encoded) -> None:
    monkeypatch.setattr(feature_cache, "ROWS", 4)
    counting = Branch.encode

    def dying(self, x, lengths):
        if sum(encoded) >= 8:
            raise KeyboardInterrupt
        return counting(self, x, lengths)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):  # noqa: PT012
        patch.setattr(Branch, "encode", dying)
        features(listener(), data, tmp_path)
    found = features(listener(), data, tmp_path)
    assert sum(encoded) == len(data.store)
    torch.testing.assert_close(
        found, one_by_one(listener(), data, Collator(None, True))["speech"], atol=1e-6, rtol=1e-5
    )


@pytest.mark.parametrize("training", [True, False])
def test_mode_and_random_numbers_are_left_alone(data, tmp_path: Path, training: bool) -> None:
    model = listener(speech_pooling="attention").train(training)
    model.dropout.train(not training)  # a mode of its own
    before = [m.training for m in model.modules()]
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    features(model, data, tmp_path, all_layers=True)
    assert torch.equal(torch.rand(2), expected)
    assert [m.training for m in model.modules()] == before


FILL = """
import sys
import torch
from pathlib import Path
from erc.datasets import HF_KEMD
from erc.datasets.batches import Collator
from erc.model.emotion import EmotionModel
from erc.model.encoders import SpeechEncoder
from erc.training import feature_cache
from erc.training.features import pooled
feature_cache.ROWS = 4
data = HF_KEMD(sys.argv[1], num_folds=2, validation_fold=0, wav_max_length=32000, cache=sys.argv[2])
torch.manual_seed(0)
model = EmotionModel(SpeechEncoder.from_name("tiny-wav2vec2"), dim=8, freeze_speech=True)
print("ready", flush=True)
sys.stdin.readline()
print(float(pooled(model, data, Collator(None, True), Path(sys.argv[2]))["speech"].abs().sum()))
"""


def test_two_processes_fill_the_same_table(
    data, corpus: Path, tmp_path: Path, encoded, monkeypatch
):
    monkeypatch.setattr(feature_cache, "ROWS", 4)
    other = subprocess.Popen(
        [sys.executable, "-c", FILL, str(corpus), str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert other.stdout.readline() == "ready\n"
    other.stdin.write("go\n")
    other.stdin.flush()
    found = features(listener(), data, tmp_path)
    theirs = float(other.communicate()[0])
    assert sum(encoded) <= len(data.store)
    plain = one_by_one(listener(), data, Collator(None, True))["speech"]
    torch.testing.assert_close(found, plain, atol=1e-6, rtol=1e-5)
    np.testing.assert_allclose(theirs, float(found.abs().sum()), rtol=1e-6)
    [folder] = tmp_path.glob("features/*")
    rows = sum(
        np.fromfile(part, np.float64, 1)[0] for part in folder.glob("part-*")
    )  # published by both together
    assert rows == len(data.store)


def test_cache_hit_and_miss_train_alike(tmp_path):
    corpus = tmp_path / "corpus"
    synthetic.write_tree(corpus, sessions=2, utterances=10)
    words = [
        "experiment=sharpen",
        f"dataset.paths={corpus}",
        "dataset.sessions=2",
        "dataset.validation_fold=0",
        f"cache={tmp_path / 'cache'}",
    ]
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        parts = Assembly(configure(words, tmp_path / "run"))
        assert parts.model.training  # encoding leaves the mode it found
        task = make_task(parts.cfg, parts)
        assert task.model.dropout.training  # not left in evaluation mode
        assert not task.model.text.training  # a frozen encoder never trains
        files = sorted((tmp_path / "cache" / "features").glob("*/part-*"))
        found.append((files, torch.rand(3), parts.tables))
    assert len(found[0][0]) == 2
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1])
    for modality, table in found[0][2].items():
        assert torch.equal(table, found[1][2][modality])
