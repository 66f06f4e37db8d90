"""Made-up programs on the engine that PySpark ships and on this one; ``make parity N=200`` makes up more of them.

A program that differs is made as small as it can be, and shown. The seed that pytest prints makes the same ones again.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from pyspark import SparkContext
from pyspark.streaming import StreamingContext as OldStreamingContext

from dstreams import DStream, StreamingContext
from tests.harness import run_table
from tests.parity.generated import BATCHES, INTERVAL, MadeUp, compare, programs
from tests.parity.side_by_side import rows

pytestmark = pytest.mark.parity

NUMBER = os.environ.get("DSTREAMS_PARITY")
MADE_UP = settings(
    max_examples=int(NUMBER or 3),
    derandomize=NUMBER is None,  # always the same ones in `make test`
    database=None,
    deadline=None,
    print_blob=True,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module", autouse=True)
def _directory(spark_context: SparkContext, tmp_path_factory: pytest.TempPathFactory) -> None:
    spark_context.setCheckpointDir(str(tmp_path_factory.mktemp("checkpoint")))


def run(make_context: Any, program: MadeUp) -> list[dict[str, list[Any] | None]]:
    ssc = make_context()
    streams, pulse = program.build(ssc)
    batches = run_table(ssc, streams, pulse, BATCHES, timeout=120)
    return [{name: rows(parts) for name, parts in batch.items()} for batch in batches]


def run_old(sc: SparkContext, program: MadeUp) -> list[dict[str, list[Any] | None]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return run(lambda: OldStreamingContext(sc, INTERVAL), program)


@MADE_UP
@given(program=programs())
def test_made_up_programs(spark_context: SparkContext, program: MadeUp) -> None:
    compare(
        program,
        lambda program: run_old(spark_context, program),
        lambda program: run(lambda: StreamingContext(spark_context, INTERVAL), program),
    )


@pytest.mark.slow
def test_a_wrong_operation_is_found_and_shown(spark_context: SparkContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the real engine; tests/unit/test_generated.py has the same in memory."""
    right = DStream.reduceByKey

    def wrong(self: Any, func: Any, numPartitions: int | None = None) -> Any:
        return right(self, func, numPartitions).mapValues(lambda v: v if v != 3 else 4)

    @settings(MADE_UP, max_examples=60, derandomize=True)
    @given(program=programs({"map", "reduceByKey", "filter"}, {"pair"}))
    def search(program: MadeUp) -> None:
        def broken(program: MadeUp) -> list[dict[str, list[Any] | None]]:
            with monkeypatch.context() as patch:
                patch.setattr(DStream, "reduceByKey", wrong)
                return run(lambda: StreamingContext(spark_context, INTERVAL), program)

        compare(program, lambda program: run(lambda: StreamingContext(spark_context, INTERVAL), program), broken)

    with pytest.raises(AssertionError, match="in the program") as found:
        search()
    assert str(found.value).count("reduceByKey") == 1
