"""Made-up programs on the engine that PySpark ships and on this one; ``make parity N=200`` makes up more of them.

A program that differs is made as small as it can be, and shown. The seed that pytest prints makes the same ones again.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark import SparkContext
from pyspark.streaming import StreamingContext as OldStreamingContext

from dstreams import DStream, StreamingContext
from tests.harness import run_table
from tests.parity.generated import BATCHES, INTERVAL, MadeUp, compare, programs
from tests.parity.side_by_side import rows

pytestmark = pytest.mark.parity

NUMBER = os.environ.get("DSTREAMS_PARITY")
AT_ONCE = 8
"""At most so many programs run in one context, since starting one takes as long as several programs."""
MADE_UP = settings(
    max_examples=int(NUMBER or 1),
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


Result = list[dict[str, list[Any] | None]]
"""For each batch the records of each output."""


def run(make_context: Any, program: MadeUp) -> Result:
    return run_together(make_context, [program])[0]


def run_together(make_context: Any, group: list[MadeUp]) -> list[Result]:
    """Results of several programs, which run in one context."""
    ssc = make_context()
    streams: dict[str, Any] = {}
    for number, program in enumerate(group):
        outputs, pulse = program.build(ssc)
        streams.update({f"{number} {name}": stream for name, stream in outputs.items()})
    batches = run_table(ssc, streams, pulse, BATCHES, timeout=240)
    return [
        [{name: rows(batch[f"{number} {name}"]) for name in program.outputs} for batch in batches]
        for number, program in enumerate(group)
    ]


class Enough:
    """Counts programs; when there have been enough, and all were alike on both engines, no more are run."""

    compared = 0
    differs = False

    def __bool__(self) -> bool:
        return not self.differs and self.compared >= int(NUMBER or 3)


@pytest.fixture(scope="module")
def enough() -> Enough:
    return Enough()


@MADE_UP
@given(group=st.lists(programs(), min_size=3 if NUMBER is None else 1, max_size=AT_ONCE if NUMBER else 3))
def test_made_up_programs(spark_context: SparkContext, enough: Enough, group: list[MadeUp]) -> None:
    if enough:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        old = run_together(lambda: OldStreamingContext(spark_context, INTERVAL), group)
    new = run_together(lambda: StreamingContext(spark_context, INTERVAL), group)
    try:
        for program, theirs, ours in zip(group, old, new, strict=True):
            compare(program, lambda _, theirs=theirs: theirs, lambda _, ours=ours: ours)
            enough.compared += 1
    except AssertionError:
        enough.differs = True
        raise
    if NUMBER is not None:
        print(f"{enough.compared} made-up programs gave the same on both engines", flush=True)


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
