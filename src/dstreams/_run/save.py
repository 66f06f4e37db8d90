"""Saving the RDD of a batch to a directory of its own, so that doing it again gives the same directory."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from dstreams._spark.files import hadoop_path

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["save_batch"]


def save_batch(sc: SparkContext, path: str, write: Callable[[str], None]) -> None:
    """Write a batch's directory; an existing one, left by an earlier run of the same batch, is replaced.

    The old engine writes into the existing directory and leaves its other files there, or drops the batch,
    depending on ``PYSPARK_PIN_THREAD``. Here the new files are complete before the old ones go.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    path : str
        Directory on any Hadoop file system.
    write : callable
        Writes the RDD to the directory it is given, which must not exist.
    """
    fs, target = hadoop_path(sc, path)
    if not fs.exists(target):
        write(path)
        return
    fresh = f"{path.rstrip('/')}-{uuid.uuid4().hex[:8]}.tmp"
    try:
        write(fresh)
        old = [status.getPath() for status in fs.listStatus(target)]
        for file in old:
            if file.getName().startswith("part-") or file.getName() == "_SUCCESS":
                fs.delete(file, False)
        for status in fs.listStatus(hadoop_path(sc, fresh)[1]):
            fs.rename(status.getPath(), hadoop_path(sc, f"{path}/{status.getPath().getName()}")[1])
    finally:
        fs.delete(hadoop_path(sc, fresh)[1], True)
