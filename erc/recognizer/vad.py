"""Voice activity: 16 kHz samples → probability of speech every 32 ms → turns.

The network is Silero VAD (MIT licence), whose weights ship inside its wheel. They are run here
without importing that package, many windows a call: its convolutions see one window at a time and
only the LSTM runs along time, so 128 windows are one batch for the former and one sequence for the
latter. An hour (112,500 windows) takes seconds on one core.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.errors import ConfigError

SAMPLE_RATE = 16_000  # Hz
WINDOW = 512  # samples, 32 ms
CONTEXT = 64  # samples of the window before, which the network sees too
BATCH = 128  # windows a call; always the same, so that answers do not depend on how samples arrive
FLOOR = 1e-4  # of full scale, three steps of 16 bits; what stays below it is digital silence
SHORT = 0.5  # s; less is not enough for the network
INSTALL = "pip install --no-deps silero-vad"  # its dependency torch would not be used

Forward = Callable[[np.ndarray, Any, Any], tuple[np.ndarray, Any, Any]]


@dataclass(frozen=True)
class Rule:
    """When speech begins and ends: the rule that Silero VAD was published with, padded less.

    Attributes:
        threshold: speech begins with a window whose probability reaches it.
        exit: speech may end where the probability falls below it; None: threshold − 0.15.
        min_silence: s from the first window below `exit` to another one, with none at `threshold`
            between them, after which the turn is over; shorter pauses stay inside. 0.5 s is longer
            than nearly every pause inside an utterance.
        min_speech: s; shorter bursts are dropped.
        pad: s added at both ends; at most half of `min_silence`, so that turns
            never overlap.
        max_speech: s after which a turn ends though nobody pauses, and the next one begins; it is
            what bounds the memory of a live stream. None: never.

    Raises:
        ConfigError: a value out of its range.
    """

    threshold: float = 0.5
    exit: float | None = None
    min_silence: float = 0.5
    min_speech: float = 0.25
    pad: float = 0.03
    max_speech: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold={self.threshold}: must lie between 0 and 1")
        if self.exit is not None and not 0 < self.exit <= self.threshold:
            raise ConfigError(f"exit={self.exit}: must lie in (0, threshold={self.threshold}]")
        for name in ("min_silence", "min_speech", "pad"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name}={getattr(self, name)}: seconds, must be 0 or more")
        if self.max_speech is not None and not self.max_speech >= max(1, self.min_speech):
            raise ConfigError(
                f"max_speech={self.max_speech}: seconds, at least 1 and at least min_speech; None: "
                "a turn may be of any length"
            )

    @property
    def low(self) -> float:
        """The probability below which a pause begins."""
        return max(self.threshold - 0.15, 0.01) if self.exit is None else self.exit


class Detector:
    """Probability of speech of a stream: `feed` samples as they come, then `finish`.

    However the stream is cut into pieces, the probabilities are bit for bit the same.

    Args:
        batch: windows a call; with 1 each is judged as soon as it is there.

    Raises:
        ConfigError: silero-vad is not installed.
    """

    def __init__(self, forward: Forward | None = None, batch: int = BATCH):
        self._forward, self._batch = forward or network(), WINDOW * batch
        self._held = np.zeros(0, np.float32)
        self._context = np.zeros((1, CONTEXT), np.float32)
        self._state: tuple[Any, Any] = (np.zeros((1, 1, 128), np.float32),) * 2

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """Probabilities of the windows that are complete; may be none.

        Args:
            samples: float32 [T] in [−1, 1], 16 kHz.

        Returns:
            float32 [windows].
        """
        self._held = np.concatenate([self._held, samples])
        batches = len(self._held) // self._batch
        ready, self._held = np.split(self._held, [batches * self._batch])
        return np.concatenate([*map(self._run, np.split(ready, batches or 1))])

    def finish(self) -> np.ndarray:
        """Probabilities of what is left; the last window is filled up with silence."""
        rest, self._held = self._held, self._held[:0]
        return self._run(np.pad(rest, (0, -len(rest) % WINDOW)))

    def _run(self, samples: np.ndarray) -> np.ndarray:
        if not len(samples):
            return np.zeros(0, np.float32)
        frames = samples.reshape(-1, WINDOW)
        before = np.concatenate([self._context, frames[:-1, -CONTEXT:]])
        self._context = frames[-1:, -CONTEXT:]
        probabilities, *state = self._forward(np.concatenate([before, frames], 1), *self._state)
        self._state = (state[0], state[1])
        return np.asarray(probabilities, np.float32).reshape(-1)


class Finder:
    """Probabilities → turns, as they end.

    Attributes:
        now: samples that have been judged.
        open: (start, speech) of a turn that has not ended: where it starts, and how many samples of
            it are speech so far, pauses inside it included; None: nobody speaks.

    >>> finder = Finder(Rule(pad=0))
    >>> finder.feed([0.1] + [0.9] * 10), finder.open
    ([], (512, 5120))
    >>> finder.feed([0.1] * 17), finder.open
    ([(512, 5632)], None)
    """

    def __init__(self, rule: Rule | None = None):
        self.rule = rule or Rule()
        self.now = 0
        self._start = self._last = 0  # of the turn with what is added to it; end of the one before
        self._begun: int | None = None  # where its first window of speech lies
        self._quiet: int | None = None  # where its possible end lies
        self._pad = int(min(self.rule.pad, self.rule.min_silence / 2) * SAMPLE_RATE)

    @property
    def open(self) -> tuple[int, int] | None:
        if self._begun is None:
            return None
        return self._start, (self.now if self._quiet is None else self._quiet) - self._begun

    @property
    def pause(self) -> int:
        """Samples since the open turn may have ended; 0: somebody speaks, or nobody did."""
        return 0 if self._quiet is None else self.now - self._quiet

    @property
    def ending(self) -> tuple[int, int] | None:
        """The open turn as it would be if the pause that goes on ended it: what `feed` would give."""
        if (
            self._quiet is None
            or not self.open
            or self.open[1] < self.rule.min_speech * SAMPLE_RATE
        ):
            return None
        return self._start, self._quiet + self._pad

    @property
    def needed(self) -> int:
        """Of the samples before this one no turn will have any."""
        return max(self._last, self.now - self._pad) if self._begun is None else self._start

    def feed(self, probabilities: Iterable[float]) -> list[tuple[int, int]]:
        """Turns that end within the next windows: (start, end) in samples, in order, apart."""
        rule, found = self.rule, list[tuple[int, int]]()
        pause, most = rule.min_silence * SAMPLE_RATE, (rule.max_speech or np.inf) * SAMPLE_RATE
        for p in probabilities:
            if p >= rule.threshold:
                if self._begun is None:
                    self._begun, self._start = self.now, max(self._last, self.now - self._pad)
                self._quiet = None
            elif self._begun is not None and p < rule.low:
                self._quiet = self.now if self._quiet is None else self._quiet
                if self.now - self._quiet >= pause:
                    found += self._end(self._quiet)
            self.now += WINDOW
            if self._begun is not None and self.now - self._start >= most:
                if self._quiet is None:  # somebody goes on speaking
                    found += self._end(self.now, 0)
                    self._begun = self._start = self.now
                else:
                    found += self._end(self._quiet)
        return found

    def finish(self, samples: int | None = None) -> list[tuple[int, int]]:
        """The turn that the end of the recording ends, if there is one.

        Args:
            samples: length of the recording; None: whole windows.
        """
        total = self.now if samples is None else samples
        if self._begun is None:
            return []
        found = self._end(total if self._quiet is None else self._quiet)
        return [(start, min(total, end)) for start, end in found]

    def _end(self, end: int, pad: int | None = None) -> list[tuple[int, int]]:
        """The turn is over; none if it was too short to be one."""
        begun, self._begun, self._quiet = self._begun, None, None
        if begun is None or end - begun < self.rule.min_speech * SAMPLE_RATE:
            return []
        self._last = end + (self._pad if pad is None else pad)
        return [(self._start, self._last)]


def turns(
    probabilities: Iterable[np.ndarray], samples: int | None = None, rule: Rule | None = None
) -> Iterator[tuple[int, int]]:
    """Probabilities → turns, as they end.

    Args:
        probabilities: of consecutive windows, in pieces of any length.
        samples: length of the recording; None: whole windows.

    Yields:
        (start, end) in samples, in order, never overlapping.

    >>> speech = np.array([0.1, 0.9, 0.9, 0.4, 0.9] + [0.9] * 6 + [0.1] * 20, np.float32)
    >>> list(turns([speech], rule=Rule(pad=0)))
    [(512, 5632)]
    """
    finder = Finder(rule)
    for piece in probabilities:
        yield from finder.feed(piece)
    yield from finder.finish(samples)


def detect(
    blocks: Iterable[np.ndarray], rule: Rule | None = None, forward: Forward | None = None
) -> list[tuple[int, int]]:
    """Turns of a recording that arrives in blocks; memory does not grow with its length.

    Args:
        blocks: float32 [T] pieces of a 16 kHz recording.

    Returns:
        [(start, end)] in samples.
    """
    detector, length = Detector(forward), 0

    def probabilities() -> Iterator[np.ndarray]:
        nonlocal length
        for block in blocks:
            length += len(block)
            yield detector.feed(block)
        yield detector.finish()

    found = list(turns(probabilities(), None, rule))
    return [(start, min(end, length)) for start, end in found]  # the last window was filled up


@functools.cache
def found_here() -> bool:
    """Whether speech can be found on this machine."""
    try:
        network()
    except ConfigError:
        return False
    return True


def has_speech(samples: np.ndarray) -> bool:
    """Whether somebody speaks: no for silence, and for what the network finds no window of speech in.

    What is shorter than `SHORT`, and all where silero-vad is not installed, only must not be silent.
    The level does not count: it is brought to that of speech first.

    Args:
        samples: float32 [T], 16 kHz.
    """
    if not len(samples) or np.ptp(samples) < 2 * FLOOR:
        return False
    if len(samples) < SHORT * SAMPLE_RATE or not found_here():
        return True
    peak = float(np.abs(samples).max())
    gain = np.float32(1.0 if 0.3 <= peak <= 1 else 0.3 / peak)
    detector, threshold, size = Detector(), Rule().threshold, WINDOW * BATCH
    for start in range(0, len(samples), size):
        if (detector.feed(samples[start : start + size] * gain) >= threshold).any():
            return True
    return bool((detector.finish() >= threshold).any())


def network() -> Forward:
    """Silero's network: with onnxruntime if it is installed, else with torch.

    Returns:
        (frames [N, 576], h, c) → (probability [N], h, c); h and c carry the state, [1, 1, 128].

    Raises:
        ConfigError: silero-vad is not installed, or too old.
    """
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            f"finding speech needs silero-vad: {INSTALL}; or cut the recording into windows of "
            'equal length with vad="none" (--vad none)'
        )
    data = Path(spec.submodule_search_locations[0]) / "data"
    onnx = importlib.util.find_spec("onnxruntime") is not None
    file = data / ("silero_vad_16k_sequence.onnx" if onnx else "silero_vad.jit")
    if not file.exists():
        raise ConfigError(f"silero-vad is too old, it has no {file.name}: {INSTALL} --upgrade")
    return _with_onnxruntime(file) if onnx else _with_torch(file)


@functools.cache
def _with_onnxruntime(file: Path) -> Forward:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # too small to share
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = ["speech_probs", "hn", "cn"]
    return lambda frames, h, c: session.run(names, {"input": frames, "h": h, "c": c})


@functools.cache
def _with_torch(file: Path) -> Forward:
    """The same network from its weights: |STFT| → four convolutions → LSTM → sigmoid."""
    import torch
    from torch.nn.functional import conv1d, pad

    published = torch.jit.load(str(file), "cpu").state_dict()
    w = {name.removeprefix("_model."): value for name, value in published.items()}
    lstm = torch.nn.LSTM(128, 128)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    lstm.load_state_dict({f"{name}_l0": w[f"decoder.rnn.{name}"] for name in names})
    convolutions = [
        (w[f"encoder.{i}.reparam_conv.weight"], w[f"encoder.{i}.reparam_conv.bias"], stride)
        for i, stride in enumerate((1, 2, 2, 1))
    ]
    last, bias = w["decoder.decoder.2.weight"], w["decoder.decoder.2.bias"]

    @torch.inference_mode()
    def forward(frames: np.ndarray, h: Any, c: Any) -> tuple[np.ndarray, Any, Any]:
        x = pad(torch.from_numpy(frames)[:, None], (0, CONTEXT), mode="reflect")  # [N, 1, 640]
        x = conv1d(x, w["stft.forward_basis_buffer"], stride=128)  # [N, 258, 4]: re, im
        x = (x[:, :129] ** 2 + x[:, 129:] ** 2).sqrt()
        for weight, shift, stride in convolutions:
            x = conv1d(x, weight, shift, stride, padding=1).relu()
        y, state = lstm(x.transpose(1, 2), (torch.as_tensor(h), torch.as_tensor(c)))
        return (y[:, 0].relu() @ last[0] + bias).sigmoid().numpy(), *state

    return forward
