"""What corpora of acted speech have in common: recordings whose names say everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from erc.base.errors import CorpusError
from erc.base.space import Space
from erc.corpora.about import About
from erc.corpora.utterance import Report, Utterance

SUFFIXES = (".wav", ".flac")  # as published, or packed without loss


class Said(NamedTuple):
    """What the name of a recording says."""

    id: str
    emotion: str  # that the actor was to show, a word of the corpus's `Space`
    speaker: str
    gender: str  # "F", "M" or ""
    text: str | None
    sentence: str  # equal for equal words, for split audits
    session: str = ""  # what folds keep together; "": the speaker


def recordings(root: Path, pattern: str, about: About, example: str) -> list[Path]:
    """Recordings in a folder or anywhere below, in the order of their paths.

    Args:
        pattern: glob of their names, without the suffix.
        example: one of them, for the message.

    Raises:
        CorpusError: there is no such folder, or none in it.
    """
    found = [path for path in sorted(root.rglob(f"{pattern}.*")) if path.suffix in SUFFIXES]
    if not found:
        state = "holds no recording of" if root.is_dir() else "is no folder; wanted is that of"
        raise CorpusError(
            f"{root.absolute()} {state} {about.title} (e.g. {example}). Get it: {about.how} "
            f"({about.source})"
        )
    return found


def utterances(
    paths: list[Path], name: str, space: Space, report: Report, parse: Callable[[Path], Said | str]
) -> Iterator[Utterance]:
    """An utterance for every recording whose name is understood; the emotion meant is its one vote.

    Args:
        paths: of `recordings`.
        name: of the corpus.
        parse: what a name says; or a fixed phrase, why the recording is left out.
    """
    seen: set[str] = set()
    for path in paths:
        said = parse(path)
        if isinstance(said, str):
            report.drop(said, str(path))
            continue
        if said.id in seen:  # copies of the corpus are often unpacked into one another
            report.drop("recording found before; the first counts", str(path))
            continue
        seen.add(said.id)
        yield Utterance(
            id=said.id,
            corpus=name,
            audio=path,
            text=said.text,
            speaker=said.speaker,
            session=said.session or said.speaker,
            votes=one_vote(space, said.emotion),
            dimensions=(),
            gender=said.gender,
            dialogue=said.sentence,
        )


def one_vote(space: Space, emotion: str) -> tuple[float, ...]:
    """A vote for each emotion of the space: one for this one.

    >>> one_vote(Space(("joy", "boredom")), "boredom")
    (0.0, 1.0)
    """
    return tuple(float(word == emotion) for word in space.emotions)
