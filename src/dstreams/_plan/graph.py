"""The graph of a DStream program: what each node is made of, and nothing about how it runs.

A node is one DStream operation, defined once as a function from RDDs to an RDD. The compiler decides for each
node whether that function is applied to the streaming side or to the real RDD of a batch.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from types import CellType, CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark import RDD, StorageLevel

    from dstreams._plan.steps.step import Step
    from dstreams._sources.source import Source

__all__ = [
    "Graph",
    "Missing",
    "Node",
    "OnEmpty",
    "Output",
    "call_site",
    "function_code",
    "function_name",
    "script_name",
]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

Evaluate = Callable[..., "RDD[Any] | None"]
"""``(batch_time, *parent_rdds) -> rdd``; None means that there is no RDD for this time."""


class Missing(Enum):
    """What a node does at a time when a parent has no RDD (which is not the same as an empty one)."""

    SKIP = "no RDD either"
    EMPTY = "an empty RDD stands in"
    FAIL = "the batch fails"


class OnEmpty(Enum):
    """What an operation makes of input without records; lets a batch without data skip its jobs."""

    EMPTY = "nothing comes out, partitions as they are"
    SHUFFLE = "nothing comes out of a fixed number of partitions"
    PER_PARTITION = "may give something for every partition, also for an empty one"
    COUNT = "gives one record if there is any partition"


@dataclass(eq=False)
class Node:
    """One DStream operation.

    Attributes
    ----------
    op : str
        Name of the public operation, such as ``reduceByKey``.
    parents : tuple[Node, ...]
        Nodes whose RDDs are the arguments of `evaluate`.
    evaluate : callable
        ``(batch_time, *rdds) -> rdd``; for a source never called.
    slide_ms : int
        Slide interval in milliseconds.
    liftable : bool
        True if `evaluate` neither looks at data nor at the time, so that it can build the streaming plan.
    step : Step, optional
        Its step with state, which runs in a streaming plan only.
    checkpointed : bool
        True if the old engine asks for a checkpoint directory.
    checkpoint_ms : int, optional
        What ``DStream.checkpoint`` was called with, in ms.
    hint : str
        What tells an operation that keeps something from its like: what a source reads, the program's function.
    code : str
        Digest of the function's code, for the same purpose.
    name : str, optional
        The name that its user gave it.
    id : str
        What a checkpoint directory knows it by (see :mod:`dstreams._plan.identity`).
    """

    op: str
    parents: tuple[Node, ...]
    evaluate: Evaluate
    slide_ms: int
    liftable: bool = True
    step: Step | None = None
    checkpointed: bool = False
    checkpoint_ms: int | None = None
    on_empty: OnEmpty = OnEmpty.EMPTY
    missing: Missing = Missing.SKIP
    source: Source | None = None
    storage_level: StorageLevel | None = None
    site: str = ""
    number: int = -1
    hint: str = ""
    code: str = ""
    name: str | None = None
    id: str = ""

    def __str__(self) -> str:
        return f"[{self.number}] {self.op}" + (f" at {self.site}" if self.site else "")


@dataclass(eq=False)
class Output:
    """One output operation: what is done with the RDD of a node in every batch.

    `preview` is the number of records that an output which only looks needs at most (``pprint``); such an output
    gets a list of that many first records instead of the RDD. `hint` is the name of the program's function.
    """

    op: str
    node: Node
    run: Callable[[datetime, Any], Any]
    preview: int | None = None
    site: str = ""
    number: int = -1
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.op}" + (f" at {self.site}" if self.site else "")


@dataclass
class Graph:
    """All nodes and outputs of one StreamingContext, in the order of their definition."""

    nodes: list[Node] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)

    def add(self, node: Node) -> Node:
        """Number a node and take it in."""
        node.number = len(self.nodes)
        self.nodes.append(node)
        return node

    def add_output(self, output: Output) -> None:
        """Number an output operation and take it in."""
        output.number = len(self.outputs)
        self.outputs.append(output)

    def live(self) -> list[Node]:
        """Nodes that some output needs, and every source, parents first."""
        needed: set[int] = set()
        stack = [output.node for output in self.outputs] + [node for node in self.nodes if node.source]
        while stack:
            node = stack.pop()
            if id(node) not in needed:
                needed.add(id(node))
                stack.extend(node.parents)
        return [node for node in self.nodes if id(node) in needed]

    def uses(self) -> Counter[Node]:
        """How many operations and outputs read each node; an operation that reads it twice counts twice."""
        uses: Counter[Node] = Counter()
        for node in self.live():
            uses.update(node.parents)
        uses.update(output.node for output in self.outputs)
        return uses


def call_site() -> str:
    """``file.py:line`` of the program's line that called into this package; of a notebook, ``In[2]:line``."""
    path, line = _caller()
    return f"{_cell(path) or os.path.basename(path)}:{line}" if path else ""


def script_name(code: CodeType | None) -> str:
    """Name of the file that some code is in, without its folder, or of the one that calls into this package.

    Empty for what is typed into a shell or a notebook: its parts have names that change with their text or number.
    """
    path = _caller()[0] if code is None else code.co_filename
    return "" if re.search(r"^<.*>$|[/\\]\.?ipykernel[_/\\]", path) else os.path.basename(path)


def _caller() -> tuple[str, int]:
    """File and line of the program that called into this package."""
    for frame, line in traceback.walk_stack(sys._getframe(1)):
        if not os.path.abspath(frame.f_code.co_filename).startswith(_PACKAGE):
            return frame.f_code.co_filename, line
    return "", 0


def _cell(path: str) -> str:
    """What a notebook calls a cell, whose file is named by a hash; empty if it is none."""
    try:
        return str(sys.modules["IPython"].get_ipython().compile.format_code_name(path)[1])
    except Exception:  # no notebook, or no cell of it, or an IPython that does not tell
        return ""


def function_code(function: Any) -> str:
    """Digest of what a function does, with the plain values that it closes over; empty where there is no code.

    Of the same text, in the same version of Python, it is the same.
    """
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    closed = [cell.cell_contents for cell in function.__closure__ or () if _is_set(cell)]
    kept = [*closed, *(function.__defaults__ or ()), *sorted((function.__kwdefaults__ or {}).items())]
    return hashlib.sha256(repr((_described(code), list(map(_value, kept)))).encode()).hexdigest()[:16]


def _described(code: CodeType) -> tuple[Any, ...]:
    constants = [_described(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts]
    return code.co_code, constants, code.co_names


def _value(value: Any) -> str:
    """What tells a value that a function closes over from others, the same in every process."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}{list(map(_value, value))}"
    return function_code(value) or type(value).__qualname__


def _is_set(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def function_name(function: Any) -> str:
    """What a program calls a function."""
    return str(getattr(function, "__qualname__", type(function).__qualname__))
