"""Configuration → objects: data, tokenizer, model, features, loaders. Nothing is trained here.

`python -m erc.training.assembly OVERRIDES` stops there: dataset and features of a configuration are
built (or found) for the runs that follow.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import DataLoader

from erc.base import audio, devices
from erc.base.errors import ConfigError, did_you_mean, one_line_errors
from erc.base.files import cache_dir
from erc.base.terms import refuse
from erc.datasets.batches import BucketSampler, Collator, MemoryLoader, loader
from erc.datasets.view import View
from erc.labels.targets import Target, balanced, choose_target
from erc.model.emotion import EmotionModel
from erc.model.encoded import MODALITIES
from erc.model.encoders import SpeechEncoder, TextEncoder
from erc.model.fusion import FUSIONS
from erc.model.lora import add_lora
from erc.model.losses import GAMMA, MultiTaskLoss
from erc.model.physiology import PhysiologyEncoder
from erc.model.plan import plan, usual_fusion
from erc.model.pooling import SEQUENCES
from erc.model.pretrained import TINY_TEXT
from erc.model.tokenizer import load_tokenizer, train_tokenizer
from erc.training import features, start_weights
from erc.training.adaptation import adapt_tables
from erc.training.check import check
from erc.training.config import compose, make
from erc.training.ledger import made_from

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
        adapted: the same against the own baseline of each speaker (or corpus); {} without adaptation.
        adaptation: whose that is: speaker | corpus; "": nobody's.
        device: of `trainer.accelerator`; what the model says, for a table or a score, is computed
            there. The tables lie in main memory.
    """

    def __init__(self, cfg: DictConfig, model: EmotionModel | None = None, tokenizer: Any = None):
        self.cfg = cfg
        self.device = devices.device_of_trainer(cfg.trainer.accelerator, cfg.trainer.devices)
        options: dict[str, Any] = OmegaConf.to_container(cfg.model, resolve=True)  # type: ignore
        target = target_of(options, cfg.dataset.multilabel)
        body = model.physiology if model else None
        kind = body.kind if body else None if model else options.get("physiology_encoder")
        train = training_side(cfg, target, kind)
        self.terms = made_from(options, cfg.module.load_from_checkpoint, train.store)
        if cfg.get("commercial", False):  # before anything is computed; older runs do not name it
            refuse(self.terms, "this training")
        self.loss = loss_of(options, train)
        fresh = model is None
        if model is None:
            without_what_is_missing(options, train)
            start = cfg.module.load_from_checkpoint
            model, tokenizer = build(options, cfg.dataset.txt_processor, train, start)
        if model.space != train.space:
            raise ConfigError(
                f"the model answers in {model.space}, the corpus is rated in {train.space}"
            )
        self.model = model.to(self.device)
        every = model.fusion.needs_all
        self.sides = {s: train.side(s).needing(model.modalities, every) for s in SIDES}
        for side, data in self.sides.items():
            if left_out := len(train.side(side)) - len(data):
                needed = (" and " if every else " or ").join(model.modalities)
                print(f"{side}: {left_out} utterances without {needed} are left out")
        normalize = bool(model.speech and model.speech.normalize)
        self.collate = Collator(tokenizer, normalize, cfg.dataset.txt_max_length)
        cache = Path(cfg.cache) if cfg.cache else cache_dir()
        all_layers = bool(cfg.get("cache_all_layers", False))
        self.tables = features.pooled(model, train, self.collate, cache, all_layers)
        unused = {"speech", "text"} - set(model.modalities)
        self.collate.pooled = frozenset(self.tables) | unused
        if fresh:
            for modality, table in self.tables.items():
                heard = train.rows[train.has(modality)]
                model.branches[modality].standardize.fit(table[heard])
        adaptation = cfg.get("adaptation", "none")  # runs of older versions do not name it
        self.adapted = adapt_tables(adaptation, model, self.tables, train)
        self.adaptation = adaptation if self.adapted else ""

    def sampler(self, side: str, share: tuple[int, int] = (0, 1)) -> BucketSampler:
        """Which utterances make a batch, on one side of the fold; shuffled for training, but for
        `trainer.overfit_batches`, which are the same few in each epoch. share: see `BucketSampler`."""
        data, options, cfg = self.sides[side], self.cfg.dataloader, self.cfg
        lengths = data.lengths if options.bucket else np.zeros(len(data))
        budget = options.batch_seconds * audio.SAMPLE_RATE if options.batch_seconds else None
        shuffle = side == "train" and not cfg.trainer.get("overfit_batches")
        corpora, tau = data.store.column("corpus")[data.rows], cfg.dataset.get("tau", 1.0)
        return BucketSampler(
            lengths, options.batch_size, shuffle, cfg.seed, budget, corpora.astype(str), tau, share
        )

    def loader(self, side: str, share: tuple[int, int] = (0, 1)) -> DataLoader | MemoryLoader:
        """Batches of one side of the fold, see `sampler`."""
        workers = self.cfg.dataloader.num_workers
        return loader(self.sides[side], self.collate, self.sampler(side, share), workers)


def training_side(cfg: DictConfig, target: Target | None = None, kind: str | None = None) -> View:
    """The training side of the fold that `cfg.dataset` names; its other sides follow from it.

    Args:
        target: what the model learns; None: of no matter.
        kind: what an encoder of physiology reads: features | conv; None: there is none.
    """
    view = make(cfg.dataset, _partial_=True)
    return view(mode="train", cache=cfg.cache, target=target or Target(), physiology=kind)


def target_of(options: dict[str, Any], multilabel: bool) -> Target:
    """What is learned; takes its keys out of `options`, the `model` group.

    Raises:
        ConfigError: keys that contradict each other; see `erc.labels.targets`.
    """
    use_peakl = options.pop("use_peakl")  # runs of older versions name no other key
    keys = ("target", "sharpen_temperature", "rater_weights")
    target, temperature, rater_weights = (options.pop(key, None) for key in keys)
    return choose_target(target, use_peakl, multilabel, temperature, rater_weights)


def loss_of(options: dict[str, Any], train: View) -> MultiTaskLoss:
    """By what loss it is learned; takes its keys out of `options`.

    Raises:
        ConfigError: unknown class weights; see `MultiTaskLoss` for the others.
    """
    weighting, weights = options.pop("class_weights", None), None
    if weighting not in (None, "balanced"):
        raise ConfigError(f"model.class_weights={weighting} is neither balanced nor null")
    if weighting:
        weights = balanced(train.labels.target[train.rows]).tolist()
    return MultiTaskLoss(
        options.pop("cls_loss"),
        options.pop("reg_loss"),
        options.pop("cls_coef"),
        gamma=options.pop("focal_gamma", GAMMA),
        label_smoothing=options.pop("label_smoothing", 0.0),
        class_weights=weights,
        units=((train.space.high - train.space.low) / 4).tolist(),
    )


def build(
    options: dict[str, Any], txt_processor: str | None, train: View, place: str | None = None
) -> tuple[EmotionModel, Any]:
    """Model and tokenizer from the `model` group; a tiny text encoder learns its tokens here.

    Args:
        options: the group without its loss; see config/model/*.yaml.
        txt_processor: tokenizer by id or folder; None takes the text encoder's own.
        train: the training side, whose transcripts a new tokenizer is trained on.
        place: run, model folder or checkpoint whose weights to start from, and, for a tiny text
            encoder, whose tokenizer.

    Raises:
        CheckpointError: an encoder or tokenizer cannot be loaded.
        ConfigError: options that do not exist or contradict each other.
    """
    options = dict(options)
    options.pop("objective")
    speech_name, speech_options = options.pop("speech_encoder"), options.pop("speech_options")
    text_name, text_options = options.pop("text_encoder"), options.pop("text_options")
    vocab_size, lora = options.pop("vocab_size"), options.pop("lora")
    kind = options.pop("physiology_encoder", None)
    named = {"speech": speech_name, "text": text_name, "physiology": kind}
    made = plan(*joined([modality for modality, name in named.items() if name], options))
    body = PhysiologyEncoder(kind) if kind else None
    if body and train.body:
        body.fit(torch.from_numpy(np.concatenate([train.body[row] for row in train.rows])))
    _known(speech_options, SpeechEncoder, "model.speech_options")
    _known(text_options, TextEncoder, "model.text_options")
    speech = SpeechEncoder.from_name(speech_name, **speech_options) if speech_name else None
    text = tokenizer = None
    start = start_weights.read(place) if place else None
    if text_name:
        if start and start.tokenizer and text_name in TINY_TEXT and not txt_processor:
            tokenizer = start.tokenizer
        elif text_name in TINY_TEXT and not txt_processor:
            tokenizer = train_tokenizer(
                (t for t in train.store.column("text")[train.rows] if t), vocab_size
            )
        else:
            tokenizer = load_tokenizer(txt_processor or text_name)
        text = TextEncoder.from_name(text_name, vocab_size=len(tokenizer), **text_options)
    model = EmotionModel(speech, text, body, space=train.space, **made.to_config())
    if start:
        # The words of a tiny encoder are its own; those of another come with its name.
        words = tokenizer if start.tokenizer or text_name in TINY_TEXT else None
        print(start_weights.describe(start_weights.start_from(model, start, words), start.source))
    add_lora(model, {k: v for k, v in (lora or {}).items() if named.get(k, k)})
    return model, tokenizer


def without_what_is_missing(options: dict[str, Any], train: View) -> None:
    """Take the encoders out of `options` that the training side has nothing for; one line says so.

    Raises:
        ConfigError: nothing would be left.
    """
    for modality, what in (("speech", "recordings"), ("text", "transcripts")):
        key = f"{modality}_encoder"
        if options[key] and not train.has(modality).any():
            others = [m for m in MODALITIES if m != modality and options.get(f"{m}_encoder")]
            if not others:
                raise ConfigError(f"no utterance has {what}, and this model takes nothing else")
            print(f"no utterance has {what}: the model takes {' and '.join(others)} only")
            options[key] = None


def joined(modalities: list[str], options: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Arguments of `plan` for a model of config/model, an encoder of which may have been set to null.

    Where its fusion joins more than is left, the usual one takes its place, and the usual poolings
    that of sequences; one line says so.
    """
    usual = usual_fusion(modalities)
    fusion = FUSIONS.get(options.get("fusion") or usual)
    if not fusion or fusion.or_fewer or len(modalities) >= fusion.modalities:
        return modalities, options
    print(f"{' and '.join(modalities)} alone: fusion {usual}, not {options['fusion']}")
    flat = {k: v for k, v in options.items() if not (k.endswith("_pooling") and v in SEQUENCES)}
    return modalities, flat | {"fusion": usual}


def _known(options: dict[str, Any], encoder: type, where: str) -> None:
    allowed = [p for p in inspect.signature(encoder).parameters if p != "model"]
    for key in options:
        if key not in allowed:
            raise ConfigError(
                f"{where} has no '{key}'; it has {', '.join(allowed)}{did_you_mean(key, allowed)}"
            )


if __name__ == "__main__":
    with one_line_errors():
        check(configuration := compose(sys.argv[1:]))
        torch.manual_seed(configuration.seed)  # as a run does: encoders built at random are equal
        for modality, table in Assembly(configuration).tables.items():
            print(f"{modality} features {tuple(table.shape)}")
