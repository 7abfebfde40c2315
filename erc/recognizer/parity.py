"""How far two runtimes of one model disagree: on recordings, or on simulated speech."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from erc.base.audio import SAMPLE_RATE
from erc.base.errors import AudioError, ConfigError
from erc.base.numbers import differences
from erc.scores.tables import grid

if TYPE_CHECKING:
    from erc.recognizer import Clip, Recognizer

UTTERANCES = 24  # looked at, if there are as many
FORMATS = (".wav", ".flac", ".ogg", ".mp3")


def clips(recognizer: Recognizer, recordings: str | Path | None = None) -> tuple[list[Clip], str]:
    """Inputs to compare on, with every modality the model takes, and what they are.

    Args:
        recognizer: reads them.
        recordings: a folder, of which the first `UTTERANCES` by name are taken; None: simulated
            speech. Transcript and physiology are simulated either way.

    Raises:
        ConfigError: no recording there.
        AudioError: none that can be used.
    """
    rng, recognizer = np.random.default_rng(0), _with_tokens(recognizer)
    if recordings is None:
        made = [recognizer.read(**_simulated(recognizer, rng, None, k)) for k in range(UTTERANCES)]
        return made, f"{UTTERANCES} utterances of simulated speech"
    files = sorted(p for p in Path(recordings).rglob("*") if p.suffix.lower() in FORMATS)
    if not files:
        raise ConfigError(f"--recordings {recordings}: no {', '.join(FORMATS)} there")
    found, problem = [], None
    for k, file in enumerate(files[:UTTERANCES]):
        try:
            found.append(recognizer.read(**_simulated(recognizer, rng, file, k)))
        except AudioError as error:
            problem = error
    if problem and not found:
        raise problem
    invented = [m for m in recognizer.spec.modalities if m != "speech"]
    note = f", {' and '.join(invented)} simulated" if invented else ""
    return found, f"{len(found)} of {len(files)} recordings of {Path(recordings).name}{note}"


def compare(reference: Recognizer, other: Recognizer, inputs: list[Clip]) -> dict[str, Any]:
    """Differences over `inputs`, plain JSON.

    Returns:
        max_probability, and max_valence … of every dimension, as if its scale were 1–5: largest
        absolute difference of an answer; label_agreement: share of equal labels, 1 where there are no
        emotions; pooled: modality → largest ‖a − b‖ / ‖a‖ of an utterance's features a (of the
        reference).
    """
    a, b = reference.encode_all(inputs), other.encode_all(inputs)
    one, two, space = reference.score(a), other.score(b), reference.space
    labels = [np.argmax(p, 1) if space.emotions else np.zeros(len(p)) for p, _ in (one, two)]
    return {
        "reference": reference.runtime.name,
        **differences(one, two, space),
        "label_agreement": float((labels[0] == labels[1]).mean()),
        "pooled": {name: _relative(a.pooled[name], b.pooled[name]) for name in a.pooled},
    }


def table(report: dict[str, Any]) -> str:
    """What `compare` found, for people; `report` also holds `runtime` and `inputs`."""
    rows = [
        [f"largest difference of {'a ' * (name == 'max_probability')}{name[4:]}", f"{off:.1e}"]
        for name, off in report.items()
        if name.startswith("max_")
    ]
    rows += [["same label", f"{report['label_agreement']:.1%}"]]
    rows += [
        [f"relative error of the {name} features", f"{error:.1e}"]
        for name, error in report["pooled"].items()
    ]
    return grid([f"{report['runtime']} against {report['reference']}", ""], rows) + (
        f"\non {report['inputs']}"
    )


def _relative(a: np.ndarray, b: np.ndarray) -> float:
    steps = min(a.shape[1], b.shape[1])  # of sequences one may be padded more than the other
    a, b = (x[:, :steps].reshape(len(x), -1).astype(float) for x in (a, b))
    size = np.linalg.norm(a, axis=1)
    return float((np.linalg.norm(a - b, axis=1) / np.where(size > 0, size, 1)).max())


def _simulated(recognizer: Recognizer, rng: Any, file: Path | None, k: int) -> dict[str, Any]:
    """Arguments of `Recognizer.read`: what is missing of one utterance, made up."""
    from erc.base.sentences import sentence
    from erc.base.voice import Delivery, cast, speak

    arousal, valence, tension = rng.uniform(1, 5, 3)
    words = " ".join(sentence(valence, arousal, rng) for _ in range(1 + k % 3))
    given: dict[str, Any] = {"source": file, "name": f"utterance {k}"}
    takes = recognizer.spec.modalities
    if "speech" in takes and file is None:
        voice = speak(words, cast("FM"[k % 2], rng), Delivery(arousal, tension, valence), rng)
        given |= {"source": voice, "sampling_rate": SAMPLE_RATE}
    if "text" in takes:
        given["text"] = words
    if "physiology" in takes:
        given["physiology"] = _body(rng)
        if recognizer.baseline == "speaker":
            given["physiology"]["baseline"] = [_body(rng) for _ in range(3)]
    return given


def _with_tokens(recognizer: Recognizer) -> Recognizer:
    """For a folder without tokenizer (`erc import-reference`): made-up ids below 32, which all have."""
    if "text" not in recognizer.spec.modalities or recognizer.tokens is not None:
        return recognizer
    return replace(recognizer, tokens=lambda text: [2 + ord(c) % 30 for c in text][:40])


def _body(rng: np.random.Generator) -> dict[str, Any]:
    """Skin conductance and temperature of 8 s at 4 Hz, and ten heart beats."""
    return {
        "eda": 2 + rng.normal(0, 0.05, 32).cumsum().clip(-1.5, 5),
        "temp": 33 + rng.normal(0, 0.01, 32).cumsum(),
        "ibi": rng.uniform(0.6, 1.0, 10),
    }
