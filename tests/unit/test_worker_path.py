"""What the hook of the worker processes does: see src/dstreams/_spark/worker_path."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import MagicMock

import pytest

import dstreams._spark
from dstreams._run.workers import prepare_workers
from dstreams._spark.workers import leave_workers

HOOK = Path(dstreams._spark.__file__).parent / "worker_path"


def stderr_of(code: str, *arguments: str) -> str:
    """What a process with the hook prints."""
    environment = {**os.environ, "PYTHONPATH": str(HOOK)}
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, stderr=subprocess.PIPE, text=True, timeout=60
    )
    return ended.stderr


def test_a_signal_to_the_drivers_group_is_not_for_its_workers() -> None:
    code = "import os, sys; print(os.getpgid(0) == os.getpid(), file=sys.stderr)"
    assert stderr_of(code, "pyspark.one_of_its_workers").strip() == "True"
    assert stderr_of(code).strip() == "False", "other processes stay in the group that they are in"


@pytest.mark.old_engine
def test_the_names_of_old_connectors_are_found_in_a_worker() -> None:
    """A module of the program that imports one at its top is imported in a worker too."""
    code = """if True:
        import sys
        import pyspark.streaming.kafka, dstreams.kafka
        from pyspark.streaming.flume import FlumeUtils
        assert pyspark.streaming.kafka.KafkaUtils is dstreams.kafka.KafkaUtils
        assert FlumeUtils.__module__ == "dstreams.flume.streams"
        assert "dstreams" not in pyspark.streaming.__file__, "what PySpark has stays as it is"
        try:
            import pyspark.streaming.absent
        except ModuleNotFoundError:
            print("fine", file=sys.stderr)
    """
    assert stderr_of(code).strip() == "fine"


@pytest.mark.parametrize("own", [{}, {"PYTHONPATH": "/own"}])
def test_the_environment_of_workers(monkeypatch: pytest.MonkeyPatch, own: dict[str, str]) -> None:
    """They find what the driver finds (``--py-files``), and the context gets back what it had."""
    monkeypatch.setenv("PYTHONPATH", "/py-files.zip")
    sc = MagicMock(environment={"A": "1", **own})
    sc._jsc.sc().conf().getSizeAsBytes = lambda key, default: {"128m": 128 << 20}[default]
    first, second = MagicMock(), MagicMock()
    for user in (first, second, first):
        prepare_workers(sc, user)
    prepared = sc.environment
    assert prepared["PYTHONPATH"].split(os.pathsep)[1:] == [*own.values(), "/py-files.zip"]
    assert prepared["DSTREAMS_STATE_CACHE"] == str(128 << 20)
    for _ in range(2):
        leave_workers(sc, first)
        assert sc.environment == prepared, "another program uses them"
    for _ in range(2):
        leave_workers(sc, second)
        assert sc.environment == {"A": "1", **own}
