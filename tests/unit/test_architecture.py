"""What docs/architecture.md and docs/decisions say of the code is there, and so are the pages that they link to."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import dstreams

PACKAGE = Path(dstreams.__file__).parent
DOCS = Path(__file__).parents[2] / "docs"
DECISIONS = DOCS / "decisions"
PAGES = [DOCS / "architecture.md", DOCS / "words.md", *sorted(DECISIONS.glob("*.md"))]
TEXT = "\n".join(page.read_text() for page in PAGES)
FILES = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
FILES |= {f"tools/{path.name}" for path in DOCS.parent.joinpath("tools").glob("*.py")}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"[\w/]+\.py\b", TEXT))))
def test_files(name: str) -> None:
    assert any(f"/{file}".endswith(f"/{name}") for file in FILES), f"there is no {name}"


NAMES = sorted(set(re.findall(r"`([\w/]+)\.py: ([\w.]+)`", TEXT)))


@pytest.mark.parametrize(("file", "name"), NAMES)
def test_names(file: str, name: str) -> None:
    found = import_module(f"dstreams.{file.replace('/', '.')}")
    for part in name.split("."):
        found = getattr(found, part)
    assert callable(found)


def test_the_walks_are_read() -> None:
    assert len(NAMES) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    links = re.findall(r"\]\(([\w./-]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_decisions_are_numbered_and_listed() -> None:
    files = sorted(path.name for path in DECISIONS.glob("0*.md"))
    listed = re.findall(r"^\* \[(\d+)\]\(([\w-]+\.md)\) (.+)$", (DECISIONS / "README.md").read_text(), re.MULTILINE)
    assert sorted(name for _, name, _ in listed) == files
    for number, name, title in listed:
        assert name.startswith(f"{number}-")
        assert (DECISIONS / name).read_text().startswith(f"# {int(number)}. {title}\n")
    assert sorted(int(number) for number, _, _ in listed) == list(range(1, len(files) + 1))
