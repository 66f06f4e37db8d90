"""The checkpoint directory that a program names: what it holds, and who may use it."""

from __future__ import annotations

import json
import os
import socket
import uuid
from typing import TYPE_CHECKING

from dstreams._run.program import OURS, Program, read_program
from dstreams._run.runs import Runs
from dstreams._spark.files import Files, files_of, local_path
from dstreams._spark.jvm import jvm_reason
from dstreams.errors import CheckpointError, DStreamError, DStreamTypeError, DStreamValueError

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = [
    "Ownership", "directory_name", "driver_runs", "last_driver", "open_directory", "read_directory",
]  # fmt: skip

try:
    import fcntl
except ImportError:  # on Windows; there the owner's token alone tells a second driver
    fcntl = None  # type: ignore[assignment]

OWNER = f"{OURS}/owner"


def open_directory(sc: SparkContext, directory: str, shared: bool = False) -> str:
    """Make a directory, see that it can be written to, and return its full name.

    Parameters
    ----------
    sc : SparkContext
        The program's context; its checkpoint directory becomes this one too, as on the old engine.
    directory : str
        On any Hadoop file system.
    shared : bool
        True if it lies in the SparkContext's checkpoint directory, which then stays.

    Raises
    ------
    DStreamTypeError, DStreamValueError
        If it is not a path, or cannot be written to; nothing has been touched then.
    """
    path = directory_name(directory)
    try:
        files = files_of(sc, path)
        files.can_write()
    except Exception as error:
        raise DStreamValueError(
            f"checkpoint: cannot write to the directory {path} ({jvm_reason(error)}). Name a directory that this "
            "program may make and write to; on a cluster one that all nodes reach."
        ) from None
    if not shared:
        sc.setCheckpointDir(files.root)
        files.delete_empty(str(sc.getCheckpointDir()))  # Spark makes its folder again when there is something for it
    return files.root


def directory_name(directory: str | os.PathLike[str]) -> str:
    """Path of a directory as text; refuses what is none."""
    if not isinstance(directory, str | os.PathLike) or not str(directory):
        raise DStreamTypeError(f"checkpoint: directory must be a str, got {directory!r}")
    return os.fspath(directory)


def read_directory(files: Files) -> tuple[Program, bytes] | None:
    """Read the program that a directory holds, with its pickled graph; None if there is none.

    Raises
    ------
    CheckpointError
        If what is there is not ours, or damaged.
    """
    try:
        runs = Runs(files)
        found = None if runs.current is None else read_program(runs.files(runs.current))
        names = files.names() if found is None else []
    except DStreamError:
        raise
    except Exception as error:
        raise CheckpointError.unreadable(files.root, jvm_reason(error)) from None
    if found is None:
        if runs.current is not None:
            raise CheckpointError.unreadable(
                files.root,
                f"no program is saved in {runs.files(runs.current).root} any more: the files {OURS}/program-* have "
                "been deleted there. Restore them from a copy, or use another directory. Nothing was changed.",
            )
        if any(name.startswith("checkpoint-") and name[11:].split(".")[0].isdigit() for name in names):
            raise CheckpointError.old_engine(files.root)
        if "offsets" in names and _is_of_a_query(files):
            raise CheckpointError.unreadable(
                files.root,
                "it is the checkpoint location of a query, but no program is saved in it: it belongs to another "
                f"Structured Streaming job, or the files {OURS}/program-* have been deleted. Use another directory.",
            )
    return found


def _is_of_a_query(files: Files) -> bool:
    """Whether a directory is the checkpoint location of a query, and does not only have names that one has too."""
    try:
        return "id" in json.loads(files.read("metadata"))
    except Exception:
        return False


# ---------------------------------------------------------------------- one driver


class Ownership:
    """Makes sure that one driver runs on a directory.

    On a disk of this machine the kernel keeps a lock until the process ends, so a second driver is refused. Elsewhere,
    also on disks that several machines share without sharing locks, the driver that comes later wins: a driver that
    has been replaced may hang somewhere for long; it notices at its next batch, before that is logged or committed.

    Parameters
    ----------
    files : Files
        Files of the directory.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._token = f"process {os.getpid()} on {socket.gethostname()}, {uuid.uuid4().hex[:8]}"
        self._lock: int | None = None

    def take(self) -> None:
        """Become the driver of the directory.

        Raises
        ------
        CheckpointError
            If another one is.
        """
        self._files.make_folder(OURS)
        if self._files.local and fcntl is not None:
            path = f"{self._files.root.removeprefix('file:')}/{OURS}/lock"
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.release()
                raise CheckpointError.in_use(self._files.root, self._owner()) from None
        self._files.write(OWNER, self._token.encode())

    def check(self) -> None:
        """See that nobody has taken over.

        Raises
        ------
        CheckpointError
            If somebody has, or if the file system does not answer, so that nobody knows.
        """
        try:
            owner = self._owner()
        except Exception as error:
            raise CheckpointError.unreachable(self._files.root, jvm_reason(error)) from None
        if owner != self._token:
            raise CheckpointError.taken_over(self._files.root, owner)

    def release(self) -> None:
        """Let others have the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _owner(self) -> str:
        try:
            return self._files.read(OWNER).decode()
        except Exception:
            if self._files.exists(OWNER):  # raises too, where the file system does not answer
                raise
            return "an unknown process"


def last_driver(files: Files) -> str:
    """Which process runs on a directory, or was the last one."""
    try:
        return files.read(OWNER).decode().rpartition(", ")[0]
    except Exception:  # it has just been made, or somebody has deleted it
        return "an unknown process"


def driver_runs(files: Files) -> bool | None:
    """Whether a driver runs on a directory; None where that is not known.

    A driver on a disk of this machine holds a lock. A shared one that is let go at once does not take it away.
    """
    path = local_path(files.root)
    if path is None or fcntl is None:
        return None
    try:
        with open(f"{path}/{OURS}/lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False
