"""The rooms of erc/ → the middle of docs/architecture.md, drawn from docstrings and imports.

Called by docs/generate.py. A room says in the last sentences of its `__init__` what enters, what
leaves and what it may import; what it does import is read from the code, lazy and type-only imports
included.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
START, END = "<!-- drawn by docs/generate.py -->", "<!-- end of the drawing -->"


def page() -> str:
    """The text of the page with its middle drawn anew."""
    before, rest = PAGE.read_text("utf-8").split(START)
    return f"{before}{START}\n\n{drawing()}\n{END}{rest.split(END)[1]}"


def drawing() -> str:
    """The table of rooms, lowest first, and the files of each."""
    graph = grimp.build_graph("erc", cache_dir=None)
    rooms = [name for name in reversed(layers()) if name != "__main__"]
    lines = ["| room | enters | leaves | imports of erc |", "|---|---|---|---|"]
    for room in rooms:
        said = parts(docstring(path_of(room)))
        used = imports(graph, room, rooms)
        lines.append(f"| `{room}` | {said['Enters']} | {said['Leaves']} | {', '.join(used)} |")
    lines += [
        "",
        "A room imports only what stands above it in this table (`Recognizer.timeline` excepted).",
        "",
    ]
    for room in rooms:
        lines += [f"### {room}", "", parts(docstring(path_of(room)))["is"], ""]
        lines += files(ROOT / "erc" / room, room)
    return "\n".join(lines)


def layers() -> list[str]:
    """The rooms of the import contract, highest first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    return [name.strip() for layer in contract["layers"] for name in layer.split("|")]


def imports(graph: grimp.ImportGraph, room: str, rooms: list[str]) -> list[str]:
    """Rooms that some file of this room imports, in the order of the table."""
    mine = {f"erc.{room}"} | graph.find_descendants(f"erc.{room}")
    found = {m.split(".")[1] for f in mine for m in graph.find_modules_directly_imported_by(f)
             if "." in m}  # fmt: skip
    return [name for name in rooms if name in found - {room}]


def path_of(room: str) -> Path:
    """Where the docstring of a room stands."""
    folder = ROOT / "erc" / room
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def docstring(path: Path) -> str:
    """Of a module, or nothing."""
    return ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""


def parts(text: str) -> dict[str, str]:
    """What a room is, and its sentences "Enters: … Leaves: … May import: …".

    >>> parts("A room.\\n\\nEnters: a. Leaves: b.\\nMay import: base.")["Leaves"]
    'b'
    """
    found = {"is": first(text), "Enters": "", "Leaves": "", "May import": ""}
    flat = " ".join(text.split())
    for word, said in re.findall(r"(Enters|Leaves|May import): (.*?)\.(?= |$)", flat):
        found[word] = said.replace("|", "\\|")
    return found


def first(text: str) -> str:
    """The first paragraph, as one line."""
    return " ".join(text.split("\n\n")[0].split())


def files(folder: Path, room: str) -> list[str]:
    """A line for each file below a room."""
    lines = []
    for file in sorted(folder.rglob("*.py")) if folder.is_dir() else []:
        if file != folder / "__init__.py":
            name = file.relative_to(folder).as_posix().removesuffix("/__init__.py")
            name += "/" if file.name == "__init__.py" else ""
            lines.append(f"- `{name}` — {first(docstring(file))}")
    return [*lines, ""] if lines else []
