"""What a process imports with the package: the first batch waits for each process that Spark starts."""

from __future__ import annotations

import subprocess
import sys

import pytest

import dstreams

IN_SPARKS_PROCESSES = [
    "_plan.flow", "_plan.operator", "_plan.rebucket", "_plan.take_over", "_run.nodes", "_sources.dataframe",
    "_sources.decoder", "_sources.files", "_sources.kafka", "_sources.kinesis", "_sources.socket",
]  # fmt: skip


def run(code: str) -> None:
    """Run it in a fresh interpreter; fails with what that says."""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 0, ended.stderr


def test_sparks_processes_do_not_import_the_drivers_side() -> None:
    modules = ", ".join(f"dstreams.{module}" for module in IN_SPARKS_PROCESSES)
    run(f"import sys, {modules}\nassert 'dstreams.context' not in sys.modules")


def test_names_come_when_they_are_asked_for() -> None:
    run("from dstreams import *; import dstreams; assert set(dstreams.__all__) <= {*globals(), *dir(dstreams)}")
    run("import dstreams; assert issubclass(dstreams.errors.BatchError, dstreams.DStreamError)")
    with pytest.raises(AttributeError, match="module 'dstreams' has no attribute 'x'"):
        dstreams.x  # noqa: B018
