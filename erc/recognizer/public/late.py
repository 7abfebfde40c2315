"""Late fusion: what one speech model and one text model say of the same utterance, put together.

Over the emotions that both know, q ∝ p_speech^(w_speech / T) · p_text^(w_text / T): a weighted sum of
log-probabilities, the logarithmic opinion pool (Heskes 1998), with weights that sum to 1 and a
temperature. Where one of the two is missing, the other one answers alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.errors import CalibrationError, CheckpointError, ConfigError
from erc.base.files import atomic, write_json
from erc.base.numbers import softmax
from erc.base.space import SPELLINGS
from erc.model.encoded import Encoded
from erc.model.folder import CONFIG, schema
from erc.model.folder.heard import Heard
from erc.recognizer.public.labels import meaning
from erc.recognizer.runtimes import Runtime

MODALITIES = ("speech", "text")
KEY = "late_fusion"  # in a config.json: this folder names two models
LEAST = 1e-12  # a probability of which the logarithm is taken
LARGEST = 20.0  # of w / T: sharper than that no answer is
RULE = schema.record(
    {"speech": schema.text(), "text": schema.text()},
    {
        "weights": schema.items(schema.real(0, 1), 2, 2),
        "temperature": schema.real(0.05, 20),
        "labels": schema.table(schema.maybe(schema.text())),
        "fitted": schema.record(
            {
                "corpora": schema.items(schema.text(), 1),
                "training": schema.items(schema.text("[0-9a-f]{12}"), 1, 1_000_000),
            },
            {},
        ),
    },
)


@dataclass(frozen=True)
class Fusion:
    """How two models are put together.

    Attributes:
        weights: of speech and text; they sum to 1.
        temperature: above 1 it makes answers less sure.
        labels: label of either model → the emotion it is to count as, None: none; beside the spellings
            that `Space` and `erc.recognizer.public.labels` know.
        fitted: whose utterances weights and temperature were fitted to; None: to nobody's.

    Raises:
        ConfigError: weights below 0 or of another sum, a temperature outside 0.05–20.
    """

    weights: tuple[float, float] = (0.5, 0.5)
    temperature: float = 1.0
    labels: Mapping[str, str | None] | None = None
    fitted: Heard | None = None

    def __post_init__(self) -> None:
        if min(self.weights) < 0 or abs(sum(self.weights) - 1) > 1e-6:
            raise ConfigError(f"weights {self.weights} of speech and text: ≥ 0, and their sum is 1")
        if not 0.05 <= self.temperature <= 20:
            raise ConfigError(f"temperature {self.temperature} is not within 0.05–20")

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Fusion:
        """Of the entry `KEY`, which `RULE` allows."""
        weights = tuple(found.get("weights", cls.weights))
        labels = {k.lower(): v and v.lower() for k, v in found.get("labels", {}).items()}
        met = found.get("fitted")
        fitted = Heard(frozenset(met["training"]), corpora=tuple(met["corpora"])) if met else None
        return cls(weights, found.get("temperature", 1.0), labels, fitted)

    def write(self, folder: str | Path, speech: str | Path, text: str | Path) -> None:
        """Make a folder that `erc.load` opens: a `config.json` that names the two models.

        Args:
            folder: new, or one that is overwritten.
            speech, text: hub ids, or folders; relative ones begin at `folder`.
        """
        entry = {
            "speech": str(speech),
            "text": str(text),
            "weights": list(self.weights),
            "temperature": self.temperature,
            "labels": dict(self.labels or {}),
        }
        if self.fitted:
            known = self.fitted.to_json()
            entry["fitted"] = {key: known[key] for key in ("corpora", "training")}
        with atomic(folder, folder=True) as temporary:
            write_json(temporary / CONFIG, {KEY: entry})


@dataclass(frozen=True)
class Shared:
    """The emotions that two models share, and which of their labels counts as which.

    Attributes:
        emotions: as the speech model names them, in its order.
        counts: modality → bool [labels, emotions].
        unmapped: modality → labels that the other model has no counterpart of. They get no answer.
    """

    emotions: tuple[str, ...]
    counts: Mapping[str, np.ndarray]
    unmapped: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(
        cls,
        speech: Sequence[str],
        text: Sequence[str],
        labels: Mapping[str, str | None] | None = None,
    ) -> Shared:
        """Compare labels by what they mean.

        Raises:
            CheckpointError: they share fewer than two emotions.

        >>> shared = Shared.of(["ang", "calm", "neutral"], ["joy", "anger", "neutral"])
        >>> shared.emotions, dict(shared.unmapped)
        (('ang', 'neutral'), {'speech': (), 'text': ('joy',)})
        >>> shared.counts["speech"].tolist()
        [[True, False], [False, True], [False, True]]
        """
        own = {"speech": tuple(speech), "text": tuple(text)}
        meant = {m: [meaning(x, labels or {}) for x in found] for m, found in own.items()}
        both = [x for x in dict.fromkeys(meant["speech"]) if x is not None and x in meant["text"]]
        if len(both) < 2:
            raise CheckpointError(
                f"the speech model answers {', '.join(speech)}, the text model {', '.join(text)}; they "
                "share fewer than two emotions. Say which mean the same: "
                f"labels={{{text[0]!r}: {speech[0]!r}}}"
            )
        counts = {m: np.array([[x == e for e in both] for x in meant[m]]) for m in MODALITIES}
        left = {
            m: tuple(x for x, row in zip(own[m], counts[m]) if not row.any()) for m in MODALITIES
        }
        return cls(tuple(_name(e, own["speech"], meant["speech"]) for e in both), counts, left)

    def logs(self, modality: str, scores: np.ndarray) -> np.ndarray:
        """Scores [N, labels] of one model → log-probabilities [N, K] over the shared emotions."""
        mass = softmax(scores.astype(np.float64)) @ self.counts[modality]
        mass = np.maximum(mass, LEAST)
        return np.log(mass / mass.sum(1, keepdims=True))

    def notes(self) -> list[str]:
        """What is left out, counted and named."""
        return [
            f"labels of the {modality} model without a counterpart, left out: {len(left)} "
            f"({', '.join(left[:12])}{', …' * (len(left) > 12)})"
            for modality, left in self.unmapped.items()
            if left
        ]


class LateRuntime(Runtime):
    """Two models behind the two calls of a `Runtime`; `encode` is theirs, `fuse` is the pool.

    Args:
        parts: "speech" and "text" → the runtime of each.
        shared: the emotions that both know.
        weights: of speech and text; the temperature is the recognizer's to apply.
    """

    name = "torch-fp32"

    def __init__(self, parts: Mapping[str, Runtime], shared: Shared, weights: tuple[float, float]):
        self.parts, self.shared, self.weights = parts, shared, weights
        speech, text = (parts[m].spec for m in MODALITIES)
        self.spec = replace(
            speech,
            modalities=MODALITIES,
            widths={**speech.widths, **text.widths},
            pad_token_id=text.pad_token_id,
        )

    def encode(
        self, modality: str, x: np.ndarray, lengths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return self.parts[modality].encode(modality, x, lengths)

    def fuse(self, encoded: Encoded[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        there = np.stack([encoded.present[m] for m in MODALITIES], 1)  # [B, 2]
        logs = np.stack([self.shared.logs(m, encoded.pooled[m]) for m in MODALITIES], 1)
        weights = np.array(self.weights) * there
        alone = weights.sum(1) == 0  # what is there has weight 0: it answers all the same
        weights = np.where(alone[:, None], there, weights)
        weights = weights / np.maximum(weights.sum(1, keepdims=True), LEAST)
        pooled = np.einsum("bm,bmk->bk", weights, logs)
        return pooled.astype(np.float32), np.zeros((len(pooled), 0), np.float32)


def fit(speech: np.ndarray, text: np.ndarray, labels: np.ndarray) -> Fusion:
    """Weights and temperature with the least cross-entropy on utterances that neither was trained on.

    With a = w_speech / T and b = w_text / T the cross-entropy of softmax(a log p + b log q) is convex:
    there is one answer.

    Args:
        speech, text: probabilities [N, K] of the two, e.g. exp of `Shared.logs`.
        labels: indices [N], or distributions [N, K] of votes.

    Raises:
        CalibrationError: no utterance, or neither model says anything of the labels.

    >>> p = np.array([[0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    >>> fit(p, 1 - p, np.array([0, 1, 1])).weights  # the second is always wrong where the first is right
    (1.0, 0.0)
    """
    from scipy.optimize import minimize

    logs = np.stack([np.log(np.maximum(x, LEAST)) for x in (speech, text)])  # [2, N, K]
    known = np.asarray(labels)
    soft = np.eye(logs.shape[2])[known] if known.ndim == 1 else known
    if not len(soft) or logs.shape[1:] != soft.shape:
        raise CalibrationError(
            f"probabilities {logs.shape[1:]} and labels {soft.shape} are not of the same utterances"
        )

    def loss(ab: np.ndarray) -> tuple[float, np.ndarray]:
        z = np.tensordot(ab, logs, 1)
        log_q = z - np.logaddexp.reduce(z, 1, keepdims=True)
        slope = [((np.exp(log_q) - soft) * each).sum(1).mean() for each in logs]
        return float(-(soft * log_q).sum(1).mean()), np.array(slope)

    found = minimize(loss, (0.5, 0.5), jac=True, method="L-BFGS-B", bounds=[(0, LARGEST)] * 2,
                     options={"ftol": 1e-14, "gtol": 1e-10})  # fmt: skip
    a, b = (float(x) for x in found.x)
    if not 1 / 20 < a + b < 20:
        raise CalibrationError(
            f"on {len(soft)} utterances the best weights are {a:.3g} and {b:.3g}: these are too few, or "
            "the answers of the two models do not fit the labels at any temperature"
        )
    return Fusion((a / (a + b), 1 - a / (a + b)), 1 / (a + b))


def _name(meant: str, labels: Sequence[str], meanings: Sequence[str | None]) -> str:
    """What the speech model calls it; of several labels that which stands first in `Space`."""
    own = [label for label, m in zip(labels, meanings) if m == meant]
    order = [word for group in SPELLINGS if group[0] == meant for word in group]
    return min(own, key=lambda x: order.index(x) if x in order else len(order))
