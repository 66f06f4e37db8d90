"""Receivers that a program writes itself, which only Scala and Java had."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pyspark import StorageLevel

from dstreams.errors import DStreamStateError, ReceiverStopped

if TYPE_CHECKING:
    from dstreams._sources.custom import Supervisor

__all__ = ["Receiver"]

T = TypeVar("T")


class Receiver(Generic[T]):
    """Base class of a receiver; ``ssc.receiverStream(receiver)`` makes a stream of what it stores.

    A subclass says in :meth:`onStart` how records are received, mostly in a thread that it starts there, and in
    :meth:`onStop` how that ends. It runs in the driver, in threads of its own, and takes no executor core. A program
    with a checkpoint directory is saved with its receivers, so that they must be picklable until they are started:
    connections and threads are made in :meth:`onStart`.

    Parameters
    ----------
    storageLevel : pyspark.StorageLevel
        Accepted for compatibility.

    Examples
    --------
    >>> class Lines(Receiver):
    ...     def __init__(self, path):
    ...         super().__init__()
    ...         self.path = path
    ...
    ...     def onStart(self):
    ...         threading.Thread(target=self.receive, daemon=True).start()
    ...
    ...     def receive(self):
    ...         with open(self.path) as pipe:
    ...             for line in pipe:
    ...                 self.store(line)
    ...         self.restart("the pipe was closed")
    """

    _supervisor: Supervisor | None = None

    def __init__(self, storageLevel: StorageLevel = StorageLevel.MEMORY_AND_DISK_2) -> None:
        self.storageLevel = storageLevel

    def __str__(self) -> str:
        """Text by which the log, the listeners and the checkpoint directory tell it from other receivers."""
        return type(self).__name__

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_supervisor"}

    # ------------------------------------------------------------------ what a subclass says

    def onStart(self) -> None:
        """Start to receive, and return; records come from threads that are started here.

        An exception is told to the driver, and the receiver started again after
        ``spark.streaming.receiverRestartDelay`` (2 s).
        """
        raise DStreamStateError(f"{type(self).__name__} must say in onStart() how it receives")

    def onStop(self) -> None:
        """End what :meth:`onStart` has started."""

    def preferredLocation(self) -> str | None:
        """Accepted for compatibility: a receiver runs in the driver."""
        return None

    # ------------------------------------------------------------------ what it can call

    def store(self, data: T | list[T] | Iterator[T]) -> None:
        """Store what has been received. Any thread may call it.

        Parameters
        ----------
        data : object, or list or iterator of objects
            One record, or several. A list or iterator is stored as a whole, in one batch (unless a rate cuts it): with
            a checkpoint directory its records are in the write-ahead log when this returns, so that the sender can be
            told. A single record is collected with others for ``spark.streaming.blockInterval`` (200 ms) first. A
            record that is itself a list must be in a list: ``store([record])``.

        Raises
        ------
        DStreamStateError
            If the receiver has not been started.
        pickle.PicklingError
            If a record cannot be pickled; it is named, and none of the data has been taken.
        ReceiverStopped
            If it has been stopped: the records are not taken. In a thread of the receiver it ends the thread quietly.

        Notes
        -----
        Waits when 5 million records or 256 MiB wait for a batch, and as ``spark.streaming.receiver.maxRate`` (records
        per second) demands, so that a receiver never fills the memory.
        """
        supervisor = self._running("store")
        if not isinstance(data, list | Iterator):
            supervisor.collector.add(data)
            return
        supervisor.collector.flush()
        records = list(data)
        if records and not supervisor.put(records):
            raise ReceiverStopped(f"store: not all of {len(records)} records were taken: the receiver was stopped")

    def restart(self, message: str, error: BaseException | None = None, millisecond: int | None = None) -> None:
        """Let the receiver be stopped and started again, in another thread; returns at once.

        Parameters
        ----------
        message : str
            Why; logged by the driver.
        error : BaseException, optional
            What led to it.
        millisecond : int, optional
            How long to wait before the start, in ms; by default ``spark.streaming.receiverRestartDelay``.
        """
        self._running("restart").restart(message, error, None if millisecond is None else millisecond / 1000)

    def stop(self, message: str, error: BaseException | None = None) -> None:
        """Stop the receiver for good; the program goes on."""
        self._running("stop").end(message, error)

    def reportError(self, message: str, error: BaseException | None = None) -> None:
        """Tell the driver, and its listeners, of an error after which the receiver goes on."""
        self._running("reportError").report(message, error)

    def isStarted(self) -> bool:
        """Return whether the receiver runs."""
        return self._supervisor is not None and self._supervisor.started

    def isStopped(self) -> bool:
        """Return whether the receiver was stopped, and loops in its threads should end."""
        return self._supervisor is not None and self._supervisor.stopped

    @property
    def streamId(self) -> int:
        """Number of the stream."""
        return self._running("streamId").stream

    def _running(self, call: str) -> Supervisor:
        if self._supervisor is None:
            raise DStreamStateError(f"{call}: the receiver has not been started; call it in onStart or later")
        if call == "store" and self._supervisor.stopped:
            raise ReceiverStopped("store: the receiver has been stopped, so nothing is taken any more")
        return self._supervisor
