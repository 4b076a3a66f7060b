"""MkDocs hooks: pages from files elsewhere in the repository, and links between files as links between pages."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
#: File of the repository -> page of the site.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    **{
        path.relative_to(ROOT).as_posix(): f"methods/{path.parent.name}.md"
        for folder in ("plugins", "examples")
        for path in sorted(ROOT.glob(f"{folder}/*/README.md"))
    },
}
_SOURCES = {page: source for source, page in PAGES.items()}
_LINK = re.compile(r"(?P<mark>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)#\s]*)(?P<anchor>#[^)\s]*)?\)")
_CODE = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
_NAME = re.compile(r"(?<=<code>)[^<]+(?=</code>)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are files elsewhere in the repository."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn links to files of the repository into links to pages; a file without a page is named only."""
    target = page.file.src_uri
    source = _SOURCES.get(target, f"docs/{target}")

    def linked(match: re.Match[str]) -> str:
        mark, text, link, anchor = match["mark"], match["text"], match["target"], match["anchor"] or ""
        if not link or "://" in link or link.startswith("mailto:"):
            return match[0]
        file = PurePosixPath(os.path.normpath(PurePosixPath(source).parent / link)).as_posix()
        page_of = PAGES.get(file) or PAGES.get(f"{file}/README.md") or _inside(file)
        if page_of is None:
            return text if text.startswith("`") else f"{text} (`{file}`)"
        place = PurePosixPath(os.path.relpath(page_of, PurePosixPath(target).parent)).as_posix()
        return f"{mark}[{text}]({place}{anchor})"

    if "{{ weights }}" in markdown:
        markdown = markdown.replace("{{ weights }}", weights_table())
    parts = _CODE.split(markdown)
    return "".join(part if n % 2 else _LINK.sub(linked, part) for n, part in enumerate(parts))


def on_page_content(html: str, **_: Any) -> str:
    """Let long names in tables break after a slash, dot, underscore or equals sign, for narrow screens."""

    def breakable(name: re.Match[str]) -> str:
        return re.sub(r"(?<=[/._=])(?=\w)", "<wbr>", name[0])

    return _TABLE.sub(lambda table: _NAME.sub(breakable, table[0]), html)


def weights_table() -> str:
    """Return the weights files that installed plugins ship, as a table."""
    from facepriv.cli.weights import provenance, shipped
    from facepriv.registry import registry

    rows = ["| file | size | trained on | evaluators seen | licence |", "|---|---|---|---|---|"]
    for _, name, path in shipped(registry().plugins):
        origin = provenance(path)
        seen = ", ".join(f"`{evaluator}`" for evaluator in origin["seen"]) or "none"
        size = f"{origin['bytes'] / 1e6:.1f} MB"
        rows.append(f"| `{name}` | {size} | {origin['trained_on']} | {seen} | {origin['licence']} |")
    return "\n".join(rows)


def on_post_page(output: str, **_: Any) -> str:
    """Load ``worker.js``, for a search without a server, in place of the theme's own script from another host."""
    base = re.search(r'src="([^"]*)assets/javascripts/bundle', output)
    if not base:  # the sitemap
        return output
    script = f'<script src="{base[1]}worker.js"></script>'
    return output.replace('<script src="https://unpkg.com/iframe-worker/shim"></script>', script)


# Pages without a source, such as 404.html.
on_post_template = on_post_page


def _inside(file: str) -> str | None:
    return file.removeprefix("docs/") if file.startswith("docs/") and (ROOT / file).exists() else None
