"""Published models give the numbers of `transformers.pipeline`, alone, in a batch, at any rate."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import soxr
from published import LABELS
from transformers import pipeline
from transformers.models.auto.modeling_auto import MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES

from erc.base import audio
from erc.base.numbers import softmax
from erc.recognizer.public.folder import SPEECH, describe
from erc.recognizer.public.runtime import PublicRuntime

AUDIO = ("wav2vec2", "wav2vec2-base", "hubert", "wavlm", "whisper", "ast")


def together(runtime, modality, inputs):
    """Probabilities of inputs in one padded batch."""
    lengths = np.array([len(x) for x in inputs])
    batch = np.zeros((len(inputs), lengths.max()), inputs[0].dtype)
    for row, x in zip(batch, inputs, strict=True):
        row[: len(x)] = x
    return softmax(runtime.encode(modality, batch, lengths)[0])


def of_pipeline(task, folder, inputs, **options) -> np.ndarray:
    """The same by transformers, one input at a time, in the order of id2label."""
    pipe = pipeline(task, model=str(folder), device="cpu", **options)
    labels = pipe.model.config.id2label
    rows = [{x["label"]: x["score"] for x in pipe(one, top_k=None)} for one in inputs]
    return np.array([[row[labels[k]] for k in range(len(labels))] for row in rows])


@pytest.mark.parametrize("name", AUDIO)
def test_audio_classifiers_agree_with_the_pipeline(model, clips, name, tmp_path):
    folder = model(name)
    runtime = PublicRuntime(describe(folder), "cpu")
    wanted = of_pipeline("audio-classification", folder, clips)
    assert np.ptp(wanted, axis=0).max() > 0.01  # else anything would agree
    alone = np.concatenate([together(runtime, "speech", [clip]) for clip in clips])
    assert alone == pytest.approx(wanted, abs=1e-5)
    if runtime.spec.padding_safe:
        assert together(runtime, "speech", clips) == pytest.approx(wanted, abs=1e-5)
    assert runtime.spec.padding_safe == (name != "wav2vec2-base")  # group norm sees the padding


def test_a_file_at_44_1_khz_is_heard_at_16(model, clips, tmp_path):
    high = soxr.resample(clips[0], 16_000, 44_100)
    soundfile.write(tmp_path / "high.wav", high, 44_100, subtype="FLOAT")
    soundfile.write(tmp_path / "low.wav", clips[0], 16_000, subtype="FLOAT")
    runtime = PublicRuntime(describe(model("wav2vec2")), "cpu")
    back = soxr.resample(high, 44_100, 16_000)
    wanted = of_pipeline("audio-classification", model("wav2vec2"), [back, clips[0]])
    for name, expected in zip(("high", "low"), wanted, strict=True):
        heard = audio.load(tmp_path / f"{name}.wav")
        assert together(runtime, "speech", [heard])[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_text_classifiers_agree_with_the_pipeline(model, name):
    texts = ["I am happy", "why, why would you do that to me today?", "Nothing"]
    runtime = PublicRuntime(describe(model(name)), "cpu")
    wanted = of_pipeline("text-classification", model(name), texts)
    assert np.ptp(wanted, axis=0).max() > 0.01
    ids = [np.array(runtime.tokens(text)) for text in texts]
    alone = np.concatenate([together(runtime, "text", [x]) for x in ids])
    assert alone == pytest.approx(wanted, abs=1e-5)
    assert together(runtime, "text", ids) == pytest.approx(wanted, abs=1e-5)
    assert len(runtime.tokens("happy " * 99)) == 40  # as many as there are positions


def test_a_word_list_is_enough(model, copy):
    """Older folders have no tokenizer.json."""
    folder = copy("bert")
    (folder / "tokenizer.json").unlink()
    with_it, without = (
        PublicRuntime(describe(f), "cpu").tokens("Why, you!") for f in (model("bert"), folder)
    )
    assert with_it == without


def test_several_labels_at_once_are_divided_by_their_sum(model):
    texts = ["I am happy", "why would you"]
    runtime = PublicRuntime(describe(model("many")), "cpu")
    each = of_pipeline("text-classification", model("many"), texts)
    assert each.sum(1) != pytest.approx(1, abs=0.05)
    ids = [np.array(runtime.tokens(text)) for text in texts]
    shares = together(runtime, "text", ids)
    assert shares == pytest.approx(each / each.sum(1, keepdims=True), abs=1e-5)


def test_the_space_is_that_of_the_model(model):
    public = describe(model("hubert"))
    assert public.labels == LABELS
    assert public.space.emotions == ("angry", "happy", "sad", "neutral calm")
    assert public.space.dimensions == ()


def test_windows_fit_what_the_model_hears(model):
    """Whisper hears 30 s, this AST 1.3 s; the others as much as memory allows."""
    longest = {name: describe(model(name)).max_samples for name in ("whisper", "ast", "wavlm")}
    assert longest == {"whisper": 480_000, "ast": 20_720, "wavlm": 480_000}
    runtime = PublicRuntime(describe(model("ast")), "cpu")
    sound = np.random.default_rng(0).standard_normal(30_000).astype(np.float32)
    whole, cut = (together(runtime, "speech", [sound[:n]]) for n in (30_000, 20_720))
    assert whole == pytest.approx(cut, abs=1e-6)  # beyond its length it hears nothing
    assert together(runtime, "speech", [sound[: 20_720 - 3_200]]) != pytest.approx(cut, abs=1e-6)


def test_the_shortest_clip_is_answered(model, clips):
    for name in AUDIO:
        runtime = PublicRuntime(describe(model(name)), "cpu")
        assert np.isfinite(
            together(runtime, "speech", [clips[0][: runtime.spec.min_samples]])
        ).all()


def test_nothing_given_is_answered_with_nothing(model, clips):
    from erc.model.encoded import Encoded

    runtime = PublicRuntime(describe(model("wav2vec2")), "cpu")
    scores, there = runtime.encode("speech", clips[0][None], np.array([len(clips[0])]))
    logits, dimensions = runtime.fuse(Encoded({"speech": scores}, {"speech": ~there}))
    assert softmax(logits).tolist() == [[0.25] * 4]
    assert dimensions.shape == (1, 0)


def test_the_table_of_speech_models_is_that_of_transformers():
    assert dict(MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES) == SPEECH
