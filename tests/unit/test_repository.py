"""What is there for those who carry on: workflows, hooks and templates that can be read, and commands that exist."""

from __future__ import annotations

import re
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").glob("*.md")]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def steps(workflow: Path) -> list[str]:
    jobs = read(workflow)["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def made(command: str) -> list[str]:
    """The targets that a call of make names: not its options, nor its variables."""
    return [word for word in command.split() if re.fullmatch(r"[a-z][a-z-]*", word)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_targets_that_exist(path: Path) -> None:
    called = {target for step in steps(path) for call in re.findall(r"\bmake (.*)", step) for target in made(call)}
    assert called and called <= TARGETS


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pages_name_targets_that_exist(path: Path) -> None:
    commands = re.findall(r"(?:`|^ *\$ )make ([^`#\n]*)", path.read_text(), re.MULTILINE)
    assert {target for command in commands for target in made(command)} <= TARGETS


def test_the_matrix_is_what_the_package_allows() -> None:
    """Each Spark with each Python that runs it is allowed by pyproject.toml, which names no other Python."""
    rows = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["versions"]["strategy"]["matrix"]["include"]
    sparks = [one for one in map(Requirement, PROJECT["dependencies"]) if one.name == "pyspark"]
    for row in rows:
        allowed = [one for one in sparks if one.marker and one.marker.evaluate({"python_version": row["python"]})]
        assert [one.specifier.contains(f"{row['spark']}.0") for one in allowed] == [True], row
    pythons = {name.rpartition(" ")[2] for name in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", name)}
    assert {row["python"] for row in rows} == pythons


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_issue_templates(path: Path) -> None:
    template = read(path)
    if path.name == "config.yml":
        assert template.keys() <= {"blank_issues_enabled", "contact_links"}
        return
    assert template["name"] and template["description"]
    ids = [part["id"] for part in template["body"]]
    assert len(ids) == len(set(ids))
    for part in template["body"]:
        assert part["type"] in {"textarea", "input", "dropdown"}
        assert part["attributes"]["label"]


def test_hooks_are_what_make_dev_installs() -> None:
    installed = {Requirement(one).name for one in chain(*PROJECT["optional-dependencies"].values())}
    hooks = [hook for repo in read(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert hooks
    for hook in hooks:
        program = Path(hook["entry"].split()[0])
        assert program.parent == Path(".venv/bin")
        assert program.name in installed
