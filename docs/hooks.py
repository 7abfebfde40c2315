"""Pages that lie beside docs/ in the repository: links to them work there and on the site."""

from __future__ import annotations

from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
BESIDE = {  # as linked from a page in docs/ → page on the site
    "../erc/model/README.md": "models.md",
    "../CONTRIBUTING.md": "contributing.md",
    "../CHANGELOG.md": "changelog.md",
    "../SECURITY.md": "security.md",
}


def on_files(files, config):
    """Add them."""
    for source, page in BESIDE.items():
        text = (ROOT / "docs" / source).read_text("utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Lead links of pages in docs/ to them, and their own links to docs/ back."""
    for source, target in BESIDE.items():
        markdown = markdown.replace(f"]({source}", f"]({target}")
    if page.file.src_uri in BESIDE.values():
        markdown = markdown.replace("](docs/", "](").replace("](../../docs/", "](")
    return markdown
