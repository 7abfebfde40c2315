"""Split auditor: what crosses from training to test, and whether a look-up of sentences would do.

Speakers who cross make a test of known voices; recordings that cross make no test at all. Sentences
may cross (in acted corpora everybody says the same lines) as long as they do not give the emotion
away: `lookup` says how far one gets by remembering, for each sentence, the emotion it had in training.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from erc.datasets.view import View
from erc.labels.lookup import MARGIN, sentence_lookup


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


def audit(data: View) -> Audit:
    """Audit a fold: the training side (with the valid side of protocol "strict") against the test side.

    Args:
        data: any side of the fold; what it leaves out because a model cannot read it is audited too.
    """
    train, valid, test = (data.side(mode).needing(()) for mode in ("train", "valid", "test"))
    known = np.union1d(train.rows, np.setdiff1d(valid.rows, test.rows)).astype(int)
    column = data.store.column

    def crossing(*names: str) -> int:
        keys = list(zip(*(column(n) for n in names), strict=True))
        seen = {keys[i] for i in known if keys[i][-1]}
        return sum(keys[i] in seen for i in test.rows)

    silent = column("audio_hash")[~data.store.has("speech")]
    recordings = set(column("audio_hash")[known]) - set(silent)
    label = data.labels.hard.argmax(-1)
    labelled = ~np.isnan(data.labels.hard).any(-1)
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
