"""What all tests share: one SparkContext, and contexts that are stopped whatever happens."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from random import Random, SystemRandom

# Before Spark starts: PySpark's workers would otherwise run with the first python3 on the path.
os.environ["PYSPARK_PYTHON"] = sys.executable
os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable

import pytest
from pyspark import SparkContext
from pytest_spark.config import SparkConfigBuilder

from dstreams import StreamingContext
from tests.kafka_broker import CONNECTOR, Broker

OLD_ENGINE = importlib.util.find_spec("pyspark.streaming") is not None
"""Whether PySpark still has it: see OLD_ENGINE=no in the Makefile."""
# PySpark's own streaming models import it too.
collect_ignore = [] if OLD_ENGINE else ["parity", "engine/test_models.py"]

SETTINGS = {
    # Programs that read queues only run as fast as they can, with exactly the same results.
    "spark.streaming.dstreams.paced": "false",
    "spark.sql.ui.retainedExecutions": "2",
    "spark.ui.retainedJobs": "10",
    "spark.ui.retainedStages": "10",
    "spark.sql.streaming.numRecentProgressUpdates": "2",
    "spark.log.level": "ERROR",
    "spark.ui.showConsoleProgress": "false",
}


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Add to ``spark_options``; pytest-spark has read those by now."""
    # What a shell starts in the background ignores it, and so would the programs that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    conf = SparkConfigBuilder.get()
    for key, value in SETTINGS.items():
        conf.set(key, value)
    conf.set("spark.jars", ",".join(map(str, CONNECTOR.glob("*.jar"))))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about the old engine where there is none."""
    about = [item for item in items if not OLD_ENGINE and item.get_closest_marker("old_engine")]
    if about:
        config.hook.pytest_deselected(items=about)
        items[:] = [item for item in items if item not in about]


@pytest.fixture
def streaming(spark_context: SparkContext) -> Iterator[Callable[..., StreamingContext]]:
    """Give a function that makes StreamingContexts (of one second); each is stopped when the test ends."""
    made: list[StreamingContext] = []

    def make(batchDuration: float = 1) -> StreamingContext:
        made.append(StreamingContext(spark_context, batchDuration))
        return made[-1]

    yield make
    for context in made:
        context.stop(stopSparkContext=False)


@pytest.fixture(scope="session", autouse=True)
def _load() -> Iterator[None]:
    """With ``DSTREAMS_LOAD=2 make test`` two processes keep the machine busy: some tests may depend on its speed."""
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(int(os.environ.get("DSTREAMS_LOAD", "0")))
    ]
    yield
    for process in busy:
        process.kill()
        process.wait()


@pytest.fixture(autouse=True)
def _nothing_left_running() -> Iterator[None]:
    """Fail a test that leaves its StreamingContext running."""
    yield
    left = StreamingContext.getActive()
    if left is not None:
        left.stop(stopSparkContext=False)
    assert left is None, "the test left a StreamingContext running"


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Give a Kafka broker that all tests share; each makes topics of its own."""
    with Broker(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture
def rng() -> Random:
    """Give a source of randomness; a failure shows its seed, to repeat the test with."""
    seed = int(os.environ.get("DSTREAMS_KILL_SEED") or SystemRandom().randrange(10**6))
    print(f"DSTREAMS_KILL_SEED={seed}")
    return Random(seed)
