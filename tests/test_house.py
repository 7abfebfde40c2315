"""The house: rooms a stranger sees, imports one way, no circle; the contract is in pyproject.toml."""

import graphlib
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def graph():
    """All imports of erc, lazy and type-only ones included."""
    return grimp.build_graph("erc", cache_dir=None)


def test_imports_keep_the_contract():
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    done = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_circle_of_files(graph):
    """Also through `__init__`, which a contract of siblings does not see."""
    imports = {m: graph.find_modules_directly_imported_by(m) for m in graph.modules}
    imports["erc.recognizer"] = imports["erc.recognizer"] - {"erc.timeline"}  # the facade
    graphlib.TopologicalSorter(imports).prepare()  # CycleError names the circle


def test_a_circle_would_be_found():
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()


def test_sixteen_names_at_the_top_and_each_room_says_what_it_is_for():
    names = [p for p in (ROOT / "erc").iterdir() if not p.name.startswith("__")]
    assert len(names) <= 16, sorted(p.name for p in names)
    for room in (p for p in names if p.is_dir()):
        text = " ".join((room / "__init__.py").read_text("utf-8").split('"""')[1].split())
        for word in ("Enters:", "Leaves:", "May import:"):
            assert word in text, f"{room.name}/__init__.py does not say '{word}'"


def test_tests_mirror_the_rooms():
    rooms = {p.name for p in (ROOT / "erc").iterdir() if p.is_dir()} | {"bench", "data", "docs"}
    here = {p.name for p in Path(__file__).parent.iterdir() if p.is_dir()} - {"__pycache__"}
    assert here <= rooms
