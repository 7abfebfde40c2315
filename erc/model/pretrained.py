"""Hugging Face models: loaded with checks, rebuilt from a stored config, or tiny and random."""

from __future__ import annotations

import functools
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    PretrainedConfig,
    PreTrainedModel,
    RobertaConfig,
    Wav2Vec2Config,
    WhisperConfig,
)
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from erc.base.errors import CheckpointError
from erc.base.hub import from_hub

# Built from a config with random weights: for tests, plumbing and the offline demo.
TINY_SPEECH: dict[str, PretrainedConfig] = {
    "tiny-wav2vec2": Wav2Vec2Config(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        conv_dim=(64,) * 7,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        layerdrop=0.0,
        mask_time_prob=0.0,
    ),
    "tiny-whisper": WhisperConfig(
        d_model=64,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_layers=1,
        decoder_attention_heads=4,
        decoder_ffn_dim=128,
    ),
}
TINY_TEXT: dict[str, PretrainedConfig] = {
    "tiny-roberta": RobertaConfig(
        vocab_size=2000,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=514,
        type_vocab_size=1,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    ),
}
# Keys of a Hugging Face config that could make loading fetch or run code, or read other weights.
UNTRUSTED = (
    "auto_map",
    "attn_implementation",
    "_attn_implementation",
    "quantization_config",
    "transformers_weights",
)


def config_of(name: str, what: str) -> PretrainedConfig:
    """The config of an encoder by id or folder, see `parse`; raises CheckpointError."""

    def load(name: str, local_files_only: bool) -> PretrainedConfig:
        found, _ = PretrainedConfig.get_config_dict(name, local_files_only=local_files_only)
        if "model_type" not in found:
            raise ValueError("its config.json names no model_type")
        return parse(found)

    return from_hub(load, name, what)


def extractor_of(name: str, what: str) -> Any:
    """The feature extractor of an encoder by id or folder; raises CheckpointError."""
    load = functools.partial(AutoFeatureExtractor.from_pretrained, trust_remote_code=False)
    return from_hub(load, name, what)


def parse(config: dict[str, Any]) -> PretrainedConfig:
    """A config as a dict → config, without the keys that could fetch or run code."""
    rest = {k: v for k, v in config.items() if k not in UNTRUSTED}
    return AutoConfig.for_model(rest.pop("model_type"), **rest)


def plain(config: PretrainedConfig) -> dict[str, Any]:
    """What `parse` reads, as plain JSON; not where it was read from, a path of somebody's machine."""
    return config.to_dict() | {"_name_or_path": ""}


def build(config: PretrainedConfig) -> PreTrainedModel:
    """A float32 model with random weights; of Whisper only the encoder."""
    config = type(config).from_dict(config.to_dict())  # the model changes its config: not ours
    if isinstance(config, WhisperConfig):
        return WhisperEncoder(config)
    return AutoModel.from_config(config, dtype=torch.float32)


def load_model(
    kind: Any, name: str, config: PretrainedConfig, key_mapping: dict[str, str] | None = None
) -> PreTrainedModel:
    """Weights of a Hugging Face class `kind` in float32, by id or folder; none may be missing."""

    def load(name: str, local_files_only: bool) -> PreTrainedModel:
        # Without a dtype, weights stored as float16 stay so, and a CPU multiplies those 100 × slower.
        model, info = kind.from_pretrained(
            name,
            config=config,
            dtype=torch.float32,
            key_mapping=key_mapping,
            local_files_only=local_files_only,
            trust_remote_code=False,
            weights_only=True,
            output_loading_info=True,
        )
        missing = [
            key
            for key in info["missing_keys"]
            if not key.startswith(("pooler", "masked_spec_embed"))
        ]
        if missing:
            raise CheckpointError(
                f"'{name}' lacks {len(missing)} weights of a {config.model_type}, e.g. {missing[0]}"
            )
        return model

    return from_hub(load, name, "encoder")
