#!/usr/bin/env python3
"""Write docs/compatibility.md: what of the old engine's API and behaviour this package has.

Called by `make docs`; `--check` changes nothing and fails if the file is not what it should be. What can be found out
is: the names and signatures of the installed PySpark and of this package, and whether tests exist. What cannot, such as
the API that only Scala has and what is meant to be the same, is in `behaviours.py`.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import re
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

import pyspark
from behaviours import BEHAVIOURS, REMOVED, SCALA, SINCE, Behaviour
from pyspark import StorageLevel

import dstreams
from dstreams._compatibility import CHANGE, TABLE
from dstreams._compatibility import find as fact_of

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "compatibility.md"
DIFFERENCES = ROOT / "docs" / "differences.md"

PYSPARK = "4.3"
"""The version whose API is listed; another one has other names, so the file can be made with this one only."""
MODULES = ("context", "dstream", "listener", "util", "kinesis")

SUPPORTED, DIFFERS, NOT = "supported", "differs", "not"


class Name(NamedTuple):
    """One public name.

    Attributes
    ----------
    name : str
        As programs write it.
    signature : str
        Parameters with their defaults; empty where it cannot be called.
    status : str
        `SUPPORTED`, `DIFFERS` or `NOT`.
    since : str
        Version of this package that has it first; empty where none has.
    note : str
        What differs, or what there is instead.
    """

    name: str
    signature: str
    status: str
    since: str
    note: str


# ---------------------------------------------------------------------- looking at code


def find(path: str) -> Any:
    """What a dotted path of this package names, or None: of the longest module that can be imported an attribute."""
    parts = path.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:n]))
        except ImportError:
            continue
        for part in parts[n:]:
            found = getattr(found, part, None)
        return found
    return None


def refuses(function: Any) -> bool:
    """Whether a function is there to say that it does nothing: it returns never."""
    called = function if isinstance(function, FunctionType) else vars(type(function)).get("__call__")
    return getattr(called, "__annotations__", {}).get("return") in ("NoReturn", "Never")


def parameters(function: Any) -> list[str]:
    """Parameters of a function or class with their defaults, without types; not `self`."""
    if not callable(function):
        return []
    signature = inspect.signature(function)
    return [_parameter(p) for p in signature.parameters.values() if p.name not in ("self", "cls")]


def _parameter(p: inspect.Parameter) -> str:
    if p.default is p.empty:
        return str(p.replace(annotation=p.empty))  # with its stars
    if isinstance(p.default, FunctionType):  # whose repr has an address, another one each time
        return f"{p.name}={p.default.__name__}"
    text = repr(p.default)
    if isinstance(p.default, StorageLevel):
        text = next((f"StorageLevel.{n}" for n, level in vars(StorageLevel).items() if level == p.default), text)
    return f"{p.name}={text}"


def typed_parameters(signature: str) -> list[str]:
    """The same of a signature that is written down, such as ``(ssc, topics=None)``."""
    function = ast.parse(f"def f{signature}: ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    return [argument.strip() for argument in ast.unparse(function.args).split(",") if argument.strip()]


def names_of(parameters: list[str]) -> list[str]:
    return [parameter.partition("=")[0] for parameter in parameters]


def differing(theirs: list[str], ours: list[str]) -> str:
    """In words, what is different in two lists of parameters."""
    said = []
    if missing := [name for name in names_of(theirs) if name not in names_of(ours)]:
        said.append(f"without {_listed(missing)}")
    if more := [parameter for parameter in ours if parameter.partition("=")[0] not in names_of(theirs)]:
        said.append(f"also takes {_listed(more)}")
    defaults = [p for p in ours if p not in theirs and p.partition("=")[0] in names_of(theirs)]
    if defaults:
        said.append(f"here {_listed(defaults)}")
    return ", ".join(said) or "parameters in another order"


def _listed(items: list[str]) -> str:
    return ", ".join(f"`{item}`" for item in items)


# ---------------------------------------------------------------------- PySpark's API


def public_names(module: str) -> Iterator[tuple[str, Any, str]]:
    """Names that a module of `pyspark.streaming` defines, with what they are and their paths in this package."""
    theirs = importlib.import_module(f"pyspark.streaming.{module}")
    for name, item in vars(theirs).items():
        if name.startswith("_") or getattr(item, "__module__", None) != theirs.__name__:
            continue
        if not isinstance(item, (type, FunctionType)):
            continue  # variables for types
        yield name, item, f"dstreams.{module}.{name}"
        for member in vars(item) if isinstance(item, type) else ():
            if not member.startswith("_"):
                yield f"{name}.{member}", getattr(item, member), f"dstreams.{module}.{name}.{member}"


def compare(name: str, theirs: Any, path: str) -> Name:
    """One name of PySpark and what this package has."""
    # Only contexts and listeners are made by programs.
    called = callable(theirs) and (not isinstance(theirs, type) or name in ("StreamingContext", "StreamingListener"))
    expected = parameters(theirs) if called else []
    signature = f"({', '.join(expected)})" if called else ""
    status, note = exists(path)
    if status == SUPPORTED and called:
        found = parameters(find(path))
        if found != expected:
            status, note = DIFFERS, differing(expected, found)
    fact = TABLE.get(name)
    written = fact.says if fact is not None else ""
    return Name(name, signature, status, since(path) if status != NOT else "", "; ".join(filter(None, (note, written))))


def exists(path: str) -> tuple[str, str]:
    """Whether this package has a name, and a note where it has it and refuses to use it."""
    found = find(path)
    if found is None:
        return NOT, ""
    return (NOT, "refused with an error that says so") if refuses(found) else (SUPPORTED, "")


def since(path: str) -> str:
    """Version of this package that has a name first; the present one where that is not written down."""
    versions = [prefix for prefix in SINCE if path == prefix or path.startswith(prefix + ".")]
    return SINCE[max(versions, key=len)] if versions else dstreams.__version__


def pyspark_names() -> dict[str, list[Name]]:
    """All public names of PySpark by module."""
    return {f"pyspark.streaming.{module}": [compare(*found) for found in public_names(module)] for module in MODULES}


def removed_names() -> dict[str, list[Name]]:
    """Names that PySpark had once."""
    found: dict[str, list[Name]] = {}
    for title, module, names in REMOVED:
        found[title] = []
        for name, signature in names:
            path = f"{module}.{name}"
            status, note = exists(path)
            if status == SUPPORTED:
                expected, ours = typed_parameters(signature), parameters(find(path))
                if names_of(expected) != names_of(ours):
                    status, note = DIFFERS, differing(expected, ours)
            elif not note:
                note = "planned"
            if status != NOT and name in TABLE:
                note = "; ".join(filter(None, (note, TABLE[name].says)))
            found[title].append(Name(name, signature, status, since(path) if status != NOT else "", note))
    return found


def scala_names() -> dict[str, list[Name]]:
    """The API that only Scala and Java have; the signature is the name in this package."""
    found: dict[str, list[Name]] = {}
    for title, rows in SCALA.items():
        found[title] = []
        for name, path, differs, note in rows:
            status = exists(f"dstreams.{path}")[0] if path else NOT
            if status == SUPPORTED and differs:
                status = DIFFERS
            version = since(f"dstreams.{path}") if status != NOT else ""
            found[title].append(Name(name, path if status != NOT else "", status, version, note))
    return found


# ---------------------------------------------------------------------- behaviours


@cache
def _parsed(file: str) -> tuple[set[str], set[str]]:
    """Names of the functions of a test file, and the texts in it."""
    path = ROOT / file
    if not path.is_file():
        return set(), set()
    tree = ast.parse(path.read_text("utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return functions, texts


def split_test(test: str) -> tuple[str, str, str]:
    """File, function and case (or an empty text) of ``file::function[case]``."""
    found = re.fullmatch(r"([^:]+)::(\w+)(?:\[(.+)\])?", test)
    if found is None:
        return test, "", ""
    return found.group(1), found.group(2), found.group(3) or ""


def subjects() -> set[str]:
    """Subjects of docs/differences.md: the first cells of its table."""
    lines = DIFFERENCES.read_text("utf-8").splitlines()
    return {line.split("|")[1].strip() for line in lines if line.startswith("| ")} - {"subject"}


def problems() -> list[str]:
    """What is wrong with the behaviours that are written down; nothing, usually."""
    found = _wrong_verdicts()
    found += [f"{id}: there are {n} of it" for id, n in Counter(row.id for row in BEHAVIOURS).items() if n > 1]
    known = subjects()
    found += [
        f"{fact.name}: docs/differences.md has no row for {fact.see!r}"
        for fact in TABLE.values()
        if fact.see and fact.see not in known
    ]
    for row in BEHAVIOURS:
        if row.see and row.see not in known:
            found.append(f"{row.id}: docs/differences.md has no row for {row.see!r}")
        if (row.status == "same") != (not row.see and not row.note):
            found.append(f"{row.id}: what differs has a row of docs/differences.md or a note, and nothing else has")
        if not row.tests:
            found.append(f"{row.id}: no test")
        for test in row.tests:
            file, function, case = split_test(test)
            functions, texts = _parsed(file)
            if function not in functions or (case and case not in texts):
                found.append(f"{row.id}: there is no test {test}")
    return found


def _wrong_verdicts() -> list[str]:
    """Names of the old engine of which `python -m dstreams check` would say something else than what is here."""
    names = {row.name: row.status for rows in (pyspark_names() | removed_names()).values() for row in rows}
    found = []
    for name, status in names.items():
        owner, _, member = name.rpartition(".")
        fact = fact_of(owner, member) if owner else TABLE.get(name)
        if fact is None:
            found.append(f"{name}: dstreams/_compatibility.py says nothing of it")
        elif (fact.verdict == CHANGE) != (status == NOT):
            found.append(f"{name}: dstreams/_compatibility.py says {fact.verdict!r} of it, and it is {status}")
    return found


# ---------------------------------------------------------------------- the page


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return lines + [f"| {' | '.join(cell(item) for item in row)} |" for row in rows] + [""]


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def name_rows(names: list[Name]) -> list[list[str]]:
    return [[code(row.name + row.signature), row.status, row.since, row.note] for row in names]


def change_rows() -> list[list[str]]:
    return [[code(fact.name), fact.says, fact.instead] for fact in TABLE.values() if fact.verdict == CHANGE]


def behaviour_row(row: Behaviour) -> list[str]:
    status = row.status
    if row.see:
        status += f": [{row.see}](differences.md)"
    if row.note:
        status += f": {row.note}"
    tests = []
    for test in row.tests:
        file, function, case = split_test(test)
        tests.append(f"[{function}{f' ({case})' if case else ''}](../{file})")
    return [row.text, status, "<br>".join(tests)]


def summary(pyspark_api: dict[str, list[Name]]) -> list[str]:
    counts = Counter(name.status for names in pyspark_api.values() for name in names)
    kept = Counter(row.status for row in BEHAVIOURS)
    return [
        f"Of {sum(counts.values())} public names of `pyspark.streaming` {PYSPARK}, {counts[SUPPORTED]} are supported, "
        f"{counts[DIFFERS]} differ in their parameters, and {counts[NOT]} are not there or refuse to work. Of "
        f"{len(BEHAVIOURS)} behaviours of the old engine, {kept['same']} are the same and {kept['differs']} differ.",
        "",
    ]


def page() -> str:
    """The whole file."""
    api = pyspark_names()
    lines = [
        "<!-- Made by tools/compatibility.py (`make docs`): change that, or tools/behaviours.py, not this file. -->",
        "# Compatibility",
        "",
        f"This is dstreams {dstreams.__version__}, against the DStream API that PySpark {PYSPARK} ships (the old "
        "engine). *Since* is the first version of dstreams that has a name. What differs, and why, is explained in "
        "[differences.md](differences.md).",
        "",
        *summary(api),
        "- [Python API](#python-api)",
        "- [What Python had in Spark 1 and 2](#what-python-had-in-spark-1-and-2)",
        "- [What only Scala and Java have](#what-only-scala-and-java-have)",
        "- [What needs a change](#what-needs-a-change)",
        "- [Behaviour](#behaviour)",
        "",
        "## Python API",
        "",
        "Names and signatures as they are found in the two packages. After `dstreams.compat.activate()`, or under "
        "`python -m dstreams`, they are imported from `pyspark.streaming`.",
        "",
    ]
    head = ["name", "status", "since", "note"]
    for module, names in api.items():
        lines += [f"### {module}", "", *table(head, name_rows(names))]
    lines += ["## What Python had in Spark 1 and 2", ""]
    for title, names in removed_names().items():
        lines += [f"### {title}", "", *table(head, name_rows(names))]
    lines += ["## What only Scala and Java have", ""]
    for title, names in scala_names().items():
        rows = [[code(row.name), row.status, code(row.signature), row.since, row.note] for row in names]
        lines += [f"### {title}", "", *table(["in Scala", "status", "in dstreams", "since", "note"], rows)]
    lines += [
        "## What needs a change",
        "",
        "`python -m dstreams check PATH` finds it in programs ([check.md](check.md)), and errors at run time say the "
        "same. A name with an argument in parentheses stands for calls that give it.",
        "",
        *table(["in the program", "why", "instead"], change_rows()),
        "## Behaviour",
        "",
        "What programs can see of the old engine, observed on it, and the tests that fail if it changes here.",
        "",
    ]
    for topic in dict.fromkeys(row.topic for row in BEHAVIOURS):
        rows = [behaviour_row(row) for row in BEHAVIOURS if row.topic == topic]
        lines += [f"### {topic}", "", *table(["behaviour of the old engine", "here", "tests"], rows)]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write docs/compatibility.md.")
    parser.add_argument("--check", action="store_true", help="fail if the file is not up to date, and leave it alone")
    options = parser.parse_args()
    if not pyspark.__version__.startswith(f"{PYSPARK}."):
        sys.exit(f"docs/compatibility.md is about pyspark {PYSPARK}, and this is {pyspark.__version__}")
    if wrong := problems():
        sys.exit("tools/behaviours.py:\n  " + "\n  ".join(wrong))
    text = page()
    if not options.check:
        TARGET.write_text(text, "utf-8")
    elif not TARGET.is_file() or TARGET.read_text("utf-8") != text:
        sys.exit("docs/compatibility.md is not up to date; run `make docs`")


if __name__ == "__main__":
    main()
