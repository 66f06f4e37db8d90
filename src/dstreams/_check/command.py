"""``python -m dstreams check PATH...``: what is asked for on the command line, and how the answer is shown."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from dstreams._check.flow import Use, python_2_names, uses_in_text, uses_of
from dstreams._check.sources import Source, files_of, read
from dstreams._compatibility import CHANGE, NOTE, RUNS, TABLE
from dstreams._version import __version__

__all__ = ["Checked", "check", "command"]

_ORDER = (RUNS, NOTE, CHANGE)
_SAID = {RUNS: "runs as it is", NOTE: "runs, with notes", CHANGE: "needs a change"}
_COLOURS = {RUNS: "32", NOTE: "33", CHANGE: "31"}
_WIDTH = 110


@dataclass
class Checked:
    """What becomes of one program.

    Attributes
    ----------
    path : str
        Its file.
    uses : list of Use
        What it uses of the old engine, in the order of its lines; nothing where it uses no DStreams.
    """

    path: str
    uses: list[Use]

    @property
    def verdict(self) -> str:
        """The worst of its uses."""
        return max((use.fact.verdict for use in self.uses), key=_ORDER.index, default=RUNS)


def check(path: str, given: bool = True) -> Checked:
    """Read one file.

    Parameters
    ----------
    path : str
        A program, a notebook, or a text such as a shell script.
    given : bool
        Whether it was named, not found in a folder: then what is Python 2 in it counts though it does not mention
        PySpark.

    Raises
    ------
    OSError, ValueError
        If it cannot be read.
    """
    try:
        source = read(path)
        uses = uses_of(source.blocks, source.text)
    except (RecursionError, MemoryError):
        raise ValueError(f"{path} cannot be read: its expressions are nested too deeply") from None
    for cell, line, text in source.lines:
        uses += uses_in_text(cell, line, text)
    if given or uses or "pyspark" in source.text:
        uses += [*_unparsed(source), *python_2_names(source.blocks)]
    if source.notebook and uses and "compat.activate" not in source.text:
        fact = TABLE["notebook"]
        uses.insert(0, Use(fact, 1, 1, fact.name, fact.instead))
    spark = _spark_version()
    uses = [use._replace(fact=use.fact.at(spark), instead=use.instead.replace("VERSION", spark)) for use in uses]
    unique = dict.fromkeys(uses)  # within a line, in the order of the program
    return Checked(os.path.normpath(path), sorted(unique, key=lambda use: (use.cell or 0, use.line)))


def _unparsed(source: Source) -> Iterable[Use]:
    fact = TABLE["Python 2"]
    for block in source.blocks:
        if block.tree is None:
            yield Use(fact, block.cell, block.line, f"syntax: {block.error}", fact.instead)


@cache
def _spark_version() -> str:
    """Version of the installed PySpark, which is not imported for that."""
    try:
        return version("pyspark")
    except PackageNotFoundError:
        return "VERSION"


def command(arguments: list[str]) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : list of str
        What follows ``check``.

    Returns
    -------
    int
        Exit code: 0 where all programs run, 1 where one needs a change, 2 where something cannot be read.
    """
    parser = argparse.ArgumentParser(
        "python -m dstreams check",
        description="Reads programs without running them, and says what becomes of each use of pyspark.streaming: it "
        "runs; it runs, with something to know; or it needs a change, and which. Needs no Spark and no Java.",
        epilog="Exit code: 0 where all programs run, 1 where one needs a change, 2 where something cannot be read.",
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="a program, a notebook, a folder of them (hidden folders and virtual "
        "environments are left out), or a shell script or file of settings",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="show it as JSON, for programs")
    asked = parser.parse_args(arguments)
    found: dict[str, Checked] = {}
    failed = False
    for path in asked.paths:
        try:
            for file in files_of(path):
                try:
                    checked = check(file, given=file == path)
                    found.setdefault(checked.path, checked)
                except (OSError, ValueError) as error:
                    failed = _complain(file, error)
        except OSError as error:
            failed = _complain(path, error)
    programs = [each for each in found.values() if each.uses]
    if asked.json:
        print(json.dumps(_as_json(programs, len(found) - len(programs)), indent=2))
    elif found:
        print(_as_text(programs, len(found) - len(programs), _colourful()))
    if failed:
        return 2
    return int(any(each.verdict == CHANGE for each in programs))


def _complain(path: str, error: Exception) -> bool:
    reason = f"{path} cannot be read: {error.strerror}" if getattr(error, "strerror", None) else str(error)  # type: ignore[attr-defined]
    print(f"dstreams: check: {reason}", file=sys.stderr)
    return True


# ---------------------------------------------------------------------- as JSON


def _as_json(programs: list[Checked], others: int) -> dict[str, Any]:
    return {
        "dstreams": __version__,
        "programs": [
            {"path": each.path, "verdict": each.verdict, "uses": [_use_as_json(use) for use in each.uses]}
            for each in programs
        ],
        "summary": {verdict: sum(each.verdict == verdict for each in programs) for verdict in _ORDER}
        | {"without DStreams": others},
    }


def _use_as_json(use: Use) -> dict[str, Any]:
    fact = use.fact
    says = fact.says if fact.verdict != RUNS else ""
    see = f"docs/differences.md: {fact.see}" if fact.see else ""
    found = {"name": use.name, "cell": use.cell, "line": use.line, "verdict": fact.verdict}
    return found | {"says": says, "instead": use.instead, "see": see}


# ---------------------------------------------------------------------- for people


def _colourful() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _as_text(programs: list[Checked], others: int, colours: bool) -> str:
    width = min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns)

    def paint(text: str, verdict: str) -> str:
        return f"\x1b[{_COLOURS[verdict]}m{text}\x1b[0m" if colours else text

    lines = []
    for program in programs:
        lines.append(f"{program.path}: {paint(_SAID[program.verdict], program.verdict)}")
        for verdict in _ORDER:
            rows: dict[tuple[str, str], list[Use]] = {}
            for use in program.uses:
                if use.fact.verdict == verdict:
                    rows.setdefault((use.name, use.instead), []).append(use)
            said = [f"{name} ({_places(uses)})" for (name, _), uses in rows.items()]
            if verdict == RUNS and said:
                lines += _wrapped(", ".join(said), width, f"  {paint('runs', RUNS)}    ", 10)
            elif said:
                for head, uses in zip(said, rows.values(), strict=True):
                    lines += _wrapped(head, width, f"  {paint(verdict.ljust(8), verdict)}", 10)
                    fact, instead = uses[0].fact, uses[0].instead
                    for text in (fact.says, f"instead: {instead}" if instead else "",
                                 f"docs/differences.md: {fact.see}" if fact.see else ""):  # fmt: skip
                        lines += _wrapped(text, width, " " * 12, 12) if text else []
        lines.append("")
    lines.append(_summary(programs, others))
    return "\n".join(lines)


def _wrapped(text: str, width: int, first: str, indent: int) -> list[str]:
    wrapped = textwrap.wrap(text, max(40, width - indent), break_long_words=False, break_on_hyphens=False)
    return [(" " * indent if n else first) + line for n, line in enumerate(wrapped)]


def _places(uses: list[Use]) -> str:
    """Lines, or cells and lines, each once."""
    places = dict.fromkeys(f"{use.line}" if use.cell is None else f"cell {use.cell}:{use.line}" for use in uses)
    return ", ".join(places)


def _summary(programs: list[Checked], others: int) -> str:
    counts = {verdict: sum(each.verdict == verdict for each in programs) for verdict in _ORDER}
    said = [
        f"{counts[RUNS]} {'runs as it is' if counts[RUNS] == 1 else 'run as they are'}",
        f"{counts[NOTE]} with notes",
        f"{counts[CHANGE]} {'needs' if counts[CHANGE] == 1 else 'need'} a change",
    ]
    text = f"{_counted(len(programs), 'program')}: " + ", ".join(said) if programs else "No program uses DStreams"
    return text + (f"; {_counted(others, 'file')} without DStreams" if others else "") + "."


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
