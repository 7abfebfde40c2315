"""WAV headers: what they promise, and metadata that libsndfile should never see."""

from __future__ import annotations

import io
import struct
import threading

import numpy as np
import pytest
import soundfile

from erc.base import arrays, audio
from erc.base.errors import AudioError
from erc.base.wav import _head as make_head
from erc.base.wav import read_header

SAMPLES = np.arange(1600, dtype="<i2")


def wav(
    before: bytes = b"", after: bytes = b"", promised: int | None = None, order: str = "<"
) -> bytes:
    fmt = struct.pack(order + "4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    size = SAMPLES.nbytes if promised is None else promised
    samples = SAMPLES.astype(order + "i2").tobytes()
    body = b"WAVE" + fmt + before + struct.pack(order + "4sI", b"data", size) + samples + after
    return struct.pack(order + "4sI", b"RIFX" if order == ">" else b"RIFF", len(body)) + body


def list_chunk(entry: int, length: int = 20, kind: bytes = b"INAM", order: str = "<") -> bytes:
    return struct.pack(order + "4sI4s4sI", b"LIST", length, b"INFO", kind, entry) + b"abcdefgh"


def zeros(length: int) -> bytes:
    """What a field recorder writes (libsndfile #542)."""
    return struct.pack("<4sI", b"LIST", length) + bytes(length)


def id3(length: int) -> bytes:
    return b"ID3\4\0\0" + bytes([0, 0, length >> 7, length & 127]) + bytes(length)


def header(data: bytes):
    return read_header(io.BytesIO(data), "a.wav")


def heard(data: bytes) -> np.ndarray:
    """As 16-bit samples; in a thread, for a decoder that never returns would hold up all tests."""
    found: list[np.ndarray | AudioError] = []

    def hear() -> None:
        try:
            found.append(arrays.to_int16(audio.load(data)))
        except AudioError as error:
            found.append(error)

    thread = threading.Thread(target=hear, daemon=True)
    thread.start()
    thread.join(10)
    assert found, "the decoder did not come back"
    if isinstance(found[0], AudioError):
        raise found[0]
    return found[0]


def test_a_plain_file_is_left_alone():
    found = header(wav())
    assert (found.promised, found.present, found.start, found.byte_rate) == (3200, 3200, 44, 32_000)
    assert (found.head, found.truncated) == (b"", False)


@pytest.mark.parametrize("data", [wav(list_chunk(8)), wav(b"", list_chunk(7)), wav(zeros(400_000))])
def test_what_libsndfile_reads_is_read_the_same(data):
    theirs = soundfile.read(io.BytesIO(data), dtype="int16")[0]
    assert np.array_equal(heard(data), theirs)
    assert len(theirs) == 1600


def test_truncated():
    assert header(wav()[:-100]).truncated
    assert header(wav()[:-100]).missing == 100 / 32_000
    assert not header(wav(promised=0xFFFFFFFF)).truncated  # a stream; its length was not known


LOOPS = (0xFFFFFFF8, 0xFFFFFFF0, 0xFFFFFFFF, 0x7FFFFFF8, 9, 100)


@pytest.mark.parametrize("entry", LOOPS)
@pytest.mark.parametrize("kind", [b"INAM", b"abcd", b"\0\0\0\0"])
@pytest.mark.parametrize("lead", [b"", id3(10), id3(0) + id3(200)])
@pytest.mark.parametrize("behind", [True, False])
def test_a_broken_list_never_reaches_libsndfile(entry, kind, lead, behind, tmp_path):
    broken = list_chunk(entry, kind=kind)
    data = lead + (wav(b"", broken) if behind else wav(broken))
    assert np.array_equal(heard(data), SAMPLES)
    (tmp_path / "a.wav").write_bytes(data)
    assert np.array_equal(audio.load_int16(tmp_path / "a.wav"), SAMPLES)


@pytest.mark.parametrize("entry", LOOPS)
@pytest.mark.parametrize("lead", [b"", id3(10)])
def test_nor_in_rifx_or_rf64(entry, lead):
    rifx = wav(list_chunk(entry, order=">", kind=b"abcd"), order=">")
    assert np.array_equal(heard(lead + rifx), SAMPLES)
    assert np.array_equal(heard(lead + wav(order=">")), SAMPLES)
    sizes = struct.pack("<4sIQQQI", b"ds64", 28, 4000, SAMPLES.nbytes, 1600, 0)
    rf64 = (
        b"RF64\xff\xff\xff\xff"
        + wav(sizes + list_chunk(entry, kind=b"abcd"), promised=0xFFFFFFFF)[8:]
    )
    assert np.array_equal(heard(lead + rf64), SAMPLES)


def test_a_list_longer_than_the_file_before_the_samples_is_refused():
    with pytest.raises(AudioError, match=r"chunk before them.*ffmpeg"):
        heard(wav(list_chunk(8, 0xFFFFFFF0)))


@pytest.mark.parametrize("tail", [list_chunk(0xFFFFFFF0, 0xFFFFFFF0), b"\0" * 20_000, b"\xff" * 9])
def test_rubbish_behind_the_samples_is_not_read(tail):
    assert np.array_equal(heard(wav(b"", tail)), SAMPLES)


@pytest.mark.parametrize("riff", [0, 36, 0xFFFFFFFF])
@pytest.mark.parametrize("lead", [0, 40_000])
def test_a_killed_recorder_left_the_size_at_zero(riff, lead):
    data = wav(promised=0)
    data = data[:4] + struct.pack("<I", riff) + data[8:44] + bytes(lead) + data[44:]
    assert np.array_equal(heard(data), np.concatenate([np.zeros(lead // 2, "i2"), SAMPLES]))


def test_no_samples_are_none():
    with pytest.raises(AudioError, match="no samples"):
        heard(wav(promised=0)[:44] + list_chunk(8))


def test_over_four_gigabytes(tmp_path):
    """As RF64 (EBU Tech 3306), which libsndfile reads; the file has a hole."""
    fmt = wav()[12:36]
    head = make_head(fmt, 5 << 30, "<")
    with (tmp_path / "long.wav").open("wb") as file:
        file.write(head)
        file.truncate(len(head) + (5 << 30))
    assert soundfile.info(tmp_path / "long.wav").frames == 5 << 29
    with (tmp_path / "long.wav").open("rb") as file:
        assert read_header(file, "long.wav").present == 5 << 30


@pytest.mark.parametrize("data", [b"", b"RIFF", b"fLaC" * 20, wav()[:20]])
def test_what_is_no_wav_is_left_to_libsndfile(data):
    assert header(data) is None
