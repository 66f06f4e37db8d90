"""What every stream is: a handle on a node of the graph, and how operations add nodes. The methods are elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pyspark import RDD

from dstreams._insides import GIVE_RDDS, lacking
from dstreams._plan.graph import Missing, Node, OnEmpty
from dstreams.duration import to_milliseconds
from dstreams.errors import DStreamStateError, DStreamTypeError, DStreamValueError

if TYPE_CHECKING:
    from typing_extensions import Self

    from dstreams.context import StreamingContext
    from dstreams.dstream import DStream

__all__ = ["K", "Stream", "T", "U", "V", "W", "expect_stream"]

T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
W = TypeVar("W")


class Stream(Generic[T]):
    """Handle on a node; :class:`~dstreams.DStream` adds the operations.

    Parameters
    ----------
    node : Node
        The node.
    ssc : StreamingContext
        Its context.
    """

    def __init__(self, node: Node, ssc: StreamingContext, *old: Any) -> None:
        if old:
            raise DStreamTypeError(
                f"DStream: a stream of the JVM cannot be wrapped, since there is none. Instead: {GIVE_RDDS}"
            )
        self._node = node
        self._ssc = ssc
        self._sc = ssc._sc
        self._keeper: Node | None = node if node.step is not None or node.source is not None else None
        self.is_cached = False
        self.is_checkpointed = False

    if not TYPE_CHECKING:  # where they would stand for any class, and any name

        @property
        def __class__(self):
            """The old engine's class too, for ``isinstance`` in programs and libraries that have imported that one."""
            old = sys.modules.get("pyspark.streaming.dstream")
            return getattr(old, "DStream", type(self))

        def __getattr__(self, name):
            raise AttributeError(lacking("DStream", name))

    def context(self) -> StreamingContext:
        """Return the StreamingContext of this stream."""
        return self._ssc

    def __repr__(self) -> str:
        return f"DStream({self._node})"

    def named(self, name: str) -> Self:
        """Give the source or the operation with state behind this stream a name of its own.

        Its offsets and its state are kept under that name in the checkpoint directory, so that a later version of the
        program can go on with them (``StreamingContext.getOrCreate(..., upgrade=True)``) whatever else has changed.
        Without a name an operation is known by what it is and what it reads.

        Parameters
        ----------
        name : str
            Any text, which no other stream of the program has.

        Returns
        -------
        DStream
            This stream.

        Raises
        ------
        DStreamTypeError, DStreamValueError
            If it is not a text, or is the name of another stream.
        DStreamStateError
            If the stream keeps nothing, or after the context was started.
        """
        if not isinstance(name, str) or not name.strip():
            raise DStreamTypeError(f"named: name must be a str, got {name!r}")
        if self._ssc._started:
            raise DStreamStateError.frozen_setting("name")
        target = self._keeper
        if target is None:
            raise DStreamStateError(
                f"named: {self._node} keeps nothing in a checkpoint directory. Call it on the stream of a source, of "
                "an operation with state or of a window itself: pairs.updateStateByKey(f).named(...)."
            )
        other = next((node for node in self._ssc._graph.nodes if node.name == name and node is not target), None)
        if other is not None:
            raise DStreamValueError(f"named: {name!r} is the name of another stream, {other}")
        target.name = name
        return self

    # ------------------------------------------------------------------ making nodes

    def _keeping(self, keeper: Stream[Any]) -> Self:
        """Let :meth:`named` name what another stream keeps: the public operation is made of several."""
        self._keeper = keeper._keeper
        return self

    def _derive(
        self,
        op: str,
        func: Callable[[RDD[Any]], RDD[Any]],
        on_empty: OnEmpty = OnEmpty.EMPTY,
    ) -> DStream[Any]:
        """Add an operation that is one function from an RDD to an RDD, on either side."""
        return self._ssc._stream(
            Node(op, (self._node,), lambda _, rdd: func(rdd), self._node.slide_ms, on_empty=on_empty)
        )

    def _derive_with(self, op: str, other: Stream[Any], func: Callable[[RDD[Any], RDD[Any]], RDD[Any]]) -> DStream[Any]:
        """Add an operation on two streams; where one has no RDD at a time, an empty one stands in."""
        expect_stream(self, other, op)
        return self._ssc._stream(
            Node(
                op,
                (self._node, other._node),
                lambda _, a, b: func(a, b),
                self._node.slide_ms,
                on_empty=OnEmpty.SHUFFLE,
                missing=Missing.EMPTY,
            )
        )

    def _partitions(self, numPartitions: int | None, op: str) -> int:
        if numPartitions is None:
            return self._ssc._parallelism
        if isinstance(numPartitions, bool) or not isinstance(numPartitions, int) or numPartitions < 1:
            raise DStreamValueError(f"{op}: Number of partitions must be positive, got {numPartitions!r}")
        return numPartitions

    def _duration(self, duration: float, name: str) -> int:
        """Milliseconds of a window or slide, which must be a multiple of this stream's own slide; the old text."""
        ms = to_milliseconds(duration, name)
        if ms % self._node.slide_ms:
            raise DStreamValueError(
                f"{name} must be multiple of the parent dstream's slide (batch) duration ({self._node.slide_ms} ms)"
            )
        return ms


def expect_stream(stream: Stream[Any], other: Any, op: str) -> None:
    """Refuse what is no stream, or one of another context."""
    if not isinstance(other, Stream):
        raise DStreamTypeError(f"{op}: the other side must be a DStream, got {type(other).__name__}")
    if other._ssc is not stream._ssc:
        raise DStreamValueError(f"{op}: the two DStreams belong to different StreamingContexts")
