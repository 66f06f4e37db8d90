"""What MkDocs does differently for this project's site; called by it through `hooks` in mkdocs.yml.

The pages are written for GitHub too, where a link may lead out of docs/ to a test or an example. The site has no such
files, so each one that is linked becomes a page of the site, with its source.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
_OUT = re.compile(r"\]\(((?:\.\./)+[^)#\s]+)(#[^)\s]*)?\)")
_ROLE = re.compile(r":(?:class|meth|func|mod|attr|exc|data):<code>~?([^<]*)</code>")
_CELL_CODE = re.compile(r"(?<=<code>)[^<]+(?=</code>)")


def _outside(page: str, target: str) -> str | None:
    """Path in the repository of what a page of docs/ links to; None for another page."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))
    return None if path.startswith("docs/") else path


def _page_of(path: str) -> str:
    """Where the site has a file of the repository."""
    return f"source/{path}" if path.endswith(".md") else f"source/{path}.md"


def on_files(files: Files, config: Any) -> Files:
    """Add a page for each file outside docs/ that a page links to."""
    linked = set()
    for file in files.documentation_pages():
        for target, _ in _OUT.findall(file.content_string):
            linked.add(_outside(file.src_uri, target))
    for path in sorted(filter(None, linked)):
        text = (ROOT / path).read_text("utf-8")
        if not path.endswith(".md"):
            text = f"# {path}\n\n~~~~~~{Path(path).suffix.removeprefix('.')}\n{text}~~~~~~\n"
        text = f"---\nsearch:\n  exclude: true\n---\n{text}"
        files.append(File.generated(config, _page_of(path), content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links that leave docs/ lead to those pages, and those of such a page back."""
    uri = page.file.src_uri

    def moved(match: re.Match[str]) -> str:
        if uri.startswith("source/"):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(uri.removeprefix("source/")), match[1]))
            target = path.removeprefix("docs/") if path.startswith("docs/") else None
        else:
            outside = _outside(uri, match[1])
            target = None if outside is None else _page_of(outside)
        if target is None:
            return match[0]
        return f"]({posixpath.relpath(target, posixpath.dirname(uri) or '.')}{match[2] or ''})"

    return _OUT.sub(moved, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Show Sphinx's roles in docstrings (:class:`DStream`) as plain code, and let names in tables break at dots."""
    html = _ROLE.sub(r"<code>\1</code>", html)
    return re.sub(r"<td>.*?</td>", lambda cell: _CELL_CODE.sub(_breaking, cell[0]), html, flags=re.DOTALL)


def _breaking(code: re.Match[str]) -> str:
    return re.sub(r"([.(])(?=\w)", r"\1<wbr>", code[0])
