"""`erc.EmotionModel`: with `save_pretrained`, `from_pretrained`, `push_to_hub` of huggingface_hub."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, Self

from huggingface_hub import ModelHubMixin

from erc.base.files import replace
from erc.base.terms import Terms, from_json
from erc.model import emotion
from erc.model.folder import (
    CARD,
    HELD_OUT,
    TOKENIZER,
    USE,
    WEIGHTS,
    checkpoint,
    find_folder,
    read_config,
    write_config,
)
from erc.model.lora import merged_state


class EmotionModel(ModelHubMixin, emotion.EmotionModel):
    """What goes to the hub is a model folder: `erc.load` and `from_pretrained` both read it.

    A model that came from a folder remembers it. As long as its weights are those of the folder,
    its scores, calibration and card travel with it; after more training they would be false, and
    what is written says only where the model began.
    """

    origin: Path | None = None

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        **unknown: Any,
    ) -> Self:
        """The model of a folder or hub id, in evaluation mode.

        Args:
            pretrained_model_name_or_path: a folder; or `user/name`, taken from the local cache if
                it is there, else from the hub.
            force_download, token, cache_dir, local_files_only, revision: of
                `huggingface_hub.snapshot_download`; there is no other option.

        Raises:
            CheckpointError: nothing usable there.
        """
        if unknown:
            raise TypeError(f"from_pretrained has no option {', '.join(unknown)}")
        options = {
            "force_download": force_download, "token": token, "cache_dir": cache_dir,
            "local_files_only": local_files_only, "revision": revision,
        }  # fmt: skip
        given = {k: v for k, v in options.items() if v not in (None, False)}
        folder = find_folder(pretrained_model_name_or_path, **given)
        model = checkpoint.load_as(cls, folder)
        model.origin = folder.resolve()
        return model

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write the files of a model folder; others in `save_directory` stay."""
        meta, card = self._story()
        with tempfile.TemporaryDirectory(dir=save_directory) as temporary:
            made = Path(temporary) / "model"
            checkpoint.save(made, self, meta=meta, card=card or unmeasured(self, meta))
            if self.origin and (self.origin / TOKENIZER).is_dir():
                shutil.copytree(self.origin / TOKENIZER, made / TOKENIZER)
            if self.origin and card and (self.origin / HELD_OUT).is_file():
                shutil.copy(self.origin / HELD_OUT, made)
            else:
                (save_directory / HELD_OUT).unlink(missing_ok=True)  # of other weights
            write_config(made, read_config(made))
            for file in made.iterdir():
                replace(file, save_directory / file.name)

    def _story(self) -> tuple[dict[str, Any], str | None]:
        """`meta` and card to write: of the origin, if these are its weights."""
        if not self.origin or not self.origin.is_dir():
            return {}, None
        meta, card = read_config(self.origin)["meta"], self.origin / CARD
        if self._is(self.origin / WEIGHTS):
            return meta, card.read_text("utf-8") if card.is_file() else None
        settings = {k: v for k, v in meta.get("prediction", {}).items() if k != "temperature"}
        since = Terms("what it was trained on since")
        terms = [one.to_json() for one in (*from_json(meta.get("terms")), since)]
        return {"prediction": settings, "began_as": self.origin.name, "terms": terms}, None

    def _is(self, weights: Path) -> bool:
        """Are these the weights of that file?"""
        ours, theirs = merged_state(self), checkpoint.read_tensors(weights)
        return ours.keys() == theirs.keys() and all(ours[k].cpu().equal(theirs[k]) for k in theirs)


def unmeasured(model: emotion.EmotionModel, meta: dict[str, Any]) -> str:
    """The card of a model whose scores nobody knows: of a run it is no longer, or never was."""
    began = f" It began as `{meta['began_as']}` and was changed." if "began_as" in meta else ""
    space = model.space
    names = ["emotion"] * bool(space.emotions) + list(space.names)
    gives = " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))).capitalize()
    return (
        "---\nlibrary_name: erc\nlicense: other\ntags: [emotion-recognition]\n---\n\n"
        f"# {gives} from {' and '.join(model.modalities)}\n\n"
        f"No scores are known of these weights.{began} Check the licences of data and encoders.\n\n"
        f"{USE}"
    )
