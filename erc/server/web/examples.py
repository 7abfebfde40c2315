"""Clips to try the page with: simulated, no person was recorded; made by `docs/make_voices.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

VOICES = Path(__file__).parent / "voices"


class Example(NamedTuple):
    """Something to press a button for.

    Attributes:
        name: what the button says.
        samples: int16 [T], 16 kHz; None: text only.
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
    texts = json.loads((VOICES / "texts.json").read_text("utf-8"))
    if not hears:
        return [Example(name.capitalize(), None, texts[name]) for name in ("happy", "sad", "angry")]
    return [
        Example(
            "A conversation" if name == "conversation" else name.capitalize(),
            soundfile.read(VOICES / f"{name}.ogg", dtype="int16")[0],
            text if reads else "",
        )
        for name, text in texts.items()
    ]
