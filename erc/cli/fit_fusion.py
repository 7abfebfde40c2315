"""`erc fit-fusion`: one public model that hears and one that reads, with weights fitted on a corpus."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc.base.errors import CalibrationError, ConfigError, optional
from erc.base.files import read_json
from erc.cli.command import QUIET, Option, command
from erc.cli.corpus import MANIFEST, word_map

if TYPE_CHECKING:
    import numpy as np

PARTS = 5  # of the speakers, held out in turn to score the fitted weights


@command(
    Option("speech", "a published audio classifier: folder or hub id", metavar="SPEECH"),
    Option("text", "a published text classifier: folder or hub id", metavar="TEXT"),
    Option("--on", "corpus folder or manifest, with recordings, transcripts and emotions",
           metavar="CORPUS"),
    Option("--fold", "leave the held-out side of fold K of N out, to score it with erc compare "
           "(default: fit on all utterances)", metavar="K/N"),
    Option("--labels", "what labels mean beside the known spellings: annoyance=angry,other=",
           type=word_map, metavar="LABEL=EMOTION,…"),
    Option("-o --output", "the new model folder, which names the two", metavar="FOLDER"),
    Option("--device", "auto | cpu | cuda", default="auto"),
    *MANIFEST,
    QUIET,
)  # fmt: skip
def fit_fusion(
    speech: str, text: str, on: str | None, fold: str | None, labels: dict[str, str | None] | None,
    output: str | None, device: str, quiet: bool, **manifest: Any,
) -> None:  # fmt: skip
    """Fit weights and temperature of two published models, one that hears and one that reads.

    Raises:
        ConfigError: no corpus, no folder to write, one that is something else, a fold that there is not.
        CheckpointError, CorpusError: a model or the corpus cannot be opened.
        CalibrationError: no utterance that both models answer has one of their emotions, or their
            answers say nothing of it.
    """
    if not on or not output:
        raise ConfigError("erc fit-fusion: name a corpus behind --on and a new folder behind -o")
    _refuse_other(Path(output))
    with optional("erc fit-fusion"):  # statistics and folds
        import numpy as np

        from erc.cli.compare_models import answer, side
        from erc.corpora import find
        from erc.model.folder.heard import Heard
        from erc.recognizer import load
        from erc.recognizer.public.labels import meaning
        from erc.recognizer.public.late import MODALITIES, Fusion, fit
        from erc.recognizer.public.opened import pair
        from erc.studies.shared_emotions import majority, membership

    names = {"speech": _whole(speech), "text": _whole(text)}
    both = pair(names, Fusion(labels=labels))
    shared = both.shared
    corpus = find(on, **{key: value for key, value in manifest.items() if value})
    asked, rest = side(corpus, fold)
    given = rest if fold else asked
    usable = [u for u in given if u.audio and u.text and u.votes]
    meant = {meaning(e, labels or {}): e for e in shared.emotions}
    own = {e: meant.get(meaning(e, labels or {})) for e in corpus.space.emotions}
    if usable:
        votes = np.array([u.votes for u in usable], float)
        counted = votes @ membership(own, shared.emotions)
        truth, left = majority(votes, counted, own, shared.emotions)
        usable = [u for u, t in zip(usable, truth) if t >= 0]
        counted, truth = counted[truth >= 0], truth[truth >= 0]
    if not usable:
        raise CalibrationError(
            f"{on}: none of {len(given)} utterances has a recording, a transcript and one of the "
            f"emotions that both models know: {', '.join(shared.emotions)}"
        )
    left["without recording, transcript or emotion"] = len(given) - len(votes)
    logs = []
    for modality in MODALITIES:
        said = answer(load(names[modality], device=device), usable, f"{modality} model", quiet)
        for reason, count in said.reasons.items():
            left[f"{modality} model: {reason}"] += count
        with np.errstate(divide="ignore"):  # log 0 is no answer of that label
            logs.append(shared.logs(modality, np.log(said.probabilities)))
    there = np.isfinite(np.stack(logs)).all(axis=(0, 2))  # [N]
    if not there.any():
        reasons = ", ".join(f"{count} {what}" for what, count in left.items() if count)
        raise CalibrationError(f"{on}: both models answer none of these utterances ({reasons})")
    heard, read = (np.exp(x[there]) for x in logs)
    soft = (counted / counted.sum(1, keepdims=True))[there]
    people = [(u.corpus, u.speaker) for u, answered in zip(usable, there) if answered]
    found = fit(heard, read, soft)
    fitted = Heard.of_sides(people, [])
    beside = {m: _beside(names[m], Path(output)) for m in MODALITIES}
    Fusion(found.weights, found.temperature, labels, fitted).write(output, **beside)
    print(
        f"on {len(people)} utterances of {len(set(people))} speakers, told apart: "
        f"{', '.join(shared.emotions)}\n"
        f"weights: speech {found.weights[0]:.3f}, text {found.weights[1]:.3f}; temperature "
        f"{found.temperature:.3f}\n"
    )
    print(_table(heard, read, soft, truth[there], people))
    for what, count in left.items():
        if count:
            print(f"left out: {count} {what}", file=sys.stderr)
    for note in shared.notes():
        print(note, file=sys.stderr)
    print(f"wrote {output}    try: erc compare {output} --on {on}"
          f"{f' --fold {fold}' if fold else ''}", file=sys.stderr)  # fmt: skip


def _refuse_other(out: Path) -> None:
    """Raises ConfigError where something lies that is no folder of this command."""
    from erc.model.folder import CONFIG
    from erc.recognizer.public.late import KEY

    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    known = out / CONFIG
    if not known.is_file() or KEY not in read_json(known, ConfigError):
        raise ConfigError(f"{out} is something else than two fused models: name a new folder")


def _whole(name: str) -> str | Path:
    """A folder, resolved; or a hub id."""
    return Path(name).resolve() if Path(name).is_dir() else name


def _beside(name: str | Path, out: Path) -> str:
    """As the new folder names it: relative, so that all three can be moved together; or a hub id."""
    return os.path.relpath(name, out.resolve()) if isinstance(name, Path) else name


def _table(
    heard: np.ndarray, read: np.ndarray, soft: np.ndarray, truth: np.ndarray,
    people: list[tuple[str, str]],
) -> str:  # fmt: skip
    """UAR and cross-entropy of either model, of equal weights, and of weights fitted on other speakers.

    Args:
        heard, read: probabilities [N, K] of the two; soft: shares of votes [N, K]; truth: indices [N].
        people: N corpora and speakers.
    """
    from functools import partial

    import numpy as np

    from erc.recognizer.public.late import Fusion, fit
    from erc.scores.metrics import uar
    from erc.scores.statistics import interval

    speakers = np.array(["/".join(one) for one in people])
    part = np.unique(speakers, return_inverse=True)[1] % PARTS
    rows = {"speech alone": _pool(heard, read, Fusion((1.0, 0.0))),
            "text alone": _pool(heard, read, Fusion((0.0, 1.0))),
            "both, equal weights": _pool(heard, read, Fusion())}  # fmt: skip
    other = np.full_like(heard, np.nan)
    try:
        for k in np.unique(part):
            kept, held = part != k, part == k
            other[held] = _pool(heard[held], read[held], fit(heard[kept], read[kept], soft[kept]))
        rows["fitted on other speakers"] = other
    except CalibrationError as error:
        print(f"no score of the fitted weights on other speakers: {error}", file=sys.stderr)
    lines = [f"{'':<26}{'UAR [95 %]':<22}cross-entropy"]
    one = partial(uar, num_classes=heard.shape[1])
    for name, p in rows.items():
        u = interval(one, (truth, p.argmax(1)), speakers, limits=(0.0, 1.0))
        loss = -(soft * np.log(p)).sum(1).mean()
        lines.append(
            f"{name:<26}{f'{u.value:.3f} [{u.low:.3f}, {u.high:.3f}]':<22}{loss:.3f}".rstrip()
        )
    return "\n".join(lines)


def _pool(heard: np.ndarray, read: np.ndarray, how: Any) -> np.ndarray:
    """Probabilities [N, K] of a `Fusion`."""
    import numpy as np

    from erc.base.numbers import softmax

    weights = zip(how.weights, (heard, read))
    return softmax(sum(w * np.log(p) for w, p in weights) / how.temperature)
