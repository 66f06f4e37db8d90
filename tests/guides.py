"""The code in the pages of docs/, for the tests that run it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tests import docs
from tests.docs import PROJECT

__all__ = ["Operation", "blocks", "operations"]


class Operation(NamedTuple):
    """A row of a table of operations.

    Attributes
    ----------
    section : str
        The heading above it.
    names : tuple of str
        The operations that the row is about.
    dstreams : str
        Code with dstreams; empty where the table has no such column.
    native : str
        Native code, or words where there is none.
    """

    section: str
    names: tuple[str, ...]
    dstreams: str
    native: str


def blocks(page: Path, language: str) -> list[str]:
    """Code blocks of a language."""
    name = page.relative_to(PROJECT).as_posix()
    return [block.text for block in docs.blocks(language) if block.page == name]


def operations(page: Path) -> list[Operation]:
    """Rows of all tables whose first column is called `operation`."""
    found, section, columns = [], "", 0
    for line in page.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if line.startswith("#"):
            section = line.lstrip("# ")
        if not cells:
            columns = 0
        elif cells[0] == "operation":
            columns = len(cells)
        elif columns and not cells[0].startswith("---"):
            assert len(cells) == columns, f"{page.name}: {line}"
            names = tuple(name.strip("` ") for name in re.findall(r"`[^`]+`", cells[0]))
            code = [cell.strip("`") for cell in cells[1:-1]]
            found.append(Operation(section, names, code[0] if len(code) == 2 else "", code[-1]))
    return found
