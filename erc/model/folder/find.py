"""Which model folder is meant; nothing here opens one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from erc.base.errors import CheckpointError
from erc.model.folder import CONFIG, find_folder


def find_model(name: str | Path | None = None) -> Path:
    """The model folder that was named, else $ERC_MODEL, else the newest under runs/.

    Args:
        name: a model folder, a run's that holds one, or a hub id.

    Raises:
        CheckpointError: there is none.
    """
    name = name or os.environ.get("ERC_MODEL")
    if name:
        return find_folder(name)
    found = sorted(Path("runs").glob(f"**/model/{CONFIG}"), key=lambda p: p.stat().st_mtime)
    if not found:
        raise CheckpointError("no model under runs/; name one with --model, or run `make demo`")
    print(f"erc: using {found[-1].parent}", file=sys.stderr)
    return found[-1].parent
