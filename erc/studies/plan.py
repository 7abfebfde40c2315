"""`erc plan`: a configuration, a corpus or its size, and this machine → what it will cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from erc.base import devices
from erc.base.errors import CheckpointError, ConfigError
from erc.scores.tables import grid
from erc.studies.planning import (
    Constants,
    Encoder,
    Step,
    Work,
    advice,
    duration,
    encoder,
    size,
    steps,
)
from erc.training.config import compose, resolve

SAMPLED = 300  # recordings whose length is looked up; the others are as long as these on average
POOLED = {"mean_std": 2, "mean_std_thirds": 6}  # means a feature; 1 of every other pooling
_BERT = ("num_hidden_layers", "hidden_size", "intermediate_size")
_WAV2VEC2 = {
    "conv_dim": (512,) * 7, "conv_kernel": (10, 3, 3, 3, 3, 2, 2), "conv_stride": (5, 2, 2, 2, 2, 2, 2),
    "num_conv_pos_embeddings": 128, "num_conv_pos_embedding_groups": 16,
}  # fmt: skip


def _bert(layers: int, width: int, inner: int, **others: Any) -> dict[str, Any]:
    return dict(zip(_BERT, (layers, width, inner), strict=True)) | others


def _whisper(layers: int, width: int, mels: int = 80) -> dict[str, Any]:
    return {"model_type": "whisper", "encoder_layers": layers, "d_model": width,
            "encoder_ffn_dim": 4 * width, "num_mel_bins": mels}  # fmt: skip


# Sizes from the config.json of each, for plans made before anything is fetched.
KNOWN: dict[str, dict[str, Any]] = {
    "tiny-roberta": _bert(2, 64, 128),
    "tiny-whisper": _whisper(2, 64) | {"encoder_ffn_dim": 128},
    "tiny-wav2vec2": _bert(2, 64, 128, **_WAV2VEC2 | {
        "conv_dim": (64,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}),
    "facebook/wav2vec2-base": _bert(12, 768, 3072, **_WAV2VEC2),
    "kresnik/wav2vec2-large-xlsr-korean": _bert(24, 1024, 4096, **_WAV2VEC2),
    "klue/roberta-base": _bert(12, 768, 3072),
    "klue/roberta-large": _bert(24, 1024, 4096),
    "openai/whisper-tiny": _whisper(4, 384),
    "openai/whisper-tiny.en": _whisper(4, 384),
    "openai/whisper-base": _whisper(6, 512),
    "openai/whisper-small": _whisper(12, 768),
    "openai/whisper-medium": _whisper(24, 1024),
    "openai/whisper-large-v3": _whisper(32, 1280, 128),
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """A plan and all that it rests on."""

    work: Work
    machine: Constants
    rate: float | None  # utterances a second, of `erc tune`
    steps: list[Step]
    advice: str

    @classmethod
    def of(cls, work: Work, machine: Constants, rate: float | None = None) -> Plan:
        """The plan of this work on that machine."""
        return cls(work, machine, rate, steps(work, machine, rate), advice(work, machine, rate))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        work = vars(self.work) | {
            "encoders": [asdict(e) for e in self.work.encoders],
            "frozen": sorted(self.work.frozen),
        }
        return {
            "work": work,
            "machine": self.machine.to_json(),
            "tuned_utterances_per_second": self.rate,
            "steps": [asdict(step) for step in self.steps],
            "seconds": sum(step.seconds for step in self.steps),
            "advice": self.advice,
        }

    def __str__(self) -> str:
        work, machine = self.work, self.machine
        rows = [[s.name, duration(s.seconds), size(s.memory), size(s.disk)] for s in self.steps]
        total = duration(sum(step.seconds for step in self.steps))
        most = max(step.memory for step in self.steps)
        rows.append(["all", total, size(most), size(sum(step.disk for step in self.steps))])
        heard = " × ".join(
            f"{e.name} ({'frozen' if e.name in work.frozen else 'trained'})" for e in work.encoders
        )
        lines = [
            f"{work.utterances:,} utterances, {work.seconds / 3600:,.1f} h of speech; {heard}",
            f"on {machine.machine}, measured {machine.date}",
            "", grid(["step", "time", "memory", "disk"], rows), "",
            *(f"{step.name}: {step.rests_on}" for step in self.steps),
            "", self.advice,
        ]  # fmt: skip
        return "\n".join(lines)


def asked(
    overrides: Sequence[str],
    hours: float | None = None,
    utterances: int | None = None,
    data: str | None = None,
    corpus: str | None = None,
    folds: int = 1,
    model: str | None = None,
) -> tuple[Work, float | None]:
    """What is to be done, and how many utterances a second the model was measured to answer.

    Args:
        overrides: as `train.py` takes them; nothing is read of the data set that they name.
        hours, utterances: of speech, and how many; one of them: KEMDy's mean length, 3.5 s.
        data, corpus: a folder or manifest to count instead, and which corpus it is.
        folds: trainings.
        model: folder of a model that `erc tune` measured here.

    Raises:
        ConfigError: neither a size nor a corpus, numbers below what there can be, unknown keys.
        CorpusError, CheckpointError: the corpus, an encoder or the model cannot be read.
    """
    if data:
        if hours is not None or utterances is not None:
            raise ConfigError("give --data or --hours and --utterances, not both")
        utterances, seconds = counted(data, corpus)
    else:
        utterances, seconds = sized(hours, utterances)
    if folds < 1:
        raise ConfigError(f"--folds {folds}: give at least 1")
    work = work_of(resolve_plain(overrides), utterances, seconds, folds)
    return work, tuned(model) if model else None


def sized(hours: float | None, utterances: int | None, mean: float = 3.5) -> tuple[int, float]:
    """(utterances, seconds), one of which may follow from the other.

    >>> sized(1.0, None), sized(None, 100)
    ((1029, 3600.0), (100, 350.0))
    """
    if hours is None and utterances is None:
        raise ConfigError("how much is it? Give --hours, --utterances, or --data FOLDER")
    if (hours is not None and not 0 < hours < 1e9) or (utterances is not None and utterances < 1):
        raise ConfigError(f"--hours {hours} --utterances {utterances}: give more than 0")
    seconds = hours * 3600 if hours is not None else (utterances or 0) * mean
    return utterances or max(1, round(seconds / mean)), seconds


def counted(data: str, corpus: str | None) -> tuple[int, float]:
    """(utterances, seconds of speech) of a corpus; lengths of `SAMPLED` recordings stand for all."""
    import soundfile

    from erc import corpora

    found = corpora.find(data, corpus).utterances
    some = [found[i] for i in range(0, len(found), max(1, len(found) // SAMPLED))]
    lengths = []
    for u in some:
        try:
            lengths.append(soundfile.info(u.audio).duration if u.audio else 0.0)
        except soundfile.LibsndfileError:  # a damaged one, or a format that PyAV reads
            continue
    return len(found), len(found) * sum(lengths) / max(1, len(lengths))


def tuned(model: str) -> float | None:
    """Utterances a second of the runtime that `erc tune` chose here; None: never measured here."""
    from erc.model.folder.find import named

    place = named(model) / "runtime.json"
    if not place.is_file():
        return None
    entry = json.loads(place.read_text("utf-8"))["machines"].get(devices.machine())
    return entry and entry["candidates"][entry["chosen"]]["utterances_per_second"]


def resolve_plain(overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration as plain dicts; of a data set only numbers are needed, no place."""
    return resolve(compose([*overrides, "run_dir=.", "dataset.paths=."]))


def work_of(config: Mapping[str, Any], utterances: int, seconds: float, folds: int) -> Work:
    """What a configuration makes of a corpus of that size."""
    options, data = config["model"], config["dataset"]
    found: dict[str, Encoder] = {}
    for modality in ("speech", "text"):
        if name := options.get(f"{modality}_encoder"):
            found[modality] = encoder(name, config_of(name))
    frozen = [m for m in found if options.get(f"freeze_{m}")]
    layers = {"middle": lambda n: n - 2 * (n // 4), "weighted": lambda n: n + 1}
    numbers = 0
    for m in frozen:
        layer = (options.get(f"{m}_options") or {}).get("layer")
        kept = layers.get(str(layer), lambda n: 1)(found[m].layers)
        numbers += found[m].width * POOLED.get(options[f"{m}_pooling"], 1) * kept
    closed = options["objective"] == "closed_form"
    gflop, parameters = (0.0, 9.0 * numbers) if closed else head(options, len(found))
    count = data["num_folds"] if isinstance(data["num_folds"], int) else 10
    valid = 0 if data["protocol"] == "fixed" else 1
    return Work(
        utterances, seconds, tuple(found.values()), frozenset(found[m].name for m in frozen),
        gflop, parameters, numbers, config["trainer"]["max_epochs"],
        config["dataloader"]["batch_size"], folds, count, data["num_proc"], closed,
        max(1 - (1 + valid) / count, 1 / count),
        data["wav_max_length"] and data["wav_max_length"] / 16_000,
    )  # fmt: skip


def config_of(name: str) -> Mapping[str, Any]:
    """The sizes of an encoder: known, of its folder, or from the hub (its config.json alone).

    Raises:
        CheckpointError: it cannot be read.
    """
    if name in KNOWN:
        return KNOWN[name]
    place = Path(name) / "config.json"
    if place.is_file():
        try:
            return dict(json.loads(place.read_text("utf-8")))
        except ValueError as error:
            raise CheckpointError(f"{place} is not JSON: {error}") from None
    from erc.model.pretrained import config_of as fetched

    return fetched(name, "encoder").to_dict()


def head(options: Mapping[str, Any], encoders: int) -> tuple[float, float]:
    """GFLOP an utterance, and parameters, of fusion: counted by torch on one utterance of zeros."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from erc.model.fusion import FUSIONS, build_fusion, fusion_options
    from erc.model.plan import usual_fusion

    name = options["fusion"]
    if FUSIONS[name].modalities > encoders and not FUSIONS[name].or_fewer:
        name = usual_fusion(["speech", "text"][:encoders])
    if FUSIONS[name].needs_frames or FUSIONS[name].of_scores:
        return 0.0, 0.0  # a layer over frames: little beside the encoders
    own = {k: v for k, v in options["fusion_options"].items() if k in fusion_options(name)}
    net = build_fusion(name, options["dim"], own).eval()
    there = [torch.ones(1, dtype=torch.bool)] * encoders
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net([torch.zeros(1, net.vector_size)] * encoders, there)
    return counter.get_total_flops() / 1e9, float(sum(p.numel() for p in net.parameters()))
