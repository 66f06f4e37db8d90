"""The pipe of programs with state, run in memory: what Spark should make of its stages."""

from __future__ import annotations

import operator
import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from dstreams._plan.chunks import Chunks
from dstreams._plan.pipe import Pipe
from dstreams._plan.stages import KEEP, Shuffle, Stateful, ancestors, has_state
from dstreams._plan.steps.map_state import MapState
from dstreams._plan.steps.reduced_window import ReducedWindow
from dstreams._plan.steps.update import Update
from dstreams._plan.steps.window import Window
from dstreams._plan.streaming_rdd import StreamingRDD
from dstreams._plan.worker import PASS, Deliver, Flow, Line, Send, StepCall, follow
from dstreams._spark.rdd import portable_hash
from tests.unit.simulation import Cluster, Fed, Program

# PySpark's merge sort looks there for the memory in use.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch, workers=2)


def total(news: list[int], old: int | None) -> int:
    return sum(news) + (old or 0)


def totals() -> Update:
    return Update(total, 1)


def flat(parts: list[list[Any]]) -> list[Any]:
    return sorted(record for part in parts for record in part)


def sent(flow: Flow, part: int = 0) -> list[Line]:
    """Rows that come of the numbers 0 to 5, keyed, in one partition."""
    addresses = {PASS: [90, 91, 92, 93], 4: [40, 41, 42, 43], 5: [50, 51, 52, 53]}
    return list(follow(flow, ((n, n) for n in range(6)), part, addresses, lambda call, records: Chunks.of(["step"])))


def contents(line: Line) -> list[Any]:
    return list(Chunks([line.chunk]))


# ---------------------------------------------------------------------- one flow


def test_records_are_sent_to_the_partitions_of_an_exchange() -> None:
    lines = sent(Flow(None, [Send(4, 3, lambda key: key + 1, kind=7)]), part=2)
    assert [(line[:4], contents(line)) for line in lines] == [
        ((4, 40, 0, 7), [(2, 2), (5, 5)]),
        ((4, 41, 1, 7), [(0, 0), (3, 3)]),
        ((4, 42, 2, 7), [(1, 1), (4, 4)]),
    ]


def test_records_are_dealt_out_where_there_is_no_route() -> None:
    lines = sent(Flow(None, [Send(4, 4, None)]))
    assert [(line.part, len(contents(line))) for line in lines] == [(0, 2), (1, 2), (2, 1), (3, 1)]


@pytest.mark.parametrize(("part", "to"), [(0, 0), (1, 1), (2, 0), (3, 1)])
def test_records_that_stay_together_stay_in_their_order(part: int, to: int) -> None:
    (line,) = sent(Flow(lambda records: (k for k, _ in records), [Send(5, 2, KEEP)]), part)
    assert (line[:4], contents(line)) == ((5, 50 + to, to, 0), [0, 1, 2, 3, 4, 5])


def test_what_is_delivered_follows_a_mark() -> None:
    lines = sent(Flow(lambda records: [sum(v for _, v in records)], [Deliver(0)]), part=3)
    assert [line[:4] for line in lines] == [(-1, 93, 3, -1), (-1, 93, 3, 0)]
    assert contents(lines[1]) == [15]
    assert sent(Flow(lambda records: [], [Deliver(8)])) == [Line(-1, 90, 0, -9, b"")], "also of an empty partition"


def test_readers_get_records_of_their_own() -> None:
    def greedy(records: Iterable[Any]) -> Iterable[Any]:
        for record in records:
            yield len(record)
            record.append("changed")

    def wrapped(records: Iterable[Any]) -> Iterable[Any]:
        return ([k] for k, _ in records)

    calls: list[int] = []

    def once(records: Iterable[Any]) -> Iterable[Any]:
        calls.append(1)
        return wrapped(records)

    flow = Flow(once, [Flow(greedy, [Deliver(1)]), Flow(greedy, [Deliver(2)]), Deliver(3)])
    found = {line.kind: contents(line) for line in sent(flow) if line.kind >= 0}
    assert found == {1: [1] * 6, 2: [1] * 6, 3: [[n] for n in range(6)]}
    assert calls == [1]


def test_a_step_is_run_by_who_has_its_state() -> None:
    found = sent(Flow(StepCall(0, totals()), [Flow(lambda records: [*records, "after"], [Deliver(1)])]))
    assert contents(found[1]) == ["step", "after"]


# ---------------------------------------------------------------------- levels


def test_state_is_one_exchange(cluster: Cluster) -> None:
    source = Fed()
    program = Program(cluster, source.rdd().map(lambda x: (x, 1)).by_key(totals(), 2))
    assert cluster.stages == ["source", "state"]
    assert program.pipe.partitions == 2
    assert flat(program.run(1, {source: [["a", "b"], ["a"]]})[0]) == [("a", 2), ("b", 1)]
    assert flat(program.run(2, {source: [["a"]]})[0]) == [("a", 3), ("b", 1)]
    assert flat(program.run(3, {source: []})[0]) == [("a", 3), ("b", 1)], "the tick alone makes the batch"


@pytest.mark.parametrize(
    ("build", "stages"),
    [
        (lambda rdd: rdd.reduceByKey(operator.add, 2).by_key(totals(), 2), ["state"]),
        (lambda rdd: rdd.reduceByKey(operator.add, 3).by_key(totals(), 2), ["shuffle", "state"]),
        (lambda rdd: rdd.reduceByKey(operator.add, 2).map(lambda kv: kv).by_key(totals(), 2), ["shuffle", "state"]),
        (lambda rdd: rdd.partitionBy(2).mapValues(lambda v: v).by_key(totals(), 2), ["state"]),
        (lambda rdd: rdd.by_key(totals(), 2).by_key(totals(), 2), ["state"]),
        (lambda rdd: rdd.by_key(totals(), 2).mapValues(str).groupByKey(2), ["state"]),
        (lambda rdd: rdd.by_key(totals(), 2).reduceByKey(operator.add, 1), ["state", "shuffle"]),
        (lambda rdd: rdd.by_key(totals(), 2).map(lambda kv: (1, kv[1])).by_key(totals(), 1), ["state", "state"]),
        (lambda rdd: rdd.in_place(Window(2, 1, 1)), ["state"]),
        (lambda rdd: rdd.in_place(Window(2, 1, 1)).in_place(Window(2, 1, 1)), ["state"]),
        (lambda rdd: rdd.by_key(totals(), 2).in_place(Window(2, 1, 1)), ["state"]),
        (lambda rdd: rdd.in_place(Window(2, 1, 1)).by_key(totals(), 2), ["state", "state"]),
        (lambda rdd: rdd.reduceByKey(max, 2).in_place(Window(2, 1, 1)).reduceByKey(max, 2), ["state"]),
        (lambda rdd: rdd.by_key(totals(), 2).join(rdd.by_key(totals(), 2), 2), ["state", "shuffle"]),
        (lambda rdd: rdd.by_key(totals(), 2).union(rdd).in_place(Window(2, 1, 1)), ["state", "state"]),
        (lambda rdd: rdd.partitionBy(3, len).by_key(totals(), 3), ["shuffle", "state"]),
    ],
)  # fmt: skip
def test_levels(cluster: Cluster, build: Callable[[StreamingRDD], StreamingRDD], stages: list[str]) -> None:
    Program(cluster, build(Fed().rdd()))
    assert cluster.stages == ["source", *stages]


def test_exchanges_that_do_not_need_each_other_share_a_level(cluster: Cluster) -> None:
    left, right, third = Fed(), Fed(), Fed()
    totals_of = [source.rdd().by_key(totals(), n) for n, source in enumerate((left, right), 2)]
    counted = third.rdd().reduceByKey(operator.add, 1)
    joined = totals_of[0].join(totals_of[1], 3)
    program = Program(cluster, joined, counted, totals_of[0])
    assert cluster.stages == ["source", "source", "source", "state", "shuffle"]
    assert program.pipe.partitions == 3
    for now in (1, 2):
        inputs = {left: [[("a", 1), ("b", 1)]], right: [[("a", 2)], [("c", 2)]], third: [[("x", 1), ("x", 2)]]}
        both, counts, lefts = program.run(now, inputs)
        assert flat(both) == [("a", (now, 2 * now))]
        assert counts == [[("x", 3)]]
        assert flat(lefts) == [("a", now), ("b", now)]
        assert [len(both), len(counts), len(lefts)] == [3, 1, 2], "each in as many partitions as it has"


def test_all_partitions_are_told_of_also_without_a_record(cluster: Cluster) -> None:
    source = Fed()
    state = source.rdd().by_key(totals(), 2)
    grouped = state.groupByKey(3).map(lambda kv: kv)
    program = Program(cluster, state, grouped)
    assert program.run(1, {source: []}) == [[[], []], [[], [], []]]


def test_a_partition_of_every_source_partition_counts_but_none_without_data(cluster: Cluster) -> None:
    source = Fed()
    counts = source.rdd().mapPartitions(lambda records: [("n", sum(1 for _ in records))])
    program = Program(cluster, counts, counts.by_key(totals(), 2))
    delivered, state = program.run(1, {source: [["x", "y"], [], ["z"]]})
    assert flat(delivered) == [("n", 0), ("n", 1), ("n", 2)]
    assert flat(state) == [("n", 3)]
    delivered, state = program.run(2, {source: []})
    assert (delivered, flat(state)) == ([], [("n", 3)])


# ---------------------------------------------------------------------- programs


def test_state_after_state(cluster: Cluster) -> None:
    source = Fed()
    words = source.rdd().map(lambda word: (word, 1)).by_key(totals(), 3)
    sizes = words.map(lambda kv: (kv[1], kv[0])).by_key(Update(lambda news, old: sorted(news), 1), 2)
    program = Program(cluster, sizes)
    assert cluster.stages == ["source", "state", "state"]
    assert flat(program.run(1, {source: [["a", "b"], ["a"]]})[0]) == [(1, ["b"]), (2, ["a"])]
    assert flat(program.run(2, {source: [["b", "c"]]})[0]) == [(1, ["c"]), (2, ["a", "b"])]
    assert flat(program.run(3, {source: [["c"]]})[0]) == [(1, []), (2, ["a", "b", "c"])]


def test_two_steps_behind_one_exchange_each_have_their_state(cluster: Cluster) -> None:
    source = Fed()
    keyed = source.rdd().partitionBy(2)
    largest = Update(lambda news, old: max([*news, old or 0]), 1)
    program = Program(cluster, keyed.by_key(totals(), 2), keyed.by_key(largest, 2), keyed)
    assert cluster.stages == ["source", "state"]
    program.run(1, {source: [[("a", 1), ("a", 5)]]})
    sums, maxima, plain = program.run(2, {source: [[("a", 2)], [("b", 3)]]})
    assert (flat(sums), flat(maxima), flat(plain)) == ([("a", 8), ("b", 3)], [("a", 5), ("b", 3)], [("a", 2), ("b", 3)])


def test_keys_are_in_the_partition_that_the_hash_says(cluster: Cluster) -> None:
    source = Fed()
    program = Program(cluster, source.rdd().by_key(totals(), 3))
    keys = ["a", "b", None, 5, ("t", 1), 2.5, b"x"]
    (parts,) = program.run(1, {source: [[(key, 1) for key in keys]]})
    for number, part in enumerate(parts):
        assert all(portable_hash(key) % 3 == number for key, _ in part)
    assert sum(map(len, parts)) == len(keys)


def test_a_union_of_state_and_source(cluster: Cluster) -> None:
    source = Fed()
    pairs = source.rdd()
    both = pairs.by_key(totals(), 2).union(pairs)
    program = Program(cluster, both, both.map(lambda kv: kv).reduceByKey(operator.add, 2))
    assert cluster.stages == ["source", "state", "shuffle"]
    plain, reduced = program.run(1, {source: [[("a", 1)], [("a", 2)]]})
    assert flat(plain) == [("a", 1), ("a", 2), ("a", 3)]
    assert flat(reduced) == [("a", 6)]
    plain, reduced = program.run(2, {source: []})
    assert flat(plain) == flat(reduced) == [("a", 3)]


def test_a_union_with_itself_counts_twice(cluster: Cluster) -> None:
    source = Fed()
    state = source.rdd().by_key(totals(), 2)
    twice = state.union(state)
    program = Program(cluster, twice, twice.reduceByKey(operator.add, 2))
    plain, reduced = program.run(1, {source: [[("a", 1)]]})
    assert flat(plain) == [("a", 1), ("a", 1)]
    assert flat(reduced) == [("a", 2)]


def test_a_union_of_unions_goes_into_state_partition_by_partition(cluster: Cluster) -> None:
    left, right = Fed(), Fed()
    both = left.rdd().union(right.rdd()).union(left.rdd().map(lambda x: -x))
    counted = both.mapPartitions(lambda records: [(1, len(list(records)))])
    lists = Update(lambda news, old: sorted(news), 1)
    program = Program(cluster, counted.by_key(lists, 2))
    assert flat(program.run(1, {left: [[1, 2], [3]], right: [[5, 6, 7]]})[0]) == [(1, [1, 1, 2, 2, 3])]


def test_a_shared_node_is_delivered_and_read(cluster: Cluster) -> None:
    source = Fed()
    shared = source.rdd().map(lambda word: (word, [word]))
    lists = Update(lambda news, old: sorted((old or []) + [word for words in news for word in words]), 1)
    program = Program(cluster, shared, shared.by_key(lists, 2), shared.filter(lambda kv: kv[0] > "a").by_key(lists, 3))
    assert cluster.stages == ["source", "state"]
    plain, everything, some = program.run(1, {source: [["a"], ["b"], ["a", "c"]]})
    assert flat(plain) == [("a", ["a"]), ("a", ["a"]), ("b", ["b"]), ("c", ["c"])]
    assert flat(everything) == [("a", ["a", "a"]), ("b", ["b"]), ("c", ["c"])]
    assert flat(some) == [("b", ["b"]), ("c", ["c"])]
    assert [len(everything), len(some)] == [2, 3]


def test_state_that_is_delivered_and_read_again(cluster: Cluster) -> None:
    source = Fed()
    state = source.rdd().by_key(totals(), 2)
    doubled = state.mapValues(lambda v: 2 * v)
    program = Program(cluster, state, doubled, doubled.reduceByKey(max, 2), doubled.map(lambda kv: ("n", kv[1])).by_key(
        Update(lambda news, old: sum(news), 1), 1))  # fmt: skip
    assert cluster.stages == ["source", "state", "state"]
    program.run(1, {source: [[("a", 1)]]})
    plain, twice, reduced, summed = program.run(2, {source: [[("a", 1), ("b", 5)]]})
    assert flat(plain) == [("a", 2), ("b", 5)]
    assert flat(twice) == flat(reduced) == [("a", 4), ("b", 10)]
    assert summed == [[("n", 14)]]


def test_initial_state_goes_to_the_exchange_of_its_step(cluster: Cluster) -> None:
    source, first, second = Fed(), Fed(), Fed()
    keyed = source.rdd().reduceByKey(operator.add, 2)
    sums = keyed.by_key(totals(), 2, first.rdd())
    counts = keyed.by_key(Update(lambda news, old: len(news) + (old or 0), 1), 2, second.rdd())
    program = Program(cluster, sums, counts)
    assert cluster.stages == ["source"] * 3 + ["state"]
    inputs: dict[Fed, list[list[Any]]] = {
        source: [[("a", 1)], [("a", 2)]], first: [[("a", 100), ("x", 7)], [("b", 5)]], second: [[("a", 10)]]
    }  # fmt: skip
    assert list(map(flat, program.run(1, inputs))) == [[("a", 103), ("b", 5), ("x", 7)], [("a", 11)]]
    inputs = {source: [[("a", 1)]], first: [], second: []}
    assert list(map(flat, program.run(2, inputs))) == [[("a", 104), ("b", 5), ("x", 7)], [("a", 12)]]


def test_initial_state_of_a_later_level_passes_the_earlier_ones(cluster: Cluster) -> None:
    source, first = Fed(), Fed()
    counted = source.rdd().reduceByKey(operator.add, 3).map(lambda kv: (kv[0], 1))
    seen = counted.by_key(totals(), 2).map(lambda kv: ("all", kv[1]))
    program = Program(cluster, seen.by_key(totals(), 1, first.rdd()))
    assert cluster.stages == ["source", "source", "shuffle", "state", "state"]
    out = program.run(1, {source: [[("a", 1), ("b", 1)]], first: [[("all", 100)], [("none", 1)]]})
    assert flat(out[0]) == [("all", 102), ("none", 1)]
    assert flat(program.run(2, {source: [], first: []})[0]) == [("all", 104), ("none", 1)]


def test_a_window_of_a_source_keeps_records_together(cluster: Cluster) -> None:
    source = Fed()
    program = Program(cluster, source.rdd(parallelism=2).in_place(Window(2, 1, 1)))
    (parts,) = program.run(1, {source: [["a", "b"], ["c"], ["d"]]})
    assert parts in ([["a", "b", "d"], ["c"]], [["d", "a", "b"], ["c"]])
    (parts,) = program.run(2, {source: [[], ["e"]]})
    assert [sorted(part) for part in parts] == [["a", "b", "d"], ["c", "e"]]
    assert program.run(3, {source: []}) == [[[], ["e"]]]
    assert program.run(4, {source: []}) == [[[], []]]


def test_a_window_stays_in_the_partitions_of_a_shuffle(cluster: Cluster) -> None:
    source = Fed()
    reduced = source.rdd().reduceByKey(operator.add, 3)
    window = reduced.in_place(Window(2, 1, 1))
    program = Program(cluster, window, window.reduceByKey(operator.add, 3))
    assert cluster.stages == ["source", "state"]
    program.run(1, {source: [[("a", 1), ("b", 1)], [("a", 1)]]})
    plain, again = program.run(2, {source: [[("a", 5)]]})
    assert flat(plain) == [("a", 2), ("a", 5), ("b", 1)]
    assert flat(again) == [("a", 7), ("b", 1)]
    assert list(map(len, again)) == [len({key for key, _ in part}) for part in plain]


def test_a_slow_window_and_what_follows_it(cluster: Cluster) -> None:
    source = Fed()
    slow = source.rdd().in_place(Window(3, 2, 1))
    program = Program(cluster, slow.map(lambda x: (x, 1)).by_key(Update(total, 2), 2))
    out = [flat(program.run(now, {source: [[now]]})[0]) for now in range(1, 6)]
    assert out == [[], [(1, 1), (2, 1)], [], [(1, 1), (2, 2), (3, 1), (4, 1)], []]


def test_a_function_may_give_something_for_an_empty_partition(cluster: Cluster) -> None:
    source = Fed()
    counts = source.rdd().by_key(totals(), 3).mapPartitions(lambda records: [(None, sum(1 for _ in records))])
    counted = counts.reduceByKey(operator.add, 1)
    program = Program(cluster, counted)
    assert cluster.stages == ["source", "state", "shuffle"]
    assert program.run(1, {source: []}) == [[[(None, 0)]]]
    assert program.run(2, {source: [[("a", 1), ("b", 1)]]}) == [[[(None, 2)]]]


def test_results_and_snapshots_of_map_with_state(cluster: Cluster) -> None:
    def counting(when: Any, key: Any, value: Any, state: Any) -> Any:
        state.update((state.getOption() or 0) + 1)
        return key, state.get()

    source = Fed()
    step = MapState(counting, False, None, 1)
    step.snapshots = True
    both = source.rdd().by_key(step, 2)
    results = both.mapPartitions(lambda records: (what for result, what in records if result))
    states = both.mapPartitions(lambda records: (what for result, what in records if not result), True)
    program = Program(cluster, results, states, states.reduceByKey(max, 2))
    assert cluster.stages == ["source", "state"]
    program.run(1, {source: [[("a", 1), ("b", 1)]]})
    assert list(map(flat, program.run(2, {source: [[("a", 1), ("a", 1)]]}))) == [
        [("a", 2), ("a", 3)], [("a", 3), ("b", 1)], [("a", 3), ("b", 1)]
    ]  # fmt: skip


def test_more_source_partitions_than_the_pipe_has(cluster: Cluster) -> None:
    source = Fed()
    shared = source.rdd().map(lambda n: (n % 3, n))
    program = Program(cluster, shared, shared.by_key(totals(), 2))
    plain, sums = program.run(1, {source: [[n] for n in range(20)]})
    assert sorted(n for part in plain for _, n in part) == list(range(20))
    assert flat(sums) == [(rest, sum(range(rest, 20, 3))) for rest in range(3)]


def test_a_batch_that_fails_on_its_way_is_run_again_as_if_nothing_had_happened(cluster: Cluster) -> None:
    source = Fed()

    def fragile(pair: Any) -> Any:
        if pair[1] > 9:
            raise ValueError("boom")
        return "n", pair[1]

    state = source.rdd().by_key(totals(), 2)
    later = state.map(fragile).by_key(Update(lambda news, old: (old or 0) + max(news, default=0), 1), 1)
    program = Program(cluster, state, later)
    program.run(1, {source: [[("a", 1)]]})
    for _ in range(3):
        with pytest.raises(ValueError, match="boom"):
            program.run(2, {source: [[("a", 9), ("b", 1)]]})
        program.run(2, {source: [[("a", 5), ("c", 1)]]}, commit=False)
    assert list(map(flat, program.run(2, {source: [[("b", 1)]]}))) == [[("a", 1), ("b", 1)], [("n", 2)]]


@pytest.mark.parametrize("seed", range(4))
def test_a_program_with_everything_against_a_model(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    rng = random.Random(seed)
    cluster = Cluster(monkeypatch, workers=3, seed=seed)
    words, other, first = Fed(), Fed(), Fed()
    pairs = words.rdd(3).map(lambda word: (word, 1))
    counts = pairs.reduceByKey(operator.add, 3).by_key(totals(), 3, first.rdd())
    window = other.rdd(3).in_place(Window(3, 1, 1))
    mixed = counts.union(window.map(lambda n: (f"w{n}", n))).union(pairs)
    recent = mixed.reduceByKey(operator.add, 2).by_key(ReducedWindow(operator.add, operator.sub, None, 5, 1, 1), 2)
    lengths = counts.map(lambda kv: (len(kv[0]), kv[1])).reduceByKey(max, 4)
    joined = lengths.join(window.map(lambda n: (n, n)), 2)
    program = Program(cluster, counts, window, recent, lengths, joined, pairs)
    assert cluster.stages == ["source"] * 3 + ["state", "state", "shuffle"]

    state = Counter({"z": 100})
    numbers: list[list[int]] = []
    mixes: list[Counter[str]] = []
    for now in range(1, 11):
        said = [[rng.choice(["a", "b", "cc", "ddd"]) for _ in range(rng.randrange(4))] for _ in range(rng.randrange(4))]
        given = [[rng.randrange(4) for _ in range(rng.randrange(3))] for _ in range(rng.randrange(5))]
        inputs = {words: said, other: given, first: [[("z", 100)]] if now == 1 else []}
        if rng.random() < 0.3:
            program.run(now, {**inputs, words: [["lost"]]}, commit=False)
        found = program.run(now, inputs)
        all_words = [word for part in said for word in part]
        state.update(all_words)
        numbers.append([n for part in given for n in part])
        in_window = [n for batch in numbers[-3:] for n in batch]
        mix = Counter(state)
        for n in in_window:
            mix[f"w{n}"] += n
        mix.update(all_words)
        mixes.append(mix)
        sums = {key: sum(mix[key] for mix in mixes[-5:]) for mix in mixes for key in mix}
        longest: dict[int, int] = {}
        for word, n in state.items():
            longest[len(word)] = max(n, longest.get(len(word), 0))
        expected = [
            state.items(), in_window, sums.items(), longest.items(),
            [(n, (longest[n], n)) for n in in_window if n in longest], [(word, 1) for word in all_words],
        ]  # fmt: skip
        assert list(map(flat, found)) == list(map(sorted, expected))


# ---------------------------------------------------------------------- stages


def test_ancestors_come_before_what_they_lead_to() -> None:
    source, first = Fed(), Fed()
    state = source.rdd().by_key(totals(), 2, first.rdd())
    both = state.union(source.rdd())
    found = ancestors([both.stage, state.stage])
    assert len(found) == len(set(found))
    for stage in found:
        for parent in ancestors([stage]):
            assert found.index(parent) <= found.index(stage)
    assert has_state(both.stage)
    assert not has_state(source.rdd().reduceByKey(operator.add, 2).stage)


def test_a_pipe_has_as_many_partitions_as_its_largest_shuffle() -> None:
    state = Fed().rdd().by_key(totals(), 2)
    assert Pipe({state.stage: 0}).partitions == 2
    assert Pipe({state.repartition(7).stage: 0}).partitions == 7
    assert Pipe({state.by_key(totals(), 5, Fed().rdd()).stage: 0}).partitions == 5


def test_a_step_in_place_makes_an_exchange_only_where_there_is_none() -> None:
    for rdd in (Fed().rdd(), Fed().rdd().map(str), Fed().rdd().repartition(2).union(Fed().rdd())):
        stage = rdd.in_place(Window(1, 1, 1)).stage
        assert isinstance(stage, Stateful) and isinstance(stage.parent, Shuffle)
        assert stage.parent.route is KEEP
    for rdd in (Fed().rdd().repartition(2), Fed().rdd().partitionBy(3).map(str), Fed().rdd().by_key(totals(), 2)):
        stage = rdd.in_place(Window(1, 1, 1)).stage
        assert isinstance(stage, Stateful) and stage.parent is rdd.stage
    with pytest.raises(NotImplementedError):
        KEEP("never called")


def test_state_knows_how_its_keys_are_spread() -> None:
    state = Fed().rdd().by_key(totals(), 4)
    assert state.getNumPartitions() == 4
    assert state.partitioner == Fed().rdd().partitionBy(4).partitioner
    values = state.mapValues(str)
    assert values.partitionBy(4) is values, "they need no shuffle"
    assert Fed().rdd().in_place(Window(1, 1, 1)).partitioner is None
    assert Fed().rdd(parallelism=6).in_place(Window(1, 1, 1)).getNumPartitions() == 6
    assert state.in_place(Window(1, 1, 1)).partitioner == state.partitioner
