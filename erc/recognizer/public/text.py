"""A published text model run by torch: token ids → the scores of its labels."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from erc.base.errors import CheckpointError
from erc.model.pooling import mask
from erc.model.tokenizer import FAST, load_tokenizer, load_tokens
from erc.recognizer.public.folder import Public
from erc.recognizer.public.weights import load, load_errors

TOKENS = 512  # of a text, where the model does not say how many positions it has


class TextClassifier:
    """`AutoModelForSequenceClassification` of transformers.

    Texts of unequal length are run apart: some of these models look at what is padded.

    Attributes:
        tokens: transcript → token ids, as many as the model has positions for.
        pad_token_id: what fills a batch.
    """

    def __init__(self, public: Public):
        self.folder = public.folder
        self.model = load(AutoModelForSequenceClassification, public)
        config = self.model.config
        self.pad_token_id: int = getattr(config, "pad_token_id", None) or 0
        with load_errors(public.folder):
            self.tokens = tokens_of(public.folder, self._longest())

    def __call__(self, x: np.ndarray, lengths: np.ndarray, device: torch.device) -> np.ndarray:
        """Token ids int64 [B, S] with their lengths [B] → scores float32 [B, K]."""
        if int(x.max()) >= self.model.config.vocab_size:
            raise CheckpointError(
                f"{self.folder}: its tokenizer makes token {int(x.max())}, the model has "
                f"{self.model.config.vocab_size}: it is that of another model"
            )
        found = np.zeros((len(x), self.model.config.num_labels), np.float32)
        for length in np.unique(lengths):
            rows = lengths == length
            ids = torch.from_numpy(np.ascontiguousarray(x[rows, :length])).to(device)
            n = torch.full((len(ids),), int(length), device=device)
            logits = self.model(input_ids=ids, attention_mask=mask(n, int(length)).long()).logits
            found[rows] = logits.float().cpu().numpy()
        return found

    def _longest(self) -> int:
        """Tokens that the model has positions for; RoBERTa numbers them from pad_token_id + 1."""
        config = self.model.config
        most = getattr(config, "max_position_embeddings", None) or TOKENS
        base = self.model.base_model
        padding = getattr(getattr(base, "embeddings", None), "padding_idx", None)
        return most - (0 if padding is None else padding + 1)


def tokens_of(folder: Path, most: int) -> Callable[[str], list[int]]:
    """Transcript → token ids, at most `most`; raises CheckpointError.

    `tokenizer.json` is read with the checks of `erc.model.tokenizer.read`. From older folders, which
    have word lists only, transformers makes one first.
    """
    if (folder / FAST).is_file():
        return load_tokens(folder, most)
    with tempfile.TemporaryDirectory() as place:
        load_tokenizer(str(folder)).save_pretrained(place)
        return load_tokens(Path(place), most)
