"""What a program is built with: the graph of its context, and what sources and streams have to know of the context."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dstreams._plan.graph import Graph, Node, Output, call_site
from dstreams._spark.context import jvm_conf
from dstreams.errors import DStreamStateError, DStreamValueError

if TYPE_CHECKING:
    from pyspark import RDD, SparkContext

    from dstreams._plan.default_partitions import DefaultPartitions
    from dstreams._sources.source import Source

__all__ = ["Builder"]


class Builder:
    """The graph that the streams of one StreamingContext are handles on.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    interval_ms : int
        Batch interval in ms.
    parallelism : DefaultPartitions
        Partitions of operations that name no number.
    """

    def __init__(self, sc: SparkContext, interval_ms: int, parallelism: DefaultPartitions) -> None:
        self.sc = sc
        self.interval_ms = interval_ms
        self.parallelism = parallelism
        self.graph = Graph()
        self.started = False
        self.stopped = False
        self.restored = False

    def check_open(self, op: str) -> None:
        """Refuse an operation on a program that can take no more; the old engine's texts."""
        if self.restored:
            raise DStreamStateError.restored(op)
        if self.stopped:
            raise DStreamStateError.frozen(op, "stopping")
        if self.started:
            raise DStreamStateError.frozen(op, "starting")

    def add(self, node: Node) -> Node:
        """Take a node into the graph."""
        self.check_open(node.op)
        node.site = node.site or call_site()
        return self.graph.add(node)

    def source(self, op: str, source: Source) -> Node:
        """Take a source into the graph, as the node of a public operation."""

        def never(*_: Any) -> RDD[Any]:
            raise KeyError("the RDD of a source that is not at the frontier")

        hint = op if source.logical else source.describe()
        return self.add(Node(op, (), never, self.interval_ms, source=source, hint=hint))

    def output(
        self, op: str, node: Node, run: Callable[[datetime, Any], Any], preview: int | None = None, hint: str = ""
    ) -> None:
        """Take an output operation into the graph."""
        self.check_open(op)
        self.graph.add_output(Output(op, node, run, preview, call_site(), hint=hint))

    def partitions(self, numPartitions: int | None, op: str) -> int:
        """Number of partitions that an operation was given, or the default."""
        if numPartitions is None:
            return self.parallelism
        if isinstance(numPartitions, bool) or not isinstance(numPartitions, int) or numPartitions < 1:
            raise DStreamValueError(f"{op}: Number of partitions must be positive, got {numPartitions!r}")
        return numPartitions

    @property
    def next_source(self) -> int:
        """Number that the next source will have."""
        return sum(node.source is not None for node in self.graph.nodes)

    @property
    def conf(self) -> Any:
        """The JVM's ``SparkConf``, which knows times and sizes with units."""
        return jvm_conf(self.sc)

    def file_times(self) -> tuple[int, int]:
        """When a stream of files is defined, which is now, and how long files are remembered, in ms."""
        fallback = self.conf.get("spark.streaming.minRememberDuration", "60s")
        window = self.conf.getTimeAsSeconds("spark.streaming.fileStream.minRememberDuration", fallback) * 1000
        return int(time.time() * 1000), -(-window // self.interval_ms) * self.interval_ms
