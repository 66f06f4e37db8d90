"""Which operation of a new program goes on with what an old one has kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dstreams._plan.graph import Graph, Node, function_code, function_name
from dstreams._plan.identity import Operation, match
from dstreams._plan.steps.map_state import MapState
from dstreams._plan.steps.step import Step
from dstreams._plan.steps.update import Update
from dstreams._plan.steps.window import Window
from dstreams._sources.source import Source
from dstreams.errors import UpgradeError


class Words(Source):
    def __init__(self, born: int = 0) -> None:
        self.born = born

    def describe(self) -> str:
        return "words"

    def frame(self, *_: Any) -> Any:
        raise AssertionError("nothing is read here")

    def metadata(self) -> dict[str, Any]:
        return {"born": self.born}

    def resume(self, metadata: dict[str, Any]) -> None:
        self.born = metadata["born"]


class Program:
    """A graph in which everything that is added is read by an output."""

    def __init__(self) -> None:
        self.graph = Graph()

    def source(self, op: str = "socketTextStream", reads: str = "a:1", name: str | None = None, born: int = 0) -> Node:
        return self._add(Node(op, (), _never, 1000, source=Words(born), hint=reads, name=name))

    def map(self, *parents: Node) -> Node:
        return self._add(Node("map", parents, _never, 1000))

    def update(
        self, *parents: Node, function: Callable[..., Any] = lambda new, old: 1, name: str | None = None
    ) -> Node:
        return self._state("updateStateByKey", Update(function, 1000), parents, function, name)

    def map_state(self, *parents: Node, name: str | None = None) -> Node:
        return self._state("mapWithState", MapState(_never, False, None, 1000), parents, _never, name)

    def window(self, *parents: Node, hint: str = "3000/1000 ms", name: str | None = None) -> Node:
        return self._add(Node("window", parents, _never, 1000, step=Window(1, 1, 1), hint=hint, name=name))

    def ids(self, known: list[Operation] | None = None) -> list[str]:
        return [operation.id for operation in match(self.graph, known or [])]

    def operations(self) -> list[Operation]:
        return match(self.graph, [])

    def _state(self, op: str, step: Step, parents: tuple[Node, ...], function: Any, name: str | None) -> Node:
        hint, code = function_name(function), function_code(function)
        return self._add(Node(op, parents, _never, 1000, step=step, hint=hint, code=code, name=name))

    def _add(self, node: Node) -> Node:
        from dstreams._plan.graph import Output

        self.graph.add(node)
        self.graph.add_output(Output("foreachRDD", node, _never))
        return node


def _never(*_: Any) -> Any:
    raise AssertionError("nothing is run here")


def problems(program: Program, known: list[Operation]) -> str:
    with pytest.raises(UpgradeError) as caught:
        program.ids(known)
    return str(caught.value)


def test_ids_say_what_an_operation_is_and_what_it_reads() -> None:
    p = Program()
    lines, files = p.source(), p.source("textFileStream", "textFileStream(/in)")
    state = p.update(p.map(lines, files))
    p.window(p.map(state))
    p.update(state)
    assert p.ids() == [
        "a:1",
        "textFileStream(/in)",
        "updateStateByKey of a:1 and textFileStream(/in)",
        "window of updateStateByKey of a:1 and textFileStream(/in)",
        "updateStateByKey of updateStateByKey of a:1 and textFileStream(/in)",
    ]


def test_ids_are_unique() -> None:
    p = Program()
    one, two = p.source(), p.source()
    p.update(one)
    p.update(one)
    p.update(two, name="mine")
    ids = p.ids()
    assert len(set(ids)) == 5
    assert ids == ["a:1", "a:1 (2)", "updateStateByKey of a:1", "updateStateByKey of a:1 (2)", "mine"]


def test_the_same_program_finds_everything() -> None:
    def program() -> Program:
        p = Program()
        lines = p.source()
        p.window(p.update(p.map(lines)), hint="w")
        p.update(lines, name="mine")
        p.map_state(lines)
        return p

    known = program().operations()
    assert program().ids(known) == [operation.id for operation in known]


def test_a_changed_function_and_more_stateless_operations_and_outputs() -> None:
    old = Program()
    old.update(old.map(old.source()), function=lambda new, state: sum(new))
    new = Program()
    new.source("queueStream", "queueStream")
    new.update(new.map(new.map(new.source())), function=lambda new, state: (sum(new), state))
    assert new.ids(old.operations()) == ["queueStream", "a:1", "updateStateByKey of a:1"]


def test_a_source_goes_on_with_what_it_has_to_remember() -> None:
    old, new = Program(), Program()
    old.source(born=17)
    node = new.source(born=99)
    operations = match(new.graph, old.operations())
    assert isinstance(node.source, Words)
    assert node.source.born == 17
    assert operations[0].facts == {"born": 17}


def test_operations_of_one_kind_are_told_apart_by_function_code_and_path() -> None:
    def count(new: Any, old: Any) -> Any:
        return len(new)

    old = Program()
    lines = old.source()
    old.update(lines, function=count)
    old.update(old.map(lines), function=lambda new, state: new)
    known = old.operations()
    first, second = known[1].id, known[2].id

    swapped = Program()
    lines = swapped.source()
    swapped.update(swapped.map(lines), function=lambda new, state: new)
    swapped.update(lines, function=count)
    assert swapped.ids(known) == ["a:1", second, first]

    added = Program()  # between the two, a third one with a function of its own
    lines = added.source()
    added.update(lines, function=count)
    added.update(added.map(added.map(lines)), function=lambda new, state: (new, state))
    added.update(added.map(lines), function=lambda new, state: new)
    assert added.ids(known) == ["a:1", first, "updateStateByKey of a:1 (3)", second]


def make(sign: int) -> Any:
    return lambda new, state: (state or 0) + sign * sum(new)


def make_of(function: Any, default: Any = None) -> Any:
    def update(new: Any, state: Any, default: Any = default) -> Any:
        return function(new)

    return update


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (make(1), make(-1)),
        (make_of(lambda new: 1), make_of(lambda new: 2)),
        (make_of(len, (1, "a")), make_of(len, (1, "b"))),
        (make_of(make_of(max, 1)), make_of(make_of(max, 2))),
    ],
)
def test_functions_of_one_factory_are_told_apart_by_what_they_close_over(one: Any, two: Any) -> None:
    old = Program()
    lines = old.source()
    old.update(lines, function=one)
    old.update(lines, function=two)
    known = old.operations()
    swapped = Program()
    lines = swapped.source()
    swapped.update(lines, function=two)
    swapped.update(lines, function=one)
    assert swapped.ids(known) == ["a:1", known[2].id, known[1].id]


def test_operations_that_are_alike_in_all_are_refused_though_they_are_as_many_as_before() -> None:
    def program() -> Program:
        p = Program()
        lines = p.source()
        for handler in (object(), object()):  # what they close over is nothing that another process could tell
            p.update(lines, function=make_of(handler))
        return p

    text = problems(program(), program().operations())
    assert "updateStateByKey of a:1" in text and "updateStateByKey of a:1 (2)" in text
    assert "neither what they read nor their functions tell which of the 2 goes on with what" in text


def test_sources_that_read_the_same_need_no_names() -> None:
    def program() -> Program:
        p = Program()
        p.source()
        p.source()
        return p

    assert program().ids(program().operations()) == ["a:1", "a:1 (2)"]


def test_what_cannot_be_told_apart_is_not_guessed() -> None:
    old = Program()
    old.update(old.source(), function=lambda new, state: 1)
    new = Program()
    lines = new.source()
    new.update(lines, function=lambda new, state: 2)
    new.update(lines, function=lambda new, state: 3)
    text = problems(new, old.operations())
    assert "nothing was changed" in text
    assert "updateStateByKey of a:1" in text and ".named('updateStateByKey of a:1')" in text

    named = Program()
    lines = named.source()
    named.update(lines, function=lambda new, state: 2, name="more")
    named.update(lines, function=lambda new, state: 3, name="updateStateByKey of a:1")
    assert named.ids(old.operations()) == ["a:1", "more", "updateStateByKey of a:1"]


def test_a_removed_operation_is_given_up() -> None:
    old = Program()
    lines = old.source()
    old.update(lines)
    old.window(lines)
    new = Program()
    new.window(new.source())
    assert new.ids(old.operations()) == ["a:1", "window of a:1"]


def test_a_renamed_operation_is_refused_until_it_is_named() -> None:
    old = Program()
    old.update(old.source(), name="orders")
    new = Program()
    new.update(new.source())
    text = problems(new, old.operations())
    assert "'orders' has state" in text and ".named('orders')" in text and "updateStateByKey of a:1" in text
    again = Program()
    again.update(again.source(), name="orders")
    assert again.ids(old.operations()) == ["a:1", "orders"]
    other = Program()
    other.update(other.source(), name="another")
    assert other.ids(old.operations()) == ["a:1", "another"], "a name of its own says that it begins with nothing"


def test_a_source_that_reads_something_else_is_refused_until_it_is_named() -> None:
    old = Program()
    old.update(old.source())
    new = Program()
    new.update(new.source(reads="b:2"))
    text = problems(new, old.operations())
    assert "'a:1' has offsets" in text and "'updateStateByKey of a:1' has state" in text
    named = Program()
    named.update(named.source(reads="b:2", name="a:1"))
    assert named.ids(old.operations()) == ["a:1", "updateStateByKey of a:1"]


def test_another_kind_of_operation_is_not_mistaken_for_one_that_is_gone() -> None:
    old = Program()
    old.update(old.source())
    new = Program()
    new.map_state(new.source())
    assert new.ids(old.operations()) == ["a:1", "mapWithState of a:1"]


def test_a_name_of_another_kind_of_state_is_refused() -> None:
    old = Program()
    old.update(old.source(), name="orders")
    new = Program()
    new.map_state(new.source(), name="orders")
    assert "whose state it cannot go on with" in problems(new, old.operations())


def test_initial_state_has_the_id_of_its_operation() -> None:
    p = Program()
    lines = p.source()
    first = Node("initial state", (), _never, 1000, source=Words())
    assert first.source is not None
    first.source.initial = True
    p.graph.add(first)
    state = p.update(lines, first, name="orders")
    assert [operation.id for operation in match(p.graph, [])] == ["a:1", "orders"]
    assert (state.id, first.id) == ("orders", "initial state of orders")
