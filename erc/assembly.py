"""Configuration → objects: data, tokenizer, model, features, loaders. Nothing is trained here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import DataLoader

from erc import features
from erc.batches import BucketSampler, Collator
from erc.datasets import HF_KEMD
from erc.files import cache_dir
from erc.model.emotion import EmotionModel
from erc.model.encoders import SpeechEncoder, TextEncoder
from erc.model.losses import MultiTaskLoss
from erc.model.pretrained import TINY_TEXT
from erc.tokenizer import load_tokenizer, train_tokenizer

SIDES = ("train", "valid", "test")


class Assembly:
    """What a configuration names, built once.

    Args:
        cfg: composed from config/train.yaml.
        model, tokenizer: already trained ones; None builds them from `cfg.model`.

    Attributes:
        sides: train, valid and test side of the fold, of one store.
        model, loss, collate: as configured.
        tables: features of frozen encoders, for every row of the store.
    """

    def __init__(self, cfg: DictConfig, model: EmotionModel | None = None, tokenizer: Any = None):
        self.cfg = cfg
        train: HF_KEMD = instantiate(cfg.dataset, mode="train", cache=cfg.cache)
        self.sides = {side: train.side(side) for side in SIDES}
        options: dict[str, Any] = OmegaConf.to_container(cfg.model, resolve=True)  # type: ignore
        self.loss = MultiTaskLoss(
            options.pop("cls_loss"), options.pop("reg_loss"), options.pop("cls_coef")
        )
        use_peakl = options.pop("use_peakl")
        target = "hard" if not cfg.dataset.multilabel else "peakl" if use_peakl else "soft"
        fresh = model is None
        if model is None:
            model, tokenizer = build(options, cfg.dataset.txt_processor, train)
        self.model = model
        normalize = bool(model.speech and model.speech.normalize)
        self.collate = Collator(tokenizer, normalize, cfg.dataset.txt_max_length, target)
        cache = Path(cfg.cache) if cfg.cache else cache_dir()
        self.tables = features.pooled(model, train, self.collate, cache)
        self.collate.pooled = frozenset(self.tables)
        if fresh:
            for modality, table in self.tables.items():
                heard = train.rows[train.has(modality)]
                model.branches[modality].standardize.fit(table[heard])

    def loader(self, side: str) -> DataLoader:
        """Batches of one side of the fold; shuffled for training."""
        data, options = self.sides[side], self.cfg.dataloader
        lengths = data.lengths if options.bucket else np.zeros(len(data))
        sampler = BucketSampler(lengths, options.batch_size, side == "train", self.cfg.seed)
        return DataLoader(
            data,
            batch_sampler=sampler,
            collate_fn=self.collate,
            num_workers=options.num_workers,
            multiprocessing_context="spawn" if options.num_workers else None,
        )


def build(
    options: dict[str, Any], txt_processor: str | None, train: HF_KEMD
) -> tuple[EmotionModel, Any]:
    """Model and tokenizer from the `model` group; a tiny text encoder learns its tokens here.

    Args:
        options: the group without its loss; see config/model/*.yaml.
        txt_processor: tokenizer by id or folder; None takes the text encoder's own.
        train: the training side, whose transcripts a new tokenizer is trained on.

    Raises:
        CheckpointError: an encoder or tokenizer cannot be loaded.
        ConfigError: options that do not exist or contradict each other.
    """
    options = dict(options)
    speech_name, speech_options = options.pop("speech_encoder"), options.pop("speech_options")
    text_name, vocab_size = options.pop("text_encoder"), options.pop("vocab_size")
    speech = SpeechEncoder.from_name(speech_name, **speech_options) if speech_name else None
    text = tokenizer = None
    if text_name:
        if text_name in TINY_TEXT and not txt_processor:
            tokenizer = train_tokenizer(
                (t for t in train.store.column("text")[train.rows] if t), vocab_size
            )
        else:
            tokenizer = load_tokenizer(txt_processor or text_name)
        text = TextEncoder.from_name(text_name, vocab_size=len(tokenizer))
    return EmotionModel(speech, text, **options), tokenizer
