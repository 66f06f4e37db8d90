"""Every error the package raises on its own account.

One base class, :class:`DStreamError`, and one subclass per kind of mistake, each of which is also the
built-in exception that Python users expect (``ValueError``, ``TypeError``, ``RuntimeError``). Texts that the
old engine has are kept word for word; what follows them says what to do.
"""

from __future__ import annotations

__all__ = [
    "BatchError",
    "DStreamError",
    "DStreamStateError",
    "DStreamTypeError",
    "DStreamValueError",
    "StreamingSideError",
    "UnsupportedDStreamOperation",
]


class DStreamError(Exception):
    """Base class of all errors of this package."""


class DStreamValueError(DStreamError, ValueError):
    """An argument has the right type but a value that cannot work."""


class DStreamTypeError(DStreamError, TypeError):
    """An argument has the wrong type."""


class DStreamStateError(DStreamError, RuntimeError):
    """A call that the context's state does not allow: started twice, stopped, no outputs."""

    @classmethod
    def no_outputs(cls) -> DStreamStateError:
        """``start()`` of a program that has no output operation."""
        return cls(
            "requirement failed: No output operations registered, so nothing to execute. "
            "Call pprint(), foreachRDD() or a save operation on a DStream before start()."
        )

    @classmethod
    def no_checkpoint(cls) -> DStreamStateError:
        """``start()`` of a program with state, without a directory for it."""
        return cls(
            "requirement failed: The checkpoint directory has not been set. Please set it by "
            "StreamingContext.checkpoint()."
        )

    @classmethod
    def already_stopped(cls) -> DStreamStateError:
        """``start()`` after ``stop()`` or after a start that failed."""
        return cls(
            "StreamingContext has already been stopped. Make a new StreamingContext; "
            "the SparkContext can be kept with stop(stopSparkContext=False)."
        )

    @classmethod
    def other_active(cls, started_at: str) -> DStreamStateError:
        """``start()`` while another context of this process runs."""
        return cls(
            "Only one StreamingContext may be started in this JVM. Currently running StreamingContext was "
            f"started at{started_at}. Stop it first: StreamingContext.getActive().stop(stopSparkContext=False)."
        )

    @classmethod
    def frozen(cls, what: str, state: str) -> DStreamStateError:
        """An operation was defined after ``start()`` or ``stop()``."""
        return cls(
            "Adding new inputs, transformations, and output operations after "
            f"{state} a context is not supported ({what}). Define the whole program before start()."
        )

    @classmethod
    def frozen_setting(cls, what: str) -> DStreamStateError:
        """Storage level or checkpoint interval changed after ``start()``."""
        return cls(f"Cannot change {what} of a DStream after streaming context has started")


class UnsupportedDStreamOperation(DStreamError, NotImplementedError):
    """An operation of the old engine that this version does not run."""

    @classmethod
    def recovery(cls, operation: str) -> UnsupportedDStreamOperation:
        """Checkpoint directories are not read or written by this version."""
        return cls(
            f"{operation}: this version of dstreams has no recovery from a checkpoint directory yet. Nothing was "
            "started and the directory was not touched. Leave the call out to run the program without recovery."
        )


class StreamingSideError(DStreamError, RuntimeError):
    """An RDD action, or something else that needs real data, was called on the streaming side."""

    @classmethod
    def needs_batch(cls, name: str) -> StreamingSideError:
        """``rdd.<name>`` has no meaning before there is a batch."""
        return cls(
            f"RDD.{name} needs the data of a batch, and the streaming plan is made before there is any. "
            "Do this inside transform() or foreachRDD(), which get the real RDD of each batch."
        )


class BatchError(DStreamError, RuntimeError):
    """A batch failed where no exception object of the user's own is at hand.

    The text carries the operation and the Python traceback of the worker, without the JVM's stack.
    """
