"""`model=clip`: speech and transcript of an utterance are drawn together, those of others apart.

It needs no label. What it trains, the encoders and their projections, is a start for the other
models: `module.load_from_checkpoint=RUN`. Fusion and head are left untouched and do not count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn import functional as F

from erc.base.errors import ConfigError
from erc.base.files import write_json
from erc.datasets.batches import Batch
from erc.model.folder import checkpoint
from erc.training import features
from erc.training.assembly import Assembly
from erc.training.config import resolve
from erc.training.task import EmotionTask

TEMPERATURE = 0.07  # at the start (Radford et al. 2021)
MAX_SCALE = 100.0  # of 1 / temperature


def info_nce(u: Tensor, v: Tensor, scale: Tensor, texts: Tensor) -> Tensor:
    """Symmetric InfoNCE (Radford et al. 2021, fig. 3) of pairs u [N, D], v [N, D] → scalar.

    `½ (CE(S, i) + CE(Sᵀ, i))` with `S = scale · cos(uᵢ, vⱼ)`. Where two utterances have the same
    transcript neither is a wrong answer for the other: such pairs are left out.

    Args:
        u, v: of speech and of text; row i of both belongs to one utterance.
        scale: 1 / temperature.
        texts: [N] long, equal where the transcripts are.
    """
    scores = scale * F.normalize(u, dim=-1) @ F.normalize(v, dim=-1).T
    itself = torch.arange(len(u), device=u.device)
    twins = (texts[:, None] == texts) & (itself[:, None] != itself)
    scores = scores.masked_fill(twins, -torch.inf)
    return (F.cross_entropy(scores, itself) + F.cross_entropy(scores.T, itself)) / 2


def recall(u: Tensor, v: Tensor, texts: Tensor) -> float:
    """Share of utterances whose nearest transcript is their own, or says the same; 0 … 1."""
    nearest = (F.normalize(u, dim=-1) @ F.normalize(v, dim=-1).T).argmax(-1)
    return float((texts[nearest] == texts).float().mean())


class ContrastiveTask(EmotionTask):
    """`EmotionTask` with InfoNCE for its loss; metrics are of the whole valid side."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        if set(self.model.branches) < {"speech", "text"}:
            raise ConfigError("model.objective=contrastive needs a speech and a text encoder")
        if self.model.fusion.needs_frames:
            raise ConfigError("model.objective=contrastive compares vectors: use fusion=concat")
        self.model.fusion.requires_grad_(False)
        self.model.head.requires_grad_(False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / TEMPERATURE)))
        transcripts = self.valid.store.column("text")
        self.words = torch.tensor(np.unique(transcripts.astype(str), return_inverse=True)[1])

    def groups(self) -> list[dict[str, Any]]:
        return [*super().groups(), {"params": [self.log_scale], "lr": self.lr, "weight_decay": 0.0}]

    def pairs(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Projected speech and text [N, D] of the utterances that have both, and their transcripts."""
        encoded, branches = features.encode(self.model, batch, self.tables), self.model.branches
        u, v = (
            branches[m].project(encoded.pooled[m], encoded.present[m]) for m in ("speech", "text")
        )
        both = (batch.speech_lengths > 0) & (batch.text_lengths > 0)
        return u[both], v[both], self.words[cast(Tensor, batch.rows).cpu()].to(u.device)[both]

    def training_step(self, batch: Batch, index: int) -> Tensor:
        u, v, texts = self.pairs(batch)
        # Nothing to tell apart: no gradient, but a loss that can be differentiated.
        loss = info_nce(u, v, self.scale, texts) if len(u) > 1 else (u.sum() + v.sum()) * 0
        self.log(
            "train/loss", loss, prog_bar=True, on_step=True, batch_size=len(batch.speech_lengths)
        )
        return loss

    @property
    def scale(self) -> Tensor:
        """1 / temperature."""
        return self.log_scale.exp().clamp(max=MAX_SCALE)

    def validation_step(self, batch: Batch, index: int) -> None:
        self._epoch.append(tuple(t.cpu() for t in self.pairs(batch)))

    def on_validation_epoch_end(self) -> None:
        scores = score(self._epoch, self.scale.cpu())
        self._epoch.clear()
        self.log("val/loss", scores["loss"], prog_bar=True)
        self.log_dict({f"val/{k}": v for k, v in scores.items() if k.startswith("recall")})


def score(pairs: Sequence[tuple[Tensor, ...]], scale: Tensor) -> dict[str, float]:
    """InfoNCE over all pairs at once, and how often one side finds the other."""
    u, v, texts = (torch.cat(column) for column in zip(*pairs, strict=True))
    return {
        "loss": float(info_nce(u, v, scale, texts)),
        "recall_speech_to_text": recall(u, v, texts),
        "recall_text_to_speech": recall(v, u, texts),
        "n": float(len(u)),
    }


@torch.inference_mode()
def finish(
    task: ContrastiveTask, parts: Assembly, run: Path, cfg: DictConfig, argv: Sequence[str]
) -> dict[str, Any]:
    """Score the test side, write `pretraining.json` and the model folder."""
    task.eval().to(parts.device)
    pairs = [task.pairs(batch.to(parts.device)) for batch in parts.loader("test")]
    scores = score(pairs, task.scale)
    results = {"objective": "contrastive", "test": scores, "command": list(argv)}
    write_json(run / "pretraining.json", results | {"config": resolve(cfg)})
    checkpoint.save(
        run / "model",
        task.model,
        tokenizer=parts.collate.tokenizer,
        meta=results | {"terms": [one.to_json() for one in parts.terms]},
    )
    print(
        f"test side, {scores['n']:.0f} pairs: InfoNCE {scores['loss']:.3f}, recall@1 speech → text "
        f"{scores['recall_speech_to_text']:.3f}, text → speech {scores['recall_text_to_speech']:.3f}"
        f"\nrun    {run}\nstart from it with: python train.py module.load_from_checkpoint={run}"
    )
    return results
