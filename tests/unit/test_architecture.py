"""docs/architecture.md names files and functions that are there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import dstreams

PACKAGE = Path(dstreams.__file__).parent
TEXT = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()
FILES = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}


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
