"""/docs: the OpenAPI description as one page, without scripts from elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; font-family: ui-monospace, monospace; font-size: 1.15rem; }
h2 b { color: #1769c2; } @media (prefers-color-scheme: dark) { h2 b { color: #7db8f5; } }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top;
padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8884; }
td:first-child { white-space: nowrap; }
code, pre { font: .875rem/1.45 ui-monospace, monospace; } pre { overflow-x: auto; padding: .75rem;
background: #8882; border-radius: .4rem; } .wide { overflow-x: auto; }
"""


def page(schema: dict[str, Any]) -> str:
    """HTML of an OpenAPI 3.1 schema: each route with its body, answers and examples."""
    about, routes = schema["info"], []
    for path, methods in schema["paths"].items():
        routes += [_route(schema, path, method, one) for method, one in methods.items()]
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(about["title"])} API</title><style>{STYLE}</style>
<main><h1>{escape(about["title"])} API <small>{escape(about["version"])}</small></h1>
<p>{escape(about["description"])} For programs: <a href="openapi.json">openapi.json</a>. If the server
has a key: <code>Authorization: Bearer KEY</code> or <code>X-API-Key: KEY</code>.</p>
{"".join(routes)}</main></html>"""


def _route(schema: dict[str, Any], path: str, method: str, one: dict[str, Any]) -> str:
    parts = [f"<h2><b>{method.upper()}</b> {escape(path)}</h2>"]
    parts.append(f"<p>{escape(one.get('description') or one.get('summary', ''))}</p>")
    for kind, content in one.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<h3>Request: {escape(kind)}</h3>{_fields(schema, content['schema'])}")
    for status, answer in one["responses"].items():
        if status == "200":
            for kind, content in answer.get("content", {}).items():
                body = _fields(schema, content.get("schema", {}))
                parts.append(f"<h3>Answer: {escape(kind)}</h3>{body}")
    errors = [(s, a["description"]) for s, a in one["responses"].items() if s != "200"]
    if errors:
        rows = "".join(f"<tr><td>{s}</td><td>{escape(text)}</td></tr>" for s, text in errors)
        parts.append(f"<h3>Errors</h3><table>{rows}</table>")
    return "".join(parts)


def _fields(schema: dict[str, Any], one: dict[str, Any]) -> str:
    one = _resolved(schema, one)
    inner = _resolved(schema, one.get("items", {})) if one.get("type") == "array" else one
    head = "<p>A list of:</p>" if inner is not one else ""
    rows = [
        f"<tr><td><code>{escape(name)}</code></td><td><code>{escape(_type(schema, field))}</code>"
        f"</td><td>{escape(field.get('description', ''))}</td></tr>"
        for name, field in inner.get("properties", {}).items()
    ]
    table = f"<div class='wide'><table>{''.join(rows)}</table></div>" if rows else ""
    examples = [
        f"<pre>{escape(json.dumps(e, indent=1, ensure_ascii=False))}</pre>"
        for e in one.get("examples", [])
    ]
    return head + table + "".join(examples)


def _type(schema: dict[str, Any], field: dict[str, Any]) -> str:
    """`number 1–5`, `string | null`, `list of Answer | FailedItem` …"""
    if "$ref" in field:
        return field["$ref"].rpartition("/")[2]
    if "anyOf" in field:
        return " | ".join(_type(schema, one) for one in field["anyOf"])
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if field.get("type") == "array" and "items" in field:
        return f"list of {_type(schema, field['items'])}"
    kind = "file" if field.get("format") == "binary" else field.get("type", "any")
    if "minimum" in field and "maximum" in field:
        return f"{kind} {field['minimum']:g}–{field['maximum']:g}"
    return kind


def _resolved(schema: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    name = one.get("$ref", "").rpartition("/")[2]
    return schema["components"]["schemas"][name] if name else one
