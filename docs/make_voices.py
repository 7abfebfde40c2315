"""Makes the simulated voices of the web page, erc/server/web/voices: `python docs/make_voices.py`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

from erc.base.audio import SAMPLE_RATE
from erc.base.emotions import EMOTIONS
from erc.base.voice import cast
from erc.corpora.simulated import CENTROIDS, say, voice
from erc.timeline.subtitles import clock

FOLDER = Path(__file__).parents[1] / "erc" / "server" / "web" / "voices"
SEED = 3
PAUSE = 1.2  # s between the turns of the conversation


def utterance(emotion: str) -> tuple[np.ndarray, str]:
    """int16 samples, and what is said."""
    rng = np.random.default_rng([SEED, EMOTIONS.index(emotion)])
    affect = CENTROIDS[EMOTIONS.index(emotion)]
    text = say(affect, rng)
    return voice(text, affect, cast("F", rng), rng), text


def conversation() -> tuple[np.ndarray, str]:
    """Two people who take turns, from calm to angry to happy; the text is SRT."""
    rng = np.random.default_rng(SEED)
    people = [cast(gender, rng) for gender in "FM"]
    plan = ["neutral"] * 4 + ["sad"] * 2 + ["angry"] * 3 + ["happy"] * 3
    silence = 0.001 * rng.standard_normal(int(PAUSE * SAMPLE_RATE)) * 32767
    sound, cues, length = [silence], [], len(silence)
    for number, emotion in enumerate(plan, 1):
        affect = CENTROIDS[EMOTIONS.index(emotion)] + 0.2 * rng.standard_normal(3)
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
    return made | {"conversation": conversation()}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = voices()
    for name, (samples, _) in made.items():
        soundfile.write(FOLDER / f"{name}.ogg", samples, SAMPLE_RATE, "VORBIS")
    texts = {name: text for name, (_, text) in made.items()}
    (FOLDER / "texts.json").write_text(
        json.dumps(texts, ensure_ascii=False, indent=1) + "\n", "utf-8"
    )
