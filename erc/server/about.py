"""What the card of a model folder says for /info."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from erc.folder import CARD

FORBIDDEN = "not stated by the model folder; see its makers"


def about(folder: Path) -> dict[str, Any]:
    """Name, licences carried along and forbidden use, from the folder's README.md."""
    path = folder / CARD
    text = path.read_text("utf-8", "replace") if path.is_file() else ""
    licences = re.search(r"^[-*] licences carried along: *(.+)$", text, re.M)
    forbidden = re.search(r"^Not for: *(.+?)(?:\n\s*\n|\Z)", text, re.M | re.S)
    name = folder.parent if folder.name == "model" else folder
    return {
        "model": name.resolve().name,
        "licences": licences[1].split("; ") if licences else [],
        "forbidden_use": " ".join(forbidden[1].split()) if forbidden else FORBIDDEN,
    }
