"""Every model of config/model × every target trains; parameter groups; starting from other weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import erc.training.config
from erc.base.errors import CheckpointError, ConfigError
from erc.model.folder import checkpoint
from erc.model.pooling import SEQUENCES
from erc.recognizer import load
from erc.studies.experiment import configure
from erc.training import contrastive, features
from erc.training import start_weights as starting
from erc.training.assembly import Assembly
from erc.training.check import check
from erc.training.run import train
from erc.training.task import make_task, parameter_groups, part
from erc.training.trainer import make_trainer

MODELS = sorted(f.stem for f in (erc.training.config.FOLDER / "model").glob("[!_]*.yaml"))
SMALL = (
    "trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.fast_dev_run=true",
    "trainer.enable_progress_bar=false",
    "dataset=hf", "dataset.protocol=strict", "dataset.num_data=6", "dataset.wav_max_length=8000",
    "dataloader.batch_size=4",
)  # fmt: skip


def overrides(kemdy19: Path, model: str) -> list[str]:
    """A model of config/model at tiny size."""
    words = [*SMALL, f"dataset.paths={kemdy19}", f"model={model}", "model.dim=16"]
    own = erc.training.config.compose([f"model={model}", "model.speech_encoder=tiny-whisper"]).model
    if model != "text_only":
        words.append("model.speech_encoder=tiny-whisper")
    if own.text_encoder:
        words.append("model.text_encoder=tiny-roberta")
    if own.fusion == "tensor_mixer":
        words.append("model.fusion_options={patch_size: 4, mixer_dim: 12, depth: 1}")
    return words


def assemble(kemdy19: Path, model: str, *more: str) -> Assembly:
    return Assembly(configure([*overrides(kemdy19, model), *more], Path("unused")))


def test_all_models_have_the_same_keys():
    keys = {m: list(erc.training.config.compose([f"model={m}"]).model) for m in MODELS}
    assert {m for m in MODELS if set(keys[m]) != set(keys["tiny"])} == set()


@pytest.mark.parametrize("target", ["peakl", "soft", "hard"])
@pytest.mark.parametrize("model", MODELS)
def test_every_model_trains_on_every_target(kemdy19, tmp_path, model, target):
    cfg = configure([*overrides(kemdy19, model), f"model.target={target}"], tmp_path)
    parts = Assembly(cfg)
    kind = contrastive.ContrastiveTask if cfg.model.objective == "contrastive" else None
    task = make_task(cfg, parts, *filter(None, [kind]))
    before = {n: p.detach().clone() for n, p in task.model.named_parameters()}
    trainer = make_trainer(cfg, tmp_path)
    trainer.fit(task, parts.loader("train"), parts.loader("valid"))
    assert trainer.callback_metrics["val/loss"].isfinite()
    changed = {n for n, p in task.model.named_parameters() if not torch.equal(p, before[n])}
    assert changed
    assert all(dict(task.model.named_parameters())[n].requires_grad for n in changed)
    task.model.eval()
    batch = next(iter(parts.loader("test")))
    output = features.run(task.model, batch, parts.tables)
    assert output.logits.shape == (len(batch.rows), 7)
    assert output.dimensions.shape == (len(batch.rows), 2)
    assert output.features.shape == (len(batch.rows), task.model.fusion.out_features)


@pytest.mark.parametrize("model", MODELS)
def test_every_trainable_parameter_is_in_exactly_one_group(kemdy19, model):
    more = [] if model == "text_only" else ["model.speech_options.layer=weighted"]
    net = assemble(kemdy19, model, *more).model
    rates = {"speech": 1e-5, "text": 2e-5, "projector": 3e-4, "fusion": 4e-4, "head": 5e-4}
    if not list(net.fusion.parameters()):
        del rates["fusion"]
    groups = parameter_groups(net, 1e-4, rates, 0.01)
    grouped = [id(p) for g in groups for p in g["params"]]
    trainable = {id(p): n for n, p in net.named_parameters() if p.requires_grad}
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == set(trainable)
    rates |= {"lora": 1e-4, "layers": 1e-4, "attention": 1e-4, "physiology": 1e-4}
    for group in groups:
        for p in group["params"]:
            assert group["lr"] == rates[part(trainable[id(p)])]
    if more:
        assert "branches.speech.layers.logits" in trainable.values()


@pytest.mark.parametrize("fusion", ["concat", "gated", "low_rank", "cross_attention"])
@pytest.mark.parametrize("frozen", ["false", "true"])
def test_a_fusion_is_chosen_by_its_name_alone(kemdy19, fusion, frozen):
    parts = assemble(
        kemdy19, "tiny", f"model.fusion={fusion}", f"model.freeze_speech={frozen}",
        f"model.freeze_text={frozen}",
    )  # fmt: skip
    model = parts.model.eval()
    if fusion == "cross_attention":
        wanted = "segments" if frozen == "true" else "frames"
        assert model.plan.speech_pooling == model.plan.text_pooling == wanted
    assert set(parts.tables) == ({"speech", "text"} if frozen == "true" else set())
    batch = next(iter(parts.loader("test")))
    for use in (("speech",), ("text",), None):
        output = features.run(model, batch.only(use), parts.tables)
        assert output.logits.isfinite().all()
    with pytest.raises(ConfigError, match="no option 'hiden'"):
        assemble(kemdy19, "tiny", f"model.fusion={fusion}", "model.fusion_options.hiden=3")


@pytest.mark.parametrize("pooling", ["mean_std", "attention", "segments"])
@pytest.mark.parametrize("layer", ["mean", "weighted"])
def test_cached_features_say_what_the_encoder_says(kemdy19, pooling, layer):
    fusion = "cross_attention" if pooling in SEQUENCES else "gated"
    parts = assemble(
        kemdy19, "tiny", f"model.fusion={fusion}", "model.freeze_speech=true",
        f"model.speech_pooling={pooling}", f"model.speech_options.layer={layer}", "model.segments=5",
    )  # fmt: skip
    model = parts.model.eval()
    with torch.no_grad():
        for p in model.branches["speech"].parameters():
            if p.requires_grad:
                p.add_(torch.randn_like(p))
    batch = next(iter(parts.loader("test")))
    cached = features.run(model, batch, parts.tables)
    parts.collate.pooled = frozenset()
    data = parts.sides["test"]
    rows = data.rows.tolist()
    live = parts.collate([data[rows.index(r)] for r in batch.rows.tolist()])
    torch.testing.assert_close(
        features.run(model, live).logits, cached.logits, atol=1e-4, rtol=1e-4
    )
    shape = (5,) if pooling != "mean_std" else ()
    layers = (3,) if layer == "weighted" else ()
    size = 128 if pooling == "mean_std" else 64
    assert parts.tables["speech"].shape[1:] == (*shape, *layers, size)


def test_info_nce_equals_a_loop_and_leaves_twins_out():
    g = torch.Generator().manual_seed(0)
    u, v = torch.randn(4, 3, generator=g), torch.randn(4, 3, generator=g)
    texts, scale = torch.tensor([0, 1, 0, 2]), torch.tensor(5.0)
    losses = []
    for a, b in ((u, v), (v, u)):
        for i in range(4):
            s = {
                j: scale * F.cosine_similarity(a[i], b[j], dim=0)
                for j in range(4)
                if j == i or texts[j] != texts[i]
            }
            losses.append(-(s[i] - torch.stack(list(s.values())).logsumexp(0)))
    expected = torch.stack(losses).mean()
    torch.testing.assert_close(contrastive.info_nce(u, v, scale, texts), expected)
    assert contrastive.recall(u, u, texts) == 1


@pytest.fixture(scope="module")
def pretrained(kemdy19, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("clip")
    words = [*overrides(kemdy19, "clip"), "trainer.fast_dev_run=false", "trainer.max_epochs=1"]
    results = train(configure(words, run))
    assert results["test"]["n"] == 6
    assert json.loads((run / "pretraining.json").read_text())["test"] == results["test"]
    return run


def test_a_pretrained_folder_cannot_predict(pretrained):
    with pytest.raises(CheckpointError, match="cannot predict"):
        load(pretrained / "model")


@pytest.mark.parametrize("more", [[], ["model.freeze_speech=true", "model.freeze_text=true"]])
def test_another_model_starts_from_it(kemdy19, pretrained, more, capsys):
    start = f"module.load_from_checkpoint={pretrained}"
    plain = assemble(kemdy19, "gated", *more)
    parts = assemble(kemdy19, "gated", start, *more)
    source, _, _ = checkpoint.load_model(pretrained / "model")
    for name in ("speech", "text"):
        ours, theirs = parts.model.branches[name].encoder, source.branches[name].encoder
        assert all(torch.equal(p, q) for p, q in zip(ours.parameters(), theirs.parameters()))
        table = parts.tables.get(name)
        assert table is None or not torch.equal(table, plain.tables[name])  # a name of its own
    tokenizer = load_tokenizer(pretrained)
    assert parts.collate.tokenizer.get_vocab() == tokenizer.get_vocab()
    said = capsys.readouterr().out
    assert "start from" in said
    assert "fusion" in said.partition("not taken: ")[2]
    assert not torch.equal(parts.model.head.weight, source.head.weight)


def load_tokenizer(run: Path):
    return checkpoint.load_model(run / "model")[1]


def test_lora_starts_from_plain_weights(kemdy19, pretrained):
    start = f"module.load_from_checkpoint={pretrained / 'model'}"
    model = assemble(kemdy19, "mlp_mixer_lora", start).model
    source = checkpoint.load_model(pretrained / "model")[0].state_dict()
    layer = "branches.speech.encoder.backbone.model.layers.0.self_attn.q_proj"
    assert torch.equal(model.state_dict()[f"{layer}.base_layer.weight"], source[f"{layer}.weight"])


def test_starting_from_a_checkpoint_of_lightning(kemdy19, pretrained):
    found = starting.read(pretrained / "checkpoints" / "last.ckpt")
    assert found.tokenizer is not None
    model = checkpoint.load_model(pretrained / "model")[0]
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    report = starting.start_from(model, found, found.tokenizer)
    assert set(report.values()) == {"loaded"}
    other = assemble(kemdy19, "tiny").collate.tokenizer
    if other.get_vocab() != found.tokenizer.get_vocab():
        assert "tokenizer" in starting.start_from(model, found, other)["text encoder"]
    found.tokenizer = None
    assert "tokenizer" in starting.start_from(model, found, other)["text encoder"]


def test_a_start_that_cannot_be_is_refused(kemdy19, pretrained, tmp_path):
    model = assemble(kemdy19, "tiny").model
    with pytest.raises(CheckpointError, match="no part of it fits"):
        starting.start_from(model, starting.Start({"x": torch.ones(1)}, None, "somewhere"))
    with pytest.raises(CheckpointError, match="neither a run"):
        starting.read(tmp_path)
    (tmp_path / "broken.ckpt").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        starting.read(tmp_path / "broken.ckpt")
    with pytest.raises(CheckpointError, match="no file"):
        starting.read(tmp_path / "absent.ckpt")
    cfg = configure([*overrides(kemdy19, "tiny"), "module.load_from_checkpoint=nowhere"], tmp_path)
    with pytest.raises(CheckpointError, match="there is no 'nowhere'"):
        check(cfg)
