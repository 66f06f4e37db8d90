"""``python -m dstreams checkpoint DIR``: tells what a checkpoint directory holds, or changes its partitions.

The saved program is not unpickled to tell of it: that is in the readable part of its file. Sizes of states come from
Spark's own reader of state stores.
"""

from __future__ import annotations

import sys
import tempfile
import time
from typing import NoReturn

from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway

from dstreams._run.before_spark import saved_conf
from dstreams._run.checkpoint import STEPS, read_directory
from dstreams._run.files import Files, jvm_reason
from dstreams._run.holdings import Holdings, Interrupted
from dstreams._run.page import without_passwords
from dstreams._run.repartition import repartition
from dstreams.errors import DStreamError, DStreamStateError, DStreamValueError

__all__ = ["USAGE", "command", "inspect"]

USAGE = """usage: python -m dstreams checkpoint DIR [--repartition N]

Shows what a checkpoint directory holds: the program, how far it has got, and the size of its state. DIR is a path or a
URI of any Hadoop file system. Nothing in it is changed, also while a driver runs on it.

--repartition N spreads the state of a program that does not run over N partitions, for all operations that name no
number of partitions themselves. What was there before is kept in DIR/_dstreams/previous."""


def command(arguments: list[str]) -> int:
    """Run the command, in a process without Spark.

    Parameters
    ----------
    arguments : list of str
        What follows ``checkpoint``.

    Returns
    -------
    int
        Exit code.
    """
    if arguments in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    try:
        directory, partitions = _parsed(arguments)
    except ValueError as error:
        return _refuse(f"checkpoint: {error}")
    with tempfile.TemporaryFile() as said:
        try:
            sc = _quiet_context(said.fileno(), saved_conf(directory) if partitions else None)
        except PySparkRuntimeError as error:
            said.seek(0)
            lines = [line for line in said.read().decode(errors="replace").splitlines() if "WARN" not in line]
            return _refuse(f"checkpoint: Spark cannot be started: {lines[0] if lines else jvm_reason(error)}")
        except (Py4JError, OSError) as error:
            return _refuse(f"checkpoint: Spark cannot be started: {jvm_reason(error)}")
        try:
            print(inspect(sc, directory) if partitions is None else repartition(sc, directory, partitions))
        except (DStreamError, Py4JError) as error:
            return _refuse(jvm_reason(error))
        finally:
            sc.stop()
    return 0


def _parsed(arguments: list[str]) -> tuple[str, int | None]:
    """Directory, and number of partitions if it is to be changed."""
    at = arguments.index("--repartition") if "--repartition" in arguments else len(arguments)
    directories, option = arguments[:at] + arguments[at + 2 :], arguments[at + 1 : at + 2]
    if len(directories) != 1:
        raise ValueError(f"name one directory, python -m dstreams checkpoint DIR (got {len(directories)})")
    if at == len(arguments):
        return directories[0], None
    if not option or not option[0].isdigit() or int(option[0]) < 1:
        raise ValueError(f"--repartition needs a number of partitions of at least 1 (got {' '.join(option) or 'none'})")
    return directories[0], int(option[0])


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
    if files.exists(STEPS):
        return Interrupted(files, now_ms).text()
    saved = read_directory(files)
    if saved is None:
        raise DStreamValueError(f"{files.root} holds no program of dstreams")
    return Holdings(sc, files, saved[0], now_ms).text()


def _refuse(reason: str) -> int:
    print(f"dstreams: {without_passwords(' '.join(reason.split()))}", file=sys.stderr)
    return 2


def _quiet_context(stderr: int, saved: SparkConf | None) -> SparkContext:
    """Make a SparkContext whose JVM says nothing on the terminal: a small one, or one with a program's settings."""
    conf = saved or SparkConf()
    settings = {
        "spark.master": "local[*]" if saved else "local[1]",
        "spark.app.name": "dstreams checkpoint",
        "spark.submit.deployMode": "client",
        "spark.log.level": "ERROR",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.eventLog.enabled": "false",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }
    for key, value in settings.items():
        conf.set(key, value)
    return SparkContext(conf=conf, gateway=launch_gateway(conf, {"stderr": stderr}))


class Unchanged(Files):
    """Files of a directory in which nothing may change, whatever is called to read it."""

    def is_folder(self) -> bool:
        """Whether there is such a directory."""
        path = self._path("")
        return bool(self._fs.exists(path)) and bool(self._fs.getFileStatus(path).isDirectory())

    def below(self, name: str) -> Unchanged:
        """Files of a folder."""
        return Unchanged(self._jvm, self._conf, f"{self.root}/{name}")

    def make_folder(self, name: str) -> NoReturn:
        """Refuse; all that writes begins with this or deletes."""
        raise DStreamStateError(f"{self.root} is being changed by a program that starts now. Look again later.")

    def delete(self, name: str) -> NoReturn:
        """Refuse."""
        self.make_folder(name)

    def can_write(self) -> NoReturn:
        """Refuse."""
        self.make_folder("")
