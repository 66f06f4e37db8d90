"""The checkpoint directory that a program names: the checkpoint location of its query, and who may use it.

A directory in which others have files, ``"."`` being the most usual, keeps them: there the location is a folder in it.

What takes the place of files in it is prepared below ``_dstreams/next`` and then put there in steps that are listed in
a file of their own: a program that dies meanwhile leaves either the old or, after the next start, the new state of
things. What was there is kept once, in ``_dstreams/previous``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import socket
import uuid
from typing import TYPE_CHECKING, TypeVar

from dstreams._run.files import Files, jvm_reason
from dstreams._run.program import OURS, Program, read_program
from dstreams.errors import CheckpointError, DStreamError, DStreamTypeError, DStreamValueError

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = [
    "LOG", "NEXT", "OWNER", "PREVIOUS", "STEPS", "Ownership", "aside", "directory_name", "exchange_folder", "files_of",
    "finish_swap", "folder_name", "home", "move_names", "open_directory", "read_directory", "swap", "used",
]  # fmt: skip

try:
    import fcntl
except ImportError:  # on Windows; there the owner's token alone tells a second driver
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger("dstreams")
_F = TypeVar("_F", bound=Files)

NEXT = f"{OURS}/next"
PREVIOUS = f"{OURS}/previous"
LOG = f"{OURS}/log"
STEPS = f"{NEXT}/steps"
OWNER = f"{OURS}/owner"
HOME = "dstreams-checkpoint"
"""Checkpoint location in a directory where others have files, so that Spark's names cannot meet theirs."""
_NOBODYS = re.compile(r"\..*|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Hidden files, and the folders that a SparkContext makes in its checkpoint directory."""
_QUERY = ("metadata", "offsets", "commits", "sources", "state")
"""What a query keeps in its checkpoint location."""


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
        named = files_of(sc, path)
        files = home(named)
        files.can_write()
    except Exception as error:
        raise DStreamValueError(
            f"checkpoint: cannot write to the directory {path} ({jvm_reason(error)}). Name a directory that this "
            "program may make and write to; on a cluster one that all nodes reach."
        ) from None
    if not shared:
        sc.setCheckpointDir(files.root)
    if files is not named:
        log.info("checkpoint: %s has files of others, so this program's are in %s", named.root, files.root)
    return files.root


def directory_name(directory: str | os.PathLike[str]) -> str:
    """Path of a directory as text; refuses what is none."""
    if not isinstance(directory, str | os.PathLike) or not str(directory):
        raise DStreamTypeError(f"checkpoint: directory must be a str, got {directory!r}")
    return os.fspath(directory)


def files_of(sc: SparkContext, directory: str) -> Files:
    """Files of a directory, with the Hadoop settings of a SparkContext."""
    assert sc._jvm is not None and sc._jsc is not None
    return Files(sc._jvm, sc._jsc.hadoopConfiguration(), directory)


def home(files: _F) -> _F:
    """Where the checkpoint location of a program is that names a directory.

    Parameters
    ----------
    files : Files
        Files of the directory, which need not exist.

    Returns
    -------
    Files
        The same, or those of a folder in it, where the directory is neither empty nor the checkpoint location of a
        program of ours, which has a folder with its owner and its program.
    """
    if files.names(OURS) or all(_NOBODYS.fullmatch(name) for name in files.names()):
        return files
    return files.below(HOME)


def folder_name(id: str) -> str:
    """Name of the folder of a source's own files: what is readable of its id, and what makes it unique."""
    readable = "".join(letter if letter.isalnum() else "-" for letter in id)[:40].strip("-")
    return f"{readable}-{hashlib.sha256(id.encode()).hexdigest()[:8]}"


def exchange_folder(number: int) -> str:
    """Folder in a checkpoint directory that is the checkpoint location of an exchange."""
    return f"{OURS}/exchange-{number}"


def read_directory(files: Files) -> tuple[Program, bytes] | None:
    """Read the program that a directory holds, with its pickled graph; None if there is none.

    Raises
    ------
    CheckpointError
        If what is there is not ours, or damaged.
    """
    try:
        if files.exists(STEPS):
            owner = Ownership(files)
            owner.take()
            finish_swap(files)
            owner.release()
        found = read_program(files)
        root = files.root.removesuffix(f"/{HOME}")  # what the program has named decides what may be begun here
        named = files if root == files.root else files.below("..")
        names = named.names() if found is None else []
    except DStreamError:
        raise
    except Exception as error:
        raise CheckpointError.unreadable(files.root, jvm_reason(error)) from None
    if found is None:
        if any(name.startswith("checkpoint-") and name[11:].split(".")[0].isdigit() for name in names):
            raise CheckpointError.old_engine(root)
        if "offsets" in names and _is_of_a_query(named):
            raise CheckpointError.unreadable(
                root,
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


# ---------------------------------------------------------------------- changing what is there


def aside(files: Files) -> None:
    """Let a program that starts anew begin with nothing, as on the old engine; what was there is kept once."""
    old = used(files)
    if old and files.exists(PREVIOUS) and not any(name.isdigit() for name in files.names("commits")):
        for name in old:  # what was there before is worth more than what has done nothing
            files.delete(name)
    elif old:
        swap(files, old)
        log.warning(
            "%s holds an earlier run, which this program does not go on with (StreamingContext.getOrCreate does); it "
            "is now in %s/%s", files.root, files.root, PREVIOUS,
        )  # fmt: skip


def used(files: Files) -> list[str]:
    """Everything in a directory that belongs to a run."""
    old = [name for name in _QUERY if files.exists(name)]
    ours = [name for name in files.names(OURS) if name.startswith(("exchange-", "program-")) or name == "log"]
    return old + [f"{OURS}/{name}" for name in ours]


def swap(files: Files, old: list[str]) -> None:
    """Move what is listed aside, and put what was prepared below ``_dstreams/next`` in its place."""
    files.delete(PREVIOUS)
    new = [name for name in files.names(NEXT) if name != OURS]
    new += [f"{OURS}/{name}" for name in files.names(f"{NEXT}/{OURS}")]
    files.write(STEPS, json.dumps({"aside": old, "place": new}).encode())
    finish_swap(files)


def finish_swap(files: Files) -> None:
    """Go on with a swap that was begun; throw away what was only prepared."""
    if files.exists(STEPS):
        try:
            steps = json.loads(files.read(STEPS))
        except Exception as error:
            raise CheckpointError.unreadable(
                files.root,
                f"the file {STEPS} is damaged ({jvm_reason(error)}), which lists the moves of an upgrade that was "
                f"interrupted. Restore it from a copy; what the upgrade has replaced is in {PREVIOUS}.",
            ) from None
        for name in steps["aside"]:
            if not files.exists(f"{PREVIOUS}/{name}") and files.exists(name):
                files.move(name, f"{PREVIOUS}/{name}")
        for name in steps["place"]:
            if files.exists(f"{NEXT}/{name}"):
                files.move(f"{NEXT}/{name}", name)
    files.delete(NEXT)


def move_names(files: Files, folder: str, before: str, after: str) -> None:
    """Spark's descriptions of stateful operators have the full names of files: change a directory's name in them.

    Parameters
    ----------
    files : Files
        Files of the checkpoint directory.
    folder : str
        Checkpoint location in it.
    before, after : str
        Full names of the directory.
    """
    state = f"{folder}/state" if folder else "state"
    for operator in files.names(state):
        descriptions = f"{state}/{operator}/_metadata/v2"
        for name in files.names(descriptions):
            if name.isdigit():
                text = files.read(f"{descriptions}/{name}").decode()
                moved = text.replace(f'"{before}/', f'"{after}/')
                if moved != text:
                    files.write(f"{descriptions}/{name}", moved.encode())


# ---------------------------------------------------------------------- one driver


class Ownership:
    """Makes sure that one driver runs on a directory.

    On a disk of this machine the kernel keeps a lock until the process ends, so a second driver is refused. Elsewhere
    the driver that comes later wins: a driver that has been replaced may hang somewhere for long; it notices at its
    next batch, before that is logged or committed.

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
        if self._lock is not None:
            return
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
