"""Write docs/reference/, the drawing in docs/architecture.md and the starter's scores from the code.

python docs/generate.py            # write the pages
python docs/generate.py --check    # exit 1 if a page is not what would be written
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import docstrings  # noqa: E402
import house  # noqa: E402

if TYPE_CHECKING:
    from erc.cli.command import Command, Option

MADE = "<!-- written by docs/generate.py from the code; do not edit -->\n\n"
BEGIN, END = "<!-- scores: written by docs/generate.py -->", "<!-- end of scores -->"
TAKEN, TAKEN_END = "<!-- taken for: written by docs/generate.py -->", "<!-- end of taken for -->"
GROUPS = {  # config group → where its keys are explained, file that shows all its keys, words
    "dataset": ("erc.datasets:HF_KEMD", "_base", "A corpus, its labels and its folds."),
    "model": ("erc.model.plan:Plan", "_base", "Encoders, fusion, loss."),
    "scheduler": ("", "cosine_warmup", "The learning rate over time."),
    "logger": ("", "", "Where numbers go besides `metrics.csv`; see [the report](../report.md)."),
    "experiment": ("", "", "Several choices under one name: `experiment=demo`."),
    "debug": ("", "", "Small runs that look for mistakes."),
}


def pages() -> dict[str, str]:
    """File name → text."""
    return {
        "reference/commands.md": commands(),
        "reference/config.md": config(),
        "reference/python.md": docstrings.page(),
        "architecture.md": house.page(),
        "starter.md": starter(),
    }


def commands() -> str:
    """Every command with its options, from the records that the parser is made of."""
    from erc.cli.program import GROUPS as FAMILIES

    lines = [
        f"{MADE}# Commands\n\nExit codes: 0 all good, 1 some inputs failed (of `erc check`: the corpus "
        "has errors), 2 usage\nor unusable input. `KEY=VALUE` is any key of [the configuration]"
        "(config.md). `erc` alone lists the\ncommands, as `erc --help` does.\n"
    ]
    for title, family in FAMILIES.items():
        lines.append(f"## {title[0].upper()}{title[1:]}\n")
        lines += [_command(one) for one in family]
    return "\n".join(lines)


def starter() -> str:
    """docs/starter.md with the scores and confusions that lie beside the starter's weights."""
    from erc.studies.starter_scores import Score, table

    page = (ROOT / "docs" / "starter.md").read_text("utf-8")
    config = json.loads((ROOT / "erc" / "starter" / "config.json").read_text("utf-8"))
    scores = [Score(**one) for one in config["meta"]["scores"]]
    card = (ROOT / "erc" / "starter" / "README.md").read_text("utf-8")
    taken = card.partition("## What it takes emotions for")[2].partition("\n## ")[0]
    tables = "\n".join(line for line in taken.splitlines() if line.startswith("|") or not line)
    page = _between(page, BEGIN, table(scores), END)
    return _between(page, TAKEN, tables.strip(), TAKEN_END)


def _between(page: str, begin: str, text: str, end: str) -> str:
    """The page with a text in place of what stands between two marks."""
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}"


def _command(one: Command) -> str:
    words, rows = [f"erc {one.name}"], []
    for option in one.options:
        label = _label(option)
        if not option.named:
            words.append(f"[{label}]" if option.count in ("?", "*") else label)
        rows.append(
            (
                f"`{label.replace('|', chr(92) + '|')}`",
                f"`{option.shown}`" * bool(option.shown),
                _cell(option.help),
            )
        )
    options = " [options]" * any(option.named for option in one.options)
    table = "| | default | |\n|---|---|---|\n" + "\n".join(
        f"| {a} | {b} | {c} |" for a, b, c in rows
    )
    return (
        f"### erc {one.name}\n\n{one.summary.rstrip('.')}.\n\n"
        f"    {' '.join(words)}{options}\n\n{table * bool(rows)}\n"
    )


def _label(option: Option) -> str:
    """As a usage line shows it: `-o, --output FILE`, `KEY=VALUE …`."""
    names = option.names.split()
    value = "{" + ",".join(option.choices) + "}" if option.choices else names[-1].strip("-")
    value = option.metavar or (value.upper() if option.named and not option.choices else value)
    many = " …" * (option.count in ("*", "+"))
    if not option.named:
        return value + many
    return ", ".join(names) + f" {value}{many}" * (not option.flag)


def config() -> str:
    """Every key of config/, with its comment, or what the docstring of its reader says."""
    folder = ROOT / "config"
    lines = [
        f"{MADE}# Configuration\n\nWhat `python train.py`, `erc train`, `erc cross-validate`, `erc "
        "audit` and `erc sharpen` take as\n`KEY=VALUE`. `dataset=NAME` and the like choose a file of "
        "`config/`; `python train.py --cfg job` shows\nthe whole. An unknown key is an error that "
        "suggests the nearest one.\n",
        "## train.yaml\n\n" + _keys(read(folder / "train.yaml"), {}),
    ]
    for group, (reader, full, words) in GROUPS.items():
        known = docstrings.arguments(reader) if reader else {}
        lines.append(f"## {group}\n\n{words}\n")
        files = sorted((folder / group).glob("*.yaml"), key=lambda f: (f.stem != full, f.stem))
        base = {k: (v, c) for k, v, c in read(folder / group / f"{full}.yaml")} if full else {}
        for file in files:
            own = read(file)
            parent = re.search(r"^defaults: \[(\w+), _self_\]", file.read_text("utf-8"), re.M)
            above = parent[1] if parent else full if file.stem != full else ""
            if above == full and full:
                own = [row for row in own if row[0] not in base or row[1] != base[row[0]][0]]
            title = f"{group}={file.stem}" if file.stem != "_base" else f"every {group}"
            told = f"every {group}" if above == "_base" else f"`{group}={above}`"
            note = f" Only what differs from {told}:" * bool(above and own)
            table = _keys(own, known, f"{group}." * (group not in ("experiment", "debug")))
            said = " ".join(_comment(file).split())
            lines.append(f"### {title}\n\n{_cell(said)}{note}\n\n{table}")
    return "\n".join(lines)


def read(path: Path) -> list[tuple[str, str, str]]:
    """(dotted key, value as written, comment) of a YAML file, in its order."""
    rows: list[tuple[str, str, str]] = []
    parents: list[tuple[int, str]] = []
    for line in path.read_text("utf-8").splitlines():
        more = re.match(r"#\s{2,}(.*)", line)
        if more and rows:
            rows[-1] = (*rows[-1][:2], f"{rows[-1][2]} {more[1]}")
        choice = re.match(r"  - override /(\w+): (\w+)", line)
        if choice:
            rows.append((choice[1], choice[2], ""))
        found = re.match(r"( *)(\w+):(.*?)(?:\s+# (.*))?$", line)
        if not found:
            continue
        indent, key = len(found[1]), found[2]
        parents = [p for p in parents if p[0] < indent] + [(indent, key)]
        name = ".".join(p[1] for p in parents)
        if not name.startswith(("defaults", "hydra", "_")):
            rows.append((name, found[3].strip(), found[4] or ""))
    return rows


def _comment(path: Path) -> str:
    """The comment at the head of a file."""
    lines = path.read_text("utf-8").splitlines()
    head = [line for line in lines if line.startswith("#") and "@package" not in line]
    body = next((i for i, line in enumerate(lines) if line and not line.startswith("#")), 0)
    return " ".join(line.lstrip("# ") for line in head if lines.index(line) < body)


def _keys(rows: list[tuple[str, str, str]], known: dict[str, str], prefix: str = "") -> str:
    if not rows:
        return ""
    shown = [
        (f"`{prefix}{key}`", f"`{value}`" if value else "", _cell(said or known.get(key, "")))
        for key, value, said in rows
        if value or said
    ]
    return "| key | default | |\n|---|---|---|\n" + "".join(
        f"| {a} | {b.replace('|', chr(92) + '|')} | {c} |\n" for a, b, c in shown
    )


def _cell(text: str) -> str:
    """Text that may stand in a table."""
    return re.sub(r"(?<!\\)\|", r"\\|", text).replace("<", "&lt;").replace("*", r"\*")


def main(argv: list[str] | None = None) -> int:
    """Write, or with --check compare; returns the exit status."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--check", action="store_true", help="write nothing")
    check = options.parse_args(argv).check
    stale = 0
    for name, text in pages().items():
        path = ROOT / "docs" / name
        old = path.read_text("utf-8") if path.is_file() else ""
        stale += old != text
        if old != text and not check:
            path.write_text(text, "utf-8")
        news = "as it was" if old == text else "stale" if check else "written"
        print(f"{path.relative_to(ROOT)}: {news}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
