"""Every error the package raises on its own account.

One base class, :class:`DStreamError`, and one subclass per kind of mistake, each of which is also the
built-in exception that Python users expect (``ValueError``, ``TypeError``, ``RuntimeError``). Texts that the
old engine has are kept word for word; what follows them says what to do.
"""

from __future__ import annotations

__all__ = [
    "BatchError",
    "CheckpointError",
    "ClusterError",
    "DStreamError",
    "DStreamStateError",
    "DStreamTypeError",
    "DStreamValueError",
    "ReceiverStopped",
    "StreamingSideError",
    "UnsupportedDStreamOperation",
    "UpgradeError",
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
    def restored(cls, what: str) -> DStreamStateError:
        """An operation was added to a program that was restored from its directory."""
        return cls(
            f"{what}: the program was restored from its checkpoint directory, and a stream that is added to it has not "
            "been initialized. Define the whole program in setupFunc; to change a program that has run, start it once "
            "with getOrCreate(..., upgrade=True)."
        )

    @classmethod
    def frozen_setting(cls, what: str) -> DStreamStateError:
        """Storage level or checkpoint interval changed after ``start()``."""
        return cls(f"Cannot change {what} of a DStream after streaming context has started")


class ReceiverStopped(DStreamStateError):
    """A receiver stores records after it has been stopped; they are not taken."""


class UnsupportedDStreamOperation(DStreamError, NotImplementedError):
    """An operation of the old engine that this version does not run."""


class CheckpointError(DStreamError, RuntimeError):
    """A checkpoint directory cannot be used as it is; nothing in it has been changed."""

    @classmethod
    def old_engine(cls, directory: str) -> CheckpointError:
        """The directory is one of the engine that PySpark ships."""
        return cls(
            f"{directory} is a checkpoint directory of the old engine (pyspark.streaming): its program is a graph of "
            "objects of the JVM, which cannot be gone on with. Its state can: save it as docs/how-to/migrate.md shows "
            "(from an output that has all keys, or from the RDDs in this directory), and start this program on a new "
            'directory with updateStateByKey(f, initialRDD=sc.pickleFile("state")), or StateSpec.initialState for '
            "mapWithState. Windows fill again by themselves. Give the new directory's name to getOrCreate; nothing was "
            "changed in this one."
        )

    @classmethod
    def other_program(cls, directory: str, script: str, app: str, ours: str) -> CheckpointError:
        """Another program has written the directory."""
        return cls(
            f"{directory} belongs to another program, {script or 'a shell'} (application {app!r}), and this is "
            f"{ours or 'a shell'}. Restoring it would run that one. Name another directory; or, if this is the same "
            "program under a new name, start it once with getOrCreate(..., upgrade=True), which runs setupFunc and "
            "keeps offsets and state. Nothing was changed."
        )

    @classmethod
    def in_use(cls, directory: str, owner: str) -> CheckpointError:
        """Another driver runs on the directory."""
        return cls(
            f"another program is running on the checkpoint directory {directory} ({owner}). Two would tear its "
            "state apart. Stop the other one first, or name another directory."
        )

    @classmethod
    def taken_over(cls, directory: str, owner: str) -> CheckpointError:
        """Another driver has begun on the directory while this one was running."""
        return cls(
            f"another program ({owner}) has taken over the checkpoint directory {directory}; this one ends without "
            "committing its batch, which the other one runs."
        )

    @classmethod
    def unreachable(cls, directory: str, reason: str) -> CheckpointError:
        """The file system of the directory does not answer."""
        return cls(
            f"the checkpoint directory {directory} cannot be reached ({reason}); this program ends without committing "
            "its batch, which the next start runs again. How long a file system is waited for is set in its client: "
            "for a namenode that restarts, spark.hadoop.dfs.client.retry.policy.enabled=true."
        )

    @classmethod
    def unreadable(cls, directory: str, reason: str) -> CheckpointError:
        """The saved program is damaged or not for this version; the first words are the old engine's."""
        return cls(f"Failed to read checkpoint from directory {directory}: {reason}")


class UpgradeError(CheckpointError, ValueError):
    """A new program cannot go on with what a directory has kept for the old one.

    Parameters
    ----------
    problems : list of str
        One for each operation that does not fit.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        listed = "\n  - ".join(problems)
        super().__init__(
            f"the program does not fit what its checkpoint directory has kept; nothing was changed:\n  - {listed}"
        )

    def __reduce__(self) -> tuple[type[UpgradeError], tuple[list[str]]]:
        return UpgradeError, (self.problems,)


class StreamingSideError(DStreamError, RuntimeError):
    """An RDD action, or something else that needs real data, was called on the streaming side."""

    @classmethod
    def needs_batch(cls, name: str) -> StreamingSideError:
        """``rdd.<name>`` has no meaning before there is a batch."""
        return cls(
            f"RDD.{name} needs the data of a batch, and the streaming plan is made before there is any. "
            "Do this inside transform() or foreachRDD(), which get the real RDD of each batch."
        )


class ClusterError(DStreamError, RuntimeError):
    """The nodes of a cluster lack something that the program needs there; nothing has been started."""


class BatchError(DStreamError, RuntimeError):
    """A batch failed where no exception object of the user's own is at hand.

    The text carries the operation and the Python traceback of the worker, without the JVM's stack.
    """
