"""Combining the values of each key in the Python workers: PySpark's algorithm without its wrapper around each call.

PySpark wraps the three functions of ``combineByKey`` in ones that turn StopIteration into an error: another call
for each record, a quarter of a word count's time. A stage runs inside a generator, where Python itself turns
StopIteration into a RuntimeError (PEP 479), so nothing is lost by leaving the wrappers out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pyspark.shuffle import Aggregator, ExternalMerger

__all__ = ["Combiner"]


class Combiner:
    """The two halves of ``combineByKey``; PySpark's merger spills to disk when memory runs short.

    Parameters
    ----------
    create, merge_value, merge_combiners : callable
        As in ``RDD.combineByKey``.
    memory : int
        ``spark.python.worker.memory`` in MiB.
    serializer : pyspark.serializers.Serializer
        For what is spilled.
    """

    def __init__(
        self,
        create: Callable[[Any], Any],
        merge_value: Callable[[Any, Any], Any],
        merge_combiners: Callable[[Any, Any], Any],
        memory: int,
        serializer: Any,
    ) -> None:
        self._functions = create, merge_value, merge_combiners
        self._memory = memory
        self._serializer = serializer

    def values(self, records: Iterable[Any]) -> Iterable[Any]:
        """Before the shuffle: pairs of key and value to pairs of key and combiner."""
        merger = self._merger(0.9)
        merger.mergeValues(records)
        return merger.items()  # type: ignore[no-any-return]

    def combiners(self, records: Iterable[Any]) -> Iterable[Any]:
        """After the shuffle: one combiner for each key."""
        merger = self._merger(1)
        merger.mergeCombiners(records)
        return merger.items()  # type: ignore[no-any-return]

    def _merger(self, share: float) -> Any:
        aggregator = Aggregator(*self._functions)
        aggregator.createCombiner, aggregator.mergeValue, aggregator.mergeCombiners = self._functions
        return ExternalMerger(aggregator, self._memory * share, self._serializer)
