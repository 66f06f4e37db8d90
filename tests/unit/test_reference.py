"""docs/reference/conf.md has every setting that the code reads, and docs/reference/messages.md quotes what it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import dstreams
from dstreams._compatibility import TABLE
from dstreams._run.backpressure import ENABLED, backpressure_of
from tests.docs import text_of

PACKAGE = Path(dstreams.__file__).parent
TREES = {path: ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
CONF = text_of("docs/reference/conf.md")
ROWS = dict(re.findall(r"^\| (`[^|]+`) \| ([^|]+) \|", CONF, re.MULTILINE))

# ---------------------------------------------------------------------- settings


def texts(tree: ast.AST) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


NOT_READ = set(re.findall(r"`(spark\.[\w.]+)`", CONF.partition("\nNot read: ")[2].partition("\n\n")[0]))
"""Settings that the code may speak of, and does not read."""
READ = {
    name
    for tree in TREES.values()
    for name in texts(tree)
    if re.fullmatch(r"spark\.streaming\.[A-Za-z.]*[A-Za-z]", name) and ".internal." not in name and name not in NOT_READ
}
VARIABLES = {name for tree in TREES.values() for name in texts(tree) if re.fullmatch(r"DSTREAMS_[A-Z_]+", name)}


def test_every_setting_and_variable_has_a_row() -> None:
    assert len(READ) > 20
    missing = [name for name in sorted(READ | VARIABLES) if f"`{name}`" not in ROWS]
    assert not missing, "docs/reference/conf.md has no row for these"


def test_every_row_is_a_setting() -> None:
    assert NOT_READ
    by_spark = {"spark.streaming.ui.retainedBatches"}  # by the classes of the page, which are Spark's own
    rows = {name.strip("`") for name in ROWS if name.startswith("`spark.streaming.")}
    not_read = {"spark.streaming.concurrentJobs", "spark.streaming.receiver.writeAheadLog.enable"}
    assert rows - READ == by_spark | not_read and not_read <= TABLE.keys()


def defaults() -> dict[str, str]:
    """Defaults as they are in the code: the second argument where a setting is read."""
    found: dict[str, str] = {}
    constants = {
        target.id: node.value.value
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and str(node.value.value).startswith("spark.streaming.")
    }
    for tree in TREES.values():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) == 2):
                continue
            name, default = node.args
            key = name.value if isinstance(name, ast.Constant) else constants.get(getattr(name, "id", ""))
            if key in READ and isinstance(default, ast.Constant) and isinstance(default.value, str):
                found[str(key)] = default.value

    def record(name: str, default: str) -> str:
        found[name] = default
        return "true" if name == ENABLED else default

    backpressure_of(record, 1000)
    found[ENABLED] = "false"
    return found


DEFAULTS = defaults()


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_defaults(name: str) -> None:
    assert ROWS[f"`{name}`"].strip() == f"`{DEFAULTS[name]}`"


def test_defaults_are_found() -> None:
    assert len(DEFAULTS) > 15


# ---------------------------------------------------------------------- messages

QUOTED = re.findall(r"^(?:\* )?\*\*`([^`]+)`\*\*", text_of("docs/reference/messages.md"), re.MULTILINE)


def templates(tree: ast.AST) -> list[str]:
    """Texts of the code, with a mark for what is put into them."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values]
            found.append("".join(parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(re.sub(r"%[sdg]", "…", node.value))
    return found


TEMPLATES = [text for tree in TREES.values() for text in templates(tree)]
TEMPLATES += [f"… {fact.name}: {fact.sentence}." for fact in TABLE.values()]  # put together where they are said


def quotes(message: str, text: str) -> bool:
    """Whether the pieces of a message between its gaps are in a text of the code, in that order."""
    pieces = [re.escape(piece) for piece in re.split(r"\s*…\s*", message) if piece]
    return re.search(".*".join(pieces), text, re.DOTALL) is not None


def said(message: str) -> bool:
    return any(quotes(message, text) for text in TEMPLATES)


@pytest.mark.parametrize("message", QUOTED)
def test_messages(message: str) -> None:
    assert said(message), "no text of the code says this"


def test_messages_are_found() -> None:
    assert len(QUOTED) > 50
    assert not said("a message that … says")


CONSTRUCTORS = [
    node for node in ast.walk(TREES[PACKAGE / "errors.py"]) if isinstance(node, ast.FunctionDef) and node.decorator_list
]


@pytest.mark.parametrize("constructor", CONSTRUCTORS, ids=lambda node: node.name)
def test_every_named_constructor_of_an_error_is_explained(constructor: ast.FunctionDef) -> None:
    text = max(templates(constructor.body[-1]), key=len)
    assert any(quotes(message, text) for message in QUOTED), f"docs/reference/messages.md does not explain {text}"
