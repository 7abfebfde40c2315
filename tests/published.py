"""Tiny random models, written as their authors write them: `save_pretrained`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer
from transformers.utils import logging

DIMENSIONS = ("arousal", "dominance", "valence")
LABELS = ("angry", "Happy", "SAD", "neutral_calm")
TEXTS = [
    "I am so happy about this today",
    "why would you do that to me, I am angry",
    "nothing happened",
    "this is sad and I cry",
]
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
WAVES = SMALL | {
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 8,
}
LAYER = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
logging.set_verbosity_error()
logging.disable_progress_bar()


def named(labels=LABELS) -> dict:
    return {"id2label": dict(enumerate(labels)), "label2id": {x: k for k, x in enumerate(labels)}}


def lively(model, seed: int = 0):
    """Weights large enough that answers differ from one recording to the next."""
    generator = torch.Generator().manual_seed(seed)
    for weights in model.parameters():
        if weights.ndim > 1:
            fan = weights[0].numel()
            weights.data = torch.randn(weights.shape, generator=generator) * 1.5 / fan**0.5
    return model.eval()


def wav2vec2(folder: Path, kind: str = "Wav2Vec2", labels=LABELS, **options) -> Path:
    """Of the family: what its own extractor says is part of the model."""
    options = {**WAVES, **LAYER, **named(labels), **options}
    model = getattr(hf, f"{kind}ForSequenceClassification")(getattr(hf, f"{kind}Config")(**options))
    lively(model).save_pretrained(folder)
    large = options["feat_extract_norm"] == "layer"
    hf.Wav2Vec2FeatureExtractor(do_normalize=large, return_attention_mask=large).save_pretrained(
        folder
    )
    return folder


def whisper(folder: Path) -> Path:
    config = hf.WhisperConfig(
        d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=32, decoder_layers=1,
        decoder_attention_heads=2, decoder_ffn_dim=32, vocab_size=60, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, decoder_start_token_id=1, classifier_proj_size=8, **named(),
    )  # fmt: skip
    lively(hf.WhisperForAudioClassification(config)).save_pretrained(folder)
    hf.WhisperFeatureExtractor().save_pretrained(folder)
    return folder


def ast(folder: Path) -> Path:
    config = hf.ASTConfig(**SMALL, max_length=128, **named())
    lively(hf.ASTForAudioClassification(config)).save_pretrained(folder)
    hf.ASTFeatureExtractor(max_length=128).save_pretrained(folder)
    return folder


def bert(folder: Path, labels=("joy", "anger", "neutral", "love"), **options) -> Path:
    tokenizer = BertWordPieceTokenizer(lowercase=True)
    tokenizer.train_from_iterator(TEXTS, vocab_size=120, min_frequency=1, show_progress=False)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_model(str(folder))  # vocab.txt
    fast = hf.BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=True)
    fast.save_pretrained(folder)
    size = SMALL | {"vocab_size": len(fast), "max_position_embeddings": 40}
    config = hf.BertConfig(**size, **named(labels), **options)
    lively(hf.BertForSequenceClassification(config)).save_pretrained(folder)
    return folder


def roberta(folder: Path, labels=("joy", "anger", "neutral", "love"), **options) -> Path:
    tokenizer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(
        TEXTS, vocab_size=300, min_frequency=1, show_progress=False, special_tokens=special
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_model(str(folder))
    fast = hf.RobertaTokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt"))
    fast.save_pretrained(folder)
    size = SMALL | {"vocab_size": len(fast), "max_position_embeddings": 42, "type_vocab_size": 1}
    size |= {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    config = hf.RobertaConfig(**size, **named(labels), **options)
    lively(hf.RobertaForSequenceClassification(config)).save_pretrained(folder)
    return folder


def regression_head(folder: Path, labels=DIMENSIONS, **options) -> Path:
    """As audEERING's folder: `wav2vec2.*` beside `classifier.dense.*` and `classifier.out_proj.*`."""
    config = hf.Wav2Vec2Config(**WAVES, **LAYER, **named(labels), final_dropout=0.1)
    body = lively(hf.Wav2Vec2Model(config), seed=1)
    generator = torch.Generator().manual_seed(2)
    draw = lambda *shape: torch.randn(shape, generator=generator) * 0.5  # noqa: E731
    head = {
        "classifier.dense.weight": draw(16, 16),
        "classifier.dense.bias": draw(16),
        "classifier.out_proj.weight": draw(len(labels), 16) * 0.2,
        "classifier.out_proj.bias": torch.full((len(labels),), 0.5),
    }
    body.save_pretrained(folder)
    weights = {f"wav2vec2.{k}": v for k, v in load_file(folder / "model.safetensors").items()}
    save_file(weights | head, folder / "model.safetensors", {"format": "pt"})
    stored = json.loads((folder / "config.json").read_text())
    stored |= {"architectures": ["Wav2Vec2ForSpeechClassification"], "problem_type": "regression"}
    stored |= {"pooling_mode": "mean", **options}
    (folder / "config.json").write_text(json.dumps(stored))
    hf.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True).save_pretrained(
        folder
    )
    return folder


MAKERS: dict[str, Callable[[Path], Path]] = {
    "wav2vec2": wav2vec2,
    "wav2vec2-base": lambda folder: wav2vec2(
        folder, feat_extract_norm="group", do_stable_layer_norm=False
    ),
    "hubert": lambda folder: wav2vec2(folder, "Hubert"),
    "wavlm": lambda folder: wav2vec2(folder, "WavLM"),
    "whisper": whisper,
    "ast": ast,
    "bert": bert,
    "roberta": roberta,
    "many": lambda folder: roberta(folder, problem_type="multi_label_classification"),
}
