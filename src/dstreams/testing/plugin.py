"""Fixtures for pytest: ``stream_test`` and ``streaming_context``; they run on pytest-spark's ``spark_context``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyspark import SparkContext

from dstreams import StreamingContext
from dstreams.testing.quick_start import QuickStart
from dstreams.testing.run import StreamTest


def pytest_configure(config: pytest.Config) -> None:
    """Let Spark start faster, from the archive of classes where there is one."""
    quick_start = QuickStart(config)
    config.pluginmanager.register(quick_start, "dstreams-quick-start")
    config.add_cleanup(quick_start.end)


def _spark_context(request: pytest.FixtureRequest) -> SparkContext:
    try:
        return request.getfixturevalue("spark_context")  # type: ignore[no-any-return]
    except pytest.FixtureLookupError:
        raise pytest.UsageError(
            "the fixtures of dstreams need a fixture `spark_context`: pip install 'dstreams[testing]' (it brings "
            "pytest-spark, which has one), or define one in conftest.py"
        ) from None


@pytest.fixture
def stream_test(request: pytest.FixtureRequest) -> Iterator[Callable[..., StreamTest]]:
    """Give a function that starts a program for a test, ``run = stream_test(program)``; see StreamTest."""
    sc = _spark_context(request)
    started: list[StreamTest] = []

    def start(program: Any, **options: Any) -> StreamTest:
        while started:  # one program at a time
            started.pop().close()
        started.append(StreamTest(sc, program, **options))
        return started[-1]

    yield start
    while started:
        started.pop().close()


@pytest.fixture
def streaming_context(request: pytest.FixtureRequest) -> Iterator[StreamingContext]:
    """Give a StreamingContext of one second that is stopped after the test, as ``StreamingContext(sc, 1)``.

    Where all its inputs are queueStreams its batches follow each other at once, with the same times and results.
    """
    ssc = StreamingContext(_spark_context(request), 1)
    ssc._paced = False
    yield ssc
    ssc.stop(stopSparkContext=False)
