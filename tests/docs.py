"""The pages of the documentation, as tests read them: their text, headings, links and blocks of code."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    path.relative_to(PROJECT).as_posix()
    for path in [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("examples/*.md")]
)

_FENCE = re.compile(r"^( *)(`{3,}|~{3,})[ \t]*(\w*)([^\n]*)\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: str
    line: int
    language: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def text_of(page: str) -> str:
    return (PROJECT / page).read_text("utf-8")


def prose(page: str) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", text_of(page))


def blocks(*languages: str) -> list[Block]:
    """Blocks of all pages, or those in some languages."""
    found = []
    for page in PAGES:
        text = text_of(page)
        for match in _FENCE.finditer(text):
            title = _TITLE.search(match[4])
            code = "\n".join(line.removeprefix(match[1]) for line in match[5].splitlines()) + "\n"
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(page, line, match[3], title[1] if title else "", code))
    return [block for block in found if not languages or block.language in languages]


def anchors(page: str) -> set[str]:
    """Fragments that lead to a heading both on GitHub and on the site, whose rules are not the same."""
    headings = re.findall(r"^#{1,6} +(.+?) *#*$", prose(page), re.MULTILINE)
    return {github for heading in headings if (github := _github(heading)) == _site(heading)}


def _plain(heading: str) -> str:
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")


def _github(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", _plain(heading).lower()).replace(" ", "-")


def _site(heading: str) -> str:
    """As Python-Markdown's `slugify`."""
    text = unicodedata.normalize("NFKD", _plain(heading)).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower())
