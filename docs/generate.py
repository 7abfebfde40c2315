"""Write docs/reference/ from the code: commands, configuration, Python.

python docs/generate.py            # write the three pages
python docs/generate.py --check    # exit 1 if a page is not what would be written
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import docstrings  # noqa: E402

MADE = "<!-- written by docs/generate.py from the code; do not edit -->\n\n"
GROUPS = {  # config group → where its keys are explained, file that shows all its keys, words
    "dataset": ("erc/datasets/__init__.py:HF_KEMD", "hf", "A corpus, its labels and its folds."),
    "model": ("erc/model/emotion.py:EmotionModel", "mlp_mixer_roberta", "Encoders, fusion, loss."),
    "scheduler": ("", "cosine_warmup", "The learning rate over time."),
    "logger": ("", "", "Where numbers go besides `metrics.csv`; see [the report](../report.md)."),
    "experiment": ("", "", "Several choices under one name: `experiment=demo`."),
    "debug": ("", "", "Small runs that look for mistakes."),
}


def pages() -> dict[str, str]:
    """File name → text."""
    return {"commands.md": commands(), "config.md": config(), "python.md": docstrings.page()}


def commands() -> str:
    """Every command with its arguments, from the parser that runs."""
    from erc.__main__ import parser
    from erc.cli.commandline import GROUPS as ORDER

    subs = parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    grouped = {n for names in ORDER.values() for n in names}
    groups = ORDER | {"more": tuple(n for n in subs if n not in grouped)}
    lines = [
        f"{MADE}# Commands\n\nExit codes: 0 all good, 1 some inputs failed (of `erc check`: the corpus "
        "has errors), 2 usage\nor unusable input. `KEY=VALUE` is any key of [the configuration]"
        "(config.md).\n"
    ]
    for title, names in groups.items():
        lines.append(f"## {title[0].upper()}{title[1:]}\n")
        lines += [_command(n, subs[n]) for n in names if n in subs]
    return "\n".join(lines)


def _command(name: str, sub: argparse.ArgumentParser) -> str:
    words, rows = [f"erc {name}"], []
    actions = [a for a in sub._actions if not isinstance(a, argparse._HelpAction)]
    for action in actions:
        shown = action.metavar or (
            "{" + ",".join(map(str, action.choices)) + "}" if action.choices else None
        )
        many = {"*": " …", "+": " …"}.get(str(action.nargs), "")
        if action.option_strings:
            value = "" if action.nargs == 0 else f" {shown or action.dest.upper()}{many}"
            label = ", ".join(action.option_strings) + value
        else:
            label = f"{shown or action.dest}{many}"
            words.append(f"[{label}]" if action.nargs in ("?", "*") else label)
        rows.append((f"`{label}`", _default(action), _cell(action.help or "")))
    options = " [options]" * any(a.option_strings for a in actions)
    table = "| | default | |\n|---|---|---|\n" + "\n".join(
        f"| {a.replace('|', chr(92) + '|')} | {b} | {c} |" for a, b, c in rows
    )
    summary = (sub.description or "").rstrip(".")
    return (
        f"### erc {name}\n\n{summary}.\n\n    {' '.join(words)}{options}\n\n{table * bool(rows)}\n"
    )


def _default(action: argparse.Action) -> str:
    if action.default is None or action.default is False or action.nargs == "*":
        return ""
    return f"`{action.default:g}`" if isinstance(action.default, float) else f"`{action.default}`"


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
        known = docstrings.arguments(ROOT, reader) if reader else {}
        lines.append(f"## {group}\n\n{words}\n")
        files = sorted((folder / group).glob("*.yaml"), key=lambda f: (f.stem != full, f.stem))
        base = {k: (v, c) for k, v, c in read(folder / group / f"{full}.yaml")} if full else {}
        for file in files:
            own = read(file)
            if file.stem != full and base:
                own = [row for row in own if row[0] not in base or row[1] != base[row[0]][0]]
            note = f" Only what differs from `{group}={full}`:" * (file.stem != full and bool(base))
            table = _keys(own, known, f"{group}." * (group not in ("experiment", "debug")))
            said = " ".join(_comment(file).split())
            lines.append(f"### {group}={file.stem}\n\n{_cell(said)}{note * bool(own)}\n\n{table}")
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
        path = ROOT / "docs" / "reference" / name
        old = path.read_text("utf-8") if path.is_file() else ""
        stale += old != text
        if old != text and not check:
            path.write_text(text, "utf-8")
        news = "as it was" if old == text else "stale" if check else "written"
        print(f"{path.relative_to(ROOT)}: {news}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
