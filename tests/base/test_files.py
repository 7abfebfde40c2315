from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from erc.base import files
from erc.base.files import atomic


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


CHILD = """
import json, os, signal, sys
from pathlib import Path
from erc.base import files
from erc.base.files import atomic

target, folder, swaps = Path(sys.argv[1]), sys.argv[2] == "folder", sys.argv[3] == "swap"

def write(text):
    with files.atomic(target, folder=folder) as temporary:
        (temporary / "a" if folder else temporary).write_text(text)

def read():
    return (target / "a" if folder else target).read_text()

def dying(call, stop):
    def step(*args, **options):
        reached()
        result = call(*args, **options)
        reached()
        return result
    def reached():
        dying.count += 1
        if dying.count == stop:
            os.kill(os.getpid(), signal.SIGKILL)
    return step

if not swaps:
    files._swap = lambda a, b: False
seen = []
for stop in range(1, 99):
    write("old")
    child = os.fork()
    if not child:
        dying.count = 0
        for name in ("_swap", "_remove", "_fsync"):
            setattr(files, name, dying(getattr(files, name), stop))
        os.replace = dying(os.replace, stop)
        write("new")
        os._exit(0)
    if not os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        break
    files.recover(target)
    seen.append(read())
    write("again")  # what the dead left does not stand in the way
    assert read() == "again"
print(json.dumps(seen))
"""


@pytest.mark.parametrize("swaps", ["swap", "two renames"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_killed_at_any_step_the_old_one_or_the_new_one_stands(kind, swaps, tmp_path):
    target = tmp_path / "model"
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(target), kind, swaps],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    seen = json.loads(done.stdout)
    assert set(seen) == {"old", "new"}
    assert seen == sorted(seen, reverse=True)  # old up to one step, new from there on
    assert len(seen) >= 6


@pytest.mark.parametrize("swaps", [True, False])
@pytest.mark.parametrize("folder", [True, False])
def test_whatever_call_fails_the_old_one_or_the_new_one_stands(
    folder, swaps, tmp_path, monkeypatch
):
    target = tmp_path / "model"

    def write(text: str) -> None:
        with files.atomic(target, folder=folder) as temporary:
            (temporary / "a" if folder else temporary).write_text(text)

    def read() -> str:
        return (target / "a" if folder else target).read_text()

    for stop in itertools.count(1):
        with monkeypatch.context() as patch:
            if not swaps:
                patch.setattr(files, "_swap", lambda a, b: False)
            write("old")
            count = itertools.count(1)

            def failing(call, count=count, stop=stop):
                def step(*args, **options):
                    if next(count) == stop:
                        raise OSError(28, "No space left on device")
                    return call(*args, **options)

                return step

            patch.setattr(files, "_fsync", failing(files._fsync))
            patch.setattr(os, "replace", failing(os.replace))
            try:
                write("new")
            except OSError:
                assert read() in ("old", "new")
            else:
                assert read() == "new"
                break
    assert stop > 2
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == ["model"]


def test_a_link_to_a_folder_is_replaced_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a").write_text("kept")
    (tmp_path / "model").symlink_to("other")
    with files.atomic(tmp_path / "model", folder=True) as temporary:
        (temporary / "a").write_text("new")
    assert (tmp_path / "other" / "a").read_text() == "kept"
    assert (tmp_path / "model" / "a").read_text() == "new"


def test_buckets_depend_on_the_key_alone() -> None:
    assert [files.bucket(k) for k in ("yes", "no", "")] == [
        files.bucket(k) for k in ("yes", "no", "")
    ]
    counts = np.bincount([files.bucket(f"utterance {i}", 40) for i in range(4000)], minlength=40)
    assert counts.min() > 60
    assert counts.max() < 145


KILLED = """
import os, sys
from pathlib import Path
from erc.base.files import atomic
with atomic(Path(sys.argv[1]), folder=sys.argv[2] == "folder") as temporary:
    (temporary / "half" if temporary.is_dir() else temporary).write_text("half")
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no such locks here")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_the_dead_left_is_removed_and_what_the_living_write_is_not(tmp_path, kind):
    target = tmp_path / "result"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", KILLED, str(target), kind], check=False)
    assert len(list(tmp_path.iterdir())) == 1  # the second has removed what the first left
    with atomic(target) as mine:
        mine.write_text("first")
        with atomic(target) as other:
            other.write_text("second")
        assert mine.read_text() == "first"
    assert target.read_text() == "first"
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.endswith(files.UNFINISHED)) == []


def test_what_the_dead_left_beside_another_name_is_removed_too(tmp_path):
    """Killed when the file had its name already, the command finds nothing to write there again."""
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a"), "file"], check=False)
    (tmp_path / ".of-another-program.part").mkdir()
    files.sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [".of-another-program.part"]
    files.sweep(tmp_path / "missing")


def test_many_threads_write_one_file(tmp_path):
    def write(number: int) -> None:
        with atomic(tmp_path / "a.txt") as temporary:
            temporary.write_text(str(number) * 1000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(64)))
    assert len(set((tmp_path / "a.txt").read_text())) <= 2
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
