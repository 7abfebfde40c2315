"""Docstrings → docs/reference/python.md. Reads source, imports nothing."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
Node = (ast.FunctionDef, ast.ClassDef)
SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Yields", "Keys")
PUBLIC = (  # heading, words, (module, names)
    (
        "Predict", "`import erc` gives the names of this part; torch is imported on first use.",
        [("recognizer", "load Recognizer"), ("recognizer.prediction", "Prediction Failure table")],
    ),
    ("Why", "", [("recognizer.explain", "Explanation explain")]),
    (
        "Long recordings", "",
        [
            ("timeline", "timeline TurnFailure"), ("timeline.files", "Timeline"),
            ("timeline.live", "Live Heard"), ("recognizer.vad", "Rule"),
            ("timeline.subtitles", "Segment read"), ("timeline.files", "write save"),
        ],
    ),
    ("Over HTTP", "", [("client", "Client ServerError")]),
    (
        "The model", "",
        [
            ("model.emotion", "EmotionModel Output"),
            ("model.encoders", "SpeechEncoder TextEncoder"),
            ("model.folder.published", "EmotionModel"), ("recognizer.export", "export into"),
            ("recognizer.tune", "tune"),
        ],
    ),
    (
        "Data and labels", "",
        [
            ("datasets", "HF_KEMD"), ("datasets.view", "View Example"),
            ("corpora", "load"), ("corpora.utterance", "Utterance Report"),
            ("labels", "soft entropy peakl majority sharpen tied hard va_centroids"),
            ("base.space", "Space Dimension space"),
        ],
    ),
    (
        "Metrics", "Of whole splits; `weights` count utterances; nan where undefined.",
        [
            (
                "scores.metrics",
                "evaluate confusion accuracy uar f1 auroc ccc pearson jensen_shannon kl brier "
                "entropy_correlation ece",
            ),
            ("scores.one_rater", "one_rater anonymous_votes"),
        ],
    ),
    ("Errors", "", [("base.errors", "")]),
)  # fmt: skip


def page() -> str:
    """The whole page."""
    parts = [
        "<!-- written by docs/generate.py from the code; do not edit -->\n\n# Python\n\nWhat other "
        "programs may build on. Below each name stands the module that it is imported from.\n"
    ]
    for title, words, modules in PUBLIC:
        parts.append(f"## {title}\n" + f"\n{words}\n" * bool(words))
        parts += [_module(module, names.split()) for module, names in modules]
    return "\n".join(parts)


def arguments(where: str) -> dict[str, str]:
    """Argument → its text in the docstring of `module:Name`."""
    node = _find(*where.split(":"))
    _, sections = _split(ast.get_docstring(node) or "")
    found: dict[str, str] = {}
    for names, text in _items(sections.get("Args", "")):
        found |= {n.strip(): text for n in names.split(",")}
    return found


def _module(module: str, names: list[str]) -> str:
    names = names or [
        n.name
        for n in _tree(f"erc.{module}").body
        if isinstance(n, Node) and n.name[0] != "_" and ast.get_docstring(n)
    ]
    return "\n".join(_entry(_find(f"erc.{module}", name), f"erc.{module}") for name in names)


def _find(module: str, name: str) -> ast.FunctionDef | ast.ClassDef:
    """Where a name is defined, through the modules that pass it on."""
    for node in ast.walk(_tree(module)):
        if isinstance(node, Node) and node.name == name:
            return node
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            return _find(node.module or "", name)
    raise LookupError(f"{module} has no {name}; correct PUBLIC in docs/docstrings.py")


def _tree(module: str) -> ast.Module:
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text("utf-8"))


def _entry(node: ast.FunctionDef | ast.ClassDef, module: str, owner: str = "") -> str:
    level, name = "####" if owner else "###", f"{owner}.{node.name}" if owner else node.name
    if isinstance(node, ast.FunctionDef):
        head = f"{owner + '.' if owner else ''}{node.name}({_signature(node)}){_returns(node)}"
        if _decorated(node, "property"):
            head = f"{owner}.{node.name}{_returns(node)}"
        return f"{level} {name}\n\n{_from(module, owner)}```text\n{_wrap(head)}\n```\n\n{_text(node)}\n"
    methods = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name[0] != "_"]
    shown = [_entry(n, module, node.name) for n in methods if ast.get_docstring(n)]
    head = _wrap(f"{node.name}({_made_from(node)})")
    return (
        f"### {name}\n\n{_from(module, '')}```text\n{head}\n```\n\n{_text(node)}\n\n"
        + "\n".join(shown)
    )


def _from(module: str, owner: str) -> str:
    return "" if owner else f"`{module}`\n\n"


def _made_from(node: ast.ClassDef) -> str:
    """Arguments of `__init__`, or fields of a dataclass or named tuple."""
    for n in node.body:
        if isinstance(n, ast.FunctionDef) and n.name == "__init__":
            return _signature(n)
    fields = [n for n in node.body if isinstance(n, ast.AnnAssign)]
    return ", ".join(ast.unparse(n) for n in fields)


def _signature(node: ast.FunctionDef) -> str:
    text = ast.unparse(node.args)
    return re.sub(r"^(self|cls)(, |$)", "", text)


def _returns(node: ast.FunctionDef) -> str:
    return f" -> {ast.unparse(node.returns)}" if node.returns else ""


def _decorated(node: ast.FunctionDef, name: str) -> bool:
    return any(ast.unparse(d).endswith(name) for d in node.decorator_list)


def _wrap(head: str) -> str:
    """A long signature: one argument a line."""
    if len(head) <= 96:
        return head
    depth, start, rows = 0, head.index("(") + 1, []
    for i in range(start - 1, len(head)):
        depth += (head[i] in "([{") - (head[i] in ")]}")
        if depth == 1 and head[i : i + 2] == ", ":
            rows.append(head[start : i + 1])
            start = i + 2
        if depth == 0:
            rows.append(head[start:i])
            return "\n    ".join([head[: head.index("(") + 1], *rows]) + f"\n{head[i:]}"
    return head


def _text(node: ast.FunctionDef | ast.ClassDef) -> str:
    prose, sections = _split(ast.get_docstring(node) or "")
    parts = [_prose(prose)]
    for title, body in sections.items():
        items = _items(body)
        if title in ("Args", "Attributes", "Raises") and items:
            lines = [f"- `{name}`: {_inline(text)}" for name, text in items]
            parts.append(f"**{title}**\n\n" + "\n".join(lines))
        elif body.strip():
            parts.append(f"**{title}**\n\n{_prose(body)}")
    return "\n\n".join(p for p in parts if p)


def _split(doc: str) -> tuple[str, dict[str, str]]:
    """Prose, and the sections of Google's style. What stands flush behind a section is prose again."""
    prose: list[str] = []
    sections: dict[str, list[str]] = {}
    now: list[str] = prose
    for line in doc.splitlines():
        title = line[:-1] if line.endswith(":") else ""
        if title in SECTIONS:
            now = sections.setdefault(title, [])
            continue
        if now is not prose and line and line[0] != " ":
            now = prose
        now.append(line)
    return "\n".join(prose), {k: _dedent(v) for k, v in sections.items()}


def _dedent(lines: list[str]) -> str:
    return "\n".join(line.removeprefix("    ") for line in lines).strip("\n")


def _items(body: str) -> list[tuple[str, str]]:
    """`name, other: text` with its continuation lines."""
    found: list[tuple[str, str]] = []
    for line in body.splitlines():
        item = re.match(r"([\w, *]+): (.*)", line)
        if item:
            found.append((item[1].strip(), item[2]))
        elif found and line.strip():
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
    return found


def _prose(text: str) -> str:
    """Paragraphs; examples in a fence, what is indented as it is."""
    blocks = [b for b in re.split(r"\n\s*\n", text.strip("\n")) if b.strip()]
    shown = []
    for block in blocks:
        lines = block.splitlines()
        if lines[0].startswith(">>>"):
            clean = [re.sub(r"\s+# doctest:.*", "", line) for line in lines]
            shown.append("```pycon\n" + "\n".join(clean) + "\n```")
        elif all(line.startswith("    ") for line in lines):
            shown.append(block)
        else:
            shown.append("\n".join(_inline(line) for line in lines))
    return "\n\n".join(shown)


def _inline(text: str) -> str:
    """Escape what Markdown would read as markup, outside of `code`."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        p if p.startswith("`") else re.sub(r"([*|\[\]])", r"\\\1", p).replace("<", "&lt;")
        for p in parts
    )
