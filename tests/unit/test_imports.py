"""What imports what: the layers of the package, and what a process that Spark starts has to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import dstreams

IN_SPARKS_PROCESSES = [
    "_plan.worker", "_plan.rebucket", "_plan.migrate", "_run.nodes", "_sources.dataframe",
    "_sources.decoder", "_sources.files", "_sources.socket", "kafka", "kafka._source", "kinesis", "kinesis._source",
]  # fmt: skip


def run(code: str) -> None:
    """Run it in a fresh interpreter; fails with what that says."""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 0, ended.stderr


def test_sparks_processes_do_not_import_the_drivers_side() -> None:
    modules = ", ".join(f"dstreams.{module}" for module in IN_SPARKS_PROCESSES)
    run(f"import sys, {modules}\nassert not sys.modules.keys() & {{'dstreams.context', 'dstreams.dstream'}}")


def test_names_come_when_they_are_asked_for() -> None:
    run("from dstreams import *; import dstreams; assert set(dstreams.__all__) <= {*globals(), *dir(dstreams)}")
    run("import dstreams; assert issubclass(dstreams.errors.BatchError, dstreams.DStreamError)")
    with pytest.raises(AttributeError, match="module 'dstreams' has no attribute 'x'"):
        dstreams.x  # noqa: B018


def test_imports_point_down_and_make_no_circle() -> None:
    """The layers are in pyproject.toml."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 kept, 0 broken" in ended.stdout
