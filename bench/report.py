"""bench/results/<machine>.json → docs/performance.md and docs/images/performance_*.png."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench import BENCHMARKS, machine
from bench.harness import Entry, Row

ROOT = Path(__file__).resolve().parents[1]
NOTES = ROOT / "bench" / "notes.md"
RESULTS, DOCS = ROOT / "bench" / "results", ROOT / "docs"

INTRO = """\
# Performance

Every figure below was measured against its baseline in one run, variants interleaved (A B C A B C …),
after a warm-up. Times are medians with (least … most); a ratio is that of medians to the first line of
its table. A figure counts only if its equality check holds. *Reference style* is our own plain
implementation of the published system's way (`bench/reference.py`): every clip padded
to 7 s, fp32, python lists into Arrow, an all-ones mask.

`make bench` measures all of it again and rewrites this page from `bench/results/`;
`python -m bench --quick` does it at reduced sizes, `python -m bench NAME` one part.
"""


def merge(
    name: str, record: dict[str, Any], quick: bool = False, folder: Path | None = None
) -> Path:
    """Put one benchmark into the results of this machine; reduced runs are kept beside full ones.

    GEMM peaks are measured when none are known yet; the best ever seen is kept.
    """
    path = (folder or RESULTS) / f"{machine.slug()}.json"
    found = json.loads(path.read_text("utf-8")) if path.exists() else {}
    known = found.get("machine", {}).get("gemm_gflops", {})
    used = any(e["gflops"] for row in record["rows"] for e in row["entries"])
    found["machine"] = machine.describe(peaks=used or not known)
    measured = found["machine"]["gemm_gflops"]
    best = {key: max(known.get(key, 0), measured.get(key, 0)) for key in known | measured}
    found["machine"]["gemm_gflops"] = best
    found.setdefault("quick" if quick else "full", {})[name] = record
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return path


def write(results: Path | None = None, docs: Path | None = None) -> list[Path]:
    """Page and plots of all machines found; returns what was written."""
    docs = docs or DOCS
    parts, written = [INTRO], []
    for path in sorted((results or RESULTS).glob("*.json")):
        found = json.loads(path.read_text("utf-8"))
        records = found.get("quick", {}) | found.get("full", {})
        names = [n for n in BENCHMARKS if n in records]
        names += sorted(set(records) - set(names))
        rows = {n: [_row(r) for r in records[n]["rows"]] for n in names}
        images = _plots(path.stem, rows, docs / "images")
        written += images.values()
        parts += [f"## {_machine(found['machine'])}", _targets(rows)]
        if "ratios" in images:
            parts.append(_image(images["ratios"], "ratios and targets"))
        for n in names:
            reduced = "" if n in found.get("full", {}) else " Reduced size (`--quick`)."
            record = records[n]
            parts += [f"### {heading(record)}", _provenance(record) + reduced, *tables(rows[n])]
            parts += [_image(file, key) for key, file in images.items() if key.startswith(f"{n}:")]
    parts.append(NOTES.read_text("utf-8"))
    page = docs / "performance.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n\n".join(part.strip() for part in parts) + "\n", "utf-8")
    return [page, *written]


def heading(record: dict[str, Any]) -> str:
    """First line of a benchmark's docstring."""
    return record["about"].partition("\n")[0].rstrip(".")


def tables(rows: list[Row]) -> list[str]:
    """Markdown of each row, titled with what was measured and whether the target is met."""
    return ["\n\n".join(filter(None, [_title(r), r.note, _table(r)])) for r in rows]


def _title(row: Row) -> str:
    title = f"**{row.what}**" + (f" ({row.count})" if row.count else "")
    if row.exponent is not None:
        title += f": cost grows with exponent {row.exponent:.2f}"
        if row.memory_growth:
            title += f", peak memory {row.memory_growth:.2f}×"
    return title + (f". {_verdict(row)}" if row.target is not None else "")


def _verdict(row: Row) -> str:
    if row.exponent is not None:
        return f"Target ≤ {row.target:g}: {'met' if row.met else 'NOT met'}."
    got = "no variant passes its check" if row.best is None else f"{_times(row.best)} reached"
    return f"Target ≥ {row.target:g}×: {'met' if row.met else 'NOT met'}, {got}."


def _table(row: Row) -> str:
    if row.records:
        keys = list(dict.fromkeys(k for record in row.records for k in record))
        return _markdown([keys, *([_value(r.get(k)) for k in keys] for r in row.records)])
    columns: dict[str, Any] = {
        "size" if row.exponent is not None else "variant": lambda e: e.name,
        "median" if row.unit == "s" else row.unit: lambda e: _cost(e, row.unit),
        "per second": lambda e: e.per_second and f"{e.per_second:,.4g}",
        "ratio": lambda e: e.ratio and _times(e.ratio),
        "GFLOP/s": lambda e: e.gflops and f"{e.gflops:.0f}",
        "of peak": lambda e: e.peak_fraction and f"{e.peak_fraction:.2f}",
        "peak RSS MB": lambda e: e.rss and f"{e.rss:,.0f}",
        row.check or "difference": _outcome,
    }
    cells = {key: [cell(e) or "" for e in row.entries] for key, cell in columns.items()}
    kept = {key: column for key, column in cells.items() if any(column)}
    return _markdown([list(kept), *map(list, zip(*kept.values()))])


def _outcome(e: Entry) -> str:
    if e.error is None:
        return ""
    return f"{e.error:.2g} ≤ {e.allowed:.2g}" if e.equal else f"**{e.error:.2g} > {e.allowed:.2g}**"


def _cost(e: Entry, unit: str) -> str:
    if unit != "s":
        return f"{e.median:,.4g}"
    scale, name = (1e3, "ms") if e.median < 1 else (1, "s")
    spread = f" ({e.low * scale:.3g} … {e.high * scale:.3g})" if e.rounds > 1 else ""
    return f"{e.median * scale:.3g} {name}{spread}"


def _times(ratio: float) -> str:
    return f"{ratio:.3g}×"


def _value(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _markdown(rows: list[list[str]]) -> str:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


def _machine(m: dict[str, Any]) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in m.get("versions", {}).items())
    peaks = ", ".join(f"{k} {v:.0f}" for k, v in m.get("gemm_gflops", {}).items())
    settings = ", ".join(f"{k}={v}" for k, v in m.get("environment", {}).items()) or "none"
    return "\n".join(
        [
            f"{m['cpu']}, {m['cores']} cores\n",
            f"- {m['memory_gb']} GB, {m['system']}, flags {' '.join(m['flags']) or 'none of note'}",
            f"- GEMM peak (GFLOP/s): {peaks}",
            f"- python {m['python']}, {versions}; {m['threads']} threads",
            f"- environment: {settings}",
        ]
    )


def _targets(rows: dict[str, list[Row]]) -> str:
    body = [["path", "target", "reached", "", "command"]]
    for name, found in rows.items():
        for row in found:
            if row.target is None:
                continue
            scales = row.exponent is not None
            target = f"exponent ≤ {row.target:g}" if scales else f"≥ {row.target:g}×"
            value = row.exponent if scales else row.best
            reached = "–" if value is None else f"{value:.2f}" if scales else _times(value)
            verdict = "met" if row.met else "**not met**"
            body.append([row.what, target, reached, verdict, f"`python -m bench {name}`"])
    return _markdown(body) if len(body) > 1 else ""


def _provenance(record: dict[str, Any]) -> str:
    about = record["about"].partition("\n")[2].strip()
    where = f"`{record['command']}`, {record['date'][:10]}, commit {record['commit']}."
    return f"{about}\n\n{where}" if about else where


def _image(path: Path, text: str) -> str:
    return f"![{text.rpartition(':')[2]}](images/{path.name})"


def _row(record: dict[str, Any]) -> Row:
    return Row(**record | {"entries": [Entry(**e) for e in record["entries"]]})


def _plots(machine: str, rows: dict[str, list[Row]], folder: Path) -> dict[str, Path]:
    """Figures by key: "ratios", and "<benchmark>:<what>" for scalings and free tables."""
    from bench import plots

    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Path] = {}
    aimed = [r for part in rows.values() for r in part if r.target and r.best]
    if aimed:
        found["ratios"] = plots.ratios(aimed, folder / f"performance_{machine}.png")
    for name, part in rows.items():
        file = folder / f"performance_{machine}_{name}"
        scalings = [r for r in part if r.exponent is not None]
        if scalings:
            found[f"{name}:cost against size"] = plots.scalings(scalings, file)
        for i, row in enumerate(r for r in part if r.plot):
            found[f"{name}:{row.what}"] = plots.scatter(row, file.with_name(f"{file.name}_{i}"))
    return found
