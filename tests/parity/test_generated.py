"""Made-up programs on the engine that PySpark ships and on this one; ``make parity N=200`` makes up more of them.

A program that differs is made as small as it can be, and shown. The seed that pytest prints makes the same ones again.
"""

from __future__ import annotations

import os
from collections import Counter
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark import SparkContext

from dstreams import DStream, StreamingContext
from tests.harness import Collect, collected, run_for, run_table, times
from tests.parity.generated import BATCHES, INTERVAL, MadeUp, compare, programs
from tests.parity.side_by_side import old_context, rows, step_of

pytestmark = pytest.mark.parity

NUMBER = os.environ.get("DSTREAMS_PARITY")
AT_ONCE = 12
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


Result = list[dict[str, Any]]
"""For each batch the records of each output, and what the program has written itself."""
WRITTEN = "written"


def plain(record: Any) -> Any:
    """A record that is equal to that of another run; classes of a program are made anew in each."""
    if type(record) in (list, tuple):
        return type(record)(map(plain, record))
    return repr(record) if isinstance(record, Enum) or type(record).__module__ == "__main__" else record


def run(make_context: Any, program: MadeUp) -> Result:
    return run_together(make_context, [program])[0]


def run_together(make_context: Any, group: list[MadeUp]) -> list[Result]:
    """Results of several programs, which run in one context."""
    ssc = make_context()
    streams: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        databases = [Path(folder, str(number)) for number in range(len(group))]
        for number, program in enumerate(group):
            outputs, pulse = program.build(ssc, databases[number])
            streams.update({f"{number} {name}": stream for name, stream in outputs.items()})
        batches = run_table(ssc, streams, pulse, BATCHES, timeout=240, step=step_of(ssc))
        written = [program.written(database, BATCHES) for program, database in zip(group, databases, strict=True)]
    return [
        [
            {name: looked_at(batch[f"{number} {name}"]) for name in program.outputs}
            | {WRITTEN: Counter({key: count for key, count in written[number].items() if key[0] == at})}
            for at, batch in enumerate(batches)
        ]
        for number, program in enumerate(group)
    ]


def looked_at(parts: Any) -> Any:
    return rows(None if parts is None else [[plain(record) for record in part] for part in parts])


class Enough:
    """Counts programs; when there have been enough, and all were alike on both engines, no more are run."""

    def __init__(self, number: int = int(NUMBER or 3)) -> None:
        self._number = number
        self.compared = 0
        self.differs = False

    def __bool__(self) -> bool:
        return not self.differs and self.compared >= self._number


@pytest.fixture(scope="module")
def enough() -> Enough:
    return Enough()


@pytest.fixture(scope="module")
def enough_restored() -> Enough:
    return Enough(int(NUMBER) // 10 if NUMBER else 2)


@MADE_UP
@given(group=st.lists(programs(), min_size=3 if NUMBER is None else 1, max_size=AT_ONCE if NUMBER else 3))
def test_made_up_programs(spark_context: SparkContext, enough: Enough, group: list[MadeUp]) -> None:
    if enough:
        return
    old = run_together(lambda: old_context(spark_context, INTERVAL), group)
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


@MADE_UP
@given(group=st.lists(programs(changing=False), min_size=1, max_size=AT_ONCE if NUMBER else 2), after=st.integers(1, 4))
def test_made_up_programs_that_are_stopped_and_restored(
    spark_context: SparkContext, enough_restored: Enough, group: list[MadeUp], after: int
) -> None:
    """In the middle, with a checkpoint directory: as if they had not been.

    Not those whose driver changes what functions look at: a restored program has it as it was saved.
    """
    if enough_restored:
        return
    old = run_together(lambda: old_context(spark_context, INTERVAL), group)
    with TemporaryDirectory() as folder:
        found = run_restored(spark_context, group, after, Path(folder))
    try:
        for number, program in enumerate(group):
            for at, batch in enumerate(old[number]):
                for name in program.outputs:
                    expected, new = batch[name], found[at].get(f"{number} {name}")
                    assert expected == new, f"batch {at} of {name}: expected {expected}, found {new} in\n\n{program}\n"
            enough_restored.compared += 1
    except AssertionError:
        enough_restored.differs = True
        raise
    if NUMBER is not None:
        print(f"{enough_restored.compared} made-up programs went on as if they had not been stopped", flush=True)


class CollectPlain(Collect):
    """An output that can be saved."""

    def __call__(self, time: Any, rdd: Any) -> None:
        collected[self.key].append((round(time.timestamp() * 1000), sorted(map(plain, rdd.collect()), key=repr)))


def run_restored(sc: SparkContext, group: list[MadeUp], after: int, folder: Path) -> list[dict[str, Any]]:
    """Records by output of each batch, of programs that are stopped after some, and restored."""
    run = str(folder)

    def setup() -> StreamingContext:
        ssc = StreamingContext(sc, INTERVAL)
        for number, program in enumerate(group):
            outputs, pulse = program.build(ssc, folder / f"{number}.db")
            for name, stream in outputs.items():
                stream.foreachRDD(CollectPlain(f"{run}/{number} {name}"))
        pulse.foreachRDD(CollectPlain(f"{run}/pulse"))
        return ssc

    try:
        run_for(StreamingContext.getOrCreate(str(folder / "checkpoint"), setup), after)
        left = max(BATCHES - len(times(run, "pulse")), 1)
        run_for(StreamingContext.getOrCreate(str(folder / "checkpoint"), lambda: pytest.fail("restored")), left)
        batches: list[dict[str, Any]] = [{} for _ in times(run, "pulse")]
        for key in [key for key in collected if key.startswith(f"{run}/")]:
            for time, records in collected.pop(key) if not key.endswith("/pulse") else ():
                batches[times(run, "pulse").index(time)][key.removeprefix(f"{run}/")] = records
        return batches
    finally:
        for key in [key for key in collected if key.startswith(f"{run}/")]:
            del collected[key]


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
