"""StreamingListener: be told what happens to each batch."""

from __future__ import annotations

from typing import Any

__all__ = ["StreamingListener"]


class StreamingListener:
    """Override any of the methods; each gets one event.

    All properties of events are methods to call, as in the old engine: ``event.batchInfo().batchTime()``. Events
    arrive in order, on a thread of their own; an exception that a method raises is logged and ends nothing.
    ``StreamingContext.stop`` may be called from here (the old engine raises).
    """

    def onStreamingStarted(self, streamingStarted: Any) -> None:
        """Streaming has started: ``event.time()`` in ms."""

    def onReceiverStarted(self, receiverStarted: Any) -> None:
        """A receiver has connected: ``event.receiverInfo()``."""

    def onReceiverError(self, receiverError: Any) -> None:
        """A receiver could not connect, or failed: ``event.receiverInfo()``."""

    def onReceiverStopped(self, receiverStopped: Any) -> None:
        """A receiver lost its connection: ``event.receiverInfo()``."""

    def onBatchSubmitted(self, batchSubmitted: Any) -> None:
        """The outputs of a batch are about to run: ``event.batchInfo()``."""

    def onBatchStarted(self, batchStarted: Any) -> None:
        """The first output of a batch starts: ``event.batchInfo()``."""

    def onBatchCompleted(self, batchCompleted: Any) -> None:
        """All outputs of a batch have run, failed ones included: ``event.batchInfo()``."""

    def onOutputOperationStarted(self, outputOperationStarted: Any) -> None:
        """An output operation starts: ``event.outputOperationInfo()``."""

    def onOutputOperationCompleted(self, outputOperationCompleted: Any) -> None:
        """An output operation has run: ``event.outputOperationInfo()``."""
