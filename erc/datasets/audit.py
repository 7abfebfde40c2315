"""Split auditor: what crosses from training to test, and whether a look-up of sentences would do.

Speakers who cross make a test of known voices; recordings that cross make no test at all. Sentences
may cross (in acted corpora everybody says the same lines) as long as they do not give the emotion
away: `lookup` says how far one gets by remembering, for each sentence, the emotion it had in training.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from erc.base.emotions import EMOTIONS

if TYPE_CHECKING:
    from erc.datasets import HF_KEMD

MARGIN = 0.1  # accuracy that a look-up may reach above the most frequent emotion


@dataclass(frozen=True)
class Audit:
    """Test utterances whose … is also in training, of `n`."""

    n: int
    speakers: int
    sentences: int  # the exact words
    dialogues: int  # script or scene, where the corpus names them
    recordings: int  # the same samples
    lookup: float  # accuracy of a look-up of sentences on the labelled test utterances
    majority: float  # accuracy of always saying the most frequent emotion of training

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
        if self.lookup > self.majority + MARGIN:
            found.append(
                f"a look-up of sentences seen in training is right in {self.lookup:.0%} of the test "
                f"utterances (most frequent emotion: {self.majority:.0%}): text gives the emotion "
                "away; hold sentences out (dataset.group=sentence) or use speech only"
            )
        return found

    def __str__(self) -> str:
        line = (
            f"audit  of {self.n} test utterances in training too: speaker {self.speakers}, sentence "
            f"{self.sentences}, dialogue {self.dialogues}, recording {self.recordings}; sentence "
            f"look-up {self.lookup:.2f}, most frequent emotion {self.majority:.2f}"
        )
        return "\n".join([line, *(f"warning: {w}" for w in self.warnings)])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"warnings": self.warnings}


def audit(data: HF_KEMD) -> Audit:
    """Audit a fold: the training side (with the valid side of protocol "strict") against the test side.

    Args:
        data: any side of the fold.
    """
    train, test = data.side("train"), data.side("test")
    known = np.union1d(train.rows, np.setdiff1d(data.side("valid").rows, test.rows)).astype(int)
    column = data.store.column

    def crossing(*names: str) -> int:
        keys = list(zip(*(column(n) for n in names), strict=True))
        seen = {keys[i] for i in known if keys[i][-1]}
        return sum(keys[i] in seen for i in test.rows)

    silent = column("audio_hash")[data.side("all").lengths == 0]
    recordings = set(column("audio_hash")[known]) - set(silent)
    label = data.hard.argmax(-1)
    labelled = ~np.isnan(data.hard).any(-1)
    lookup, majority = sentence_lookup(
        column("text"), label, known[labelled[known]], test.rows[labelled[test.rows]]
    )
    return Audit(
        n=len(test),
        speakers=crossing("corpus", "speaker"),
        sentences=crossing("text"),
        dialogues=crossing("corpus", "dialogue"),
        recordings=int(np.isin(column("audio_hash")[test.rows], list(recordings)).sum()),
        lookup=lookup,
        majority=majority,
    )


def sentence_lookup(
    texts: np.ndarray, label: np.ndarray, train: np.ndarray, test: np.ndarray
) -> tuple[float, float]:
    """Accuracy of the emotion a sentence mostly had in training, and of the most frequent emotion.

    A sentence that training does not know, or no transcript, gets the most frequent emotion.

    Args:
        texts, label: [N], all utterances; train, test: their rows.

    >>> texts, label = np.array(["yes", "no", "yes", "no"]), np.array([0, 1, 0, 1])
    >>> sentence_lookup(texts, label, np.array([0, 1]), np.array([2, 3]))
    (1.0, 0.5)
    """
    if not len(train) or not len(test):
        return float("nan"), float("nan")
    usual = int(np.bincount(label[train], minlength=len(EMOTIONS)).argmax())
    seen: dict[str, Counter[int]] = defaultdict(Counter)
    for i in train:
        if texts[i]:
            seen[texts[i]][int(label[i])] += 1
    said = [seen[texts[i]].most_common(1)[0][0] if texts[i] in seen else usual for i in test]
    return float((np.array(said) == label[test]).mean()), float((label[test] == usual).mean())
