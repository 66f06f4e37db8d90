"""The environment of a program under test: its clock, its inputs, its directories, and what its outputs get."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from dstreams._run.environment import Environment
from dstreams._spark.rdd import EmptyRDD
from dstreams.errors import DStreamValueError
from dstreams.testing.clock import ManualClock
from dstreams.testing.feed import FedSource, Feed

if TYPE_CHECKING:
    from pyspark import RDD

    from dstreams._plan.graph import Graph, Node, Output

__all__ = ["ManualEnvironment"]


class ManualEnvironment(Environment):
    """What the program of one test meets.

    Parameters
    ----------
    root : str
        Where its directories go, which are no others than those that the program names.
    inputs : mapping of str to str
        Names of inputs, with a part of what the program calls them (``"localhost:9999"``).
    parallelism : int
        Partitions of a batch's records.
    now_ms : int
        Time of day at the start, in ms since the epoch.
    own_state : bool
        Give a directory for state to a program that names none.
    """

    def __init__(self, root: str, inputs: Mapping[str, str], parallelism: int, now_ms: int, own_state: bool) -> None:
        self.now_ms = now_ms
        self.feeds: dict[str, Feed] = {}
        self.manual_clock: ManualClock | None = None
        self.crashing = False
        self.named: dict[int, str] = {}
        self.outputs: list[Output] = []
        self._root = os.path.abspath(root)
        self._inputs = dict(inputs)
        self._parallelism = parallelism
        self._own_state = own_state
        self._records: dict[int, list[Any]] = {}
        self._kept: list[RDD[Any]] = []

    # ------------------------------------------------------------------ for the program

    def directory(self, path: str) -> str:
        """Directory of the test for one that the program names; the same for the same."""
        if path.removeprefix("file:").startswith(self._root):
            return path
        return os.path.join(self._root, hashlib.sha256(path.encode()).hexdigest()[:12])

    def state_directory(self) -> str | None:
        """Where to keep the state of a program that names no directory."""
        return os.path.join(self._root, "state") if self._own_state else None

    def clock(self, interval_ms: int, logical: bool, paced: bool) -> ManualClock:
        """Return the clock, which the test holds."""
        self.manual_clock = ManualClock(interval_ms, self.now_ms)
        return self.manual_clock

    def begin(self, graph: Graph) -> None:
        """Put feeds in the place of the program's sources."""
        sources = [node for node in graph.nodes if node.source is not None and not node.source.initial]
        named = self._names(sources)
        feeds: dict[str, Feed] = {}
        for node in sources:
            source, name = node.source, named.get(node)
            assert source is not None
            if name is None:
                continue
            feeds[name] = feed = self.feeds.get(name) or Feed(source.describe())
            if isinstance(source, FedSource):  # of a program that was restored
                source.feed = feed
            else:
                node.source = FedSource(feed, self._parallelism, source)
        self.feeds = feeds
        self.outputs = list(graph.outputs)

    def output(self, output: Output, rdd: RDD[Any]) -> None:
        """Keep what an output gets; where its function computes the RDD too, that is not done twice."""
        if not isinstance(rdd, EmptyRDD) and not rdd.is_cached:
            self._kept.append(rdd.cache())
        self._records[output.number] = rdd.collect()

    def may_commit(self) -> bool:
        """False in the batch in which the driver is to crash."""
        return not self.crashing

    # ------------------------------------------------------------------ for the test

    def take(self) -> dict[str, list[Any] | None]:
        """Return what the outputs got since the last call, by name."""
        for rdd in self._kept:
            rdd.unpersist()
        self._kept.clear()
        records, self._records = self._records, {}
        return {name: records.get(output.number) for name, output in self._output_names().items()}

    def _output_names(self) -> dict[str, Output]:
        names: dict[str, Output] = {}
        for output in self.outputs:
            hint = output.hint.rpartition(".")[2]
            base = self.named.get(output.number) or (hint if hint.isidentifier() else output.op)
            names[_unique(base, names)] = output
        return names

    def _names(self, sources: list[Node]) -> dict[Node, str]:
        """Names of the inputs that get a feed: those of a test, those that the program gave, or what they are."""
        named: dict[Node, str] = {}
        texts = {node: node.source.describe() for node in sources if node.source is not None}
        for name, part in self._inputs.items():
            found = [node for node, text in texts.items() if part in text or part == node.name]
            if len(found) != 1:
                raise DStreamValueError(
                    f"stream_test: the input {name!r} is to be {part!r}, which is "
                    + ("in none" if not found else f"in {len(found)}")
                    + f" of the program's sources: {', '.join(texts.values()) or 'it has none'}"
                )
            named[found[0]] = name
        for node in sources:
            source = node.source
            if node in named or source is None or (source.logical and not isinstance(source, FedSource)):
                continue
            named[node] = _unique(node.name or node.op, named.values())
        return named


def _unique(base: str, taken: Collection[str]) -> str:
    """Name that is not taken: `base`, or with the first number that makes it another."""
    numbered = (f"{base}_{number}" for number in count(2))
    return next(name for name in chain([base], numbered) if name not in taken)
