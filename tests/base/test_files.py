from __future__ import annotations

import json
import math

import pytest

from erc.base import files


def test_atomic_leaves_nothing_when_it_fails(tmp_path):
    target = tmp_path / "deep" / "a.txt"
    with pytest.raises(RuntimeError), files.atomic(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []


def test_atomic_keeps_the_old_file_when_it_fails(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), files.atomic(target):
        raise RuntimeError
    assert target.read_text() == "old"


def test_atomic_folder_replaces_the_old_one_whole(tmp_path):
    target = tmp_path / "model"
    for name in ("a", "b"):
        with files.atomic(target, folder=True) as temporary:
            (temporary / name).write_text(name)
    assert [p.name for p in target.iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_json_has_no_nan(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"a": math.nan, "b": [1.5, math.inf], "c": "쉼"})
    assert json.loads(path.read_text("utf-8")) == {"a": None, "b": [1.5, None], "c": "쉼"}


def test_fingerprints_tell_values_apart():
    assert files.fingerprint([1, "2"]) != files.fingerprint(["1", 2])
    assert files.fingerprint({"b": 1, "a": 2}) == files.fingerprint({"a": 2, "b": 1})
    assert len(files.fingerprint(b"x")) == 16
