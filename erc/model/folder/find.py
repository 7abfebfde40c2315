"""Which model folder is meant, and which one answers when none is named. Nothing here opens a model."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

from erc.base.errors import CheckpointError
from erc.base.files import atomic, read_json
from erc.model.folder import CONFIG, find_folder, starter

STUDIES = re.compile(r"cross-validation|sharpen|sweep|reproduce|fold\d")  # one model of many
NONE = "no model under runs/ to take by default"
FAST_DEV = re.compile(r"^\s*fast_dev_run: (?!false|0\b)", re.MULTILINE)


class Choice(NamedTuple):
    """A model folder, and what chose it."""

    folder: Path
    why: str


def find_model(name: str | Path | None = None) -> Path:
    """`choose`, which says on stderr what it took if nobody chose, and gets the starter if need be.

    Raises:
        CheckpointError: see `choose`; or the starter's encoder is not to be had.
    """
    folder, why = choose(name)
    if why.startswith("the newest"):
        print(f"erc: using {folder}, {why} (`erc use MODEL` makes a choice last)", file=sys.stderr)
    elif why.startswith(NONE):
        try:
            starter.folder()
        except CheckpointError as error:
            raise CheckpointError(
                f"{why}; name one with --model or `erc use`, or run `make demo`. The starter would "
                f"answer, but {error}"
            ) from None
        print(f"erc: {why}: the starter answers; {starter.WARNING}", file=sys.stderr)
    return folder


def choose(name: str | Path | None = None) -> Choice:
    """The model folder that was named, else $ERC_MODEL, else that of `erc use`, else the newest.

    Where there is none, the place of the starter, which need not be there yet. The newest under runs/
    is never one fold of a study, a fast-dev run or a pre-trained encoder.

    Args:
        name: a model folder, a run's that holds one, "starter", or a hub id.

    Raises:
        CheckpointError: there is none of that name.
    """
    for wanted, why in ((name, "named"), (os.environ.get("ERC_MODEL"), "by $ERC_MODEL")):
        if wanted:
            return Choice(named(wanted), why)
    if kept := default():
        try:
            return Choice(named(kept), "by `erc use`")
        except CheckpointError as error:
            raise CheckpointError(f"{error}, which `erc use` chose; choose another") from None
    found = sorted(Path("runs").glob(f"**/model/{CONFIG}"), key=lambda p: -p.stat().st_mtime)
    fit = [path.parent for path in found if _answers(path)]
    if fit:
        return Choice(fit[0], f"the newest of {len(fit)} in runs/" if fit[1:] else "the newest")
    left = f" ({len(found)} are folds of studies, fast-dev or pre-training runs)" if found else ""
    return Choice(starter.place(), f"{NONE}{left}")


def named(name: str | Path) -> Path:
    """`find_folder`, and the starter for "starter", where no folder has that name."""
    if str(name) == starter.NAME and not Path(name).is_dir():
        return starter.folder()
    return find_folder(name)


def default() -> str | None:
    """What `erc use` chose: an absolute path or a hub id."""
    try:
        return _file().read_text("utf-8").strip() or None
    except OSError:
        return None


def set_default(name: str | None) -> None:
    """Make a model the one that answers when none is named; None: no model is.

    Raises:
        CheckpointError: it is no model folder.
    """
    if name is None:
        _file().unlink(missing_ok=True)
        return
    folder = named(name)
    read_json(folder / CONFIG, CheckpointError)
    with atomic(_file()) as temporary:
        temporary.write_text(str(folder.resolve() if Path(name).exists() else name) + "\n", "utf-8")


def _file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(base) / "erc" / "model"


def _answers(config: Path) -> bool:
    run = config.parent.parent
    if any(STUDIES.match(part) for part in run.parts):
        return False
    settings = run / "config.yaml"
    if settings.is_file() and FAST_DEV.search(settings.read_text("utf-8", "replace")):
        return False
    try:
        return read_json(config, CheckpointError).get("meta", {}).get("objective") != "contrastive"
    except (CheckpointError, AttributeError):
        return True  # broken: that is said when it is opened
