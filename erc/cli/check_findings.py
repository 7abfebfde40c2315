"""What `erc check` can find: a name, how bad it is, and what to do.

An error makes a score wrong or loses labelled data, a warning deserves a look, a note is tolerated
and counted.
"""

from __future__ import annotations

from typing import NamedTuple

ERROR, WARNING, NOTE = SEVERITIES = "error", "warning", "note"

CHECKS = {
    "corpus cannot be read": (ERROR, "see the message"),
    "annotation not as the format says": (ERROR, "use the file as distributed"),
    "row not as the format says": (ERROR, "correct the row"),
    "row shorter than the header": (ERROR, "copy the file again: it is cut off, or shifted"),
    "listener row, and its speaker's own file ends before it": (ERROR, "copy that file again"),
    "row named otherwise in the other file; both are believed": (
        ERROR,
        "copy both files again: one is shifted",
    ),
    "label that the scale does not have": (
        ERROR,
        "correct it, or say what it means (--emotion-map, dataset.emotion_map)",
    ),
    "transcript that is not text": (ERROR, "save it as UTF-8"),
    "recording not found": (ERROR, "copy it, or leave the row out"),
    "Git LFS pointer": (ERROR, "run `git lfs pull` there"),
    "unreadable recording": (ERROR, "copy or convert it again"),
    "truncated recording": (ERROR, "copy it again"),
    "recording too short": (ERROR, "one frame of a speech encoder needs 25 ms"),
    "same recording, other speaker or session": (ERROR, "remove one: the test hears the training"),
    "speaker crosses folds": (ERROR, "give all utterances of a speaker one session"),
    "same recording twice": (WARNING, "remove one"),
    "silent recording": (WARNING, "listen to it: below −60 dB"),
    "clipped recording": (WARNING, "record or export it with less gain"),
    "garbled transcript": (WARNING, "save it again in the encoding it came in"),
    "sentences give the emotion away": (WARNING, "hold sentences out (dataset.group=sentence)"),
    "a cue gives the emotion away": (WARNING, "ask how it was recorded; scores must beat the cue"),
    "speakers who may be one person": (WARNING, "give them one name"),
    "odd number of votes": (WARNING, "look for a rater lost or counted twice"),
    "physiology missing": (WARNING, "copy the file, or train without"),
    "no physiology of a kind": (NOTE, "fine for speech and text"),
    "empty physiology file": (NOTE, "the device gave nothing"),
    "other rate or channels": (NOTE, "resampled and averaged on reading"),
    "too few sessions for five folds": (NOTE, "set dataset.num_folds"),
    "transcript without words, kept as speech only": (NOTE, ""),
    "wrong id (known defect)": (NOTE, "corrected on reading"),
    "stray id (known defect)": (NOTE, "left out on reading"),
    "wrong session in the segment id": (NOTE, "corrected on reading"),
}


class Finding(NamedTuple):
    """One thing that is wrong in one place."""

    check: str  # of `CHECKS`, or a reason of `corpora.Report`
    where: str


def severity_of(check: str) -> str:
    """As `CHECKS` says; any other drop or correction of a parser is a warning."""
    return CHECKS.get(check, (WARNING, ""))[0]


def remedy_of(check: str) -> str:
    """What to do; "" where nothing is to be done or nobody knows."""
    return CHECKS.get(check, (WARNING, ""))[1]
