"""Offsets of a consumer group, committed beside the running program."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from pyspark import SparkContext

from dstreams._spark.context import active_context
from dstreams.errors import DStreamStateError, DStreamTypeError
from dstreams.kafka._cluster import KafkaCluster
from dstreams.kafka._records import OffsetRange, Offsets

if TYPE_CHECKING:
    from dstreams.kafka._parameters import ConsumerParameters

__all__ = ["Committer"]

log = logging.getLogger("dstreams")

_CLOSE_SECONDS = 5.0
"""How long the end of a program waits for commits that are under way."""

Callback = Callable[[list[OffsetRange], Exception | None], Any]


class Committer:
    """Commits offsets, one commit after the other, in a thread of its own.

    It can be pickled: a function of the program that commits may be saved in the checkpoint directory.

    Parameters
    ----------
    op : str
        The operation, for messages.
    parameters : ConsumerParameters
        Brokers and group.
    """

    def __init__(self, op: str, parameters: ConsumerParameters) -> None:
        self._op = op
        self._parameters = parameters
        self._thread: ThreadPoolExecutor | None = None
        self._cluster: KafkaCluster | None = None
        self._waiting: set[Future[None]] = set()

    def __reduce__(self) -> tuple[Any, ...]:
        return Committer, (self._op, self._parameters)

    def commitAsync(self, offsetRanges: Iterable[OffsetRange], callback: Callback | None = None) -> None:
        """Commit the ends of ranges to the stream's consumer group; returns at once.

        Parameters
        ----------
        offsetRanges : list of OffsetRange
            What has been processed.
        callback : callable, optional
            Called with the ranges and None, or the error, in a thread of its own.
        """
        ranges = list(offsetRanges)
        if not all(isinstance(each, OffsetRange) for each in ranges):
            raise DStreamTypeError(f"commitAsync: offsetRanges must be a list of OffsetRange, got {ranges!r:.200}")
        if self._parameters.group is None:
            raise DStreamStateError("commitAsync: there is no group to commit to; give 'group.id' in kafkaParams")
        sc = active_context()
        if sc is None:
            raise DStreamStateError("commitAsync: there is no SparkContext any more")
        self.commit(sc, {(each.topic, each.partition): each.untilOffset for each in ranges}, ranges, callback)

    def commit(
        self, sc: SparkContext, offsets: Offsets, ranges: list[OffsetRange] | None = None,
        callback: Callback | None = None,
    ) -> None:  # fmt: skip
        """Commit offsets; returns at once."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "dstreams-kafka-commit")
        future = self._thread.submit(self._commit, sc, offsets, ranges or [], callback)
        self._waiting = {each for each in self._waiting if not each.done()} | {future}

    def _commit(self, sc: SparkContext, offsets: Offsets, ranges: list[OffsetRange], callback: Callback | None) -> None:
        error: Exception | None = None
        try:
            if self._cluster is None:
                self._cluster = KafkaCluster(sc, self._op, self._parameters)
            assert self._parameters.group is not None
            self._cluster.commit(self._parameters.group, offsets)
        except Exception as failure:
            error = failure
            log.warning("offsets could not be committed to the group %s: %s", self._parameters.group, failure)
        if callback is not None:
            try:
                callback(ranges, error)
            except Exception:
                log.exception("the callback of commitAsync failed")

    def close(self) -> None:
        """Wait a moment for what is under way, and end."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        wait(self._waiting, _CLOSE_SECONDS)
        thread.shutdown(wait=False, cancel_futures=True)
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            try:
                cluster.close()
            except Exception as error:  # the JVM is gone
                log.debug("while closing the connection to Kafka: %s", error)
