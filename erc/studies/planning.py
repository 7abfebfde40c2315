"""What a corpus will cost: memory, disk and time of each step, from constants of a machine. Pure sums.

    time of a step = utterances × overhead + batches × overhead + operations / speed

Operations are counted from the sizes of the encoders and the fusion, 2 for a multiply-add; overheads and
speeds are measured by `erc.studies.calibration`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

RATE = 16_000  # samples a second
SAMPLE = 2  # bytes in a store: int16
SIGNS = 250  # bytes a second: 4 for every 16 ms, `erc.base.copies`
ROW = 1024  # bytes a row of a store besides: words, votes, ten raters. Assumed
TOKENS = 4.0  # of a second of speech; Korean has some five syllables a second. Assumed
HELD = 550  # bytes of memory that a build holds an utterance (docs/performance.md)
PROCESS = 150e6  # bytes of a process that builds, 0.4 GB more with torch (docs/performance.md)
TORCH = 550e6
ADAM = 16  # bytes of memory a trained parameter: itself, gradient, two moments, float32
ACTIVATIONS = 68  # bytes kept of each number of a layer's width, frame and layer: twice the 34 of
# Korthikanti et al. 2022 (arXiv:2205.05198), which counts 16 bits
PILOT = 1.5  # s of speech in the trainings by which overheads are measured
BACKWARD = 3.0  # operations of a training step / those of the forward pass


@dataclass(frozen=True)
class Encoder:
    """The sizes of an encoder that decide what it costs."""

    name: str
    layers: int
    width: int
    inner: int  # width between the two matrices of a layer
    front: float = 0.0  # GFLOP a second of speech below the transformer
    frames: float = 50.0  # a second; of a text encoder tokens
    front_parameters: float = 0.0

    @property
    def parameters(self) -> float:
        """Without embeddings, which cost memory and no operations."""
        return self.front_parameters + self.layers * (
            4 * self.width**2 + 2 * self.width * self.inner
        )

    def gflop(self, seconds: float) -> float:
        """Of the forward pass over one utterance of that length.

        >>> round(Encoder("base", 12, 768, 3072, front=4.9).gflop(7))
        98
        """
        t = self.frames * seconds
        layer = t * (8 * self.width**2 + 4 * self.width * self.inner + 4 * t * self.width)
        return seconds * self.front + self.layers * layer / 1e9


def encoder(name: str, config: Mapping[str, Any]) -> Encoder:
    """The sizes that a Hugging Face config states: Whisper, the wav2vec2 family, or a text encoder."""
    if config.get("model_type") == "whisper":
        width, mels = config["d_model"], config.get("num_mel_bins", 80)
        front = 2e-9 * (100 * 3 * mels * width + 50 * 3 * width**2)
        sizes = config["encoder_layers"], width, config["encoder_ffn_dim"]
        return Encoder(name, *sizes, front, 50.0, 3 * mels * width + 3 * width**2)
    sizes = config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"]
    if not config.get("conv_dim"):
        return Encoder(name, *sizes, frames=TOKENS)
    rate, before, operations, parameters = float(RATE), 1, 0.0, 0.0
    kernels, strides = config["conv_kernel"], config["conv_stride"]
    for after, kernel, stride in zip(config["conv_dim"], kernels, strides, strict=True):
        rate /= stride
        operations += 2 * rate * kernel * before * after
        parameters += kernel * before * after
        before = after
    position = config["num_conv_pos_embeddings"] / config["num_conv_pos_embedding_groups"]
    last = before * sizes[1] + position * sizes[1] ** 2
    return Encoder(
        name, *sizes, (operations + 2 * rate * last) / 1e9, rate, parameters + last
    )  # fmt: skip


@dataclass(frozen=True)
class Overhead:
    """Seconds of an epoch that no matrix product takes: of itself, a step, an utterance."""

    epoch: float
    step: float
    utterance: float


@dataclass(frozen=True)
class Constants:
    """What one machine does, see `erc.studies.calibration.measure`; GFLOP/s of encoders."""

    machine: str
    build_utterance: float  # s, one worker
    build_second: float  # s for a second of speech
    forward: float  # float32, one clip at a time
    train: float  # forward and backward, in `precision`
    precision: str
    trained: Overhead  # encoders run in every step
    cached: Overhead  # their features are read
    date: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Constants:
        """Raises KeyError, TypeError where something is missing."""
        own = dict(record)
        return cls(**own | {k: Overhead(**own[k]) for k in ("trained", "cached")})


@dataclass(frozen=True)
class Work:
    """A corpus and what is to be done with it."""

    utterances: int
    seconds: float  # of speech
    encoders: tuple[Encoder, ...] = ()
    frozen: frozenset[str] = frozenset()  # names of encoders whose features are computed once
    head_gflop: float = 0.0  # an utterance
    head_parameters: float = 0.0
    numbers: int = 0  # of features an utterance, of frozen encoders
    epochs: int = 20
    batch: int = 8
    folds: int = 1  # trainings
    of: int = 5  # folds that the corpus is cut into: one is tested on, see `share`
    workers: int = 2
    closed_form: bool = False
    share: float = 0.6  # of the utterances, trained on: less the test and valid side
    cut: float | None = 7.0  # seconds heard of an utterance

    @property
    def length(self) -> float:
        """Seconds of the mean utterance, as heard."""
        mean = self.seconds / max(self.utterances, 1)
        return min(mean, self.cut) if self.cut else mean


@dataclass(frozen=True)
class Step:
    """What one step takes: seconds, bytes of memory at its peak, bytes it leaves on disk."""

    name: str
    seconds: float
    memory: float
    disk: float
    rests_on: str  # what was measured, what is assumed


def steps(work: Work, machine: Constants, rate: float | None = None) -> list[Step]:
    """The steps from recordings to predictions of as many others.

    Args:
        rate: utterances a second that `erc tune` measured of the very model; None: from operations.
    """
    n, length = work.utterances, work.length
    kept = n * work.numbers * 4.0
    fill = [e for e in work.encoders if e.name in work.frozen]
    live = [e for e in work.encoders if e.name not in work.frozen]
    forward = sum(e.gflop(length) for e in fill)
    running = sum(e.gflop(length) for e in live) + work.head_gflop
    weights = 4 * sum(e.parameters for e in work.encoders)
    learned = sum(e.parameters for e in live) + work.head_parameters
    # an utterance without its backward pass; reading, norms and spectra grow with its length
    say = machine.trained.utterance / BACKWARD * length / PILOT

    build = n * machine.build_utterance + work.seconds * machine.build_second
    samples = work.seconds * (RATE * SAMPLE + SIGNS)
    found = [
        Step(
            "build the store", build / _speedup(work.workers), PROCESS + n * HELD
            + work.workers * 20e6, samples + n * ROW,
            f"measured: decoding on one worker; assumed: {work.workers} workers are "
            f"{_speedup(work.workers):g} × as fast, the disk keeps up",
        )
    ]  # fmt: skip
    if fill:
        found.append(Step(
            "features of frozen encoders", n * (say + forward / machine.forward),
            TORCH + weights + kept, kept,
            f"measured: {machine.forward:.0f} GFLOP/s in float32; counted: {forward:.3g} GFLOP an "
            "utterance",
        ))  # fmt: skip
    found.append(_training(work, machine, live, running, learned, weights, kept))
    scored = n / work.of * work.folds
    scoring = scored * (say + running / machine.forward)
    found.append(Step("score the held-out folds", scoring, TORCH + weights + kept, scored * 1000,
                      "measured: GFLOP/s in float32; assumed: 1 kB a row"))  # fmt: skip
    each = 1 / rate if rate else say + (forward + running) / machine.forward
    found.append(
        Step(
            "predict as many others", n * each, TORCH + weights, n * 600.0,
            "measured: erc tune" if rate else "measured: GFLOP/s of torch in float32; a model that "
            "`erc tune --export` made faster is known by --model; assumed: 600 bytes a row",
        )
    )  # fmt: skip
    return found


def _training(
    work: Work, machine: Constants, live: list[Encoder], running: float, learned: float,
    weights: float, kept: float,
) -> Step:  # fmt: skip
    n = work.utterances * work.share
    if work.closed_form:
        gram = 2e-9 * n * work.numbers**2 + 2e-9 * work.numbers**3
        return Step("train in closed form", work.folds * gram / machine.forward,
                    TORCH + kept + 8.0 * work.numbers**2, work.folds * 4.0 * learned,
                    "counted: one Gram matrix; not measured: the choice of its strength")  # fmt: skip
    over = machine.trained if live else machine.cached
    epoch = over.epoch + math.ceil(n / work.batch) * over.step
    each = over.utterance * (work.length / PILOT if live else 1)
    epoch += n * (each + BACKWARD * running / machine.train)
    frames = sum(e.frames * work.length * e.width * e.layers for e in live)
    memory = TORCH + weights + kept + ADAM * learned + work.batch * frames * ACTIVATIONS
    return Step(
        f"train, {work.folds} × {work.epochs} epochs", work.folds * work.epochs * epoch, memory,
        work.folds * (2 * 12 + 4) * learned + work.folds * weights,
        f"measured: {machine.train:.0f} GFLOP/s in {machine.precision}, a step and an utterance; "
        f"counted: {BACKWARD * running:.3g} GFLOP an utterance; assumed: no early stop, activations",
    )  # fmt: skip


def _speedup(workers: int) -> float:
    """Of threads that decode; each further one adds .6 (1.1 to 1.7 were seen of two)."""
    return 1 + 0.6 * (workers - 1)


DAY = 86_400.0


def advice(work: Work, machine: Constants, rate: float | None = None) -> str:
    """Which step takes most of the time, and by what means it takes less."""
    found = steps(work, machine, rate)
    longest = max(found, key=lambda step: step.seconds)
    total = sum(step.seconds for step in found)
    share = longest.seconds / total if total else 0.0
    said = [f"{share:.0%} of the time: {longest.name}."]
    live = [e for e in work.encoders if e.name not in work.frozen]
    if longest.name.startswith("train,") and live:
        names = frozenset(e.name for e in work.encoders)
        numbers = work.numbers + sum(2 * e.width for e in live)
        cheap = replace(work, frozen=names, numbers=numbers)
        other = duration(sum(step.seconds for step in steps(cheap, machine, rate)))
        said.append(
            f"With frozen encoders (model=frozen) all of it takes {other} instead of "
            f"{duration(total)}; experiment=frozen needs no epochs at all."
        )
        if longest.seconds > DAY:
            said.append("If they have to be trained: several GPUs or machines, docs/clusters.md.")
    elif longest.name.startswith("train,"):
        said.append("experiment=frozen learns its head in closed form, without epochs.")
    elif longest.name.startswith("predict") and not rate:
        said.append(
            "An exported model is faster: erc tune MODEL --export openvino, then --model MODEL."
        )
    elif longest.name.startswith("features"):
        said.append(
            "They are computed once for all folds, heads and seeds; a smaller encoder costs less."
        )
    if longest.seconds > DAY and not longest.name.startswith("train"):
        said.append("Many machines at once: Ray, docs/scale.md.")
    return " ".join(said)


def duration(seconds: float) -> str:
    """For people, with two digits that mean something.

    >>> [duration(s) for s in (0.04, 42, 600, 7300, 3e6, 9e8)]
    ['under 1 s', '42 s', '10 min', '2.0 h', '35 days', '29 years']
    """
    if seconds < 0.95:
        return "under 1 s"
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (2 * DAY, 3600, "h"),
                              (800 * DAY, DAY, "days")):  # fmt: skip
        if seconds < limit:
            digits = 1 if name == "h" and seconds / unit < 10 else 0
            return f"{seconds / unit:.{digits}f} {name}"
    return f"{seconds / DAY / 365.25:.0f} years"


def size(count: float) -> str:
    """Bytes for people.

    >>> size(1234), size(2.5e9)
    ('1.2 kB', '2.5 GB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 999.5 or unit == "TB":
            break
        count /= 1000
    return f"{count:,.0f} {unit}" if count >= 99.5 else f"{count:.2g} {unit}"
