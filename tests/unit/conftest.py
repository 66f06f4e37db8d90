"""Tests in this folder run without Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from pyspark import SparkContext, cloudpickle

from dstreams._sources.receiver import ReceiverReader, Wiring
from dstreams._sources.write_ahead import LocalFolder
from tests.unit.receivers import Status


@pytest.fixture(autouse=True)
def _no_jvm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that starts a JVM."""
    # Spark sets it for its workers; PySpark's hash function insists on it.
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    before = SparkContext._gateway
    yield
    assert SparkContext._gateway is before, "a unit test has started a JVM"


@pytest.fixture
def run() -> Iterator[Callable[..., tuple[ReceiverReader, Status]]]:
    """Give a function that starts the receiver of a source; it ends with the test."""
    opened: list[ReceiverReader] = []

    def start(source: Any, log: Path | None = None) -> tuple[ReceiverReader, Status]:
        status = Status()
        folder = None if log is None else LocalFolder(str(log))
        reader = cloudpickle.loads(cloudpickle.dumps(source)).reader(
            Wiring(cast(Any, status), 2, folder, settings=source._settings)
        )
        reader.open()
        opened.append(reader)
        return reader, status

    yield start
    for reader in opened:
        reader.stop()
        assert not reader._thread.is_alive()
