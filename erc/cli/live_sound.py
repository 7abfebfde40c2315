"""What `erc live` hears: a microphone, or a recording that is played as if somebody spoke."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

from erc.base.errors import AudioError, ConfigError, optional

CHUNK = 0.1  # s
LATE = 60.0  # s of sound that may wait for the model before that is an error
INSTEAD = "or play a recording: erc live --from FILE"


@contextmanager
def interrupted() -> Iterator[Event]:
    """Set by Ctrl-C, so that the stream is closed and its timeline written; the second one ends all."""
    stop = Event()

    def note(*_: Any) -> None:
        signal.signal(signal.SIGINT, before)
        stop.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def played(
    path: str, stop: Event, fast: bool, clock: Callable[[], float] = time.monotonic
) -> Iterator[bytes]:
    """A recording as 16-bit PCM at 16 kHz, each piece when it would have been spoken.

    Args:
        fast: do not wait.

    Raises:
        AudioError: it cannot be read.
    """
    from erc.base.arrays import to_int16
    from erc.base.audio import SAMPLE_RATE, blocks

    start, seconds, size = clock(), 0.0, round(CHUNK * SAMPLE_RATE)
    for block in blocks(path):
        for first in range(0, len(block), size):
            piece = to_int16(block[first : first + size])
            seconds += len(piece) / SAMPLE_RATE
            if stop.wait(0 if fast else max(0.0, start + seconds - clock())):
                return
            yield piece.tobytes()


class Microphone:
    """The microphone of this machine.

    Args:
        device: number or part of the name; None: the usual one.

    Attributes:
        rate: Hz, as the device has it.

    Raises:
        ConfigError: sounddevice, PortAudio or a microphone is missing; the line says what to do.
    """

    def __init__(self, device: str | None = None):
        self._sound = _sounddevice()
        self._device = int(device) if device and device.isdecimal() else device
        try:
            about = self._sound.query_devices(self._device, "input")
        except (ValueError, self._sound.PortAudioError) as error:
            raise _no_microphone(error) from None
        self.rate = int(about["default_samplerate"])

    def chunks(self, stop: Event) -> Iterator[bytes]:
        """16-bit PCM, mono, until told to stop; all that waits at once.

        Raises:
            ConfigError: it cannot be opened.
            AudioError: the model is slower than the speech, by a minute.
        """
        heard: SimpleQueue[bytes] = SimpleQueue()
        size = round(CHUNK * self.rate)
        try:
            stream = self._sound.RawInputStream(
                samplerate=self.rate, channels=1, dtype="int16", device=self._device,
                blocksize=size, callback=lambda data, *_: heard.put(bytes(data)),
            )  # fmt: skip
            stream.start()
        except self._sound.PortAudioError as error:
            raise _no_microphone(error) from None
        with stream:
            while not stop.is_set():
                try:
                    pieces = [heard.get(timeout=CHUNK)]
                except Empty:
                    continue
                pieces += [heard.get() for _ in range(heard.qsize())]
                if len(pieces) * CHUNK > LATE:
                    raise AudioError(
                        f"the model is {LATE:g} s behind the microphone: this machine is too slow for "
                        "it; see erc tune, or take a smaller model"
                    )
                yield b"".join(pieces)


def _sounddevice() -> Any:
    with optional("the microphone"):
        try:
            import sounddevice
        except OSError:  # the package is there, the library is not
            raise ConfigError(
                "the microphone needs the library PortAudio: apt install libportaudio2, "
                f"dnf install portaudio, brew install portaudio; {INSTEAD}"
            ) from None
    return sounddevice


def _no_microphone(error: Exception) -> ConfigError:
    said = " ".join(str(error).split()) or "none is there"
    return ConfigError(
        f"no microphone can be used ({said}): plug one in, or choose one with --device "
        f"(python -m sounddevice lists them); {INSTEAD}"
    )
