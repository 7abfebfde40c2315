"""Copies of a recording, planted among others that are none."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from erc.base.copies import copies, spectral_signs
from erc.base.voice import Delivery, cast, speak

SENTENCES = ("정말 좋았어 오늘 하루", "그 사람 이야기는 하지 마", "비가 오는데 우산이 없네")


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    """Three sentences, each read by four voices in two moods: much that is alike, no copy."""
    rng = np.random.default_rng(0)
    voices = [cast(g, rng) for g in "FMFM"]
    return [
        speak(text, voice, Delivery(level, level, level), rng).astype(np.float32) / 32768
        for text in SENTENCES
        for voice in voices
        for level in (2, 4)
    ]


def encoded(x: np.ndarray, kind: str) -> np.ndarray:
    file = io.BytesIO()
    soundfile.write(file, x, 16_000, format=kind)
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


COPIES = {
    "the same": lambda x: x,
    "louder": lambda x: 3 * x,
    "trimmed at both ends": lambda x: x[4001:-3000],
    "dithered": lambda x: x + np.random.default_rng(1).normal(0, 3e-4, len(x)).astype(np.float32),
    "mp3": lambda x: encoded(x, "MP3"),
    "ogg": lambda x: encoded(x, "OGG"),
    "all of it": lambda x: encoded(0.3 * x[3001:-2000], "MP3"),
    "int16": lambda x: np.round(x * 32767).astype(np.int16),
}


@pytest.mark.parametrize("what", COPIES)
def test_a_copy_is_found_and_nothing_else(clips, what):
    signs = [spectral_signs(x) for x in clips]
    again = [spectral_signs(COPIES[what](x)) for x in clips[::5]]
    assert copies(signs + again) == [
        (i, len(clips) + k) for k, i in enumerate(range(0, len(clips), 5))
    ]


def test_other_readings_of_a_sentence_are_no_copies(clips):
    assert copies([spectral_signs(x) for x in clips]) == []


def test_what_cannot_be_compared():
    silence, noise = np.zeros(16_000), np.random.default_rng(0).normal(size=(2, 16_000))
    assert len(spectral_signs(silence[:3000])) == 0
    assert copies([]) == copies([spectral_signs(silence[:0])]) == []
    assert copies([spectral_signs(silence)] * 2) == []  # silence resembles silence
    assert copies([spectral_signs(x) for x in noise]) == []
    tone = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert copies([spectral_signs(tone), spectral_signs(0.5 * tone)]) in ([], [(0, 1)])


def test_real_speech(shared):
    """300 recordings, few sentences and speakers: no pair is a copy, and each trimmed mp3 is found."""
    from erc import corpora

    files = [u.audio for u in corpora.find(shared / "corpora/korean_emotion").utterances][:60]
    clips = [soundfile.read(file, dtype="float32")[0] for file in files]
    signs = [spectral_signs(x) for x in clips]
    assert copies(signs) == []
    again = [spectral_signs(encoded(0.3 * x[2001:], "MP3")) for x in clips[:10]]
    assert copies(signs + again) == [(i, len(clips) + i) for i in range(10)]
