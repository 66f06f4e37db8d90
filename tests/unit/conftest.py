"""Tests in this folder run without Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from pyspark import SparkContext, cloudpickle

from dstreams._sources.receiver import ReceiverReader, ReceiverSource
from dstreams._sources.start import Start
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

    def start(source: ReceiverSource, log: Path | None = None) -> tuple[ReceiverReader, Status]:
        status = Status()
        begin = Start(report=status.report)
        if log is not None:  # a program with a checkpoint directory is saved there, and restored
            begin = replace(begin, log=lambda: LocalFolder(str(log)))
            source = cloudpickle.loads(cloudpickle.dumps(source))
        reader = source.reader(begin, cast(Any, None))
        opened.append(reader)
        reader.open()
        return reader, status

    yield start
    for reader in opened:
        reader.stop()
        assert reader._thread is None or not reader._thread.is_alive()
