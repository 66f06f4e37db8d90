"""Tells what a checkpoint directory holds, and changes nothing in it.

The saved program is not unpickled to tell of it: that is in the readable part of its file. Sizes of states come from
Spark's own reader of state stores.
"""

from __future__ import annotations

import json
import time

from pyspark import SparkContext

from dstreams._run.checkpoint import files_of, read_directory
from dstreams._run.files import jvm_reason
from dstreams._run.holdings import Holdings
from dstreams.errors import DStreamValueError

__all__ = ["inspect"]


def inspect(sc: SparkContext, directory: str, now_ms: int | None = None, as_json: bool = False) -> str:
    """Tell what a checkpoint directory holds.

    Parameters
    ----------
    sc : SparkContext
        Any context; state is read with it.
    directory : str
        Path or URI of the directory.
    now_ms : int, optional
        Time of which ages are told, in ms; by default the time of day.
    as_json : bool
        Tell it to programs.

    Returns
    -------
    str
        Lines of at most 100 columns, an overview first; or JSON.

    Raises
    ------
    DStreamValueError
        If there is no such directory, or no program in it.
    CheckpointError
        If it is the old engine's, or damaged.
    """
    now_ms = round(time.time() * 1000) if now_ms is None else now_ms
    try:
        files = files_of(sc, directory)
        found = files.is_folder()
    except Exception as error:
        raise DStreamValueError(f"{directory}: {jvm_reason(error)}") from None
    if not found:
        raise DStreamValueError(f"no such directory: {directory}")
    saved = read_directory(files)
    if saved is None:
        raise DStreamValueError(f"{files.root} holds no program of dstreams")
    holdings = Holdings(sc, files, saved[0], now_ms)
    return json.dumps(holdings.as_dict(), indent=2) if as_json else holdings.text()
