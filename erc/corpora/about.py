"""What a corpus is, for people: who says so, under which terms, and how to get it (`erc corpora`)."""

from __future__ import annotations

from typing import NamedTuple

YOURS = "yours"  # the licence of a corpus whose owner reads it: unknown here, unless they say it


class About(NamedTuple):
    """Facts of one corpus, as its owner publishes them; what it is rated in says its `SPACE`.

    >>> About("Toy", "Polish", 12, "acted", "CC0", "https://example.org", "clone it").utterances
    12
    """

    title: str  # as its paper calls it
    language: str
    utterances: int | None  # of the whole corpus, as published; None: depends on the copy
    raters: str  # how many people rated an utterance, e.g. "10 an utterance"; "acted": nobody did
    licence: str
    source: str  # page or repository that these facts come from
    how: str  # what to do to get it, in a few words
