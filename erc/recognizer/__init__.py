"""A trained model and a recording → `Prediction`. Any modality may be missing.

Enters: a model folder, recordings, transcripts, physiology.
Leaves: `Prediction`, `Failure`, `Explanation`.
May import: base, labels, model; `Recognizer.timeline` opens the room above.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc.base import audio
from erc.base.errors import CheckpointError
from erc.base.terms import from_json, refuse
from erc.model.folder import TOKENIZER, model_id, read_config, verify
from erc.model.folder.find import find_model
from erc.model.folder.held_out import HeldOut
from erc.model.tokenizer import load_tokens
from erc.recognizer.clip import Clip
from erc.recognizer.engine import BATCH_SECONDS, WORKERS, Engine
from erc.recognizer.explain import Explanation
from erc.recognizer.explain import explain as why
from erc.recognizer.prediction import Failure, Prediction
from erc.recognizer.public.opened import Named, look, open_public
from erc.recognizer.runtimes import open_runtime
from erc.recognizer.sets import check
from erc.scores.selective import TYPICAL

if TYPE_CHECKING:
    from erc.timeline import Live, Timeline

__all__ = ["Clip", "Explanation", "Failure", "Prediction", "Recognizer", "load"]


class Recognizer(Engine):
    """A model folder, ready to answer; `erc.load(folder)` makes one. Arguments: see `Engine`."""

    def timeline(self, audio: audio.Source, text: Any = None, **options: Any) -> Timeline:
        """Turns of a long recording with an answer each; see `erc.timeline.timeline`."""
        from erc.timeline import timeline

        return timeline(self, audio, text, **options)

    def live(self, rate: int = audio.SAMPLE_RATE, **options: Any) -> Live:
        """A stream of 16-bit samples, with an answer for each turn as it ends; see `Live`."""
        from erc.timeline import Live

        return Live(self, rate, **options)

    def explain(
        self,
        audio: audio.Source | None = None,
        text: str | None = None,
        sampling_rate: int | None = None,
        physiology: Mapping[str, Any] | None = None,
    ) -> Explanation:
        """Why this answer: the share of each modality, of moments and of words; see `Explanation`."""
        return why(self, self.read(audio, text, sampling_rate, physiology))


def load(
    folder: Named | None = None,
    *,
    runtime: str = "auto",
    device: str = "auto",
    abstain: float = 0.0,
    typical: float = TYPICAL,
    sets: float | None = None,
    batch_seconds: float = BATCH_SECONDS,
    workers: int = WORKERS,
    commercial: bool = False,
) -> Recognizer:
    """Open a model folder of training, `erc import-reference` or `erc export`, or a published model.

    Args:
        folder: of a model, or the id of one on the Hugging Face hub; two of them, a speech and
            a text model of the hub, are heard together (`erc.recognizer.public`). "starter": what comes
            with the package; None: what the commands take where none is named, see `find.choose`.
        runtime: auto | torch-fp32 | torch-bf16 | onnx-fp32 | onnx-int8 | openvino-fp32 |
            openvino-bf16; "auto" takes what `erc tune` found fastest here and exact enough;
            where nothing was measured, on a CPU the exported copy if there is one, else torch-fp32.
        device: auto | cpu | cuda.
        abstain: mark answers with a confidence below this;
        typical: and those of something with a typicality below this, see `Prediction`.
        sets: give each answer a prediction set that is right so often, e.g. 0.9; None: none.
        batch_seconds: audio in one batch, padding included.
        workers: threads that decode recordings ahead.
        commercial: refuse a model that its data, encoders or weights forbid to use commercially, or of
            which that is not known.

    Raises:
        CheckpointError: not a model folder, or a broken one, or a published one that is not opened.
        ConfigError: unknown runtime, one that is not installed, sets that nobody calibrated, or refused
            for commercial use.
    """
    options: dict[str, Any] = {
        "abstain": abstain,
        "typical": typical,
        "sets": sets,
        "batch_seconds": batch_seconds,
        "workers": workers,
    }
    found = look(folder or find_model())
    if commercial:
        own = read_config(found) if isinstance(found, Path) else found.to_config()
        refuse(from_json(own["meta"].get("terms")), f"the model {folder}")
    if not isinstance(found, Path):
        opened, config, tokens, name = open_public(found, runtime, device)
        if sets is not None:
            check(sets, HeldOut())
        return Recognizer(opened, config, tokens, model=name, **options)
    folder, config = found, read_config(found)
    if config["meta"].get("objective") == "contrastive":
        raise CheckpointError(
            f"{folder} was pre-trained without emotions and cannot predict; train a model from it: "
            f"python train.py module.load_from_checkpoint={folder}"
        )
    tokens = None
    verify(folder, config, words=True)
    if (folder / TOKENIZER).is_dir():
        most = config["meta"].get("prediction", {}).get("txt_max_length", 128)
        tokens = load_tokens(folder / TOKENIZER, most)
    opened = open_runtime(folder, config, runtime, device)
    held_out = HeldOut.read(folder, opened.spec)
    if sets is not None:
        check(sets, held_out)
    return Recognizer(
        opened,
        config,
        tokens,
        held_out=held_out,
        model=model_id(folder, config),
        **options,
    )
