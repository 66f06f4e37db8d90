"""Stable ids of sources and of operations with state: what a checkpoint directory knows them by.

An id says what an operation is and what it reads, ``updateStateByKey of socketTextStream(localhost:9999)``, or is the
name that its user gave it. So it survives changed functions, and outputs and stateless operations that come and go.
Where that does not tell which operation of a new program goes on with what an old one has kept, nothing is guessed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dstreams._plan.graph import Graph, Node
from dstreams.errors import UpgradeError

__all__ = ["Operation", "identify", "initial_id", "match"]


@dataclass(frozen=True)
class Operation:
    """What is known of a source or of an operation with state.

    Attributes
    ----------
    id : str
        Its id.
    kind : str
        The public operation, such as ``textFileStream``.
    state : str
        Class of its step; empty for a source.
    of : list of str
        Ids of the sources and operations with state that it is computed from.
    hint : str
        What tells it from its like: what a source reads, or the name of the program's function.
    code : str
        Digest of the code of that function.
    path : list of str
        The operations in between, sorted.
    named : bool
        Whether its user has named it.
    facts : dict
        Metadata of a source, such as when the stream was defined. (Program files have the name.)
    """

    id: str
    kind: str
    state: str = ""
    of: list[str] = field(default_factory=list)
    hint: str = ""
    code: str = ""
    path: list[str] = field(default_factory=list)
    named: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


def initial_id(operation: str) -> str:
    """Id of the source of the records that an operation's state starts from."""
    return f"initial state of {operation}"


def identify(graph: Graph) -> list[Operation]:
    """Give ids to all sources and operations with state of a program.

    Parameters
    ----------
    graph : Graph
        The program; the ids are put down in its nodes.

    Returns
    -------
    list of Operation
        In order of definition.
    """
    return match(graph, [], lambda problems: None)


def match(
    graph: Graph, known: Sequence[Operation], report: Callable[[list[str]], None] | None = None
) -> list[Operation]:
    """Give ids to all sources and operations with state of a program that goes on with what another has kept.

    Parameters
    ----------
    graph : Graph
        The program; the ids are put down in its nodes.
    known : sequence of Operation
        What the directory knows.
    report : callable, optional
        Gets what does not fit; by default an error.

    Returns
    -------
    list of Operation
        In order of definition. Those that go on with something have its id.

    Raises
    ------
    UpgradeError
        If it is not clear which operation goes on with what has been kept.
    """
    found = _Matching(graph, known)
    found.run()
    if found.problems:
        if report is None:
            raise UpgradeError(found.problems)
        report(found.problems)
    return found.operations


class _Matching:
    def __init__(self, graph: Graph, known: Sequence[Operation]) -> None:
        self._live = graph.live()
        self._old = {operation.id: operation for operation in known}
        self._names = {node.name for node in self._live if node.name}
        self._unclaimed = {id: old for id, old in self._old.items() if id not in self._names}
        self._taken: set[str] = set(self._names)
        self._fresh: list[Operation] = []
        self.operations: list[Operation] = []
        self.problems: list[str] = []

    def run(self) -> None:
        # Level by level: what an operation is computed from must have its id before the operation gets one.
        waiting = [node for node in self._live if _kept(node)]
        while waiting:
            ready = [node for node in waiting if not any(_kept(up) and not up.id for up in _above(node)[0])]
            groups: dict[tuple[Any, ...], list[Node]] = defaultdict(list)
            for node in ready:
                groups[_likeness(node.op, _state(node), _of(node), node.hint)].append(node)
            for nodes in groups.values():
                self._group(nodes)
            waiting = [node for node in waiting if not node.id]
        for node in self._live:
            if node.source is not None and node.source.initial:
                reader = next(reader for reader in self._live if node in reader.parents)
                node.id = initial_id(reader.id)
        self.operations.sort(key=lambda operation: self._order[operation.id])
        self._lost()

    @property
    def _order(self) -> dict[str, int]:
        return {node.id: node.number for node in self._live if node.id}

    def _group(self, nodes: list[Node]) -> None:
        """Give ids to operations of one kind that are computed from the same."""
        plain = []
        for node in nodes:
            if node.name:
                self._named(node)
            else:
                plain.append(node)
        if not plain:
            return
        first = plain[0]
        first_state = _state(first)
        like = _likeness(first.op, first_state, _of(first), first.hint)
        old = [
            known for known in self._unclaimed.values()
            if _likeness(known.kind, known.state, known.of, known.hint) == like and not known.named
        ]  # fmt: skip
        for trait in _TRAITS:
            for node in list(plain):
                same = [known for known in old if trait(known) == trait(_described(node, ""))]
                if len(same) == 1 and sum(trait(_described(other, "")) == trait(same[0]) for other in plain) == 1:
                    self._settle(node, same[0].id)
                    old.remove(same[0])
                    plain.remove(node)
        if len(plain) == len(old) and (len(plain) == 1 or not first_state):
            for node, known in zip(plain, old, strict=True):  # one only, or sources that read the same
                self._settle(node, known.id)
        elif plain and old:
            places = ", ".join(str(node) for node in plain)
            ids = ", ".join(repr(known.id) for known in old)
            self.problems.append(
                f"{places}: the directory has what was kept for {len(old)} such operation(s), {ids}, and neither what "
                f"they read nor their functions tell which of the {len(plain)} goes on with what. Name each: "
                f".named({old[0].id!r}) goes on with that one, another name begins with nothing."
            )
            for node in plain:
                self._settle(node, self._new_id(node))
            for known in old:
                self._unclaimed.pop(known.id, None)
        else:
            for node in plain:
                self._settle(node, self._new_id(node))
                self._fresh.append(self.operations[-1])

    def _named(self, node: Node) -> None:
        assert node.name
        known = self._old.get(node.name)
        if known is not None and (known.state, known.kind if node.source else "") != (
            _state(node), node.op if node.source else ""
        ):  # fmt: skip
            self.problems.append(
                f"{node}: {node.name!r} is the name of {'a' if known.state else 'the source'} "
                f"{known.kind} in the directory, whose state it cannot go on with. Give it another name."
            )
        self._settle(node, node.name)

    def _settle(self, node: Node, id: str) -> None:
        self._unclaimed.pop(id, None)
        self._taken.add(id)
        node.id = id
        if node.source is not None and id in self._old:
            node.source.resume(self._old[id].facts)
        self.operations.append(_described(node, id))

    def _new_id(self, node: Node) -> str:
        of = _of(node)
        base = f"{node.op} of {' and '.join(of)}" if of else node.hint or node.op
        count, id = 1, base
        while id in self._taken or id in self._old:
            count += 1
            id = f"{base} ({count})"
        return id

    def _lost(self) -> None:
        """Complain of what nothing goes on with, if there is something new that might have been meant to."""
        for known in self._unclaimed.values():
            candidates = [
                new for new in self._fresh
                if new.state == known.state and (new.state or new.kind == known.kind)
            ]  # fmt: skip
            if candidates:
                what = "state" if known.state else "offsets"
                new = " and ".join(repr(candidate.id) for candidate in candidates)
                self.problems.append(
                    f"{known.id!r} has {what} in the directory, and the program has no such operation; new in it: "
                    f"{new}. Say which it is: .named({known.id!r}) on the stream goes on with these {what}, any other "
                    f"name begins with nothing and gives them up."
                )


_TRAITS: tuple[Callable[[Operation], Any], ...] = (
    lambda known: (known.hint, known.code, known.path),
    lambda known: known.hint,
    lambda known: known.code,
    lambda known: known.path,
)
"""By what operations that are computed from the same are told apart, the surest first."""


def _described(node: Node, id: str) -> Operation:
    metadata = node.source.metadata() if node.source is not None else {}
    return Operation(
        id, node.op, _state(node), _of(node), node.hint, node.code, _above(node)[1], bool(node.name), metadata
    )  # fmt: skip


def _kept(node: Node) -> bool:
    """Whether a directory keeps something for a node."""
    return node.step is not None or (node.source is not None and not node.source.initial)


def _likeness(op: str, state: str, of: list[str], hint: str) -> tuple[Any, ...]:
    """What operations have in common that may be mistaken for each other; sources are told apart by what they read."""
    return op, state, tuple(of), "" if state else hint


def _state(node: Node) -> str:
    return type(node.step).__name__ if node.step is not None else ""


def _above(node: Node) -> tuple[list[Node], list[str]]:
    """The nearest nodes above that have an id of their own, and the operations in between."""
    found: dict[Node, None] = {}
    path = []
    stack = list(node.parents)
    while stack:
        parent = stack.pop()
        if _kept(parent):
            found[parent] = None
        else:
            path += [] if parent.source is not None else [parent.op]
            stack.extend(parent.parents)
    return list(found), sorted(path)


def _of(node: Node) -> list[str]:
    return sorted(parent.id for parent in _above(node)[0])
