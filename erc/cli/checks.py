"""What the corpus doctor looks at: single recordings, and what only the whole corpus shows.

Every check has a name, a severity and a remedy in `CHECKS`. An error makes a score wrong or loses
labelled data, a warning deserves a look, a note is tolerated and counted.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from erc.base.audio import MIN_SAMPLES, SAMPLE_RATE
from erc.base.errors import AudioError, ConfigError
from erc.base.files import fingerprint
from erc.base.text import normalise
from erc.base.wav import read_header
from erc.corpora import Utterance
from erc.datasets.audit import MARGIN, sentence_lookup
from erc.preprocess import get_folds

ERROR, WARNING, NOTE = "error", "warning", "note"
FOLDS = 5
SILENT = 1e-3  # root mean square of a recording; −60 dB of full scale
FULL = 0.999  # of full scale; three such samples in a row are cut off …
CLIPPED = 1e-3  # … and this share of them can be heard
USUAL = 0.9  # share of utterances that makes a number of votes the usual one

CHECKS = {
    "corpus cannot be read": (ERROR, "see the message"),
    "annotation not as the format says": (ERROR, "use the file as distributed"),
    "row not as the format says": (ERROR, "correct the row"),
    "label that the scale does not have": (ERROR, "correct it, or map it (dataset.emotion_map)"),
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


@dataclass
class Heard:
    """What a recording sounds like to the doctor."""

    findings: list[Finding]
    digest: str = ""  # of its samples; "": not to be compared
    seconds: float = 0.0


def examine(path: Path) -> Heard:
    """Read a whole recording; whatever is wrong with it becomes a finding, never an exception."""
    try:
        return _listen(path)
    except AudioError as error:
        return Heard([Finding("unreadable recording", str(error))])
    except Exception as error:  # libsndfile, the file system: nothing may stop the round
        reason = getattr(error, "error_string", None) or str(error)
        return Heard([Finding("unreadable recording", f"{path}: {reason.strip()}")])


def _listen(path: Path) -> Heard:
    import soundfile

    with path.open("rb") as data:
        head = data.read(40)
        data.seek(0)
        if not head:
            return Heard([Finding("unreadable recording", f"{path}: the file is empty")])
        if head.startswith(b"version https://git-lfs"):
            return Heard([Finding("Git LFS pointer", str(path))])
        header = read_header(data, str(path))
    with soundfile.SoundFile(str(path)) as file:
        rate, channels, frames = file.samplerate, file.channels, file.frames
        x = file.read(dtype="float32", always_2d=True)
    found = []

    def note(check: str, detail: str = "") -> None:
        found.append(Finding(check, f"{path}{': ' * bool(detail)}{detail}"))

    if header and header.truncated:
        note("truncated recording", f"{header.present} of {header.promised} bytes of samples")
    elif len(x) < frames:
        note("truncated recording", f"{len(x)} of {frames} samples")
    if (rate, channels) != (SAMPLE_RATE, 1):
        note("other rate or channels", f"{rate} Hz, {channels} channels")
    if not np.isfinite(x).all():
        note("unreadable recording", "samples that are no numbers")
        return Heard(found)
    if len(x) / rate < MIN_SAMPLES / SAMPLE_RATE:
        note("recording too short", f"{len(x) / rate * 1000:.1f} ms")
        return Heard(found)
    if (level := float(np.sqrt(np.einsum("tc,tc", x, x) / x.size))) < SILENT:
        note("silent recording", f"{20 * np.log10(max(level, 1e-10)):.0f} dB")
        return Heard(found, seconds=len(x) / rate)  # silence resembles silence: no duplicate
    full = np.abs(x) >= FULL
    share = float((full[:-2] & full[1:-1] & full[2:]).mean())
    if share > CLIPPED:
        note("clipped recording", f"{share:.1%} of the samples")
    return Heard(found, fingerprint(x.tobytes() + str(rate).encode()), len(x) / rate)


def duplicates(heard: Iterable[tuple[Utterance, Heard]]) -> Iterator[Finding]:
    """Recordings with equal samples, whatever their names and headers."""
    same: dict[str, list[Utterance]] = defaultdict(list)
    for utterance, sound in heard:
        if sound.digest:
            same[sound.digest].append(utterance)
    for group in same.values():
        if len(group) > 1:
            homes = {(u.corpus, u.speaker, u.session) for u in group}
            check = "same recording, other speaker or session"
            yield Finding(
                check if len(homes) > 1 else "same recording twice",
                " = ".join(f"{u.id} ({u.speaker}, {u.session})" for u in group),
            )


def transcripts(utterances: Iterable[Utterance]) -> Iterator[Finding]:
    """Text that was read in a wrong encoding: replacement marks, or Korean as rare Chinese signs."""
    for u in utterances:
        text = u.text or ""
        hanja = len(re.findall(r"[\u4e00-\u9fff\uf900-\ufaff]", text))
        korean = u.corpus in ("kemdy19", "kemdy20", "aihub")
        if "\ufffd" in text or (korean and hanja > len(re.findall("[가-힣]", text))):
            yield Finding("garbled transcript", f"{u.id}: {text[:40]!r}")


def votes(utterances: Iterable[Utterance]) -> Iterator[Finding]:
    """Utterances with another number of votes than nearly all others of their corpus have."""
    by_corpus: dict[str, list[Utterance]] = defaultdict(list)
    for u in utterances:
        if u.votes is not None:
            by_corpus[u.corpus].append(u)
    for group in by_corpus.values():
        usual, n = Counter(sum(u.votes or ()) for u in group).most_common(1)[0]
        if usual > 2 and n >= USUAL * len(group):  # one or two: a label or a tie, no votes
            for u in group:
                if (count := sum(u.votes or ())) != usual:
                    yield Finding("odd number of votes", f"{u.id}: {count:g}, others {usual:g}")


def physiology(utterances: Iterable[Utterance]) -> Iterator[Finding]:
    """Signal files that the layout promises: absent (a whole kind, or one file) or empty."""
    files: dict[str, Counter[Path]] = defaultdict(Counter)
    for u in utterances:
        for kind, path in (u.physiology or {}).items():
            files[f"{u.corpus} {kind}"][path] += 1
    for kind, paths in files.items():
        missing = [path for path in paths if not path.is_file()]
        if len(missing) == len(paths):
            yield Finding("no physiology of a kind", kind)
            continue
        for path in missing:
            yield Finding("physiology missing", f"{path} ({paths[path]} utterances)")
        for path in paths:
            if path.is_file() and not path.stat().st_size:
                yield Finding("empty physiology file", str(path))


def folds(utterances: list[Utterance]) -> Iterator[Finding]:
    """What crosses from fold to fold when sessions make the folds, as training does."""
    for corpus in sorted({u.corpus for u in utterances}):
        mine = [u for u in utterances if u.corpus == corpus]
        try:
            cut = get_folds([u.session for u in mine], FOLDS)
        except ConfigError as error:
            yield Finding("too few sessions for five folds", str(error))
            continue
        fold_of = {session: k for k, fold in enumerate(cut) for session in fold}
        where: dict[str, set[int]] = defaultdict(set)
        for u in mine:
            where[u.speaker].add(fold_of[u.session])
        for speaker, places in where.items():
            if len(places) > 1:
                yield Finding("speaker crosses folds", f"{corpus} {speaker}: {sorted(places)}")
        yield from _lookup(corpus, mine, np.array([fold_of[u.session] for u in mine]))


def _lookup(corpus: str, mine: list[Utterance], fold: np.ndarray) -> Iterator[Finding]:
    """How often remembering a sentence's emotion names the emotion, over all folds."""
    said = [u for u in mine if u.votes is not None and u.votes.count(max(u.votes)) == 1]
    keep = np.array([u.votes is not None and u.votes.count(max(u.votes)) == 1 for u in mine], bool)
    texts = np.array([normalise(u.text or "") for u in said], object)
    label = np.array([int(np.argmax(u.votes or ())) for u in said], int)
    fold = fold[keep]
    scores = [
        sentence_lookup(texts, label, np.flatnonzero(fold != k), np.flatnonzero(fold == k))
        for k in range(FOLDS)
    ]
    lookup, majority = np.nanmean(np.array(scores), 0) if len(said) else (0.0, 0.0)
    if lookup > majority + MARGIN:
        yield Finding(
            "sentences give the emotion away",
            f"{corpus}: a look-up of sentences is right in {lookup:.0%}, "
            f"the most frequent emotion in {majority:.0%}",
        )
