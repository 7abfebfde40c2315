"""A small source–filter voice for simulated speech: Hangul text in, samples out. numpy and scipy only.

Source: glottal pulses read from one stored period at a cumulative phase, plus breath noise.
Filter: four formants (an all-pole filter) for each syllable's vowel, scaled by the vocal tract.
Emotion enters as `Delivery`, whose cues are the textbook ones (Scherer 2003, "Vocal communication
of emotion"; Gobl & Ní Chasaide 2003 for voice quality), exaggerated so that minutes of data are enough:

    arousal   pitch height and range, loudness, speaking rate
    tension   pressed (bright, few noise) … breathy (dull, much noise), jitter
    valence   a smile: formants 1 % higher a unit; a trace, the words are there for that
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SAMPLE_RATE = 16_000
FRAME = 80  # samples, 5 ms
PEAK = 0.95  # of full scale; louder utterances are turned down, not clipped

# Formants in Hz of eight Korean monophthongs, adult male (after Yang 1996, rounded).
VOWELS = {
    "ㅏ": (740, 1370, 2570), "ㅓ": (610, 1060, 2600), "ㅗ": (450, 870, 2570), "ㅜ": (370, 980, 2400),
    "ㅡ": (400, 1490, 2360), "ㅣ": (300, 2270, 2980), "ㅐ": (590, 1850, 2600), "ㅔ": (490, 1970, 2640),
}  # fmt: skip
F4, BANDWIDTHS = 3500, (80, 100, 140, 200)  # Hz
# The 21 medial letters of Unicode's Hangul block, by the monophthong that they end on.
MEDIALS = "ㅏㅐㅏㅐㅓㅔㅓㅔㅗㅏㅐㅔㅗㅜㅓㅔㅣㅜㅡㅣㅣ"
FRICATIVES = {9, 10, 12, 13, 14, 18}  # initial letters ㅅ ㅆ ㅈ ㅉ ㅊ ㅎ
STOPS = {0, 1, 3, 4, 7, 8, 15, 16, 17}  # ㄱ ㄲ ㄷ ㄸ ㅂ ㅃ ㅋ ㅌ ㅍ


class Speaker(NamedTuple):
    """What a voice is when nothing happens."""

    gender: str  # "F" or "M"
    pitch: float  # Hz at arousal 3
    tract: float  # factor on the formants; 1 = adult male, about 1.17 = adult female
    loudness: float  # dB re the average speaker
    tempo: float  # factor on syllables per second
    noise: float  # dBFS, recording noise


class Delivery(NamedTuple):
    """How an utterance is said; each on the 1–5 scale, 3 = as usual; may exceed it a little."""

    arousal: float
    tension: float  # 1 breathy … 5 pressed
    valence: float


def cast(gender: str, rng: np.random.Generator) -> Speaker:
    """Draw a speaker."""
    pitch, tract = (205.0, 1.17) if gender == "F" else (115.0, 1.0)
    return Speaker(
        gender,
        pitch=pitch * 2 ** (rng.normal(0, 1.5) / 12),  # ± 1.5 semitones
        tract=tract * np.exp(rng.normal(0, 0.03)),
        loudness=rng.normal(0, 1.5),
        tempo=np.exp(rng.normal(0, 0.06)),
        noise=rng.uniform(-66, -56),
    )


def speak(text: str, speaker: Speaker, delivery: Delivery, rng: np.random.Generator) -> np.ndarray:
    """Say the Hangul syllables of `text`; everything else in it is silent.

    Args:
        text: at least one Hangul syllable.

    Returns:
        int16 [samples], 16 kHz, about 0.15 s a syllable, with 60 ms of room noise at both ends.

    >>> rng = np.random.default_rng(0)
    >>> speak("안녕하세요", cast("F", rng), Delivery(3, 3, 3), rng).dtype
    dtype('int16')
    """
    syllables = [ord(c) - 0xAC00 for c in text if "가" <= c <= "힣"]
    lengths = _lengths(len(syllables), speaker, delivery, rng)
    source = _source(lengths, speaker, delivery, rng)
    level = -31 + 3.2 * (delivery.arousal - 3) + speaker.loudness + rng.normal(0, 0.7)  # dBFS
    speech = _articulate(source, syllables, lengths, speaker, delivery, rng)
    speech *= 10 ** (level / 20) / np.sqrt(np.mean(speech**2))
    speech = np.pad(speech, 960)  # 60 ms
    speech += 10 ** (speaker.noise / 20) * rng.standard_normal(len(speech), dtype=np.float32)
    speech *= min(1.0, PEAK / np.abs(speech).max())
    return np.rint(speech * 32767).astype(np.int16)


def _lengths(n: int, speaker: Speaker, delivery: Delivery, rng: np.random.Generator) -> np.ndarray:
    """Samples of each of n syllables; 4.4 a second at arousal 1, 8.8 at 5, the last one drawn out."""
    rate = 6.2 * speaker.tempo * 2 ** (np.clip(delivery.arousal - 3, -2.5, 2.5) / 4)
    weights = np.exp(rng.normal(0, 0.15, n))
    weights[-1] *= 1.5
    return (SAMPLE_RATE / rate * weights).astype(int)


def _melody(
    lengths: np.ndarray, speaker: Speaker, delivery: Delivery, rng: np.random.Generator
) -> np.ndarray:
    """F0 in Hz of each sample, new every 5 ms: height + accents + declination + jitter."""
    excited = np.clip(delivery.arousal - 3, -2.5, 2.5)
    height = 2.8 * excited + rng.normal(0, 0.6)  # semitones; ± 5.6 over the scale
    span = 2.0 * 2 ** (0.6 * excited)  # ± semitones: 0.9 at arousal 1, 4.6 at 5
    accents = rng.normal(0, 0.6, len(lengths)) + np.linspace(0.5, -0.5, len(lengths))
    centres = np.cumsum(lengths) - lengths / 2
    frames = np.arange(0, lengths.sum(), FRAME)
    jitter = 0.1 * (5.5 - np.clip(delivery.tension, 1, 5))  # semitones
    contour = np.interp(frames, centres, accents) * span + height
    contour += rng.normal(0, jitter, len(frames))
    return np.repeat(speaker.pitch * 2 ** (contour / 12), FRAME)[: lengths.sum()]


def _period(size: int = 1024) -> np.ndarray:
    """One period of glottal flow derivative (Rosenberg 1971, pulse C: opens 40 %, closes 16 %)."""
    x = np.arange(size) / size
    opening = 0.5 * (1 - np.cos(np.pi * x / 0.40))
    closing = np.cos(np.pi / 2 * (x - 0.40) / 0.16)
    flow = np.where(x < 0.40, opening, np.where(x < 0.56, closing, 0.0))
    derivative = np.diff(flow, append=0.0)
    return (derivative / derivative.std()).astype(np.float32)


PERIOD = _period()


def _source(
    lengths: np.ndarray, speaker: Speaker, delivery: Delivery, rng: np.random.Generator
) -> np.ndarray:
    """Pulses plus breath: harmonics-to-noise ratio 26 dB when pressed, −2 dB when breathy."""
    from scipy.signal import lfilter  # a second that only speaking should pay

    phase = np.cumsum(_melody(lengths, speaker, delivery, rng)) / SAMPLE_RATE
    pulses = PERIOD[(phase * len(PERIOD)).astype(np.int32) % len(PERIOD)]
    tension = np.clip(delivery.tension + rng.normal(0, 0.15), 1, 5)
    dull = 0.9 - 0.2 * (tension - 1)  # one-pole low-pass: 0.9 at tension 1, 0.1 at 5
    pulses = lfilter([1 - dull], [1, -dull], pulses)
    breath = rng.standard_normal(len(pulses), dtype=np.float32)
    return pulses / pulses.std() + 10 ** (-(7 * tension - 9) / 20) * breath


def _articulate(
    source: np.ndarray,
    syllables: list[int],
    lengths: np.ndarray,
    speaker: Speaker,
    delivery: Delivery,
    rng: np.random.Generator,
) -> np.ndarray:
    """Filter each syllable by its vowel and add them up with 15 ms of ringing."""
    from scipy.signal import lfilter  # a second that only speaking should pay

    smile = 1 + 0.01 * (np.clip(delivery.valence, 1, 5) - 3)
    tail = 240  # 15 ms
    speech = np.zeros(len(source) + tail)
    start = 0
    for code, length in zip(syllables, lengths, strict=True):
        initial, vowel = code // 588, MEDIALS[code % 588 // 28]
        onset = min(640, length // 3) if initial in FRICATIVES | STOPS else 0  # 40 ms
        piece = np.zeros(length + tail)
        rise = np.minimum(1, np.arange(length - onset) / 240)  # 15 ms attack, linear decay by 30 %
        piece[onset:length] = (
            source[start + onset : start + length] * rise * np.linspace(1, 0.7, length - onset)
        )
        piece = lfilter(*_formants(vowel, speaker.tract * smile), piece)
        piece /= np.sqrt(np.mean(piece**2)) + 1e-9
        if initial in FRICATIVES:  # high-passed noise
            piece[:onset] += 0.3 * np.diff(rng.standard_normal(onset + 1))
        speech[start : start + length + tail] += piece
        start += length
    return speech


def _formants(vowel: str, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (b, a) of 1 / Π (1 − 2r cos θ z⁻¹ + r² z⁻²), θ = 2πF/fs, r = exp(−πB/fs)."""
    frequencies = np.array([*VOWELS[vowel], F4]) * scale
    radius = np.exp(-np.pi * np.array(BANDWIDTHS) / SAMPLE_RATE)
    middle = -2 * radius * np.cos(2 * np.pi * frequencies / SAMPLE_RATE)
    poles = np.ones(1)
    for m, r in zip(middle, radius, strict=True):
        poles = np.convolve(poles, (1, m, r * r))
    return np.ones(1), poles
