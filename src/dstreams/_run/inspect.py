"""Tells what a checkpoint directory holds, and changes nothing in it.

The saved program is not unpickled to tell of it: that is in the readable part of its file. Sizes of states come from
Spark's own reader of state stores.
"""

from __future__ import annotations

import time
from typing import NoReturn

from pyspark import SparkContext

from dstreams._run.checkpoint import STEPS, home, read_directory
from dstreams._run.files import Files, jvm_reason
from dstreams._run.holdings import Holdings, Interrupted
from dstreams.errors import DStreamStateError, DStreamValueError

__all__ = ["Unchanged", "inspect"]


def inspect(sc: SparkContext, directory: str, now_ms: int | None = None) -> str:
    """Tell what a checkpoint directory holds.

    Parameters
    ----------
    sc : SparkContext
        Any context; state is read with it.
    directory : str
        Path or URI of the directory.
    now_ms : int, optional
        Time of which ages are told, in ms; by default the time of day.

    Returns
    -------
    str
        Lines of at most 100 columns, an overview first.

    Raises
    ------
    DStreamValueError
        If there is no such directory, or no program in it.
    CheckpointError
        If it is the old engine's, or damaged.
    """
    now_ms = round(time.time() * 1000) if now_ms is None else now_ms
    assert sc._jvm is not None and sc._jsc is not None
    try:
        files = Unchanged(sc._jvm, sc._jsc.hadoopConfiguration(), directory)
        found = files.is_folder()
    except Exception as error:
        raise DStreamValueError(f"{directory}: {jvm_reason(error)}") from None
    if not found:
        raise DStreamValueError(f"no such directory: {directory}")
    ours = home(files)
    if ours.exists(STEPS):
        return Interrupted(ours, now_ms).text()
    saved = read_directory(ours)
    if saved is None:
        raise DStreamValueError(f"{files.root} holds no program of dstreams")
    return Holdings(sc, ours, saved[0], now_ms).text()


class Unchanged(Files):
    """Files of a directory in which nothing may change, whatever is called to read it."""

    def is_folder(self) -> bool:
        """Whether there is such a directory."""
        path = self._path("")
        return bool(self._fs.exists(path)) and bool(self._fs.getFileStatus(path).isDirectory())

    def make_folder(self, name: str) -> NoReturn:
        """Refuse; all that writes begins with this or deletes."""
        raise DStreamStateError(f"{self.root} is being changed by a program that starts now. Look again later.")

    def delete(self, name: str) -> NoReturn:
        """Refuse."""
        self.make_folder(name)

    def can_write(self) -> NoReturn:
        """Refuse."""
        self.make_folder("")
