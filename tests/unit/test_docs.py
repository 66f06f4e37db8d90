"""What the pages say is there: links lead somewhere, code is code, and commands name what exists.

The rules, for README.md and the other pages of the root, docs/ and examples/:

* a link leads to a file and a heading that exist; one to elsewhere is a well-formed address;
* a block has a language. `python` compiles, and what it takes from this package is there; tests/programs/test_docs.py
  runs it. `console` is read command by command, by COMMANDS. `yaml`, `ini`, `json` and `toml` can be read;
* a command in the running text (`make docs`, `python -m dstreams checkpoint DIR`) follows the same rules.
"""

from __future__ import annotations

import ast
import configparser
import importlib
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from textwrap import dedent
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

import dstreams
from dstreams import compat
from dstreams.testing import StreamTest
from tests.docs import PAGES, PROJECT, Block, anchors, blocks, prose, text_of

# ---------------------------------------------------------------------- links


LINKS = [
    (page, match[1])
    for page in PAGES
    for match in re.finditer(r"\]\(([^)\s]+)(?: \"[^\"]*\")?\)", re.sub(r"`[^`\n]*`", "", prose(page)))
]


@pytest.mark.parametrize(("page", "target"), LINKS)
def test_links(page: str, target: str) -> None:
    if "://" in target:
        address = urlsplit(target)
        assert address.scheme == "https" or address.hostname in ("localhost", "127.0.0.1"), target
        assert "." in address.netloc or address.hostname == "localhost", target
        return
    path, _, fragment = target.partition("#")
    file = (PROJECT / page).parent / path if path else PROJECT / page
    assert file.exists(), f"{page}: there is no {target}"
    assert file.resolve().is_relative_to(PROJECT), f"{page}: {target} is outside the repository"
    if fragment:
        found = anchors(file.resolve().relative_to(PROJECT).as_posix())
        assert fragment in found, f"{page}: {target}; there are {sorted(found)}"


def test_links_are_found() -> None:
    assert len(LINKS) > 100


def test_pages_named_in_the_code_exist() -> None:
    folders = ("src", "tools", "tests", "benchmarks", "docker", "examples")
    named = {
        (path.name, page)
        for folder in folders
        for path in (PROJECT / folder).rglob("*")
        if path.suffix in (".py", ".yaml") or path.name == "Dockerfile"
        for page in re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text("utf-8"))
    }
    assert len(named) > 10
    assert [(file, page) for file, page in named if not (PROJECT / page).exists()] == []


# ---------------------------------------------------------------------- blocks


def test_each_block_has_a_language_with_a_rule() -> None:
    known = {"python", "console", "text", "yaml", "ini", "json", "toml", "mermaid"}
    assert [(str(block), block.language) for block in blocks() if block.language not in known] == []


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python(block: Block) -> None:
    tree = ast.parse(dedent(block.text), str(block))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("dstreams", "pyspark.streaming")):
            module = imported(node.module or "")
            for name in node.names:
                assert hasattr(module, name.name), f"{block}: {node.module} has no {name.name}"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in OBJECTS:
            assert hasattr(OBJECTS[node.value.id], node.attr), f"{block}: {node.value.id} has no {node.attr}"


OBJECTS = {
    "ssc": dstreams.StreamingContext,
    "StreamingContext": dstreams.StreamingContext,
    "StateSpec": dstreams.StateSpec,
    "run": StreamTest,
}


def imported(module: str) -> ModuleType:
    """What a program gets that imports a module under `python -m dstreams`."""
    compat.activate()
    try:
        return importlib.import_module(module)
    finally:
        compat.deactivate()


def test_the_first_program_is_the_example() -> None:
    """The program of README.md is the one that the command after it runs."""
    program = next(block for block in blocks("python") if block.page == "README.md")
    example = [line.strip() for line in (PROJECT / "examples" / "network_wordcount.py").read_text().splitlines()]
    places = [example.index(line) for line in program.text.splitlines()]
    assert places == sorted(places) and len(places) > 5


def test_the_versions_of_readme_are_those_of_the_site() -> None:
    readme, home = (section(text_of(page), "Versions") for page in ("README.md", "docs/index.md"))
    assert readme == home and "| pyspark |" in readme


def section(text: str, title: str) -> str:
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0].strip()


READERS: dict[str, Callable[[str], Any]] = {
    "yaml": lambda text: list(yaml.safe_load_all(text)),
    "json": json.loads,
    "ini": lambda text: configparser.ConfigParser(interpolation=None).read_string(text),
}


@pytest.mark.parametrize("block", blocks(*READERS), ids=str)
def test_data(block: Block) -> None:
    READERS[block.language](block.text)


# ---------------------------------------------------------------------- commands


def of_console(block: Block) -> Iterator[str]:
    """Lines of a block after a prompt, with what continues them; what they print is left out."""
    lines = iter(block.text.splitlines())
    for line in lines:
        if line.startswith("$ "):
            command = line[2:]
            while command.endswith("\\"):
                command = command[:-1] + next(lines)
            yield command


def of_text(page: str) -> Iterator[str]:
    """Commands in the running text that are this project's own."""
    for span in re.findall(r"`([^`]+)`", prose(page)):
        command = " ".join(span.split())
        if re.match(r"make [a-z]|python -m dstreams\b|pytest [a-z]|pip install|python examples/", command):
            yield command


COMMANDS = [(str(block), command) for block in blocks("console") for command in of_console(block)]
COMMANDS += [(page, command) for page in PAGES if page != "CHANGELOG.md" for command in of_text(page)]


@pytest.mark.parametrize(("place", "line"), COMMANDS)
def test_commands(place: str, line: str) -> None:
    for command, *arguments in commands_of(line):
        program = command.rpartition("/")[2]
        assert program in RULES, f"{place}: no rule for {program}; add one here that looks at its arguments"
        RULES[program](arguments)
    for name in re.findall(r"spark\.streaming\.[\w.]+\w", line):
        assert f"`{name}`" in text_of("docs/reference/conf.md"), f"{place}: {name} is no setting"


def commands_of(line: str) -> list[list[str]]:
    """The commands of a line as a shell sees them, without variables, redirections and comments."""
    lexer = shlex.shlex(re.sub(r"\s#\s.*", "", line), posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    found: list[list[str]] = [[]]
    words = iter(lexer)
    for word in words:
        if set(word) <= set("&;|") or word in ("until", "while", "if", "do", "then", "done", "fi"):
            found.append([])
        elif set(word) <= set("<>"):
            next(words)
        elif found[-1] or not re.fullmatch(r"[A-Z_]+=.*", word):
            found[-1].append(word)
    return [words for words in found if words]


@cache
def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", (PROJECT / "Makefile").read_text(), re.MULTILINE))


@cache
def variables() -> set[str]:
    """Variables that the Makefile looks at."""
    text = (PROJECT / "Makefile").read_text()
    return {"PYTHON", "JAVA_HOME", *re.findall(r"\$\(([A-Z_]+)\)", text)}


def make(words: list[str]) -> None:
    for word in words:
        name, is_variable, _ = word.partition("=")
        assert name in (variables() if is_variable else targets()), f"Makefile has no {name}"


@cache
def help_of(command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dstreams", command, "--help"], capture_output=True, text=True, timeout=60,
        env={**os.environ, "COLUMNS": "200"}, cwd=PROJECT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"python -m dstreams {command} --help: {done.stderr}"
    return done.stdout


@cache
def subcommands() -> set[str]:
    """What follows `python -m dstreams` in its usage and is no file."""
    usage = help_of("--help")
    return set(re.findall(r"python -m dstreams ([a-z-]+)\b", usage))


def python(words: list[str]) -> None:
    if words[:3] == ["-m", "dstreams", "--conf"]:
        python(["-m", "dstreams", *words[4:]])
    elif words[:2] == ["-m", "dstreams"]:
        if words[2:] and words[2] in subcommands():
            options = [word.partition("=")[0] for word in words[3:] if word.startswith("--")]
            known = help_of(words[2]) if options else ""
            assert all(re.search(rf"{option}\b", known) for option in options), f"{words}: {known}"
        elif words[2:]:
            program(words[2])
    elif words[0] not in ("-m", "-c"):  # modules of others, and code
        program(words[0])


def program(name: str) -> None:
    """A program that the reader has (app.py), or one of this project."""
    assert name.endswith(".py") or name.isupper(), name
    folder = name.partition("/")[0]
    assert not (PROJECT / folder).is_dir() or (PROJECT / name).exists(), f"there is no {name}"


def pip(words: list[str]) -> None:
    extras = (PROJECT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2]
    for word in words:
        for extra in re.findall(r"\[([\w,]+)\]", word):
            for name in extra.split(","):
                assert re.search(rf"^{name} = \[", extras, re.MULTILINE), f"there is no extra {name}"


def spark_submit(words: list[str]) -> None:
    for word in words:
        if word.endswith("run_dstreams.py"):
            assert (PROJECT / "src" / "run_dstreams.py").exists()


def files(words: list[str]) -> None:
    """Arguments with a folder in them are files of this project."""
    for word in words:
        path = word.partition("::")[0]
        assert "/" not in path or path.startswith("-") or (PROJECT / path).exists(), f"there is no {path}"


def anything(words: list[str]) -> None:
    """A program of others, of which this project has nothing to say."""


OF_OTHERS = [
    ".", "cat", "cd", "cp", "curl", "git", "grep", "kill", "ls", "mkdir", "mv", "nc", "pre-commit", "pyspark", "rm",
    "sed", "sleep", "tail", "touch", "twine", "venv-pack",
]  # fmt: skip
RULES: dict[str, Callable[[list[str]], None]] = {
    "make": make,
    "python": python,
    "python3": python,
    "pip": pip,
    "pytest": files,
    "docker": files,
    "spark-submit": spark_submit,
    **dict.fromkeys(OF_OTHERS, anything),
}


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 40
    assert commands_of("A=1 make run; python a.py > b & C=$!  # d; e") == [["make", "run"], ["python", "a.py"]]
    assert {"checkpoint", "warm-up"} <= subcommands()


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (make, ["no-such-target"]),
        (make, ["parity", "NO_SUCH=1"]),
        (python, ["-m", "dstreams", "checkpoint", "DIR", "--no-such"]),
        (python, ["-m", "dstreams", "no-such-command"]),
        (python, ["examples/no_such.py"]),
        (pip, ["install", "dstreams[nosuch]"]),
        (files, ["examples/test_no_such.py"]),
    ],
)
def test_what_does_not_exist_is_noticed(rule: Callable[[list[str]], None], words: list[str]) -> None:
    with pytest.raises(AssertionError):
        rule(words)


# ---------------------------------------------------------------------- the reference


def test_every_public_name_is_in_the_reference() -> None:
    """A page of the API shows each name that the package and its modules export, or the module as a whole."""
    shown = "\n".join(text_of(page) for page in PAGES if page.startswith("docs/reference/api/"))
    modules = ["dstreams", "dstreams.testing", "dstreams.kafka", "dstreams.kinesis", "dstreams.flume"]
    modules += ["dstreams.receiver", "dstreams.errors", "dstreams.compat"]
    whole = {"dstreams.errors", "dstreams.compat"}
    assert all(f"::: {module}\n" in shown for module in whole)
    names = {(module, name) for module in modules for name in importlib.import_module(module).__all__}
    others = {"__version__", "utf8_decoder"}  # a text; the default of decoders, shown with them
    missing = [(module, name) for module, name in names
               if name not in others and module not in whole and not re.search(rf"[.\[ ,]{name}\b", shown)
               and not (inspect.isclass(vars(dstreams.errors).get(name)))]  # fmt: skip
    assert not missing
