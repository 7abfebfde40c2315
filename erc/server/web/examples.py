"""Clips to try the page with: simulated, no person was recorded."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from erc.base.audio import SAMPLE_RATE
from erc.base.emotions import EMOTIONS
from erc.corpora.simulated import CENTROIDS, say, voice
from erc.corpora.simulated.voice import cast
from erc.timeline.subtitles import clock

SEED = 3
PAUSE = 1.2  # s between the turns of the conversation


class Example(NamedTuple):
    """Something to press a button for.

    Attributes:
        name: what the button says.
        samples: int16 or float [T], 16 kHz; None: text only.
        text: transcript; of a long recording with times, as SRT.
    """

    name: str
    samples: np.ndarray | None
    text: str = ""


def simulated(hears: bool = True, reads: bool = True) -> list[Example]:
    """Three utterances and a conversation, for a model that hears, reads, or both.

    >>> [e.name for e in simulated(hears=False)]
    ['Happy', 'Sad', 'Angry']
    """
    made = [_utterance(name) for name in ("happy", "sad", "angry")]
    if hears:
        made.append(_conversation())
    return [Example(e.name, e.samples if hears else None, e.text if reads else "") for e in made]


def _utterance(emotion: str) -> Example:
    rng = np.random.default_rng([SEED, EMOTIONS.index(emotion)])
    affect = CENTROIDS[EMOTIONS.index(emotion)]
    text = say(affect, rng)
    return Example(emotion.capitalize(), voice(text, affect, cast("F", rng), rng), text)


def _conversation(turns: int = 12) -> Example:
    """Two people who take turns, from calm to angry to happy."""
    rng = np.random.default_rng(SEED)
    people = [cast(gender, rng) for gender in "FM"]
    plan = ["neutral"] * 4 + ["sad"] * 2 + ["angry"] * 3 + ["happy"] * 3
    silence = 0.001 * rng.standard_normal(int(PAUSE * SAMPLE_RATE)) * 32767
    sound, cues, length = [silence], [], len(silence)
    for number, emotion in enumerate(plan[:turns], 1):
        affect = CENTROIDS[EMOTIONS.index(emotion)] + 0.2 * rng.standard_normal(3)
        text = say(affect, rng)
        said = voice(text, affect, people[number % 2], rng)
        times = (clock(x / SAMPLE_RATE, comma=True) for x in (length, length + len(said)))
        cues.append(f"{number}\n{' --> '.join(times)}\n{text}")
        sound += [said, silence]
        length += len(said) + len(silence)
    return Example("A conversation", np.concatenate(sound).astype(np.int16), "\n\n".join(cues))
