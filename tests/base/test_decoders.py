"""Containers that lie about their length, break off, or hold what libsndfile cannot decode."""

from __future__ import annotations

import io
import struct
import sys
import tracemalloc
import warnings
from contextlib import suppress

import numpy as np
import pytest
import soundfile

from erc.base import arrays, audio, decoders
from erc.base.errors import AudioError, AudioWarning
from erc.timeline.recording import Recording

RATE = 16_000
RNG = np.random.default_rng(0)
LOUD_THEN_QUIET = np.concatenate([RNG.normal(0, 0.2, 6 * RATE), RNG.normal(0, 1e-3, 12 * RATE)])
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)


def encoded(samples: np.ndarray, rate: int = RATE, format: str = "WAV", **options) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=format, **options)
    return buffer.getvalue()


def encoded_by_ffmpeg(
    samples: np.ndarray, format: str, codec: str, rate: int = RATE, pipe: bool = False, **options
) -> bytes:
    """As `ffmpeg … -f format -` writes it when `pipe`: without going back to fill in the length."""
    av = pytest.importorskip("av")
    data = io.BytesIO()

    class Pipe:
        write = staticmethod(data.write)

    with av.open(Pipe() if pipe else data, "w", format=format) as out:
        track = out.add_stream(codec, rate=rate, layout="mono", options=options)
        whole = av.AudioFrame.from_ndarray(
            np.rint(samples * 32767).astype("i2")[None], format="s16", layout="mono"
        )
        whole.sample_rate = RATE
        track.bit_rate = 32_000 if rate > 8000 else 12_200
        track.codec_context.open()
        fit = av.AudioResampler(track.format, "mono", rate, frame_size=track.frame_size or None)
        for frame in fit.resample(whole) + fit.resample(None):
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    return data.getvalue()


def in_seconds(data: bytes) -> tuple[float, float]:
    """As loaded, and as a recording that is read twice."""
    recording = Recording(io.BytesIO(data))
    blocks = sum(map(len, recording.blocks())) / RATE
    assert recording.duration == pytest.approx(blocks)
    return len(audio.load(data)) / RATE, Recording(io.BytesIO(data)).duration


class TestToTheRealEnd:
    @pytest.mark.parametrize("rate", [16_000, 44_100])
    def test_vbr_mp3_without_a_count(self, rate):
        """The guess from the first frames is far too short here: the loud ones are the long ones."""
        data = encoded_by_ffmpeg(
            LOUD_THEN_QUIET, "mp3", "libmp3lame", rate, pipe=True, abr="1", write_xing="0"
        )
        heard, claimed = in_seconds(data)
        assert heard == pytest.approx(18, abs=0.15)
        assert claimed == pytest.approx(heard, abs=0.01)

    def test_joined_mp3(self):
        one = encoded(TONE, format="MP3")
        assert in_seconds(one + one + one)[0] == pytest.approx(6, abs=0.3)

    @pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
    def test_chained_ogg(self, subtype):
        one = encoded(TONE, 48_000, "OGG", subtype=subtype)
        other = encoded(np.stack([TONE, TONE], 1), 24_000, "OGG", subtype=subtype)
        heard, claimed = in_seconds(one + other)
        assert heard == pytest.approx(len(TONE) * (1 / 48_000 + 1 / 24_000), abs=0.01)
        assert claimed == pytest.approx(heard, abs=0.01)

    def test_flac_through_a_pipe(self):
        data = bytearray(encoded(TONE, format="FLAC"))
        data[21:26] = bytes([data[21] & 0xF0, 0, 0, 0, 0])
        assert np.array_equal(audio.load(data), audio.load(encoded(TONE, format="FLAC")))
        assert in_seconds(data) == (2, 2)

    @pytest.mark.parametrize("frames", [100, 1 << 35, (1 << 36) - 1])
    def test_a_flac_with_another_count(self, frames):
        """Too few are read on; 2³⁶ take no memory, and what is missing is said."""
        data = bytearray(encoded(TONE, format="FLAC"))
        data[21:26] = (data[21] & 0xF0 | frames >> 32, *(frames & 0xFFFFFFFF).to_bytes(4, "big"))
        tracemalloc.start()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            assert len(audio.load(data)) == len(TONE)
        assert tracemalloc.get_traced_memory()[1] < 20e6
        tracemalloc.stop()
        assert len(said) == (frames > len(TONE))

    def test_a_truncated_wav_says_what_is_missing(self, tmp_path):
        path = tmp_path / "cut.wav"
        path.write_bytes(encoded(TONE)[: 44 + RATE])  # half a second of two
        with pytest.warns(AudioWarning, match=r"cut\.wav: ends after 0\.50 s, 1\.50 s before"):
            assert len(audio.load(path)) == RATE // 2
        with pytest.warns(AudioWarning, match="before it should"):
            assert len(audio.load_int16(path)) == RATE // 2


@pytest.mark.parametrize("format", ["FLAC", "OGG", "MP3"])
def test_damage_in_the_middle_is_an_answer_or_an_error(format):
    for seed in range(40):
        data, rng = bytearray(encoded(TONE, format=format)), np.random.default_rng(seed)
        for at in rng.integers(60, len(data), 5):
            data[at] ^= 255
        with suppress(AudioError):
            assert np.isfinite(audio.load(data)).all()


class TestClaims:
    @pytest.mark.parametrize(
        ("data", "says"),
        [
            (encoded(TONE[:5000], 1), "1 Hz"),
            (encoded(np.zeros((500, 8)), 655_350, "FLAC"), "655350 Hz"),
            (encoded(np.zeros((500, 100))), "100 channels"),
            (encoded(np.zeros((2000 * 1000,)), 1000, "FLAC"), "longer than 30 min.*timeline"),
        ],
    )
    def test_are_judged(self, data, says):
        with pytest.raises(AudioError, match=says):
            audio.load(data)

    def test_reading_may_stop_early(self):
        data = bytearray(encoded(np.zeros(60 * RATE), format="FLAC"))
        data[21:26] = bytes([data[21] & 0xF0, 0, 0, 0, 0])
        assert 10 < audio.seconds(data, most=10) < 30


class TestValues:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e29, -2e6])
    def test_what_is_no_sound_is_refused(self, value):
        samples = np.concatenate([np.zeros(RATE), [value], np.zeros(RATE)])
        for subtype in ("FLOAT", "DOUBLE"):
            with pytest.raises(AudioError, match=r"samples.* near .*export it again"):
                audio.load(encoded(samples, subtype=subtype))
        with pytest.raises(AudioError, match="samples"):
            audio.load(samples, RATE)

    @pytest.mark.parametrize("scale", [1e-30, 1e5, 1e29, 3e38])
    def test_normalising_never_overflows(self, scale):
        out = audio.normalize((TONE * scale).astype(np.float32))
        assert np.isfinite(out).all()
        assert scale < 1 or out.std() == pytest.approx(1, abs=1e-3)

    def test_channels_out_of_phase(self):
        with pytest.warns(AudioWarning, match="cancel.*channel 1 of 2"):
            heard = audio.load(np.stack([TONE, -0.9 * TONE], 1), RATE)
        assert np.array_equal(heard, TONE.astype(np.float32))
        for other in (TONE, 0 * TONE, RNG.normal(0, 0.2, len(TONE)), -0.3 * TONE):
            stereo = np.stack([TONE, other], 1)
            assert np.allclose(audio.load(stereo, RATE), stereo.mean(1), atol=1e-6)


class TestArrays:
    @pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32])
    def test_scale_and_sign_by_type(self, dtype):
        info = np.iinfo(dtype)
        half = (int(info.max) - int(info.min) + 1) / 2
        middle = 0 if info.min else half
        heard = audio.load(np.rint(TONE * (half - 1) + middle).astype(dtype), RATE)
        assert np.abs(heard - TONE).max() < 2 / half + 1e-6

    def test_uint8_is_what_a_wav_file_of_8_bits_holds(self):
        data = encoded(TONE, subtype="PCM_U8")
        raw = np.frombuffer(data[44 : 44 + len(TONE)], np.uint8)
        assert np.array_equal(audio.load(raw, RATE), audio.load(data))

    @pytest.mark.parametrize(
        ("samples", "says"),
        [
            (np.rint(TONE * 32767).astype(np.int64), "int64 samples have no scale.*int16, int32"),
            ([0, 1200, -300] * 1000, "int64"),
            (np.rint(TONE * 32767).astype(np.int32), "int32 samples up to.*int16"),
            ((TONE * 32767).astype(np.float32), r"float32 samples up to 16384.*32768"),
            (TONE > 0, "bool"),
            (TONE.astype(complex), "complex"),
            (np.zeros((1, 2, 3000)), r"shape \(1, 2, 3000\).*\[T, channels\]"),
            (np.zeros((500, 500)), r"shape \(500, 500\)"),
            (np.zeros((100, 500)), r"shape \(100, 500\)"),
            (np.zeros((0, 2)), "no samples"),
            ([[0.1, 0.2], [0.3]], "no array"),
        ],
    )
    def test_what_cannot_be_told_is_refused(self, samples, says):
        for hear in (audio.load, Recording):
            with pytest.raises(AudioError, match=says):
                list(Recording(samples, RATE).blocks()) if hear is Recording else hear(
                    samples, RATE
                )

    @pytest.mark.parametrize(
        "shape", [lambda x: x[None], lambda x: x[:, None], lambda x: x.tolist()]
    )
    def test_one_channel_of_any_shape(self, shape):
        expected = TONE.astype(np.float32)
        assert np.array_equal(audio.load(shape(TONE), RATE), expected)
        assert np.array_equal(np.concatenate(list(Recording(shape(TONE), RATE).blocks())), expected)

    def test_channels_first_are_channels_last(self):
        stereo = np.stack([TONE, 0.5 * TONE])
        assert np.array_equal(audio.load(stereo, RATE), audio.load(stereo.T, RATE))
        assert Recording(stereo, RATE).duration == 2

    def test_a_tensor_has_a_name(self):
        torch = pytest.importorskip("torch")
        with pytest.raises(AudioError, match="<samples>"):
            audio.load(torch.zeros(3), RATE)
        assert len(audio.load(torch.zeros(1, RATE), RATE)) == RATE

    @pytest.mark.parametrize("rate", [None, 0, 16, -1, 16_000.5, "16000"])
    def test_rates(self, rate):
        with pytest.raises(AudioError, match="rate"):
            audio.load(TONE, rate)


class TestSources:
    def test_an_open_file_can_be_given_twice(self):
        file = io.BytesIO(b"before" + encoded(TONE))
        file.seek(6)
        assert np.array_equal(audio.load(file), audio.load(file))

    def test_what_is_no_file(self, tmp_path):
        with pytest.raises(AudioError, match="is a URL; download"):
            audio.load("https://example.org/a.wav")
        (tmp_path / "a.wav").write_bytes(encoded(TONE))
        with (
            (tmp_path / "a.wav").open(encoding="latin-1") as file,
            pytest.raises(AudioError, match="rb"),
        ):
            audio.load(file)

    def test_a_stream_that_cannot_seek(self):
        class Socket(io.BytesIO):
            def seekable(self):
                return False

        assert len(audio.load(Socket(encoded(TONE)))) == len(TONE)


AV = [
    ("ipod", "aac", 16_000),
    ("mp4", "aac", 44_100),
    ("adts", "aac", 16_000),
    ("webm", "libopus", 48_000),
    ("matroska", "aac", 16_000),
    ("asf", "wmav2", 16_000),
    ("amr", "libopencore_amrnb", 8000),
    ("3gp", "libopencore_amrnb", 8000),
]


class TestWhatPyavReads:
    @pytest.mark.parametrize(("format", "codec", "rate"), AV)
    def test_the_tone_is_there(self, format, codec, rate):
        data = encoded_by_ffmpeg(TONE, format, codec, rate)
        heard = audio.load(data)
        assert len(heard) / RATE == pytest.approx(2, abs=0.15)
        spectrum = np.abs(np.fft.rfft(heard))
        assert abs(np.fft.rfftfreq(len(heard), 1 / RATE)[spectrum.argmax()] - 440) < 5
        assert Recording(io.BytesIO(data)).duration == pytest.approx(2, abs=0.15)

    def test_lossless_to_the_bit(self):
        data = encoded_by_ffmpeg(TONE, "ipod", "alac")
        assert np.array_equal(arrays.to_int16(audio.load(data)), np.rint(TONE * 32767))

    def test_half_a_file_says_so(self):
        noise = RNG.normal(0, 0.1, 20 * RATE)
        data = encoded_by_ffmpeg(noise, "webm", "libopus", 48_000)
        with pytest.warns(AudioWarning, match="before it should"):
            assert len(audio.load(data[: len(data) // 2])) < 12 * RATE

    def test_damage(self):
        data = bytearray(encoded_by_ffmpeg(TONE, "ipod", "aac"))
        data[300:2000] = RNG.bytes(1700)
        with pytest.raises(AudioError, match="cannot be decoded"):
            audio.load(data)

    def test_rubbish(self):
        data = encoded_by_ffmpeg(TONE, "ipod", "aac")
        for begin in (data[:12], data[:200], data[:8] + bytes(500)):
            with pytest.raises(AudioError, match="cannot be decoded"):
                audio.load(begin)

    def test_without_pyav_it_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "av", None)
        file = io.BytesIO(b"\0\0\0\x20ftypM4A " + bytes(100))
        with pytest.raises(AudioError, match=r"mov needs PyAV.*erc\[formats\]"):
            next(decoders.streams(file, "a.m4a"))


def test_a_part_of_a_file_is_a_file():
    part = decoders.Part(io.BytesIO(bytes(range(100))), 10, 20, b"abc")
    assert part.read() == b"abc" + bytes(range(10, 20))
    assert part.seek(0, 2) == 13
    part.seek(-2, 1)
    assert part.read(50) == bytes([18, 19])
    assert part.read(1) == b""
    assert struct.unpack("B", decoders.Part(io.BytesIO(b"xyz"), 1, 3).read(1))[0] == ord("y")
