"""What folds keep together, as a pure function of ids and words: no random draw, no state."""

from __future__ import annotations

from erc.base.errors import ConfigError, did_you_mean
from erc.base.files import bucket
from erc.datasets.store import Store

GROUPS = ("session", "sentence", "dialogue", "corpus")


def group_by(group: str, store: Store) -> tuple[list[str], list[str]]:
    """What folds keep together, and who may not cross them, [N] each.

    Args:
        group: "session": as the corpus says. "sentence": the same words (letters and digits, upper or
            lower case). "dialogue": the same script or scene; a manifest's column `sentence` counts
            as one. The latter two fall into one of 1000 groups by a hash, whatever else the corpus
            holds; an utterance without words or dialogue is a group of its own. Speakers cross
            then: no score of such a split says anything about unknown speakers. "corpus": each corpus
            of a mix is a fold (with `num_folds="session"`), in the order of their names.
        store: N utterances.

    Raises:
        ConfigError: unknown group.
    """
    if group not in GROUPS:
        raise ConfigError(
            f"dataset.group '{group}' is not one of {', '.join(GROUPS)}"
            f"{did_you_mean(str(group), GROUPS)}"
        )
    if group == "corpus":
        corpora = list(map(str, store.column("corpus")))
        return corpora, [f"{c}/{s}" for c, s in zip(corpora, store.column("speaker"))]
    if group == "session":
        return list(map(str, store.column("session"))), list(map(str, store.column("speaker")))
    names = list(store.column("dialogue" if group == "dialogue" else "text"))
    if group == "sentence":
        names = ["".join(filter(str.isalnum, (text or "").casefold())) for text in names]
    keys = [name or f"id {i}" for name, i in zip(names, store.column("id"), strict=True)]
    hashed = [f"{group}{bucket(key):03d}" for key in keys]
    return hashed, hashed
