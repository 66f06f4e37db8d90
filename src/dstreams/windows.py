"""Window operations: what was in the last batches, as a whole or reduced."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyspark.resultiterable import ResultIterable

from dstreams._plan.graph import Node, OnEmpty, call_site, function_code, function_name
from dstreams._plan.steps.reduced_window import ReducedWindow
from dstreams._plan.steps.window import Window
from dstreams.errors import DStreamTypeError
from dstreams.stream import K, T, V
from dstreams.transformations import Transformations

if TYPE_CHECKING:
    from dstreams._plan.streaming_rdd import StreamingRDD
    from dstreams.dstream import DStream

__all__ = ["WindowOperations"]


class WindowOperations(Transformations[T]):
    """Windows slide over batches.

    ``windowDuration`` is the length of the window and ``slideDuration`` the interval between two results, both in
    seconds and multiples of this stream's own slide interval (else :class:`~dstreams.errors.DStreamValueError`, with
    the old engine's text). Slides are counted from the first batch. Windows at the start are partly filled.
    """

    def window(self, windowDuration: float, slideDuration: float | None = None) -> DStream[T]:
        """Return all elements of the window, those of the oldest batch first in each partition.

        Parameters
        ----------
        windowDuration : float
            Length in seconds.
        slideDuration : float, optional
            Interval between results in seconds; default this stream's own.

        Returns
        -------
        DStream[T]
        """
        window_ms, slide_ms = self._window(windowDuration, slideDuration)
        step = Window(window_ms, slide_ms, self._node.slide_ms)
        return self._windowed("window", step, lambda rdd: rdd.in_place(step), slide_ms, f"{window_ms}/{slide_ms} ms")

    def reduceByWindow(
        self,
        reduceFunc: Callable[[T, T], T],
        invReduceFunc: Callable[[T, T], T] | None,
        windowDuration: float,
        slideDuration: float,
    ) -> DStream[T]:
        """Reduce the elements of the window to one; an empty window gives none.

        Parameters
        ----------
        reduceFunc, invReduceFunc, windowDuration, slideDuration
            As in :meth:`reduceByKeyAndWindow`.

        Returns
        -------
        DStream[T]
        """
        keyed: WindowOperations[Any] = self.map(lambda x: (1, x))
        reduced: DStream[Any] = keyed.reduceByKeyAndWindow(reduceFunc, invReduceFunc, windowDuration, slideDuration, 1)
        return reduced.map(operator.itemgetter(1))._keeping(reduced)

    def countByWindow(self, windowDuration: float, slideDuration: float) -> DStream[int]:
        """Count the elements of the window. Needs a checkpoint directory.

        Parameters
        ----------
        windowDuration, slideDuration : float
            Seconds.

        Returns
        -------
        DStream[int]
            Nothing for an empty window; with a window of at least five slides, 0 once there has been an element
            (as on the old engine).
        """
        return self.map(lambda _: 1).reduceByWindow(operator.add, operator.sub, windowDuration, slideDuration)

    def countByValueAndWindow(
        self: WindowOperations[K], windowDuration: float, slideDuration: float, numPartitions: int | None = None
    ) -> DStream[tuple[K, int]]:
        """Count how often each element occurs in the window. Needs a checkpoint directory.

        Parameters
        ----------
        windowDuration, slideDuration : float
            Seconds.
        numPartitions : int, optional
            Partitions of the result.

        Returns
        -------
        DStream[tuple[K, int]]
            Only counts above 0.
        """
        keyed = self.map(lambda x: (x, 1))
        counted = keyed.reduceByKeyAndWindow(operator.add, operator.sub, windowDuration, slideDuration, numPartitions)
        return counted.filter(lambda pair: pair[1] > 0)._keeping(counted)

    def groupByKeyAndWindow(
        self: WindowOperations[tuple[K, V]],
        windowDuration: float,
        slideDuration: float,
        numPartitions: int | None = None,
    ) -> DStream[tuple[K, ResultIterable[V]]]:
        """Group the values that each key has in the window. Needs a checkpoint directory.

        Parameters
        ----------
        windowDuration, slideDuration : float
            Seconds.
        numPartitions : int, optional
            Partitions of the result.

        Returns
        -------
        DStream[tuple[K, Iterable[V]]]
            With a window of at least five slides, keys stay with an empty iterable (as on the old engine).
        """
        lists = self.mapValues(lambda x: [x])
        grouped = lists.reduceByKeyAndWindow(
            _extended, lambda values, old: values[len(old) :], windowDuration, slideDuration, numPartitions
        )
        return grouped.mapValues(ResultIterable)._keeping(grouped)

    def reduceByKeyAndWindow(
        self: WindowOperations[tuple[K, V]],
        func: Callable[[V, V], V],
        invFunc: Callable[[V, V], V] | None,
        windowDuration: float,
        slideDuration: float | None = None,
        numPartitions: int | None = None,
        filterFunc: Callable[[tuple[K, V]], bool] | None = None,
    ) -> DStream[tuple[K, V]]:
        """Reduce the values that each key has in the window.

        Parameters
        ----------
        func : callable
            Associative and commutative.
        invFunc : callable, optional
            Takes the value so far and one that leaves the window, and gives the value without it: what a batch costs
            then follows from what enters and leaves, not from the window's length. Needs a checkpoint directory. A
            function that does not invert `func` gives wrong values, which nothing can notice.
        windowDuration : float
            Length in seconds.
        slideDuration : float, optional
            Interval between results in seconds; default this stream's own.
        numPartitions : int, optional
            Partitions of the result.
        filterFunc : callable, optional
            Pairs for which it is false are forgotten; without `invFunc` it is ignored (as on the old engine).

        Returns
        -------
        DStream[tuple[K, V]]
            Keys of the window; with `invFunc` and a window of at least five slides, all keys that there ever were,
            unless `filterFunc` removes them (the old engine's Python rule, which is kept since results show it).
        """
        window_ms, slide_ms = self._window(windowDuration, slideDuration)
        n = self._partitions(numPartitions, "reduceByKeyAndWindow")
        for name, function in (("func", func), ("invFunc", invFunc), ("filterFunc", filterFunc)):
            if not callable(function) and (function or name == "func"):
                raise DStreamTypeError(f"reduceByKeyAndWindow: {name} must be a function, got {function!r}")
        hint = f"{function_name(func)}, {window_ms}/{slide_ms} ms"
        if not invFunc:
            plain = Window(window_ms, slide_ms, self._node.slide_ms)
            return self._windowed(
                "reduceByKeyAndWindow",
                plain,
                lambda rdd: rdd.reduceByKey(func, n).in_place(plain).reduceByKey(func, n),
                slide_ms,
                hint,
                func,
            )
        step = ReducedWindow(func, invFunc, filterFunc or None, window_ms, slide_ms, self._node.slide_ms)
        return self._windowed(
            "reduceByKeyAndWindow",
            step,
            lambda rdd: rdd.reduceByKey(func, n).by_key(step, n),
            slide_ms,
            hint,
            func,
            checkpointed=True,
        )

    def _window(self, window: float, slide: float | None) -> tuple[int, int]:
        slide_ms = self._node.slide_ms if slide is None else self._duration(slide, "slideDuration")
        return self._duration(window, "windowDuration"), slide_ms

    def _windowed(
        self,
        op: str,
        step: Window | ReducedWindow,
        evaluate: Callable[[Any], StreamingRDD],
        slide_ms: int,
        hint: str,
        function: Callable[..., Any] | None = None,
        checkpointed: bool = False,
    ) -> DStream[Any]:
        site = call_site()
        step.where = f"{op} at {site}"
        return self._ssc._stream(
            Node(
                op,
                (self._node,),
                lambda _, rdd: evaluate(rdd),
                slide_ms,
                step=step,
                checkpointed=checkpointed,
                on_empty=OnEmpty.SHUFFLE,
                site=site,
                hint=hint,
                code=function_code(function),
            )
        )


def _extended(values: list[Any], more: list[Any]) -> list[Any]:
    values.extend(more)
    return values
