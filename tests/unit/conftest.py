"""Tests in this folder run without Spark."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark import SparkContext


@pytest.fixture(autouse=True)
def _no_jvm() -> Iterator[None]:
    """Fail a test that starts a JVM."""
    before = SparkContext._gateway
    yield
    assert SparkContext._gateway is before, "a unit test has started a JVM"
