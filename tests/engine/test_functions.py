"""Functions, records and RDDs are what they are on the old engine, which pickles each function for every batch."""

from __future__ import annotations

import enum
import threading
from collections import defaultdict, namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from pyspark import cloudpickle

from dstreams import StateSpec
from tests.harness import Output

pytestmark = pytest.mark.engine

BATCHES = 6


class Model:
    """Something that the driver changes between batches, as `pyspark.mllib` does with its streaming models."""

    def __init__(self) -> None:
        self.weight = 1

    def predict(self, value: int) -> int:
        return value * self.weight


@pytest.fixture
def by_value():
    """Let this module's classes and functions travel as those of a script do: whole, and not by their names."""
    import sys

    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def pairs_of(ssc: Any) -> Any:
    return ssc.queueStream([[("k", 1)]] * 50)


def total(new: list[int], old: int | None) -> int:
    return sum(new) + (old or 0)


def of_update(ssc: Any, model: Model) -> Any:
    return (
        pairs_of(ssc)
        .updateStateByKey(lambda new, old: (*(old or ()), sum(map(model.predict, new))))
        .flatMap(lambda kv: kv[1][-1:])
    )


def of_map_with_state(ssc: Any, model: Model) -> Any:
    return pairs_of(ssc).mapWithState(StateSpec.function(lambda key, value, state: model.predict(value or 0)))


# In each of them the function is in another place of a plan.
PROGRAMS = {
    "map": lambda ssc, model: pairs_of(ssc).map(lambda kv: model.predict(kv[1])),
    "map after a shuffle": lambda ssc, model: pairs_of(ssc).reduceByKey(max).map(lambda kv: model.predict(kv[1])),
    "reduce": lambda ssc, model: (
        pairs_of(ssc).flatMap(lambda kv: [kv, kv]).reduceByKey(lambda a, b: model.predict(a)).map(lambda kv: kv[1])
    ),
    "shuffle": lambda ssc, model: (
        pairs_of(ssc)
        .map(lambda kv: (0, 1))
        .partitionBy(2, lambda key: model.weight)
        .mapPartitionsWithIndex(lambda index, rows: [1 for _ in rows])
        .count()
        .map(lambda n: model.predict(n))
    ),
    "before state": lambda ssc, model: (
        pairs_of(ssc).mapValues(model.predict).updateStateByKey(lambda new, old: sum(new)).map(lambda kv: kv[1])
    ),
    "update function": of_update,
    "mapWithState": of_map_with_state,
    "window": lambda ssc, model: pairs_of(ssc).map(lambda kv: model.predict(kv[1])).window(1),
    "after the batch side": lambda ssc, model: (
        pairs_of(ssc)
        .transform(lambda rdd: rdd)
        .updateStateByKey(lambda new, old: model.predict(sum(new)))
        .map(lambda kv: kv[1])
    ),
    "before and after the batch side": lambda ssc, model: (
        pairs_of(ssc)
        .mapValues(model.predict)
        .transform(lambda rdd: rdd)
        .updateStateByKey(lambda new, old: sum(new))
        .map(lambda kv: kv[1])
    ),
    "on the batch side": lambda ssc, model: (
        pairs_of(ssc).transform(lambda rdd: rdd).map(lambda kv: model.predict(kv[1]))
    ),
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_batch_has_functions_as_they_are_when_it_begins(streaming, tmp_path, by_value, program):
    """The output of a batch changes what the next one sees, and not what its own sees."""
    model = Model()
    ssc = streaming()
    ssc.sparkContext.setCheckpointDir(str(tmp_path))
    seen: list[tuple[int, list[int]]] = []
    done = threading.Event()

    def look(rdd: Any) -> None:
        seen.append((model.weight, rdd.collect()))
        model.weight += 1
        if len(seen) == BATCHES:
            done.set()

    program(ssc, model).foreachRDD(look)
    ssc.start()
    assert done.wait(200)
    ssc.stop(stopSparkContext=False)
    assert seen[:BATCHES] == [(weight, [weight]) for weight in range(1, BATCHES + 1)]


def test_what_an_output_changes_its_batch_does_not_see(streaming, by_value):
    model = Model()
    ssc = streaming()
    numbers = ssc.queueStream([[1]] * 20)
    plain, batch_side = numbers.reduce(max).map(model.predict), numbers.transform(lambda rdd: rdd.map(model.predict))

    def change(rdd: Any) -> None:
        model.weight += 1

    numbers.foreachRDD(change)
    first, second = Output(plain), Output(batch_side)
    ssc.start()
    second.wait_for_batches(3)
    ssc.stop(stopSparkContext=False)
    assert first.batches[:3] == second.batches[:3] == [[1], [2], [3]]


def test_broadcast_variables_that_are_bound_anew(streaming, spark_context, by_value, tmp_path):
    """`table.destroy(); table = sc.broadcast(...)`; large functions and small ones; state and none."""
    ssc = streaming()
    ssc.sparkContext.setCheckpointDir(str(tmp_path))
    tables = [spark_context.broadcast({"n": 1})]
    ballast = ["x" * 100_000]

    def look_up(value: int) -> int:
        return value * tables[-1].value["n"] + 0 * len(ballast[0])

    pairs = pairs_of(ssc)
    state = Output(pairs.updateStateByKey(lambda new, old: sum(map(look_up, new))).map(lambda kv: kv[1]))
    plain = Output(pairs.map(lambda kv: look_up(kv[1])))

    def renew(rdd: Any) -> None:
        old = tables[:]
        tables[:] = [spark_context.broadcast({"n": old[0].value["n"] + 1})]
        ballast[0] = ballast[0] if old[0].value["n"] % 2 else "y" * 100_000
        for table in old:
            table.destroy()

    pairs.foreachRDD(renew)
    ssc.start()
    plain.wait_for_batches(BATCHES)
    ssc.stop(stopSparkContext=False)
    assert plain.elements[:BATCHES] == state.elements[:BATCHES] == list(range(1, BATCHES + 1))


def test_functions_of_megabytes(streaming, by_value, tmp_path):
    """PySpark makes a broadcast variable of such a function, and ours are not the only ones in its list."""
    ssc = streaming()
    ssc.sparkContext.setCheckpointDir(str(tmp_path))
    ballast = [bytes(range(256)) * (8 << 10)]
    pairs = ssc.queueStream([[("k", 1)]] * 50)
    size = lambda value: value * len(ballast[0])  # noqa: E731
    plain = Output(pairs.map(lambda kv: size(kv[1])))
    state = Output(pairs.updateStateByKey(lambda new, old: sum(map(size, new))).map(lambda kv: kv[1]))

    def grow(rdd: Any) -> None:
        ballast[0] += b"."

    pairs.foreachRDD(grow)
    ssc.start()
    plain.wait_for_batches(3)
    ssc.stop(stopSparkContext=False)
    assert plain.elements[:3] == state.elements[:3] == [(2 << 20) + n for n in range(3)]


def test_jobs_of_a_programs_own_threads_have_the_functions_of_their_batch(streaming, by_value):
    """An output that runs its jobs in a pool of threads, where nothing is known of the thread that began the batch."""
    model = Model()
    ssc = streaming()
    seen: list[list[int]] = []
    done = threading.Event()

    def look(rdd: Any) -> None:
        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(rdd.map(lambda value, n=n: value * n).sum) for n in (1, 10)]
            seen.append([job.result() for job in jobs])
        model.weight += 1
        if len(seen) == 3:
            done.set()

    pairs_of(ssc).map(lambda kv: model.predict(kv[1])).foreachRDD(look)
    ssc.start()
    assert done.wait(200)
    ssc.stop(stopSparkContext=False)
    assert seen[:3] == [[1, 10], [2, 20], [3, 30]]


def test_a_function_that_cannot_be_pickled_any_more_fails_its_batch(streaming, by_value):
    """Without state and a checkpoint directory the next batches go on, as on the old engine."""
    model = Model()
    ssc = streaming()
    numbers = ssc.queueStream([[1]], default=[1])
    seen: list[int] = []
    more = threading.Event()

    def look(rdd: Any) -> None:
        seen.extend(rdd.collect())
        if len(seen) == 2:
            model.lock = threading.Lock()  # type: ignore[attr-defined]
        elif len(seen) > 2:
            more.set()

    numbers.map(model.predict).foreachRDD(look)
    ssc.start()
    with pytest.raises(TypeError, match=r"map at test_functions.py.*cannot be pickled"):
        ssc.awaitTermination(200)
    model.lock = None  # type: ignore[attr-defined]
    assert more.wait(200)
    ssc.stop(stopSparkContext=False)


# ---------------------------------------------------------------------- records

Reading = namedtuple("Reading", "sensor value")


@dataclass(frozen=True)
class User:
    name: str


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Session:
    def __init__(self) -> None:
        self.events: list[str] = []

    def add(self, events: list[str]) -> Session:
        self.events += events
        return self


def local_class(n: int) -> Any:
    class Local:
        value = n

    return Local()


def counted(new: list[str], old: Any) -> Any:
    counts = defaultdict(lambda: 0) if old is None else old
    for word in new:
        counts[word] += 1
    return counts


RECORDS: dict[str, tuple[Any, list[Any]]] = {
    "namedtuples": (
        lambda ssc: ssc.queueStream([["a"]]).map(lambda s: Reading(s, 1)).map(lambda r: (r.sensor, r.value)),
        [("a", 1)],
    ),
    "dataclasses as keys": (
        lambda ssc: (
            ssc.queueStream([["ann", "ann"]])
            .map(lambda n: (User(n), 1))
            .reduceByKey(lambda a, b: a + b)
            .map(lambda kv: (kv[0].name, kv[1]))
        ),
        [("ann", 2)],
    ),
    "enums through a shuffle": (
        lambda ssc: (
            ssc.queueStream([["r"]])
            .map(lambda c: (1, Colour.RED))
            .groupByKey()
            .map(lambda kv: [colour.name for colour in kv[1]])
        ),
        [["RED"]],
    ),
    "instances in a queue": (lambda ssc: ssc.queueStream([[Reading("a", 1)]]).map(lambda r: r.value), [1]),
    "instances in an RDD of a queue": (
        lambda ssc: ssc.queueStream([ssc.sparkContext.parallelize([Reading("a", 1)])]).map(lambda r: r.value),
        [1],
    ),
    "an instance as state": (
        lambda ssc: (
            ssc.queueStream([[("s", "e")]])
            .updateStateByKey(lambda new, old: (old or Session()).add(new))
            .mapValues(lambda session: session.events)
        ),
        [("s", ["e"])],
    ),
    "a defaultdict with a lambda as state": (
        lambda ssc: ssc.queueStream([[("k", "a"), ("k", "a")]]).updateStateByKey(counted).mapValues(dict),
        [("k", {"a": 2})],
    ),
    "an instance in a window": (
        lambda ssc: ssc.queueStream([["a"]]).map(lambda s: Reading(s, 1)).window(2).map(lambda r: r.value),
        [1],
    ),
    "dict views": (lambda ssc: ssc.queueStream([[{"a": 1}]]).map(lambda d: d.keys()).map(list), [["a"]]),
    "lambdas": (
        lambda ssc: (
            ssc.queueStream([[2]])
            .map(lambda n: ("f", lambda x: x * n))
            .reduceByKey(lambda a, b: a)
            .map(lambda kv: kv[1](5))
        ),
        [10],
    ),
    "instances of a local class": (
        lambda ssc: (
            ssc.queueStream([[7]])
            .map(lambda n: (1, local_class(n)))
            .reduceByKey(lambda a, b: a)
            .map(lambda kv: kv[1].value)
        ),
        [7],
    ),
}


@pytest.mark.parametrize(("program", "expected"), RECORDS.values(), ids=RECORDS)
def test_records_keys_and_states_are_what_cloudpickle_takes(streaming, tmp_path, by_value, program, expected):
    ssc = streaming()
    ssc.sparkContext.setCheckpointDir(str(tmp_path))
    out = Output(program(ssc))
    ssc.start()
    out.wait_for_batches(1)
    ssc.stop(stopSparkContext=False)
    assert out.batches[0] == expected


# ---------------------------------------------------------------------- RDDs


def test_lookup_in_an_output_needs_no_hash_seed(streaming, monkeypatch):
    """The RDD of a batch has no partitioner: `lookup` looks at all partitions, and asks no hash in the driver."""
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    ssc = streaming()
    counts = ssc.queueStream([[("a", 1), ("b", 2), ("a", 3)]]).reduceByKey(lambda a, b: a + b)
    found: list[Any] = []
    counts.foreachRDD(lambda rdd: found.append((rdd.partitioner, rdd.lookup("a"))))
    changed = Output(counts.transform(lambda rdd: rdd.context.parallelize(rdd.lookup("b"))))
    ssc.start()
    changed.wait_for_batches(1)
    ssc.stop(stopSparkContext=False)
    assert found[0] == (None, [4])
    assert changed.batches[0] == [2]


# ---------------------------------------------------------------------- workers


def test_stages_of_the_plan_and_of_the_batch_side_share_their_workers(streaming, spark_context, tmp_path):
    """One daemon for all stages, whose imports the collector does not see; the context gets its environment back."""

    def where(_: Any) -> tuple[int, bool]:
        import gc
        import os

        return os.getppid(), gc.get_freeze_count() > 0

    before = dict(spark_context.environment)
    ssc = streaming()
    spark_context.setCheckpointDir(str(tmp_path))
    pairs = ssc.queueStream([[("k", 1)]] * 20)
    outputs = [
        Output(pairs.map(where)),
        Output(pairs.transform(lambda rdd: rdd.map(where))),
        Output(pairs.updateStateByKey(lambda new, old: where(new)).map(lambda kv: kv[1])),
    ]
    ssc.start()
    for output in outputs:
        output.wait_for_batches(2)
    ssc.stop(stopSparkContext=False)
    assert len({daemon for output in outputs for daemon, _ in output.elements}) == 1
    assert all(frozen for output in outputs for _, frozen in output.elements)
    assert spark_context.environment == before
