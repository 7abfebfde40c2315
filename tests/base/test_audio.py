from __future__ import annotations

import io
import os
import threading

import numpy as np
import pytest
import soundfile

from erc.base import arrays, audio, sources
from erc.base.errors import AudioError

TONE = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000).astype(np.float32) * 0.5


def encoded(samples: np.ndarray, rate: int = 16_000, format: str = "WAV", **options) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=format, **options)
    return buffer.getvalue()


def test_path_bytes_and_file_give_the_same(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(TONE, subtype="PCM_16"))
    by_path = audio.load(path)
    assert np.array_equal(by_path, audio.load(str(path)))
    assert np.array_equal(by_path, audio.load(path.read_bytes()))
    with path.open("rb") as file:
        assert np.array_equal(by_path, audio.load(file))
    assert by_path.dtype == np.float32
    assert np.abs(by_path - TONE).max() < 1 / 32768


def test_sixteen_bit_samples_survive_the_store():
    pcm = np.random.default_rng(0).integers(-32768, 32768, 5000).astype(np.int16)
    assert np.array_equal(arrays.to_int16(audio.load(encoded(pcm, subtype="PCM_16"))), pcm)
    assert np.array_equal(arrays.to_int16(arrays.from_int16(pcm)), pcm)


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
def test_formats_of_libsndfile(format):
    heard = audio.load(encoded(TONE, format=format))
    spectrum = np.abs(np.fft.rfft(heard))
    assert abs(np.fft.rfftfreq(len(heard), 1 / 16_000)[spectrum.argmax()] - 440) < 5


def test_resampling_and_channels():
    rate = 44_100
    left = np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    stereo = np.stack([left, 0 * left], 1)
    heard = audio.load(encoded(stereo, rate))
    assert abs(len(heard) - 16_000) <= 1
    inner = slice(1000, 15_000)
    assert np.abs(heard[inner] - TONE[: len(heard)][inner]).max() < 0.01


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_arrays_of_any_type(dtype):
    scale = 1 if np.issubdtype(dtype, np.floating) else np.iinfo(dtype).max
    heard = audio.load((TONE * scale).astype(dtype), 16_000)
    assert np.abs(heard - TONE).max() < 1e-3


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    assert np.array_equal(audio.load(torch.from_numpy(TONE), 16_000), TONE)


def test_normalize_is_wav2vec2s():
    transformers = pytest.importorskip("transformers")
    theirs = transformers.Wav2Vec2FeatureExtractor()(TONE, sampling_rate=16_000).input_values[0]
    assert np.abs(audio.normalize(TONE) - theirs).max() < 1e-5


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"not audio at all" * 10, "cannot be decoded.*ffmpeg"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (encoded(np.zeros(0)), "no samples"),
        (encoded(np.zeros(399)), "24.9 ms.*25 ms"),
        (encoded(np.array([np.nan] * 500), subtype="FLOAT"), "nan"),
    ],
)
def test_bad_files_say_what_and_why(tmp_path, content, says):
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=f"(?s)bad.wav.*{says}"):
        audio.load(path)


def test_a_truncated_file_is_heard_as_far_as_it_goes_or_refused(tmp_path):
    path = tmp_path / "cut.wav"
    path.write_bytes(encoded(TONE)[:20])  # not even a whole header
    with pytest.raises(AudioError, match=r"cut\.wav"):
        audio.load(path)


@pytest.mark.parametrize(
    ("source", "rate", "says"),
    [
        ("nowhere.wav", None, "no such file"),
        (".", None, "folder"),
        (TONE, None, "rate"),
        (TONE, 0, "rate"),
        (np.zeros((2, 2, 2)), 16_000, "expected"),
    ],
)
def test_bad_sources(source, rate, says):
    with pytest.raises(AudioError, match=says):
        audio.load(source, rate)


@pytest.mark.parametrize(
    ("rate", "format", "subtype", "channels"),
    [
        (16_000, "WAV", "PCM_16", 1),
        (16_000, "FLAC", "PCM_16", 1),
        (16_000, "WAV", "PCM_16", 2),
        (8_000, "WAV", "PCM_16", 1),
        (16_000, "WAV", "PCM_24", 1),
        (16_000, "WAV", "FLOAT", 1),
    ],
)
def test_sixteen_bit_files_give_the_same_with_and_without_floats(
    tmp_path, rate, format, subtype, channels
):
    samples = np.random.default_rng(0).uniform(-1.2, 1, (5000, channels))
    path = tmp_path / f"a.{format.lower()}"
    soundfile.write(path, samples, rate, format=format, subtype=subtype)
    pcm = audio.load_int16(path)
    assert pcm.dtype == np.int16
    assert np.array_equal(pcm, arrays.to_int16(audio.load(path)))


def test_a_sixteen_bit_file_too_short_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(399), 16_000)
    with pytest.raises(AudioError, match=r"24\.9 ms"):
        audio.load_int16(tmp_path / "a.wav")


@pytest.mark.parametrize("offset", [0, 9000])
@pytest.mark.parametrize("size", [1, 400, 240_000])
def test_normalize_against_float64(offset, size):
    noise = np.random.default_rng(0).normal(offset, 3000, size)
    pcm = noise.clip(-32768, 32767).astype(np.int16)
    x = pcm / 32768
    expected = (x - x.mean()) / np.sqrt(x.var() + 1e-7)
    out = np.empty(size, np.float32)
    assert audio.normalize(pcm, out) is out
    assert np.abs(out - expected).max() < 1e-5
    assert np.abs(audio.normalize(arrays.from_int16(pcm)) - expected).max() < 1e-5
    assert not audio.normalize(np.full(size, 77, np.int16)).any()  # silence stays silence


class TestPipes:
    def test_all_of_it_in_pieces(self, tmp_path):
        pipe, samples = tmp_path / "pipe", np.zeros(80_000, np.float32)
        os.mkfifo(pipe)
        data = io.BytesIO()
        soundfile.write(data, samples, 16_000, format="WAV")

        def write() -> None:
            with pipe.open("wb", buffering=0) as out:
                for start in range(0, len(data.getvalue()), 50_000):
                    out.write(data.getvalue()[start : start + 50_000])

        writer = threading.Thread(target=write)
        writer.start()
        assert len(audio.load(pipe)) == len(samples)
        writer.join()

    def test_what_a_shell_gives_for_a_command_that_has_ended(self, monkeypatch):
        monkeypatch.setattr(sources, "NOBODY", 0.01)
        read, write = os.pipe()
        os.write(write, encoded(TONE))
        os.close(write)
        assert len(audio.load(f"/dev/fd/{read}")) == len(TONE)
        os.close(read)

    def test_nobody_writes(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sources, "NOBODY", 0.01)
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(AudioError, match="nobody writes"):
            audio.load(tmp_path / "pipe")

    def test_whoever_writes_says_nothing_or_too_much(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sources, "PATIENCE", 0.01)
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        keep = os.open(pipe, os.O_RDWR)
        with pytest.raises(AudioError, match="nothing came"):
            audio.load(pipe)
        monkeypatch.setattr(sources, "MAX_PIPE", 10)
        os.write(keep, b"x" * 100)
        with pytest.raises(AudioError, match="more than"):
            audio.load(pipe)
        os.close(keep)

    def test_a_writer_that_goes_without_a_word(self, tmp_path):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(b"",))
        writer.start()
        with pytest.raises(AudioError, match="empty"):
            audio.load(pipe)
        writer.join()

    def test_a_device_is_refused(self):
        with pytest.raises(AudioError, match="device"):
            audio.load("/dev/zero")
