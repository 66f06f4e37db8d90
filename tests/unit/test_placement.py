from __future__ import annotations

import operator
from typing import Any

import pytest
from pyspark import StorageLevel

from dstreams._plan.compiler import Placement, _without_input, place
from dstreams._plan.graph import Graph, Node, OnEmpty, Output
from dstreams._plan.streaming_rdd import PlanContext, Shuffle
from tests.unit.interpreter import Given, count_stages, run

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

CONTEXT = PlanContext(2, {})


class Program:
    """A graph that is written by hand."""

    def __init__(self) -> None:
        self.graph = Graph()

    def source(self, *parts: list[Any]) -> Node:
        return self.graph.add(Node("source", (), _never, 1000, source=Given(list(parts))))  # type: ignore[arg-type]

    def map(self, parent: Node, cached: bool = False) -> Node:
        node = Node("map", (parent,), lambda _, rdd: rdd.map(lambda x: x), 1000)
        node.storage_level = StorageLevel.MEMORY_ONLY if cached else None
        return self.graph.add(node)

    def op(self, parent: Node, func: Any, on_empty: OnEmpty = OnEmpty.EMPTY) -> Node:
        return self.graph.add(Node("op", (parent,), lambda _, rdd: func(rdd), 1000, on_empty=on_empty))

    def transform(self, *parents: Node) -> Node:
        return self.graph.add(Node("transform", parents, lambda _, *rdds: rdds[0], 1000, liftable=False))

    def union(self, *parents: Node) -> Node:
        return self.graph.add(Node("union", parents, lambda _, a, b: a.union(b), 1000))

    def output(self, node: Node, look: int | None = None) -> None:
        self.graph.add_output(Output("output", node, print, look))

    def place(self) -> Placement:
        return place(self.graph, CONTEXT)


def _never(*_: Any) -> Any:
    raise AssertionError("a source is not evaluated")


def test_a_chain_is_lifted_and_handed_over_at_its_end() -> None:
    program = Program()
    source = program.source([("a", 1), ("b", 2)], [("a", 3)])
    first = program.map(source)
    last = program.op(first, lambda rdd: rdd.reduceByKey(operator.add, 1))
    program.output(last)
    placement = program.place()
    assert set(placement.lifted) == {source, first, last}
    assert placement.frontier == [last]
    assert placement.shared == set()
    assert run(placement.lifted[last].stage) == [[("a", 4), ("b", 2)]]
    assert [placement.side(node) for node in (source, first, last)] == ["streaming plan"] * 3


def test_a_transform_cuts_the_chain() -> None:
    program = Program()
    source = program.source()
    before = program.map(source)
    cut = program.transform(before)
    after = program.map(cut)
    program.output(after)
    placement = program.place()
    assert set(placement.lifted) == {source, before}
    assert placement.frontier == [before]
    assert placement.side(cut) == placement.side(after) == "batch side"


def test_a_transform_with_two_parents_gets_both_from_the_plan() -> None:
    program = Program()
    left, right = program.source(), program.source()
    mapped = program.map(left)
    program.output(program.transform(mapped, right))
    placement = program.place()
    assert placement.frontier == [right, mapped], "in the order of definition"


def test_a_node_with_two_readers_is_computed_once() -> None:
    program = Program()
    source = program.source()
    shared = program.map(source)
    left, right = program.map(shared), program.map(shared)
    program.output(left)
    program.output(right)
    placement = program.place()
    assert set(placement.lifted) == {source, shared}
    assert placement.frontier == [shared]
    assert placement.shared == {shared}


def test_a_node_that_is_an_output_and_has_a_child_is_shared() -> None:
    program = Program()
    shared = program.map(program.source())
    child = program.map(shared)
    program.output(shared)
    program.output(child)
    placement = program.place()
    assert placement.shared == {shared}
    assert placement.frontier == [shared]
    assert child not in placement.lifted


def test_an_operation_that_reads_a_node_twice_counts_twice() -> None:
    program = Program()
    mapped = program.map(program.source())
    twice = program.union(mapped, mapped)
    program.output(twice)
    placement = program.place()
    assert mapped in placement.shared
    assert placement.side(twice) == "batch side"


def test_a_source_may_be_read_several_times() -> None:
    program = Program()
    source = program.source([1], [2])
    left, right = program.map(source), program.map(source)
    program.output(left)
    program.output(right)
    placement = program.place()
    assert set(placement.lifted) == {source, left, right}
    assert placement.frontier == [left, right]


def test_a_cached_node_is_handed_over_and_its_children_run_on_the_batch_side() -> None:
    program = Program()
    source = program.source()
    cached = program.map(source, cached=True)
    child = program.map(cached)
    program.output(child)
    placement = program.place()
    assert set(placement.lifted) == {source, cached}
    assert placement.frontier == [cached]
    assert placement.side(child) == "batch side"


def test_a_cached_source_is_handed_over() -> None:
    program = Program()
    source = program.source()
    source.storage_level = StorageLevel.MEMORY_ONLY
    child = program.map(source)
    program.output(child)
    placement = program.place()
    assert placement.frontier == [source]
    assert child not in placement.lifted


def test_what_no_output_needs_is_left_out() -> None:
    program = Program()
    source = program.source()
    used, unused = program.map(source), program.map(source)
    cached_unused = program.map(source, cached=True)
    program.output(used)
    placement = program.place()
    assert unused not in placement.lifted
    assert cached_unused not in placement.lifted
    assert placement.frontier == [used]
    assert placement.shared == set(), "only what is needed counts as a reader"


def test_a_source_that_nothing_reads_is_opened_all_the_same() -> None:
    program = Program()
    used, unused = program.source(), program.source()
    program.output(used)
    placement = program.place()
    assert placement.frontier == [used, unused]


def test_an_operation_that_needs_data_falls_back_to_the_batch_side() -> None:
    program = Program()
    source = program.source([1])
    counting = program.op(source, lambda rdd: rdd.map(lambda x: x).coalesce(1))
    program.output(counting)
    placement = program.place()
    assert set(placement.lifted) == {source}
    assert placement.frontier == [source]


def test_other_errors_of_an_operation_are_not_swallowed() -> None:
    program = Program()
    program.output(program.op(program.source([1]), lambda rdd: rdd.no_such_method()))
    with pytest.raises(AttributeError):
        program.place()


def test_a_union_is_lifted() -> None:
    program = Program()
    left, right = program.source([1], [2]), program.source([3])
    both = program.union(left, program.map(right))
    program.output(both)
    placement = program.place()
    assert placement.frontier == [both]
    assert run(placement.lifted[both].stage) == [[1], [2], [3]]


def test_two_looks_at_one_node_share_it() -> None:
    program = Program()
    node = program.map(program.source())
    program.output(node, look=3)
    program.output(node, look=5)
    assert program.place().shared == {node}


def test_two_shuffles_by_the_same_key_are_one() -> None:
    program = Program()
    grouped = program.op(program.source([("a", 1)]), lambda rdd: rdd.groupByKey(2), OnEmpty.SHUFFLE)
    counted = program.op(grouped, lambda rdd: rdd.mapValues(len))
    summed = program.op(counted, lambda rdd: rdd.reduceByKey(operator.add, 2), OnEmpty.SHUFFLE)
    program.output(summed)
    placement = program.place()
    assert count_stages(placement.lifted[summed].stage, Shuffle) == 1


EMPTY, SHUFFLE, PER_PARTITION, COUNT = OnEmpty.EMPTY, OnEmpty.SHUFFLE, OnEmpty.PER_PARTITION, OnEmpty.COUNT


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ([], EMPTY),
        ([EMPTY], EMPTY),
        ([SHUFFLE], SHUFFLE),
        ([EMPTY, SHUFFLE, EMPTY], SHUFFLE),
        ([COUNT], SHUFFLE),  # a source without records has no partition, so there is nothing to count
        ([EMPTY, COUNT], SHUFFLE),
        ([SHUFFLE, COUNT], PER_PARTITION),  # counts the empty partitions of the shuffle: 0
        ([PER_PARTITION], EMPTY),  # as long as nothing has made partitions
        ([SHUFFLE, PER_PARTITION], PER_PARTITION),
        ([SHUFFLE, PER_PARTITION, SHUFFLE], PER_PARTITION),
        ([COUNT, EMPTY, PER_PARTITION], PER_PARTITION),
        ([COUNT, COUNT], PER_PARTITION),
    ],
)
def test_what_is_there_in_a_batch_without_input(chain: list[OnEmpty], expected: OnEmpty) -> None:
    program = Program()
    node = program.source()
    for on_empty in chain:
        node = program.op(node, lambda rdd: rdd.map(lambda x: x), on_empty)
    program.output(node)
    assert _without_input(node, program.place()) is expected


def test_uses_and_live_nodes() -> None:
    program = Program()
    source = program.source()
    left = program.map(source)
    program.map(source)
    both = program.union(left, left)
    program.output(both)
    assert program.graph.live() == [source, left, both]
    assert program.graph.uses() == {source: 1, left: 2, both: 1}


def test_nodes_and_outputs_have_numbers_and_names() -> None:
    program = Program()
    source = program.source()
    node = program.map(source)
    node.site = "app.py:12"
    program.output(node)
    program.output(source)
    assert [source.number, node.number] == [0, 1]
    assert str(source) == "[0] source"
    assert str(node) == "[1] map at app.py:12"
    assert [output.number for output in program.graph.outputs] == [0, 1]
    assert str(Output("pprint", node, print, site="app.py:13")) == "pprint at app.py:13"
