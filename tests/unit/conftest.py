"""Tests in this folder run without Spark."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark import SparkContext


@pytest.fixture(autouse=True)
def _no_jvm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that starts a JVM."""
    # Spark sets it for its workers; PySpark's hash function insists on it.
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    before = SparkContext._gateway
    yield
    assert SparkContext._gateway is before, "a unit test has started a JVM"
