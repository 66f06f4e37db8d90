"""State and windows in running programs: mapWithState, several readers, outputs that look at a part, and mistakes."""

from __future__ import annotations

import pickle
import re
import threading
from operator import add, sub
from pathlib import Path

import pytest

from dstreams import State, StateSpec
from dstreams.errors import DStreamStateError, DStreamTypeError, DStreamValueError
from tests.harness import run_batches

pytestmark = pytest.mark.engine

PAIRS = [[("a", 1), ("b", 1)], [("a", 2)], [], [("c", 5)]]


def values(rdd):
    return sorted(rdd.collect(), key=repr)


def total(new, old):
    return sum(new) + (old or 0)


@pytest.fixture
def stateful(streaming, tmp_path):
    ssc = streaming()
    ssc.checkpoint(str(tmp_path / "checkpoint"))
    return ssc


def test_map_with_state(stateful):
    """One call per record, results in order, snapshots of all keys, a last call for an idle key."""

    def track(key: str, value: int | None, state: State[int]):
        if state.isTimingOut():
            return key, "idle", state.get()
        state.update((state.getOption() or 0) + value)
        return key, value, state.get()

    spec = StateSpec.function(track).initialState([("z", 100), ("a", 50)]).numPartitions(3).timeout(2)
    stream = stateful.queueStream([[("a", 1), ("a", 2), ("b", 3)], [("a", 4)], [], [("b", 5)], [], []]).mapWithState(
        spec
    )
    snapshots = stream.stateSnapshots()
    rows = run_batches(stateful, {"results": stream, "states": snapshots}, 6, of=values)
    assert [row["results"] for row in rows] == [
        [("a", 1, 51), ("a", 2, 53), ("b", 3, 3)],
        [("a", 4, 57)],
        [],
        [("b", 5, 8), ("z", "idle", 100)],
        [("a", "idle", 57)],
        [],
    ]
    assert [row["states"] for row in rows] == [
        [("a", 53), ("b", 3), ("z", 100)],
        [("a", 57), ("b", 3), ("z", 100)],
        [("a", 57), ("b", 3), ("z", 100)],
        [("a", 57), ("b", 8)],
        [("b", 8)],
        [("b", 8)],
    ]


def test_map_with_state_that_gets_the_time(stateful):
    """None is no result in the shape with the time, and a result in the other."""
    times = []

    def every_other(time, key, value, state):
        state.update(not state.getOption())
        return (key, time) if state.get() else None

    pairs = stateful.queueStream([[("a", 1)], [("a", 2)], [("a", 3)]])
    timed = pairs.mapWithState(StateSpec.function(every_other))
    plain = pairs.mapWithState(StateSpec.function(lambda key, value, state: None))
    pairs.foreachRDD(lambda time, rdd: times.append(time))
    rows = run_batches(stateful, {"timed": timed, "plain": plain}, 3, of=values)
    assert [row["timed"] for row in rows] == [[("a", times[0])], [], [("a", times[2])]]
    assert [row["plain"] for row in rows] == [[None], [None], [None]]


def test_map_with_state_refuses_what_it_cannot_call(stateful):
    pairs = stateful.queueStream(PAIRS)
    with pytest.raises(DStreamTypeError, match=r"must take \(key, value, state\) or \(time, key, value, state\)"):
        pairs.mapWithState(StateSpec.function(lambda key, value: None))
    with pytest.raises(DStreamTypeError, match=r"expected StateSpec\.function"):
        pairs.mapWithState(lambda key, value, state: None)
    with pytest.raises(DStreamValueError, match="Number of partitions must be positive"):
        StateSpec.function(total).numPartitions(0)


def test_what_state_and_output_read_is_computed_once(stateful):
    calls = stateful.sparkContext.accumulator(0)

    def pair(word):
        calls.add(1)
        return word, 1

    pairs = stateful.queueStream([["a", "b", "a"], ["b"]]).map(pair)
    both = {
        "pairs": pairs,
        "counts": pairs.reduceByKey(add),
        "totals": pairs.updateStateByKey(total),
        "window": pairs.window(2),
    }
    rows = run_batches(stateful, both, 2, of=values)
    assert [row["pairs"] for row in rows] == [[("a", 1), ("a", 1), ("b", 1)], [("b", 1)]]
    assert [row["counts"] for row in rows] == [[("a", 2), ("b", 1)], [("b", 1)]]
    assert [row["totals"] for row in rows] == [[("a", 2), ("b", 1)], [("a", 2), ("b", 2)]]
    assert [row["window"] for row in rows] == [[("a", 1), ("a", 1), ("b", 1)], [("a", 1), ("a", 1), ("b", 1), ("b", 1)]]
    assert calls.value == 4


def test_state_that_several_read_is_computed_once(stateful):
    calls = stateful.sparkContext.accumulator(0)

    def update(new, old):
        calls.add(1)
        return total(new, old)

    state = stateful.queueStream(PAIRS).updateStateByKey(update)
    big = state.filter(lambda kv: kv[1] > 1)
    rows = run_batches(
        stateful, {"state": state, "big": big, "sum": state.map(lambda kv: kv[1]).reduce(add)}, 3, of=values
    )
    assert [row["sum"] for row in rows] == [[2], [4], [4]]
    assert [row["big"] for row in rows] == [[], [("a", 3)], [("a", 3)]]
    assert calls.value == 6


def test_outputs_that_look_at_a_part(stateful, capsys):
    """Spark asks that a stateful operator runs in every partition; an output need not look at any."""
    state = stateful.queueStream([[(n, 1) for n in range(100)]] * 3).updateStateByKey(total)
    state.pprint(1)
    state.foreachRDD(lambda rdd: None)
    state.foreachRDD(lambda rdd: rdd.take(1))
    last = run_batches(stateful, state.window(2).count(), 3)
    assert last == [[100], [200], [200]]


def test_partitions_follow_the_program(stateful):
    """Not Spark SQL's 200; and the user's own session keeps its settings."""
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate()
    before = spark.conf.get("spark.sql.shuffle.partitions"), spark.conf.get("spark.sql.adaptive.enabled")
    pairs = stateful.queueStream(PAIRS)
    named = {"default": pairs.updateStateByKey(total), "five": pairs.updateStateByKey(total, 5)}
    rows = run_batches(stateful, named, 2, of=lambda rdd: rdd.getNumPartitions())
    assert rows == [{"default": 2, "five": 5}] * 2
    assert (spark.conf.get("spark.sql.shuffle.partitions"), spark.conf.get("spark.sql.adaptive.enabled")) == before


def test_the_state_can_be_read_with_spark(stateful, tmp_path):
    from pyspark.sql import SparkSession

    run_batches(stateful, stateful.queueStream(PAIRS[:2]).updateStateByKey(total), 2)
    spark = SparkSession.builder.getOrCreate()
    reader = spark.read.format("statestore").option("stateVarName", "state")
    rows = reader.load(str(tmp_path / "checkpoint")).collect()
    state = {}
    for row in sorted(rows, key=lambda row: row.user_map_key.slot):
        if row.user_map_key.slot >= 0:  # the others are manifests
            put, _ = pickle.loads(bytes(row.user_map_value.data))
            state.update(put)
    assert state == {"a": 3, "b": 1}


# ---------------------------------------------------------------------- what can go wrong


def test_no_checkpoint_directory(streaming):
    text = (
        "requirement failed: The checkpoint directory has not been set. Please set it by StreamingContext.checkpoint()."
    )
    for define in (
        lambda s: s.updateStateByKey(total),
        lambda s: s.countByWindow(2, 1),
        lambda s: s.reduceByKeyAndWindow(add, sub, 2),
        lambda s: s.mapWithState(StateSpec.function(lambda k, v, s: None)),
    ):
        ssc = streaming()
        define(ssc.queueStream(PAIRS)).pprint()
        with without_checkpoint_dir(ssc), pytest.raises(DStreamStateError) as caught:
            ssc.start()
        assert str(caught.value) == text
        with pytest.raises(DStreamStateError, match="already been stopped"):
            ssc.start()


class without_checkpoint_dir:
    """Hides the directory that other tests have set for the shared SparkContext."""

    def __init__(self, ssc) -> None:
        self._scala = ssc.sparkContext._jsc.sc()
        self._none = ssc.sparkContext._jvm.scala.Option.empty()

    def __enter__(self) -> None:
        self._before = self._scala.checkpointDir()
        getattr(self._scala, "checkpointDir_$eq")(self._none)

    def __exit__(self, *_: object) -> None:
        getattr(self._scala, "checkpointDir_$eq")(self._before)


def test_windows_without_inverse_need_no_directory(streaming):
    ssc = streaming()
    window = ssc.queueStream([[1], [2], [3]]).window(2)
    with without_checkpoint_dir(ssc):
        assert run_batches(ssc, window, 3, of=values) == [[1], [1, 2], [2, 3]]


def test_window_lengths(streaming):
    stream = streaming(0.5).queueStream([[1]])
    parent = r"must be multiple of the parent dstream's slide \(batch\) duration \(500 ms\)"
    with pytest.raises(DStreamValueError, match="windowDuration " + parent):
        stream.window(0.7)
    with pytest.raises(DStreamValueError, match="slideDuration " + parent):
        stream.window(1, 0.7)
    slow = stream.map(lambda n: (n, n)).window(1, 1)
    with pytest.raises(DStreamValueError, match=r"windowDuration must be multiple of .* \(1000 ms\)"):
        slow.reduceByKeyAndWindow(add, None, 1.5)
    with pytest.raises(DStreamValueError, match="at least one millisecond"):
        stream.window(0)


def test_directory_that_cannot_be_written(streaming, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DStreamValueError, match=r"checkpoint: cannot write to the directory .*file/below"):
        streaming().checkpoint(str(tmp_path / "file" / "below"))
    with pytest.raises(DStreamTypeError, match="directory must be a str"):
        streaming().checkpoint(3)
    assert (tmp_path / "file").read_text() == "in the way"


def raises_on(bad):
    def update(new, old):
        if bad in new:
            raise ValueError("this value is bad")
        return total(new, old)

    return update


def failure_of(ssc, stream, batches=6):
    """Run until the program fails; the results before, and the error."""
    seen = []
    stream.foreachRDD(lambda rdd: seen.append(values(rdd)))
    ssc.start()
    with pytest.raises(Exception) as caught:
        ssc.awaitTermination(200)
    query = ssc._query
    ssc.stop(stopSparkContext=False)
    assert query.finished
    return seen, caught.value


def test_update_function_that_raises(stateful, tmp_path):
    """The batch is not committed, and nothing follows it; the error names the key, the operation and the line."""
    state = stateful.queueStream([[("a", 1)], [("k'y", 13), ("a", 1)], [("a", 1)]]).updateStateByKey(raises_on(13))
    seen, error = failure_of(stateful, state)
    assert seen == [[("a", 1)]]
    assert isinstance(error, ValueError)
    assert "this value is bad" in str(error) and "updateStateByKey at test_state.py:" in str(error)
    assert '''the key "k'y"''' in str(error)
    assert 'raise ValueError("this value is bad")' in str(error.__cause__)
    commits = {path.name for path in Path(tmp_path / "checkpoint" / "commits").iterdir() if path.name.isdigit()}
    assert commits == {"0"}


class Unpicklable:
    def __reduce__(self):
        raise TypeError("cannot be sent")


@pytest.mark.parametrize(
    ("batch", "operation", "message"),
    [
        ([(["list"], 1)], lambda s: s.updateStateByKey(total), "unhashable type: 'list'"),
        ([("a", 1)], lambda s: s.updateStateByKey(lambda new, old: Unpicklable()), "cannot be pickled"),
        ([("a", 1)], lambda s: s.updateStateByKey(lambda new, old: threading.Lock()), "cannot be pickled"),
        ([5], lambda s: s.updateStateByKey(total), r"needs \(key, value\) pairs, but got the record 5"),
        ([5], lambda s: s.reduceByKeyAndWindow(add, sub, 2), "cannot unpack non-iterable int"),
        ([("a", "x")], lambda s: s.reduceByKeyAndWindow(add, sub, 5).map(lambda kv: kv[1] + 1), "str"),
    ],
    ids=["key", "state", "lock", "no pair", "no pair in a window", "after the window"],
)
def test_bad_records(stateful, batch, operation, message):
    _, error = failure_of(stateful, operation(stateful.queueStream([batch])))
    assert not isinstance(error, AssertionError)
    assert re.search(message, f"{error} {error.__cause__}"), error
    assert "\tat org.apache" not in str(error)


@pytest.mark.parametrize("before", [lambda s: s, lambda s: s.transform(lambda rdd: rdd)], ids=["plan", "exchange"])
def test_function_that_cannot_be_sent_to_workers(streaming, tmp_path, before):
    """Of a program that is not saved: its directory is one of the SparkContext's."""
    ssc = streaming()
    sc = ssc.sparkContext
    sc.setCheckpointDir(str(tmp_path))
    stream = before(ssc.queueStream(PAIRS))
    stream.updateStateByKey(lambda new, old: sc.defaultParallelism).pprint()
    with pytest.raises(
        DStreamTypeError, match=r"updateStateByKey at test_state\.py:\d+: the function cannot be pickled"
    ):
        ssc.start()


def test_output_that_fails_leaves_the_batch_uncommitted(stateful, tmp_path):
    def fail(rdd):
        raise RuntimeError("the database is away")

    stateful.queueStream(PAIRS).updateStateByKey(total).foreachRDD(fail)
    stateful.start()
    with pytest.raises(RuntimeError, match="the database is away"):
        stateful.awaitTermination(200)
    stateful.stop(stopSparkContext=False)
    assert not [path for path in Path(tmp_path / "checkpoint" / "commits").iterdir() if path.name.isdigit()]


def test_inverse_that_does_not_invert(stateful):
    """Wrong values, as on the old engine, but the program runs."""
    stream = stateful.queueStream([[("a", 1)], [("a", 1)]]).reduceByKeyAndWindow(add, lambda value, old: value * 2, 5)
    rows = run_batches(stateful, stream, 7, of=values)
    assert rows == [[("a", 1)], *[[("a", 2)]] * 4, [("a", 4)], [("a", 8)]]
