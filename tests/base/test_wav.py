"""WAV headers: what they promise, and metadata that libsndfile should never see."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from erc.base import audio
from erc.base.errors import AudioError
from erc.base.wav import read_header

SAMPLES = np.arange(1600, dtype="<i2")


def wav(before: bytes = b"", after: bytes = b"", promised: int | None = None) -> bytes:
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    size = SAMPLES.nbytes if promised is None else promised
    body = b"WAVE" + fmt + before + struct.pack("<4sI", b"data", size) + SAMPLES.tobytes() + after
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def list_chunk(entry: int, length: int = 20) -> bytes:
    return struct.pack("<4sI4s4sI", b"LIST", length, b"INFO", b"INAM", entry) + b"abcdefgh"


def header(data: bytes):
    return read_header(io.BytesIO(data), "a.wav")


@pytest.mark.parametrize("data", [wav(), wav(list_chunk(8)), wav(b"", list_chunk(7))])
def test_sound_files_are_left_alone(data):
    found = header(data)
    assert (found.promised, found.present, found.end) == (3200, 3200, None)
    assert not found.truncated
    assert len(audio.load(data)) == len(soundfile.read(io.BytesIO(data))[0]) == 1600


def test_truncated():
    assert header(wav()[:-100]).truncated
    assert not header(wav(promised=0xFFFFFFFF)).truncated  # a stream; its length was not known


@pytest.mark.parametrize("entry", [9, 100, 0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFF])
def test_a_broken_list_before_the_samples_is_refused(entry):
    with pytest.raises(AudioError, match="LIST chunk"):
        audio.load(wav(list_chunk(entry)))


@pytest.mark.parametrize("length", [20, 0xFFFFFFF0])
def test_a_broken_list_behind_the_samples_is_cut_off(length, tmp_path):
    data = wav(b"", list_chunk(0xFFFFFFF0, length))
    assert header(data).end == len(wav())
    (tmp_path / "a.wav").write_bytes(data)
    for source in (data, io.BytesIO(data), tmp_path / "a.wav"):
        assert len(audio.load(source)) == 1600


@pytest.mark.parametrize(
    "data", [b"", b"RIFF", b"fLaC" * 20, wav()[:20], b"RIFF    WAVE" + b"x" * 9]
)
def test_what_is_no_wav_is_left_to_libsndfile(data):
    assert header(data) is None
