from __future__ import annotations

import operator
from typing import Any

import pytest
from pyspark import StorageLevel

from dstreams._plan.graph import Graph, Node, OnEmpty, Output
from dstreams._plan.plan import Placement, _piped, _without_input, place
from dstreams._plan.stages import Narrow, Shuffle, Stateful
from dstreams._plan.steps.update import Update
from dstreams._plan.steps.window import Window
from dstreams._plan.streaming_rdd import PlanContext
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
        return self.graph.add(Node("union", parents, lambda _, a, b: a.union(b), parents[0].slide_ms))

    def join(self, *parents: Node) -> Node:
        return self.graph.add(Node("join", parents, lambda _, a, b: a.join(b, 2), parents[0].slide_ms))

    def state(self, *parents: Node) -> Node:
        step, slide = Update(_never, parents[0].slide_ms), parents[0].slide_ms
        by_key = lambda _, rdd, *first: rdd.by_key(step, 2, *first)  # noqa: E731
        return self.graph.add(Node("state", parents, by_key, slide, step=step, on_empty=OnEmpty.SHUFFLE))

    def window(self, parent: Node, slide: int = 1000) -> Node:
        step = Window(4000, slide, parent.slide_ms)
        return self.graph.add(Node("window", (parent,), lambda _, rdd: rdd.in_place(step), slide, step=step))

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


# ---------------------------------------------------------------------- programs with state


def test_state_is_lifted_with_all_that_leads_to_it() -> None:
    program = Program()
    source = program.source()
    mapped = program.map(source)
    state = program.state(mapped)
    after = program.map(state)
    program.output(after)
    placement = program.place()
    assert set(placement.lifted) == {source, mapped, state, after}
    assert placement.frontier == [after]
    assert placement.exchanges == []
    assert placement.side(state) == "streaming plan"
    assert isinstance(placement.lifted[state].stage, Stateful)
    assert _without_input(after, placement) is SHUFFLE


def test_what_follows_the_last_step_is_done_on_the_batch_side() -> None:
    program = Program()
    state = program.state(program.source())
    last = program.op(state, lambda rdd: rdd.mapValues(str).mapValues(len))
    program.output(last)
    placement = program.place()
    (branch,), tags = _piped(placement)
    assert tags == {placement.lifted[state].stage: branch.tag}
    records: Any = [("a", 7), ("b", 10)]
    for function in branch.rest:
        records = function(iter(records))
    assert (list(records), len(branch.rest)) == ([("a", 1), ("b", 2)], 2)
    assert (branch.node, branch.partitions, branch.partitioner) == (last, 2, placement.lifted[state].partitioner)


def test_two_nodes_that_are_one_stage_are_delivered_once() -> None:
    program = Program()
    first = program.state(program.source())
    same = program.op(first, lambda rdd: rdd.partitionBy(2))
    second = program.state(same)
    for node in (first, same, second):
        program.output(node)
    placement = program.place()
    branches, tags = _piped(placement)
    assert [branch.node for branch in branches] == [first, same, second]
    assert branches[0].tag == branches[1].tag != branches[2].tag
    assert len(tags) == 2


def test_a_shared_node_that_state_and_an_output_read_is_lifted_and_handed_over() -> None:
    program = Program()
    source = program.source()
    shared = program.map(source)
    state = program.state(shared)
    program.output(shared)
    program.output(state)
    placement = program.place()
    assert set(placement.lifted) == {source, shared, state}
    assert placement.frontier == [shared, state]
    assert placement.shared == {shared}
    branches, tags = _piped(placement)
    assert [(branch.node, branch.rest) for branch in branches] == [(shared, ()), (state, ())], "computed in the pipe"
    assert tags == {placement.lifted[shared].stage: 0, placement.lifted[state].stage: 1}


def test_a_shared_node_that_state_and_an_operation_read_feeds_both() -> None:
    program = Program()
    source = program.source()
    shared = program.map(source)
    state, beside = program.state(shared), program.map(shared)
    program.output(state)
    program.output(beside)
    placement = program.place()
    assert set(placement.lifted) == {source, shared, state}
    assert placement.frontier == [shared, state]
    assert placement.side(beside) == "batch side"


def test_state_that_is_shared_is_read_on_the_batch_side() -> None:
    program = Program()
    state = program.state(program.source())
    left, right = program.map(state), program.map(state)
    program.output(left)
    program.output(right)
    placement = program.place()
    assert placement.frontier == [state]
    assert placement.shared == {state}
    assert {placement.side(left), placement.side(right)} == {"batch side"}


def test_state_that_is_shared_is_lifted_as_far_as_it_leads_to_state() -> None:
    program = Program()
    first = program.state(program.source())
    onward, beside = program.map(first), program.map(first)
    second = program.state(onward)
    program.output(second)
    program.output(beside)
    placement = program.place()
    assert beside not in placement.lifted
    assert placement.frontier == [first, second]
    assert count_stages(placement.lifted[second].stage, Stateful) == 2


def test_state_reads_a_node_that_the_program_keeps() -> None:
    program = Program()
    source = program.source()
    cached = program.map(source, cached=True)
    state = program.state(cached)
    program.output(state)
    placement = program.place()
    assert placement.frontier == [cached, state]
    assert set(placement.lifted) == {source, cached, state}
    assert [branch.node for branch in _piped(placement)[0]] == [cached, state]


def test_a_source_that_state_reads_is_read_again_by_others() -> None:
    program = Program()
    source = program.source()
    state, beside = program.state(source), program.map(source)
    program.output(state)
    program.output(beside)
    placement = program.place()
    assert placement.frontier == [state, beside]
    branches, tags = _piped(placement)
    assert [branch.node for branch in branches] == [state], "the other one is a branch of its own"
    assert len(tags) == 1


def test_the_source_itself_is_not_part_of_what_the_pipe_delivers() -> None:
    program = Program()
    source = program.source()
    program.output(source)
    program.output(program.state(source))
    placement = program.place()
    assert len(placement.frontier) == 2
    assert [branch.node.op for branch in _piped(placement)[0]] == ["state"]


def test_a_union_after_state_is_made_on_the_batch_side() -> None:
    program = Program()
    source = program.source()
    state = program.state(source)
    both = program.union(state, program.map(source))
    after = program.map(both)
    program.output(after)
    placement = program.place()
    assert [placement.side(node) for node in (state, both, after)] == ["streaming plan", "batch side", "batch side"]
    assert state in placement.frontier and len(placement.frontier) == 2


def test_a_union_on_the_way_from_state_to_state_is_lifted() -> None:
    program = Program()
    source = program.source()
    both = program.union(program.state(source), program.map(source))
    last = program.state(both)
    program.output(last)
    placement = program.place()
    assert placement.frontier == [last]
    assert placement.side(both) == "streaming plan"


def test_a_union_of_a_node_with_itself_may_lead_to_state() -> None:
    program = Program()
    mapped = program.map(program.source())
    state = program.state(program.union(mapped, mapped))
    program.output(state)
    placement = program.place()
    assert placement.frontier == [state]
    assert mapped in placement.shared


def test_a_join_of_states_is_lifted() -> None:
    program = Program()
    joined = program.join(program.state(program.source()), program.state(program.source()))
    program.output(joined)
    placement = program.place()
    assert placement.frontier == [joined]
    (branch,), tags = _piped(placement)
    (stage,) = tags
    assert isinstance(stage, Shuffle) and branch.rest, "what follows the join's shuffle is done on the batch side"


def test_a_join_of_different_slides_runs_on_the_batch_side() -> None:
    program = Program()
    source = program.source()
    slow = program.window(source, 2000)
    joined = program.join(program.map(source), slow)
    program.output(joined)
    placement = program.place()
    assert placement.side(slow) == "streaming plan"
    assert placement.side(joined) == "batch side"
    assert slow in placement.frontier and len(placement.frontier) == 2


def test_a_join_of_equal_slides_is_lifted() -> None:
    program = Program()
    source = program.source()
    joined = program.join(program.window(source, 2000), program.window(source, 2000))
    program.output(joined)
    assert program.place().frontier == [joined]


def test_state_starts_from_a_source_of_its_own() -> None:
    program = Program()
    source, first = program.source(), program.source()
    state = program.state(source, first)
    program.output(state)
    placement = program.place()
    assert placement.frontier == [state]
    stage = placement.lifted[state].stage
    assert isinstance(stage, Stateful) and isinstance(stage.initial, Shuffle)


def test_state_that_no_output_needs_is_left_out() -> None:
    program = Program()
    source = program.source()
    shared = program.map(source)
    state = program.state(shared)
    program.output(shared)
    placement = program.place()
    assert state not in placement.lifted
    assert placement.shared == set()
    assert _piped(placement) == ([], {})


def test_a_plain_branch_beside_state_is_not_in_the_pipe() -> None:
    program = Program()
    plain = program.op(program.source(), lambda rdd: rdd.reduceByKey(operator.add, 2))
    state = program.state(program.source())
    program.output(plain)
    program.output(state)
    placement = program.place()
    assert placement.frontier == [plain, state]
    assert [branch.node for branch in _piped(placement)[0]] == [state]


def test_functions_that_something_in_the_pipe_needs_stay_in_it() -> None:
    program = Program()
    state = program.state(program.source())
    mapped = program.map(state)
    again = program.state(mapped)
    program.output(mapped)
    program.output(again)
    placement = program.place()
    branches, tags = _piped(placement)
    assert [(branch.node, branch.rest) for branch in branches] == [(mapped, ()), (again, ())]
    assert isinstance(next(iter(tags)), Narrow)


# ---------------------------------------------------------------------- state after the batch side


def test_state_after_transform_is_not_lifted_but_has_an_exchange() -> None:
    program = Program()
    source = program.source()
    before = program.map(source)
    transformed = program.transform(before)
    state = program.state(transformed)
    after = program.map(state)
    program.output(after)
    placement = program.place()
    assert set(placement.lifted) == {source, before}
    assert placement.frontier == [before]
    assert [placement.side(node) for node in (transformed, state, after)] == ["batch side", "exchange 1", "batch side"]
    (exchange,) = placement.exchanges
    assert (exchange.batch_inputs, exchange.frontier) == ([transformed], [state])
    assert [branch.node for branch in _piped(exchange)[0]] == [state]


def test_state_after_a_join_of_different_slides_has_an_exchange() -> None:
    program = Program()
    source = program.source()
    mapped = program.map(source)
    joined = program.join(mapped, program.window(source, 2000))
    state = program.state(joined)
    program.output(state)
    placement = program.place()
    assert state not in placement.lifted
    (exchange,) = placement.exchanges
    assert exchange.batch_inputs == [joined]


def test_states_that_can_run_together_share_an_exchange() -> None:
    program = Program()
    source = program.source()
    left, right = program.transform(source), program.transform(source)
    first = program.state(left)
    second = program.state(program.map(first))
    third = program.state(right)
    program.output(second)
    program.output(third)
    placement = program.place()
    (exchange,) = placement.exchanges
    assert set(exchange.batch_inputs) == {left, right}
    assert exchange.frontier == [second, third]
    assert {placement.side(node) for node in (first, second, third)} == {"exchange 1"}


def test_exchanges_follow_each_other_where_the_batch_side_is_in_between() -> None:
    program = Program()
    first = program.state(program.transform(program.source()))
    between = program.transform(first)
    second = program.state(between)
    program.output(second)
    placement = program.place()
    assert [placement.side(node) for node in (first, between, second)] == ["exchange 1", "batch side", "exchange 2"]
    assert [exchange.batch_inputs[-1] for exchange in placement.exchanges][1] is between
    assert [exchange.frontier for exchange in placement.exchanges] == [[first], [second]]


def test_an_exchange_reads_what_the_plan_has_lifted() -> None:
    program = Program()
    lifted = program.state(program.source())
    mixed = program.union(lifted, program.transform(program.source()))
    state = program.state(mixed)
    program.output(state)
    program.output(lifted)
    placement = program.place()
    assert lifted in placement.frontier
    (exchange,) = placement.exchanges
    assert (exchange.batch_inputs, exchange.frontier) == ([mixed], [state])
