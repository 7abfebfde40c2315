"""Fixtures that every test file may use."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference values, real corpora and weights beside the repository; not committed."""
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("no folder 'shared' with reference data beside the repository")
    return folder
