"""What every step shares: the protocol, and errors that say where they come from."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from dstreams._plan.chunks import Chunks
from dstreams._plan.worker_errors import remade

if TYPE_CHECKING:
    from dstreams._plan.batch_time import BatchTime
    from dstreams._plan.bucket import Bucket

__all__ = ["Step"]


class Step(ABC):
    """A stateful operation, applied to one bucket in one batch.

    Attributes
    ----------
    where : str
        The operation as its user wrote it, for errors: ``updateStateByKey at app.py:12``.
    """

    where: str = ""

    def start(self, bucket: Bucket, initial: Iterable[Any], time: BatchTime) -> None:
        """Take the records that the program gave as the initial state; called before the first batch that has any."""
        raise NotImplementedError  # only what a step with an initial state in its API says; no other is ever given one

    @abstractmethod
    def run(self, bucket: Bucket, records: Iterable[Any], time: BatchTime) -> Chunks:
        """Read the bucket, take the batch's records, write the bucket, and give what comes out.

        Parameters
        ----------
        bucket : Bucket
            The state of this operation for the keys of one hash bucket.
        records : iterable
            New records of the bucket.
        time : BatchTime
            Time of the batch.

        Returns
        -------
        Chunks
            Records that come out, pickled already: nobody can change the state through them.
        """

    def idle(self, bucket: Bucket, time: BatchTime) -> Chunks:
        """Do what is to be done in a batch in which the parent has no RDD, which is not the same as an empty one."""
        return self.run(bucket, (), time)

    def fail(self, error: Exception, what: str, key: Any) -> NoReturn:
        """Raise an error of the program's own function again, with its traceback, the operation and the key."""
        if isinstance(error, pickle.PicklingError):
            what = "its state cannot be stored"
        text = f"{error} [{self.where}: {what}, for the key {key!r:.200}]"
        named = remade(type(error), text) or RuntimeError(f"{type(error).__name__}: {text}")
        raise named.with_traceback(error.__traceback__) from None

    def pairs(self, records: Iterable[Any]) -> Iterable[tuple[Any, Any]]:
        """Records that must be pairs with keys that can be hashed."""
        for record in records:
            try:
                key, value = record
            except (TypeError, ValueError):
                raise TypeError(f"{self.where} needs (key, value) pairs, but got the record {record!r:.200}") from None
            yield key, value
