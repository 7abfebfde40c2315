"""The documentation: its links lead somewhere, its commands exist, its examples run."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from erc.base.errors import ConfigError
from erc.cli.program import main, parse
from erc.studies.sweep_space import split
from erc.training.config import compose

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *sorted(DOCS.glob("**/*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md",
    ROOT / "erc" / "model" / "README.md",
]  # fmt: skip
TESTED_ELSEWHERE = {  # slow, or without an input here
    "export", "tune", "import-reference", "fit-fusion", "compare",
}  # fmt: skip
SIZES = "SESSIONS, UTTERANCES, EPOCHS = "


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *kinds: str) -> Iterator[tuple[str, str]]:
    """(kind, text) of the fenced blocks of a page."""
    for kind, text in re.findall(
        r"^```(\w+)[^\n]*\n(.*?)^```", page.read_text("utf-8"), re.M | re.S
    ):
        if kind in kinds:
            yield kind, text


def commands(text: str) -> Iterator[list[str]]:
    """Words of each simple command of a shell block, without redirections and assignments."""
    pending = ""
    for line in text.replace("\\\n", " ").splitlines():
        pending += line
        lexer = shlex.shlex(pending, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:  # a quotation goes on in the next line
            pending += "\n"
            continue
        pending, command = "", []
        for word in [*words, ";"]:
            if command and command[-1] in (">", ">>", "<"):
                command.pop()  # and this word is a file
            elif word in (">", ">>", "<"):
                command.append(word)
            elif set(word) <= set(";|&()"):
                while command and re.fullmatch(r"[A-Z_]+=.*", command[0]):
                    command.pop(0)
                if command:
                    yield command
                command = []
            else:
                command.append(word)


def check(command: list[str]) -> None:
    """Raise or assert unless the command can be meant."""
    if command[:3] == ["python", "-m", "erc"]:
        command = ["erc", *command[3:]]
    if command[0] == "erc":
        if {"--help", "--version"} & set(command) or len(command) == 1:
            return
        chosen, arguments = parse(command[1:])
        words = arguments.get("overrides", [])
        if chosen.name == "sweep" and words[0] != "…":
            fixed, keys = split(words)
            words = [*fixed, *(f"{key.name}={key.first}" for key in keys)]
        overrides(words)
    elif command[:2] == ["python", "train.py"]:
        overrides([w for w in command[2:] if not w.startswith("-") and w != "job"])
    elif command[:3] == ["python", "-m", "fire"]:
        target = getattr(importlib.import_module(command[3]), command[4])
        known = inspect.signature(target).parameters
        assert {w[2:].partition("=")[0] for w in command[5:]} <= set(known)
    elif command[:2] == ["python", "-m"] and command[2].startswith("bench"):
        from bench import BENCHMARKS

        if command[2] == "bench":
            assert {w for w in command[3:] if w[0] != "-"} <= {*BENCHMARKS, "report", "machine"}
        else:
            assert (ROOT / f"{command[2].replace('.', '/')}.py").is_file()
    elif command[0] in ("python", "sh") and command[1].endswith((".py", ".sh")):
        assert (ROOT / command[1]).is_file()
    elif command[0] == "make":
        assert f"\n{command[1]}:" in (ROOT / "Makefile").read_text("utf-8")
    elif command[:2] == ["pip", "install"] and "[" in command[-1]:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        asked = command[-1].partition("[")[2].rstrip("]").split(",")
        assert set(asked) <= set(extras["optional-dependencies"])


def overrides(words: list[str]) -> None:
    """Compose them, as far as they are written out."""
    given = [w for w in words if "=" in w and "$" not in w and w != "KEY=VALUE"]
    first = [re.sub(r"^([\w.+]+=\w+)(,\w+)+$", r"\1", w) for w in given]  # of a multirun
    if first:
        compose(first)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_exists(page):
    for _, text in blocks(page, "bash", "sh"):
        for command in commands(text):
            try:
                check(command)
            except (ConfigError, AssertionError, AttributeError, ImportError) as error:
                pytest.fail(f"{name(page)}: {shlex.join(command)}: {error}")


def test_a_wrong_command_would_be_found():
    for wrong in (
        "erc predcit a.wav", "erc predict --txt a", "python train.py modle=tiny", "make demos",
        "erc cross-validate trainer=1 model=tinny", "pip install 'erc[serv]'",
        "A=1 erc info a | erc checkk b > c", "python -m fire erc.datasets HF_KEMD --mod=train",
    ):  # fmt: skip
        found = list(commands(wrong))
        with pytest.raises((ConfigError, AssertionError)):
            [check(command) for command in found]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_python_block_compiles(page):
    for _, text in blocks(page, "python"):
        compile(text, name(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_to_a_file(page):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.S)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    links += re.findall(r"(?:src|srcset|href)=\"([^\"]+)\"", text)
    for link in links:
        path = link.partition("#")[0]
        if path and not re.match(r"[a-z]+:", path):
            made = page.parent == DOCS and path == "models.md"
            assert made or (page.parent / path).exists(), f"{name(page)}: {link}"


def test_the_reference_is_what_the_code_says():
    found = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"], capture_output=True, text=True
    )
    assert found.returncode == 0, f"run: python docs/generate.py\n{found.stdout}{found.stderr}"


def test_the_site_builds_and_asks_nobody(tmp_path):
    pytest.importorskip("material", reason="pip install 'erc[docs]'")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", tmp_path / "site"],
        cwd=ROOT, capture_output=True, text=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) >= len(list(DOCS.glob("**/*.md")))
    for page in pages:
        html = page.read_text("utf-8")
        assert 'class="mermaid"' not in html  # Material would fetch its script
        for tag in re.findall(r"<(?:script|link|img|iframe|audio|video|source)\b[^>]*>", html):
            if not re.search(r'rel="?(canonical|prev|next|alternate)', tag):
                assert not re.search(r"(?:src|srcset|href)=[\"']?(?:https?:)?//", tag), (page, tag)
    for sheet in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", sheet.read_text("utf-8"))


@pytest.fixture(scope="module")
def desk(run, tmp_path_factory) -> Path:
    """A folder as the guides assume it: a demo's model, and the samples of the repository."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(run / "model", folder / "runs" / "demo" / "run" / "model")
    shutil.copytree(DOCS / "samples", folder / "docs" / "samples")
    return folder


@pytest.mark.parametrize(
    "page", ["quickstart", "long_recordings", "models_that_travel", "public_models"]
)
def test_the_examples_run(page, desk, monkeypatch, capsys):
    if page in ("long_recordings", "public_models"):
        pytest.importorskip("silero_vad", reason="pip install 'erc[timeline]'")
        pytest.importorskip("matplotlib", reason="pip install 'erc[report]'")
    monkeypatch.chdir(desk)
    names: dict = {}
    for kind, text in blocks(DOCS / f"{page}.md", "bash", "python"):
        if kind == "python":
            exec(compile(text, page, "exec"), names)
            continue
        for command in commands(text):
            if command[0] == "erc" and command[1] not in TESTED_ELSEWHERE:
                assert main(command[1:]) == 0, command
    assert capsys.readouterr().out
    made = {
        "quickstart": ["answers.csv"],
        "long_recordings": ["meeting.vtt", "meeting.png", "meeting.eaf"],
        "models_that_travel": ["my-model/model.safetensors"],
        "public_models": ["turns.csv", "both/config.json"],
    }
    assert all((desk / file).is_file() for file in made[page])


def test_the_fusion_of_the_guide_works(monkeypatch):
    from erc.model import fusion

    monkeypatch.setattr(fusion, "FUSIONS", dict(fusion.FUSIONS))
    names: dict = {}
    for _, text in blocks(DOCS / "own_model.md", "python"):
        exec(compile(text, "own_model", "exec"), names)
    assert names["output"].logits.shape == (2, 7)
    assert names["output"].features.shape == (2, 32)


def notebook(tmp_path: Path, sizes: str | None) -> list[str]:
    """Run it, smaller if `sizes` says so; the kinds of its outputs."""
    nbformat = pytest.importorskip("nbformat", reason="pip install 'erc[docs]'")
    client = pytest.importorskip("nbclient", reason="pip install 'erc[docs]'")
    pytest.importorskip("ipykernel", reason="pip install 'erc[docs]'")
    pytest.importorskip("silero_vad", reason="pip install 'erc[timeline]'")
    book = nbformat.read(DOCS / "notebooks" / "first_steps.ipynb", 4)
    assert not any(c.get("outputs") for c in book.cells), "commit it without outputs"
    for cell in book.cells:
        if sizes and cell.cell_type == "code":
            cell.source = re.sub(rf"{SIZES}\d+, \d+, \d+", f"{SIZES}{sizes}", cell.source)
    assert not sizes or any(f"{SIZES}{sizes}" in c.source for c in book.cells)
    client.NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    outputs = [o for c in book.cells for o in c.get("outputs", [])]
    assert (tmp_path / "first_steps" / "talk.csv").is_file()
    return [kind for o in outputs for kind in o.get("data", {o.get("name", ""): 0})]


@pytest.mark.slow
def test_the_notebook_runs_on_a_smaller_corpus(tmp_path):
    assert notebook(tmp_path, "4, 12, 1").count("image/png") == 3


@pytest.mark.slow
def test_the_notebook_runs_as_it_is(tmp_path):
    assert notebook(tmp_path, None).count("image/png") == 3
