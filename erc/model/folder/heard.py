"""Whom a model has met in training, as its folder records it: nobody should read a leak as a score.

Speakers are kept as hashes: who has the corpus can look a speaker up, who has the model learns no name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Person = tuple[str, str]  # corpus, speaker


@dataclass(frozen=True)
class Heard:
    """Hashes of speakers; None: not recorded.

    Attributes:
        training: that it was fitted to, its stopping and calibration included.
        held_out: that it was tested on.
        corpora: names of the corpora.

    >>> heard = Heard.of_sides([("nemo", "EB0")], [("nemo", "EB1")])
    >>> heard.knows(("nemo", "EB0")), heard.knows(("nemo", "EB1")), Heard().knows(("nemo", "EB0"))
    (True, False, None)
    """

    training: frozenset[str] | None = None
    held_out: frozenset[str] = frozenset()
    corpora: tuple[str, ...] = ()

    @classmethod
    def of_sides(cls, training: Iterable[Person], held_out: Iterable[Person]) -> Heard:
        """Of the people of either side."""
        met, others = list(training), list(held_out)
        names = dict.fromkeys(corpus for corpus, _ in (*met, *others))
        return cls(frozenset(map(key, met)), frozenset(map(key, others)), tuple(names))

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Heard:
        """Of the `config.json` of a model folder; older ones, and published models, do not say."""
        found = config["meta"].get("heard")
        if not isinstance(found, Mapping):
            return cls()
        met, others, names = (
            tuple(map(str, found.get(key, ()))) for key in ("training", "held_out", "corpora")
        )
        return cls(frozenset(met), frozenset(others), names)

    def knows(self, person: Person) -> bool | None:
        """Whether it was fitted to this speaker; None: nobody knows."""
        return None if self.training is None else key(person) in self.training

    def to_json(self) -> dict[str, list[str]]:
        """What `meta["heard"]` holds."""
        return {
            "corpora": list(self.corpora),
            "training": sorted(self.training or ()),
            "held_out": sorted(self.held_out),
        }


def key(person: Person) -> str:
    """Twelve hexadecimal digits that stand for a speaker of a corpus."""
    return hashlib.sha256("\n".join(person).encode("utf-8", "surrogatepass")).hexdigest()[:12]
