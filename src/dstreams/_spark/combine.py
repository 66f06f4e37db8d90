"""Combining the values of each key in the Python workers: PySpark's algorithm with a shorter way for what fits.

PySpark wraps the three functions of ``combineByKey`` in ones that turn StopIteration into an error: another call
for each record, a quarter of a word count's time. A stage runs inside a generator, where Python itself turns
StopIteration into a RuntimeError (PEP 479), so nothing is lost by leaving the wrappers out. And PySpark's merger asks
at each record whether it is time to look at the memory; as long as all fits, a plain loop over blocks of records does
the same in less time. When memory runs short, the merger takes over, which spills to disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain, islice
from typing import Any

from pyspark.shuffle import Aggregator, ExternalMerger, get_used_memory

__all__ = ["Combiner"]

_END: Any = object()
_BLOCK_RECORDS = 20_000
"""After so many records the used memory is looked at, and then, as PySpark does, after half as many more each time."""


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
        create, merge, _ = self._functions
        return self._merged(records, create, merge, 0.9, ExternalMerger.mergeValues)

    def combiners(self, records: Iterable[Any]) -> Iterable[Any]:
        """After the shuffle: one combiner for each key."""
        return self._merged(records, None, self._functions[2], 1, ExternalMerger.mergeCombiners)

    def _merged(
        self,
        records: Iterable[Any],
        create: Callable[[Any], Any] | None,
        merge: Callable[[Any, Any], Any],
        share: float,
        go_on: Callable[[Any, Iterable[Any]], None],
    ) -> Iterable[Any]:
        found: dict[Any, Any] = {}
        source, block = iter(records), _BLOCK_RECORDS
        while True:
            key = _END
            for key, value in islice(source, block):
                if key in found:
                    found[key] = merge(found[key], value)
                else:
                    found[key] = value if create is None else create(value)
            if key is _END:
                return found.items()
            block += block // 2
            # With nothing left to come all is combined: there is no use in spilling it.
            if get_used_memory() >= self._memory * share and (first := next(source, _END)) is not _END:
                merger = self._merger(share)
                merger.mergeCombiners(found.items())
                found.clear()
                go_on(merger, chain((first,), source))
                return merger.items()  # type: ignore[no-any-return]

    def _merger(self, share: float) -> Any:
        aggregator = Aggregator(*self._functions)
        aggregator.createCombiner, aggregator.mergeValue, aggregator.mergeCombiners = self._functions
        return ExternalMerger(aggregator, self._memory * share, self._serializer)
