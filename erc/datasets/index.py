"""The files by which `datasets.load_from_disk` knows a store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from erc.base.files import atomic, write_json


def write_index(folder: Path, files: list[Path]) -> None:
    """Write the two small files into the folder of a store, unless they are there."""
    state: dict[str, Any] = {
        "_data_files": [{"filename": f"../shards/{file.name}"} for file in files],
        "_fingerprint": folder.name.rpartition("-")[2],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    index: dict[str, dict[str, Any]] = {"dataset_info.json": {}, "state.json": state}

    def there(name: str, value: dict[str, Any]) -> bool:
        try:
            return json.loads((folder / name).read_text("utf-8")) == value
        except (OSError, ValueError, RecursionError):
            return False

    if not all(there(name, value) for name, value in index.items()):
        with atomic(folder, folder=True) as temporary:
            for name, value in index.items():
                write_json(temporary / name, value)
