"""Split auditor: what crosses from training to test, and what would name the emotion without listening.

Speakers who cross make a test of known voices; recordings that cross make no test at all. Sentences
may cross (in acted corpora everybody says the same lines) as long as they do not give the emotion
away: `lookup` says how far one gets by remembering, for each sentence, the emotion it had in training,
and `cues` by one crude cue alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from erc.base.copies import copies
from erc.base.text import folded
from erc.datasets.store import Store
from erc.datasets.view import View
from erc.labels.lookup import MARGIN, cue_scores, gives_away, lookup, order, sentences


@dataclass(frozen=True)
class Audit:
    """Test utterances whose … is also in training, of `n`; and what would name the emotion."""

    n: int
    speakers: int
    sentences: int  # the same words; case, width, spacing and punctuation do not count
    dialogues: int  # script or scene, where the corpus names them
    recordings: int  # the same samples, or a copy: louder, trimmed, encoded anew
    lookup: float  # accuracy of a look-up of sentences on the labelled test utterances
    majority: float  # accuracy of always saying the most frequent emotion of training
    cues: Mapping[str, float] = field(default_factory=dict)  # accuracy of one crude cue alone
    telling: tuple[str, ...] = ()  # those of them that give the emotion away
    alike: tuple[str, ...] = ()  # speakers of one corpus whose names differ in spelling only

    @property
    def warnings(self) -> list[str]:
        """What makes scores of this split say less than they seem to; empty: nothing."""
        found = []
        if self.recordings:
            found.append(
                f"{self.recordings} test recordings are also in training: remove the copies"
            )
        if self.speakers:
            found.append(
                f"{self.speakers} test utterances are by speakers of training: known voices"
            )
        found += [f"speakers {names} may be one person: give them one name" for names in self.alike]
        if self.lookup > self.majority + MARGIN:
            found.append(
                f"a look-up of sentences seen in training is right in {self.lookup:.0%} of the test "
                f"utterances (most frequent emotion: {self.majority:.0%}): text gives the emotion "
                "away; hold sentences out (dataset.group=sentence) or use speech only"
            )
        found += [
            f"{cue} alone is right in {self.cues[cue]:.0%} of the test utterances (most frequent "
            f"emotion: {self.majority:.0%}): the corpus gives its labels away"
            for cue in self.telling
        ]
        return found

    def __str__(self) -> str:
        cues = "".join(f", {cue} {accuracy:.2f}" for cue, accuracy in self.cues.items())
        line = (
            f"audit  of {self.n} test utterances in training too: speaker {self.speakers}, sentence "
            f"{self.sentences}, dialogue {self.dialogues}, recording {self.recordings}; right by "
            f"sentence look-up {self.lookup:.2f}{cues}, most frequent emotion {self.majority:.2f}"
        )
        return "\n".join([line, *(f"warning: {w}" for w in self.warnings)])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        lists = {"telling": list(self.telling), "alike": list(self.alike)}
        return asdict(self) | lists | {"warnings": self.warnings}


def audit(data: View) -> Audit:
    """Audit a fold: the training side (with the valid side of protocol "strict") against the test side.

    Args:
        data: any side of the fold; what it leaves out because a model cannot read it is audited too.
    """
    train, valid, test = (data.side(mode).needing(()) for mode in ("train", "valid", "test"))
    known = np.union1d(train.rows, np.setdiff1d(valid.rows, test.rows)).astype(int)
    store, column = data.store, data.store.column
    words = sentences(column("text"))

    def crossing(*columns: Iterable[str]) -> int:
        keys = list(zip(*columns, strict=True))
        seen = {keys[i] for i in known if keys[i][-1]}
        return sum(keys[i] in seen for i in test.rows)

    label = data.labels.hard.argmax(-1)
    labelled = ~np.isnan(data.labels.hard).any(-1)
    sides = known[labelled[known]], test.rows[labelled[test.rows]]
    right, majority = lookup(words, label, *sides)
    cues = cue_scores(column("text"), numbers(store), label, *sides)
    return Audit(
        n=len(test),
        speakers=crossing(column("corpus"), column("speaker")),
        sentences=crossing(words),
        dialogues=crossing(column("corpus"), column("dialogue")),
        recordings=_copied(store, known, test.rows),
        lookup=right,
        majority=majority,
        cues=cues,
        telling=tuple(c for c, accuracy in cues.items() if gives_away(accuracy, label[sides[1]])),
        alike=tuple(
            names
            for corpus in sorted(set(column("corpus")))
            for names in alike(column("speaker")[column("corpus") == corpus])
        ),
    )


def numbers(store: Store) -> dict[str, np.ndarray]:
    """Cues that take no ear, [N] each; nan of what has no recording."""
    heard = store.has("speech")
    session = np.array(
        [f"{c}/{s}" for c, s in zip(store.column("corpus"), store.column("session"))]
    )
    return {
        "duration": np.where(heard, store.lengths(), np.nan),
        "level": np.where(heard, store.column("level"), np.nan),
        "order": order(session),
    }


def alike(names: Iterable[str]) -> list[str]:
    """Groups of names that differ in case, width, spacing or punctuation only.

    >>> alike(["S01", "s 01", "Ｓ01", "S02"])
    ["'S01', 's 01', 'Ｓ01'"]
    """
    groups = defaultdict(list)
    for name in sorted(set(names)):
        groups[folded(name)].append(repr(name))
    return [", ".join(group) for same, group in groups.items() if same and len(group) > 1]


def _copied(store: Store, known: np.ndarray, test: np.ndarray) -> int:
    """Recordings of the test side that training has heard."""
    heard, samples = store.has("speech"), store.column("audio_hash")
    same = set(samples[known[heard[known]]])
    found = {int(i) for i in test[heard[test]] if samples[i] in same}
    rows = np.concatenate([known[heard[known]], test[heard[test]]])
    side = {int(i): i in set(known.tolist()) for i in rows}
    signs = [store.spectral_signs(int(i)) for i in rows]
    for a, b in copies(signs):
        i, j = int(rows[a]), int(rows[b])
        if side[i] != side[j]:
            found.add(j if side[i] else i)
    return len(found)
