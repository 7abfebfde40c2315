"""One input, read and checked, as a model takes it: `Clip`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from erc.base import audio
from erc.base.bandwidth import bandwidth
from erc.base.errors import AudioError
from erc.model.spec import Spec
from erc.recognizer.prediction import NO_SPEECH
from erc.recognizer.vad import has_speech
from erc.recognizer.windows import of_speech


@dataclass(frozen=True)
class Clip:
    """One input, read and checked: what the runtime needs of it.

    Attributes:
        name: what to call it in an answer.
        inputs: modality → float32 [T] samples, int64 [S] token ids, or float32 [T, C] physiology;
            only those that are there.
        text: the transcript, without transcribers' marks.
        duration, heard: s of the recording, and of it what the model hears; None: no recording.
        band_hz: how far up its spectrum reaches, see `erc.base.bandwidth`.
        reason: why nothing can be said of it; None: something can.
        weight: what it counts among the windows of one recording.
        windows: of a recording that is longer than the model hears at once; `inputs` are then those
            of the first. () where all is heard at once.
    """

    name: str
    inputs: dict[str, np.ndarray]
    text: str | None = None
    duration: float | None = None
    heard: float | None = None
    band_hz: float | None = None
    reason: str | None = None
    weight: float = 1.0
    windows: tuple[Clip, ...] = ()

    @property
    def parts(self) -> tuple[Clip, ...]:
        """What the model hears at once; nothing where nothing can be said."""
        return () if self.reason else self.windows or (self,)


def listen(speech: np.ndarray, clip: Clip, spec: Spec, window: int | None) -> Clip:
    """The clip with a recording: as a whole, or in windows over its speech if it is longer than one.

    Args:
        speech: float32 [T], 16 kHz.
        clip: what else is given.
        spec: of the model that is to hear it.
        window: samples that it hears at once; None: any number.

    Raises:
        AudioError: too short for the model's encoder.
    """
    least = spec.min_samples
    if len(speech) < least:
        raise AudioError(
            f"{clip.name}: {len(speech)} samples; this model's speech encoder needs at least "
            f"{least} ({audio.SAMPLE_RATE} are one second)"
        )
    clip = replace(clip, duration=len(speech) / audio.SAMPLE_RATE, band_hz=bandwidth(speech))
    if not has_speech(speech):  # the words, if there are any, still say something
        alone = clip.inputs and not spec.needs_all
        return replace(clip, heard=0.0, reason=None if alone else NO_SPEECH)
    whole = [(0, len(speech), float(len(speech)))]
    long = window is not None and len(speech) > window
    cuts = of_speech(speech, window or 0, least) if long else whole
    windows = []
    for start, end, weight in cuts:
        samples = speech[start:end]
        samples = audio.normalize(samples) if spec.normalize else samples
        inputs = {"speech": samples, **clip.inputs}
        windows.append(replace(clip, inputs=inputs, weight=weight))
    return replace(
        windows[0],
        heard=sum(weight for *_, weight in cuts) / audio.SAMPLE_RATE,
        windows=tuple(windows) if long else (),
    )
