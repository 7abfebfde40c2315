"""What several tests of the commands need."""

from __future__ import annotations

import fsspec
import pytest


@pytest.fixture
def memory():
    """An empty file system of fsspec that lives in this process."""
    fs = fsspec.filesystem("memory")
    for path in fs.find("/"):
        fs.rm_file(path)
    return fs
