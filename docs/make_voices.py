"""Makes the simulated voices of the web page and of the guides: `python docs/make_voices.py`.

They lie in erc/server/web/voices and docs/samples. No person was recorded; they may be passed on.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

from erc.base.audio import SAMPLE_RATE
from erc.base.space import KEMDY
from erc.base.voice import cast
from erc.corpora.simulated import CENTROIDS, say, voice
from erc.timeline.subtitles import clock

FOLDER = Path(__file__).parents[1] / "erc" / "server" / "web" / "voices"
SAMPLES = Path(__file__).parent / "samples"
SEED = 3
PAUSE = 1.2  # s between the turns of the conversation


def utterance(emotion: str) -> tuple[np.ndarray, str]:
    """int16 samples, and what is said."""
    rng = np.random.default_rng([SEED, KEMDY.emotions.index(emotion)])
    affect = CENTROIDS[KEMDY.emotions.index(emotion)]
    text = say(affect, rng)
    return voice(text, affect, cast("F", rng), rng), text


def conversation(plan: str) -> tuple[np.ndarray, str]:
    """Two people who take turns, one an emotion of `plan`; the text is SRT."""
    rng = np.random.default_rng(SEED)
    people = [cast(gender, rng) for gender in "FM"]
    silence = 0.001 * rng.standard_normal(int(PAUSE * SAMPLE_RATE)) * 32767
    sound, cues, length = [silence], [], len(silence)
    for number, emotion in enumerate(plan.split(), 1):
        affect = CENTROIDS[KEMDY.emotions.index(emotion)] + 0.2 * rng.standard_normal(3)
        text = say(affect, rng)
        said = voice(text, affect, people[number % 2], rng)
        times = (clock(x / SAMPLE_RATE, comma=True) for x in (length, length + len(said)))
        cues.append(f"{number}\n{' --> '.join(times)}\n{text}")
        sound += [said, silence]
        length += len(said) + len(silence)
    return np.concatenate(sound).astype(np.int16), "\n\n".join(cues)


def voices() -> dict[str, tuple[np.ndarray, str]]:
    """Name → samples and text, in the order of the page."""
    made = {name: utterance(name) for name in ("happy", "sad", "angry")}
    plan = "neutral " * 4 + "sad " * 2 + "angry " * 3 + "happy " * 3
    return made | {"conversation": conversation(plan)}


def samples() -> None:
    """A clip and a meeting with its transcript, which the guides answer for."""
    SAMPLES.mkdir(exist_ok=True)
    happy, rng = CENTROIDS[KEMDY.emotions.index("happy")], np.random.default_rng(SEED)
    clip = voice("정말 좋았어", happy, cast("F", rng), rng)
    meeting, text = conversation("neutral sad angry happy happy")
    soundfile.write(SAMPLES / "clip.wav", clip, SAMPLE_RATE)
    soundfile.write(SAMPLES / "meeting.ogg", meeting, SAMPLE_RATE, "VORBIS")
    (SAMPLES / "meeting.srt").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    samples()
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = voices()
    for name, (samples, _) in made.items():
        soundfile.write(FOLDER / f"{name}.ogg", samples, SAMPLE_RATE, "VORBIS")
    texts = {name: text for name, (_, text) in made.items()}
    (FOLDER / "texts.json").write_text(
        json.dumps(texts, ensure_ascii=False, indent=1) + "\n", "utf-8"
    )
