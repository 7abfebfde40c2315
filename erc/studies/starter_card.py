"""The starter's README.md and LICENSE: what it is, how good, what it takes emotions for."""

from __future__ import annotations

import numpy as np

from erc.base.space import KEMDY
from erc.model.folder import USE
from erc.model.folder.starter import ENCODER
from erc.studies.starter import Clips
from erc.studies.starter_scores import SURE, Measured, table


def card(clips: Clips, measured: Measured) -> str:
    """The starter's README.md."""
    counts = []
    for name in np.unique(clips.corpus):
        own = clips.where(clips.corpus == name)
        acted = ", ".join(KEMDY.emotions[e] for e in np.unique(own.emotion))
        counts.append(f"| {name} | {len(own):,} | {len(np.unique(own.speaker))} | {acted} |")
    return CARD.format(
        encoder=ENCODER, counts="\n".join(counts), table=table(measured.scores), taken="\n\n".join(
            _taken(name, x) for name, x in measured.confusions.items()
        ), use=USE, sure=SURE, common=len(_emotions(measured)),
    )  # fmt: skip


def _emotions(measured: Measured) -> list[str]:
    """That strangers were asked about."""
    asked = sum(x.sum(1) for x in measured.confusions.values())
    return [e for e, n in zip(KEMDY.emotions, np.atleast_1d(asked).tolist()) if n]


def _taken(corpus: str, counts: np.ndarray) -> str:
    """A table of what the emotions of a corpus were taken for, in parts of 1."""
    kept = np.flatnonzero(counts.sum(1))
    names = [KEMDY.emotions[e] for e in kept]
    lines = [f"| {corpus} | " + " | ".join(names) + " |", "|---" * (len(kept) + 1) + "|"]
    for e, name in zip(kept, names, strict=True):
        shares = counts[e, kept] / counts[e].sum()
        lines.append(f"| {name} | " + " | ".join(f"{x:.2f}" for x in shares) + " |")
    return "\n".join(lines)


LICENCE = "CC BY-NC-SA 4.0"
LICENCES = {"korean_emotion": "CC BY-NC-SA 4.0, research only"}  # what its owner says beside it
NOTICE = """\
The files of this folder, but for __init__.py, are licensed under the Creative Commons
Attribution-NonCommercial-ShareAlike 4.0 International licence (CC BY-NC-SA 4.0):
https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode

They were computed from recordings under that licence: the public part of Korean EmotionTTS
(https://github.com/emotiontts/emotiontts_open_db), nEMO (https://github.com/amu-cai/nEMO) and RAVDESS
(https://zenodo.org/records/1188976). The code of erc is under the Apache licence 2.0. The encoder they
go with, openai/whisper-tiny.en, is under the MIT licence and does not lie here.
"""
CARD = """\
---
license: cc-by-nc-sa-4.0
library_name: erc
pipeline_tag: audio-classification
base_model: {encoder}
tags: [speech-emotion-recognition, emotion-recognition]
---

# The starter: emotion of acted speech

It answers where there is no model of one's own, so that there is an answer at once. Read the next
paragraph before you believe one.

**Of voices unlike those that it learned from it is right little more often than chance, as they are.**
It knows that: such recordings are told from those like its training, and marked `abstain`. With
recordings of the same speaker in various moods (`recognizer.adapt`) it does much better. Of voices like
those of its corpora it is as good as a model of that corpus alone. Train your own model on your own
corpus.

It offers seven emotions and no valence or arousal: nobody rated those in these corpora.

## How good

UAR is the recall averaged over emotions. Everything was fitted and chosen without those who are asked
about. Of a corpus that was not heard, the {common} emotions of all corpora are told apart; of other
speakers of the corpora, all that the corpus has. Recordings whose sentence has one emotion only are
learned from and not scored. Answered: with a confidence of {sure} or more, and typical. Its rival is one
shrinkage LDA of all recordings on the same features, its strength chosen in the same way.

{table}

## What it takes emotions for

Of corpora that it has not heard, in parts of the recordings of each emotion (rows: acted, columns:
told).

{taken}

## Made of

- encoder: {encoder}, frozen; its middle layers, mean and deviation over time
- head: `erc.model.fusion.familiar`, in closed form: nothing was drawn at random

| corpus | recordings | speakers | emotions |
|---|---|---|---|
{counts}

All of it is acted. The head is CC BY-NC-SA 4.0, as the recordings are.

{use}
"""
