"""The runs that a checkpoint directory keeps, and which of them counts.

A run begins with nothing or with an upgrade, and lasts over restarts until the next one begins. It has a folder of its
own, which is the checkpoint location of its query: the directory itself for a first run, unless others have files
there, ``"."`` being the most usual case. One small file, written last, says which run counts, so that another one has
either taken its place or not, whenever the program dies. The run before is kept until the new one has committed a batch
and is itself followed by another.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from dstreams._run.program import FILE, OURS
from dstreams._spark.jvm import jvm_reason
from dstreams.errors import CheckpointError

if TYPE_CHECKING:
    from dstreams._spark.files import Files

__all__ = ["CURRENT", "LOG", "Run", "Runs", "exchange_folder", "folder_name", "move_names", "read_runs"]

LOG = f"{OURS}/log"
CURRENT = f"{OURS}/current"
_RUN = "run-"
_NOBODYS = re.compile(r"\..*|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|" + OURS)
"""Hidden files, the folders that a SparkContext makes in its checkpoint directory, and our own."""
_QUERY = ("metadata", "offsets", "commits", "sources", "state")
"""What a query keeps in its checkpoint location."""


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes
    ----------
    location : str
        Its folder in the directory; empty for the directory itself.
    given : int, optional
        Number of the last commit that it was given by the run before; None where that gave none.
    """

    location: str
    given: int | None = None


class Runs:
    """Runs of one directory.

    Parameters
    ----------
    files : Files
        Files of the directory, which need not exist.

    Attributes
    ----------
    current : Run or None
        The run that counts; None where there is none.
    previous : Run or None
        The one before, which is kept once.

    Raises
    ------
    CheckpointError
        If the file that says it is damaged.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self.current: Run | None = None
        self.previous: Run | None = None
        if files.exists(CURRENT):
            try:
                self.current, *previous = read_runs(files.read(CURRENT))
                self.previous = previous[0] if previous else None
            except Exception as error:
                raise CheckpointError.unreadable(
                    files.root,
                    f"the file {CURRENT} is damaged ({jvm_reason(error)}), which says which of the runs in {OURS} "
                    "counts. Restore it from a copy, and do not delete it. Nothing was changed.",
                ) from None
        elif lost := [folder for folder in self._folders() if _last_commit(files.below(folder)) is not None]:
            raise CheckpointError.unreadable(
                files.root,
                f"the file {CURRENT} is missing, which says which of the runs counts: there is {', '.join(lost)}. "
                "Restore it from a copy. Nothing was changed.",
            )
        elif any(name.startswith(FILE) for name in files.names(OURS)):
            self.current = Run("")

    def files(self, run: Run) -> Files:
        """Files of a run's folder."""
        return self._files.below(run.location) if run.location else self._files

    def following(self) -> Run:
        """A run that may take the place of the current one; what one that never did has left in its folder goes."""
        if self.current is not None and not self._files.exists(CURRENT):  # one that an older version has begun
            self._write()
        if self.current is None and all(_NOBODYS.fullmatch(name) for name in self._files.names()):
            return Run("")
        numbers = (int(run.location.rpartition("-")[2]) if run.location else 1 for run in self._named())
        location = f"{OURS}/{_RUN}{max(numbers, default=0) + 1}"
        self._files.delete(location)
        return Run(location)

    def switch(self, run: Run) -> None:
        """Let a run count that is complete.

        The one before is kept; where that has not committed anything itself, the one that it had replaced is.
        """
        kept = self.current
        if self.current is not None and self.previous is not None:
            if _last_commit(self.files(self.current)) == self.current.given:
                kept = self.previous
            else:
                self._forget(self.previous)  # whatever happens now, nobody asks for it any more
        self.current, self.previous = Run(run.location, _last_commit(self.files(run))), kept
        self._write()
        for folder in self._folders():  # of runs that nobody asks for any more, or of one that died before it counted
            if all(folder != run.location for run in self._named()):
                self._files.delete(folder)

    def _write(self) -> None:
        self._files.write(CURRENT, json.dumps([asdict(named) for named in self._named()]).encode())

    def _folders(self) -> list[str]:
        return [f"{OURS}/{name}" for name in self._files.names(OURS) if name.startswith(_RUN)]

    def _named(self) -> list[Run]:
        return [run for run in (self.current, self.previous) if run is not None]

    def _forget(self, run: Run) -> None:
        """Delete a run; in the directory itself only what is ours."""
        if run.location:
            self._files.delete(run.location)
            return
        ours = (name for name in self._files.names(OURS) if name.startswith(("exchange-", FILE)) or name == "log")
        for name in (*_QUERY, *(f"{OURS}/{name}" for name in ours)):
            self._files.delete(name)


def read_runs(data: bytes) -> list[Run]:
    """Read the file that says which run counts: that one, and the one that it has replaced."""
    return [Run(**run) for run in json.loads(data)]


def folder_name(id: str) -> str:
    """Name of the folder of a source's own files: what is readable of its id, and what makes it unique."""
    readable = "".join(letter if letter.isalnum() else "-" for letter in id)[:40].strip("-")
    return f"{readable}-{hashlib.sha256(id.encode()).hexdigest()[:8]}"


def exchange_folder(number: int) -> str:
    """Folder in a run's that is the checkpoint location of an exchange."""
    return f"{OURS}/exchange-{number}"


def move_names(files: Files, folder: str, before: str, after: str) -> None:
    """Spark's descriptions of stateful operators have the full names of files: change a directory's name in them.

    Parameters
    ----------
    files : Files
        Files of a run.
    folder : str
        Checkpoint location in it.
    before, after : str
        Full names of the run's folder.
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


def _last_commit(files: Files) -> int | None:
    return max((int(name) for name in files.names("commits") if name.isdigit()), default=None)
