"""New code over old state: what is kept, what begins with nothing, and what is refused before anything is touched."""

from __future__ import annotations

from collections.abc import Callable
from operator import add, sub
from pathlib import Path
from typing import Any

import pytest
from pyspark import SparkContext

from dstreams import DStream, StreamingContext
from dstreams.errors import CheckpointError, UpgradeError
from tests.harness import attach, collected, files_below, run_for, times

pytestmark = pytest.mark.recovery

QUEUE = [[("a", 1), ("b", 1)]] * 40


def total(new, old):
    return sum(new) + (old or 0)


def doubled(new, old):
    return 2 * sum(new) + (old or 0)


class Versions:
    """Versions of a program on one directory.

    Parameters
    ----------
    sc : SparkContext
        Where they run.
    directory : Path
        Their checkpoint directory.
    """

    def __init__(self, sc: SparkContext, directory: Path) -> None:
        self.sc = sc
        self.directory = directory
        self.run = directory.name

    def context(
        self, define: Callable[[DStream[Any]], dict[str, DStream[Any]]], interval: float = 1, **options: Any
    ) -> StreamingContext:
        def setup() -> StreamingContext:
            ssc = StreamingContext(self.sc, interval)
            attach(define(ssc.queueStream(QUEUE)), self.run)
            return ssc

        return StreamingContext.getOrCreate(str(self.directory), setup, **options)

    def start(self, define: Callable[[DStream[Any]], dict[str, DStream[Any]]], **options: Any) -> None:
        """Run a version for at least two batches; by default one that takes over from another."""
        run_for(self.context(define, **{"upgrade": True, **options}), 2)

    def refused(self, define: Callable[[DStream[Any]], dict[str, DStream[Any]]], **options: Any) -> str:
        """What is said of a version that does not fit; nothing has been touched."""
        before = files_below(self.directory)
        ssc = self.context(define, **{"upgrade": True, **options})
        with pytest.raises(UpgradeError) as caught:
            ssc.start()
        ssc.stop(stopSparkContext=False)
        assert files_below(self.directory) == before, "something was touched"
        return str(caught.value)

    def outputs(self, name: str) -> dict[int, list[Any]]:
        """Records by number of the batch since the very first, which began at time 1."""
        first = min(time for key in collected if key.startswith(f"{self.run}/") for time, _ in collected[key])
        return {(time - first) // 1000 + 1: records for time, records in collected[f"{self.run}/{name}"]}


@pytest.fixture
def versions(spark_context, tmp_path, request):
    directory = tmp_path / request.node.name
    yield Versions(spark_context, directory)


def test_changed_function_added_output_and_added_state(versions):
    """The update function changes, a stateless operation comes in between, an output and two states are new."""
    versions.start(lambda pairs: {"state": pairs.updateStateByKey(total)}, upgrade=None)
    n = max(versions.outputs("state"))
    assert versions.outputs("state")[n] == [("a", n), ("b", n)]

    def second(pairs: DStream[Any]) -> dict[str, DStream[Any]]:
        only_a = pairs.filter(lambda pair: pair[0] == "a").updateStateByKey(doubled)
        return {
            "count": pairs.count(),  # before, so that the numbers of everything change
            "state": only_a,
            "window": pairs.reduceByKeyAndWindow(add, sub, 5),
            "later": only_a.mapValues(lambda value: 1).updateStateByKey(total, initialRDD=[("z", 7)]),
        }

    versions.start(second)
    assert versions.outputs("state")[n + 1] == [("a", n + 2), ("b", n)], "the kept state, by the new function"
    assert versions.outputs("count")[n + 1] == [2]
    assert versions.outputs("window")[n + 1] == [("a", 1), ("b", 1)], "begins with nothing"
    assert versions.outputs("later")[n + 1] == [("a", 1), ("b", 1), ("z", 7)], "begins with what it is given"
    m = max(versions.outputs("state"))
    versions.start(second)  # once more with the same code: nothing changes, and initialRDD is not taken again
    assert versions.outputs("state")[m + 1] == [("a", n + 2 * (m + 1 - n)), ("b", n)]
    assert versions.outputs("later")[m + 1] == [("a", m + 1 - n), ("b", m + 1 - n), ("z", 7)]
    assert versions.outputs("window")[m + 1] == [("a", min(5, m + 1 - n)), ("b", min(5, m + 1 - n))]
    assert set(versions.outputs("state")) == set(range(1, max(versions.outputs("state")) + 1)), "no batch is missing"


def test_removed_state_and_state_that_moves_behind_the_batch_side(versions):
    """One operation goes, the other is now computed from what a transform function gives."""

    def first(pairs: DStream[Any]) -> dict[str, DStream[Any]]:
        return {
            "window": pairs.reduceByKeyAndWindow(add, sub, 6),
            "gone": pairs.window(2),
            "state": pairs.updateStateByKey(total),
        }

    def second(pairs: DStream[Any]) -> dict[str, DStream[Any]]:
        return {
            "window": pairs.reduceByKeyAndWindow(add, sub, 6),
            "state": pairs.transform(lambda rdd: rdd.mapValues(lambda v: 10 * v)).updateStateByKey(total),
        }

    versions.start(first, upgrade=None)
    n = max(versions.outputs("state"))
    versions.start(second)
    assert versions.outputs("state")[n + 1] == [("a", n + 10), ("b", n + 10)]
    assert versions.outputs("window")[n + 1] == [("a", min(6, n + 1)), ("b", min(6, n + 1))]
    assert max(versions.outputs("gone")) == n
    m = max(versions.outputs("state"))
    versions.start(first)  # and back
    assert versions.outputs("state")[m + 1] == [("a", n + 10 * (m - n) + 1), ("b", n + 10 * (m - n) + 1)]
    assert versions.outputs("window")[m + 1] == [("a", min(6, m + 1)), ("b", min(6, m + 1))]
    assert versions.outputs("gone")[m + 1] == [("a", 1), ("b", 1)], "begins with nothing: it had been given up"


def test_a_renamed_operation_is_refused_then_fixed_with_named(versions):
    versions.start(lambda pairs: {"state": pairs.updateStateByKey(total).named("orders")}, upgrade=None)
    n = max(versions.outputs("state"))
    text = versions.refused(lambda pairs: {"state": pairs.updateStateByKey(total)})
    assert "'orders' has state in the directory" in text and ".named('orders')" in text
    versions.start(lambda pairs: {"state": pairs.map(lambda pair: pair).updateStateByKey(doubled).named("orders")})
    assert versions.outputs("state")[n + 1] == [("a", n + 2), ("b", n + 2)]


def by_length(key):
    return len(key)


def test_another_number_of_partitions(versions):
    """State is spread anew where Spark's hash has spread it, and refused where the program's own function has."""

    def in_partitions(number: int) -> Callable[[DStream[Any]], dict[str, DStream[Any]]]:
        return lambda pairs: {"state": pairs.updateStateByKey(total, numPartitions=number).named("orders")}

    def spread_by_length(number: int) -> Callable[[DStream[Any]], dict[str, DStream[Any]]]:
        return lambda pairs: {"state": pairs.partitionBy(number, by_length).window(5).named("last")}

    versions.start(in_partitions(2), upgrade=None)
    n = max(versions.outputs("state"))
    versions.start(in_partitions(5))
    assert versions.outputs("state")[n + 1] == [("a", n + 1), ("b", n + 1)]
    versions.start(spread_by_length(2))
    text = versions.refused(spread_by_length(3))
    assert "'last' has its state in 2 partitions, spread by the program's own by_length" in text
    assert "numPartitions=2" in text


@pytest.mark.slow
def test_a_stateless_program_gets_state_and_loses_it_again(versions):
    versions.start(lambda pairs: {"input": pairs}, upgrade=None)
    n = max(versions.outputs("input"))
    versions.start(lambda pairs: {"input": pairs, "state": pairs.updateStateByKey(total)})
    assert versions.outputs("state")[n + 1] == [("a", 1), ("b", 1)]
    m = max(versions.outputs("input"))
    versions.start(lambda pairs: {"count": pairs.count()})
    assert set(versions.outputs("input")) | set(versions.outputs("count")) >= set(range(1, m + 2))


def test_a_changed_batch_interval(versions):
    """State goes on, windows shrink and grow with what they have, batch times stay on the new grid and in order."""

    def define(pairs: DStream[Any]) -> dict[str, DStream[Any]]:
        return {"state": pairs.updateStateByKey(total), "window": pairs.reduceByKeyAndWindow(add, sub, 30)}

    versions.start(define, upgrade=None)
    done = times(versions.run, "state")
    n = len(done)
    versions.start(define, interval=3)
    after = [time for time in times(versions.run, "state") if time > done[-1]]
    assert after[0] - done[-1] <= 3000
    assert all(time % 3000 == 0 for time in after), "on the grid of the new interval"
    last = dict(collected[f"{versions.run}/state"])
    assert last[after[0]] == [("a", n + 1), ("b", n + 1)]
    windows = dict(collected[f"{versions.run}/window"])
    assert windows[after[0]] == [("a", n + 1), ("b", n + 1)]


@pytest.mark.slow
def test_by_conf_and_without(versions, spark_context):
    """``spark.streaming.dstreams.upgrade=true`` is the same; without it the saved program runs, whatever the code."""
    versions.start(lambda pairs: {"state": pairs.updateStateByKey(total)}, upgrade=None)
    n = max(versions.outputs("state"))
    versions.start(lambda pairs: {"state": pairs.updateStateByKey(doubled)}, upgrade=None)
    m = max(versions.outputs("state"))
    assert versions.outputs("state")[m] == [("a", m), ("b", m)], "changes of the code take no effect"
    spark_context._conf.set("spark.streaming.dstreams.upgrade", "true")
    try:
        versions.start(lambda pairs: {"state": pairs.updateStateByKey(doubled)}, upgrade=None)
    finally:
        spark_context._conf.set("spark.streaming.dstreams.upgrade", "false")
    assert n < m
    assert versions.outputs("state")[m + 1] == [("a", m + 2), ("b", m + 2)]


class FailsOnce:
    """An output that fails in its first batch."""

    def __call__(self, rdd: Any) -> None:
        if not BROKEN:
            BROKEN.append(1)
            raise RuntimeError("not yet")


BROKEN: list[int] = []


@pytest.mark.slow
def test_before_anything_was_committed(versions, spark_context):
    """The very first batch is pending: it is run again, by the new program, with its time and its records."""

    def first(pairs: DStream[Any]) -> dict[str, DStream[Any]]:
        state = pairs.updateStateByKey(total, initialRDD=[("z", 7)])
        state.foreachRDD(FailsOnce())
        return {"state": state}

    def second(pairs: DStream[Any]) -> dict[str, DStream[Any]]:
        return {
            "count": pairs.count(),
            "state": pairs.updateStateByKey(total, initialRDD=[("z", 7)]),
            "exchange": pairs.transform(lambda rdd: rdd).window(2),
        }

    BROKEN.clear()
    ssc = versions.context(first)
    ssc.start()
    with pytest.raises(RuntimeError, match="not yet"):
        ssc.awaitTermination(200)
    ssc.stop(stopSparkContext=False)
    versions.start(second)
    versions.start(second, upgrade=None)
    states = versions.outputs("state")
    assert states == {n: [("a", n), ("b", n), ("z", 7)] for n in range(1, max(states) + 1)}
    assert versions.outputs("count")[1] == [2]
    assert versions.outputs("exchange")[1] == [("a", 1), ("b", 1)]


def test_an_upgrade_that_is_interrupted_has_not_taken_place(versions, monkeypatch):
    """The program dies when all is prepared: the old one goes on, and a second upgrade does it all again."""
    from dstreams._spark.files import Files

    versions.start(lambda pairs: {"state": pairs.updateStateByKey(total)}, upgrade=None)

    def second(pairs: DStream[Any]) -> dict[str, DStream[Any]]:
        return {"count": pairs.count(), "window": pairs.window(2), "state": pairs.updateStateByKey(total)}

    write = Files.write

    def dies(self: Files, name: str, data: bytes) -> None:
        if name == "_dstreams/current":
            raise KeyboardInterrupt("the machine loses power")
        write(self, name, data)

    monkeypatch.setattr(Files, "write", dies)
    ssc = versions.context(second, upgrade=True)
    with pytest.raises(KeyboardInterrupt):
        ssc.start()
    ssc.stop(stopSparkContext=False)
    monkeypatch.undo()
    versions.start(second, upgrade=None)
    n = max(versions.outputs("state"))
    assert "count" not in {key.rpartition("/")[2] for key in collected if key.startswith(f"{versions.run}/")}
    versions.start(second)
    assert versions.outputs("state") == {i: [("a", i), ("b", i)] for i in range(1, max(versions.outputs("state")) + 1)}
    assert versions.outputs("count")[n + 1] == [2]
    assert [path.name for path in versions.directory.glob("_dstreams/run-*")] == ["run-2"]


@pytest.mark.slow
def test_upgrades_one_after_the_other(versions):
    """The run before the last one that has done something is kept, and no other."""

    def version(n: int) -> Callable[[DStream[Any]], dict[str, DStream[Any]]]:
        return lambda pairs: (
            {"state": pairs.updateStateByKey(total)} | {f"window {i}": pairs.window(i + 2) for i in range(n)}
        )

    def kept() -> tuple[list[str], bool]:
        runs = sorted(path.name for path in versions.directory.glob("_dstreams/run-*"))
        return runs, (versions.directory / "offsets").exists()

    versions.start(version(0))
    assert kept() == ([], True)
    versions.start(version(1))
    assert kept() == (["run-2"], True)

    def broken(n: int) -> Callable[[DStream[Any]], dict[str, DStream[Any]]]:
        return lambda pairs: version(n)(pairs) | {"broken": pairs.map(lambda pair: pair[2])}

    for n in (2, 3):  # upgrades that commit nothing: what the first of them has replaced stays
        ssc = versions.context(broken(n), upgrade=True)
        ssc.start()
        with pytest.raises(IndexError):
            ssc.awaitTermination(200)
        ssc.stop(stopSparkContext=False)
        runs, first_is_there = kept()
        assert len(runs) == 2 and "run-2" in runs and not first_is_there
    versions.start(version(4))
    assert len(kept()[0]) == 2 and "run-2" in kept()[0]
    versions.start(version(5))
    assert len(kept()[0]) == 2 and "run-2" not in kept()[0]
    states = versions.outputs("state")
    assert states == {i: [("a", i), ("b", i)] for i in range(1, max(states) + 1)}


@pytest.mark.parametrize(
    "names",
    [("/tmp/ipykernel_12/3866700947.py", "/tmp/ipykernel_34/201812482.py"), ("<ipython-input-2-e2f>", "<stdin>")],
)
def test_a_cell_of_a_notebook_is_the_same_program_after_an_edit(names, spark_context, tmp_path):
    """Its code is in files that are named by what is in them, or by their number."""
    ran: list[str] = []
    for name in names:
        cell: dict[str, Any] = {"StreamingContext": StreamingContext, "sc": spark_context, "total": total}
        code = """
def create():
    ssc = StreamingContext(sc, 1)
    ssc.queueStream([[("a", 1)]] * 50).updateStateByKey(total).foreachRDD(lambda rdd: None)
    return ssc
"""
        exec(compile(code, name, "exec"), cell)
        ssc = StreamingContext.getOrCreate(str(tmp_path / "checkpoint"), cell["create"])
        ran.append(ssc._script)
        run_for(ssc, 1)
    assert ran == ["", ""]


@pytest.mark.slow
def test_another_program_is_refused_and_taken_over_when_asked(versions, spark_context, tmp_path):
    versions.start(lambda pairs: {"state": pairs.updateStateByKey(total)}, upgrade=None)
    other: dict[str, Any] = {"StreamingContext": StreamingContext, "sc": spark_context, "total": total,
                             "attach": attach, "QUEUE": QUEUE, "run": versions.run}  # fmt: skip
    code = """
def setup():
    ssc = StreamingContext(sc, 1)
    attach({"other": ssc.queueStream(QUEUE).updateStateByKey(total)}, run)
    return ssc
"""
    exec(compile(code, "/jobs/other_job.py", "exec"), other)
    before = files_below(versions.directory)
    with pytest.raises(CheckpointError, match=r"belongs to another program, test_upgrade.py .* this is other_job.py"):
        StreamingContext.getOrCreate(str(versions.directory), other["setup"])
    assert files_below(versions.directory) == before
    n = max(versions.outputs("state"))
    run_for(StreamingContext.getOrCreate(str(versions.directory), other["setup"], upgrade=True), 1)
    assert versions.outputs("other")[n + 1] == [("a", n + 1), ("b", n + 1)]
