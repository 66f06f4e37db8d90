"""The checkpoint directory that a program names: the checkpoint location of its query."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from dstreams.errors import DStreamTypeError, DStreamValueError

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import SparkContext

__all__ = ["exchange_directory", "move_aside", "open_directory"]

log = logging.getLogger("dstreams")

_OURS = "_dstreams"
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
    if not isinstance(directory, str | os.PathLike) or not str(directory):
        raise DStreamTypeError(f"checkpoint: directory must be a str, got {directory!r}")
    fs, path = _path(sc, os.fspath(directory))
    probe = None
    try:
        if not fs.mkdirs(path):
            raise DStreamValueError(f"checkpoint: the directory {path.toString()} cannot be made")
        assert sc._jvm is not None
        probe = sc._jvm.org.apache.hadoop.fs.Path(path, f".dstreams-{os.getpid()}")
        fs.create(probe, True).close()
    except DStreamValueError:
        raise
    except Exception as error:
        reason = str(getattr(error, "java_exception", error)).splitlines()[0]
        raise DStreamValueError(
            f"checkpoint: cannot write to the directory {path.toString()} ({reason}). Name a directory that this "
            "program may make and write to; on a cluster one that all nodes reach."
        ) from None
    finally:
        if probe is not None and fs.exists(probe):
            fs.delete(probe, False)
    full = str(fs.makeQualified(path).toString())
    if not shared:
        sc.setCheckpointDir(full)
    return full


def exchange_directory(directory: str, number: int) -> str:
    """Checkpoint location of an exchange of the program whose checkpoint location is given."""
    return f"{directory}/{_OURS}/exchange-{number}"


def move_aside(sc: SparkContext, directory: str) -> None:
    """Let a program that starts anew begin with nothing, as on the old engine; what was there is kept once."""
    fs, path = _path(sc, directory)
    assert sc._jvm is not None
    of = sc._jvm.org.apache.hadoop.fs.Path
    exchanges = fs.globStatus(of(path, f"{_OURS}/exchange-*")) or ()
    old = [name for name in _QUERY if fs.exists(of(path, name))]
    old += [f"{_OURS}/{found.getPath().getName()}" for found in exchanges]
    if not old:
        return
    aside = of(path, f"{_OURS}/previous")
    fs.delete(aside, True)
    fs.mkdirs(aside)
    for name in old:
        fs.rename(of(path, name), of(aside, os.path.basename(name)))
    log.warning(
        "%s holds the state of an earlier run, which this program does not continue; it is now in %s",
        directory, aside.toString(),
    )  # fmt: skip


def _path(sc: SparkContext, directory: str) -> tuple[JavaObject, JavaObject]:
    assert sc._jvm is not None and sc._jsc is not None
    path = sc._jvm.org.apache.hadoop.fs.Path(directory)
    return path.getFileSystem(sc._jsc.hadoopConfiguration()), path
