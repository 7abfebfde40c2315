"""An encoder set to null, or a corpus without recordings or transcripts: what is left is trained."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import erc
import erc.training.config
from erc.base.errors import ConfigError
from erc.base.text import clean
from erc.studies.experiment import configure, run
from erc.training import closed_form, features
from erc.training.assembly import Assembly
from erc.training.contrastive import ContrastiveTask

MODELS = sorted(f.stem for f in (erc.training.config.FOLDER / "model").glob("[!_]*.yaml"))
BOTH = "model needs a speech encoder, a text encoder, or both"
REFUSED = {  # what nothing is left of, or what compares the two
    ("clip", "text"): "needs a speech and a text encoder",
    ("clip", "speech"): "needs a speech and a text encoder",
    ("text_only", "text"): BOTH,
    ("linear", "speech"): BOTH,
    **{(f"wav_only_{kind}", "speech"): BOTH for kind in ("cls", "mtl", "reg")},
}


def assemble(root: Path, model: str, *more: str) -> Assembly:
    words = [
        "trainer.accelerator=cpu", "trainer.precision=32-true", "dataset=hf", f"dataset.paths={root}",
        "dataset.protocol=strict", "dataset.num_data=6", "dataset.wav_max_length=8000",
        f"model={model}", "model.dim=16",
    ]  # fmt: skip
    own = erc.training.config.compose([f"model={model}", "model.speech_encoder=tiny-whisper"]).model
    if model != "text_only":
        words.append("model.speech_encoder=tiny-whisper")
    if own.text_encoder:
        words.append("model.text_encoder=tiny-roberta")
    if own.fusion == "tensor_mixer":
        words.append("model.fusion_options={patch_size: 4, mixer_dim: 12, depth: 1}")
    if own.fusion == "trilinear":
        words += ["model.physiology_encoder=null", "model.fusion_options.patch_size=4"]
    return Assembly(configure([*words, *more], Path("unused")))


def contrastively(parts: Assembly) -> ContrastiveTask:
    return ContrastiveTask(parts.model, parts.loss, parts.sides["valid"])


@pytest.mark.parametrize("null", ["text", "speech"])
@pytest.mark.parametrize("model", MODELS)
def test_every_model_does_without_an_encoder_or_says_why_not(kemdy19, model, null):
    if reason := REFUSED.get((model, null)):
        with pytest.raises(ConfigError, match=reason):
            contrastively(assemble(kemdy19, model, f"model.{null}_encoder=null"))
        return
    parts = assemble(kemdy19, model, f"model.{null}_encoder=null")
    left = {"text": "speech", "speech": "text"}[null]
    assert parts.model.modalities == (left,)
    if parts.cfg.model.objective == "closed_form":
        closed_form.fit(parts)
    batch = next(iter(parts.loader("train")))
    output = features.run(parts.model, batch, parts.tables)
    assert output.logits.isfinite().all()
    if parts.cfg.model.objective != "closed_form":
        parts.loss(output, batch.target, batch.dimensions)[0].backward()
        assert parts.model.head.weight.grad.abs().sum() > 0


def test_what_replaces_the_fusion_is_said(kemdy19, capsys):
    assemble(kemdy19, "cross_attention", "model.text_encoder=null")
    assert "speech alone: fusion single, not cross_attention" in capsys.readouterr().out
    assemble(kemdy19, "cross_attention")
    assert "alone" not in capsys.readouterr().out


def manifest(kemdy19: Path, folder: Path, column: str) -> Path:
    """16 utterances of 4 sessions, with recordings or transcripts only."""
    rows = []
    for session in sorted(kemdy19.glob("wav/Session0[2-5]")):
        for wav in sorted(session.rglob("*.wav"))[:4]:
            text = clean(wav.with_suffix(".txt").read_text("utf-8"))
            rows.append({
                "id": wav.stem, "speaker": session.name, "session": session.name,
                "emotion": ("happy", "sad")[len(rows) % 2],
                column: {"audio": wav, "text": text}[column],
            })  # fmt: skip
    folder.mkdir()
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        sheet = csv.DictWriter(file, rows[0])
        sheet.writeheader()
        sheet.writerows(rows)
    return folder


@pytest.mark.parametrize(("column", "left"), [("audio", "speech"), ("text", "text")])
def test_a_manifest_of_one_kind_trains_on_it(kemdy19, tmp_path, capsys, column, left):
    corpus = manifest(kemdy19, tmp_path / "corpus", column)
    run(
        [
            "dataset=manifest", f"dataset.paths={corpus}", "dataset.num_folds=4", "model=tiny",
            "dataset.validation_fold=3", "trainer.max_epochs=1", "trainer.accelerator=cpu",
            "trainer.enable_progress_bar=false", "export=false",
        ],
        tmp_path / "run",
    )  # fmt: skip
    missing = {"audio": "transcripts", "text": "recordings"}[column]
    assert f"no utterance has {missing}: the model takes {left} only" in capsys.readouterr().out
    recognizer = erc.load(tmp_path / "run" / "model")
    assert recognizer.spec.modalities == (left,)
    assert "valence" in recognizer.learned.unlearned


def test_nothing_left_is_an_error(kemdy19, tmp_path):
    corpus = manifest(kemdy19, tmp_path / "corpus", "audio")
    with pytest.raises(
        ConfigError, match="no utterance has transcripts, and this model takes nothing"
    ):
        assemble(
            corpus, "text_only", "model.text_encoder=tiny-roberta", "dataset=manifest",
            "dataset.num_data=null", "dataset.num_folds=4", "dataset.validation_fold=3",
        )  # fmt: skip
