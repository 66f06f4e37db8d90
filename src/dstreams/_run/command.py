"""``python -m dstreams checkpoint DIR``: what is asked for on the command line, and a Spark that does it quietly."""

from __future__ import annotations

import sys
import tempfile

from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway

from dstreams._run.before_spark import saved_conf
from dstreams._run.files import jvm_reason
from dstreams._run.inspect import inspect
from dstreams._run.launch import QUIET, launching
from dstreams._run.page import without_passwords
from dstreams._run.repartition import repartition
from dstreams.errors import DStreamError

__all__ = ["USAGE", "command"]

USAGE = """usage: python -m dstreams checkpoint DIR [--json | --repartition N]

Shows what a checkpoint directory holds: the program, how far it has got, and the size of its state. DIR is a path or a
URI of any Hadoop file system. Nothing in it is changed, also while a driver runs on it. --json tells it to programs.

--repartition N spreads the state of a program that does not run over N partitions, for all operations that name no
number of partitions themselves. What was there before is kept."""


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
    as_json = "--json" in arguments
    if as_json and "--repartition" in arguments:
        return _refuse("checkpoint: --json tells what is there, and --repartition changes it: give one of them")
    try:
        directory, partitions = _parsed([argument for argument in arguments if argument != "--json"])
    except ValueError as error:
        return _refuse(f"checkpoint: {error}")
    with tempfile.TemporaryFile() as said:
        try:
            sc = _quiet_context(said.fileno(), saved_conf(directory) if partitions else None)
        except PySparkRuntimeError as error:
            said.seek(0)
            lines = [line for line in said.read().decode(errors="replace").splitlines() if "WARN" not in line]
            return _refuse(f"checkpoint: Spark cannot be started: {lines[0] if lines else jvm_reason(error)}")
        except (Py4JError, OSError, DStreamError) as error:
            return _refuse(f"checkpoint: Spark cannot be started: {jvm_reason(error)}")
        try:
            print(
                inspect(sc, directory, as_json=as_json)
                if partitions is None
                else repartition(sc, directory, partitions)
            )
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


def _refuse(reason: str) -> int:
    print(f"dstreams: {without_passwords(' '.join(reason.split()))}", file=sys.stderr)
    return 2


def _quiet_context(stderr: int, saved: SparkConf | None) -> SparkContext:
    """Make a SparkContext whose JVM says nothing on the terminal: a small one, or one with a program's settings."""
    conf = saved or SparkConf()
    settings = QUIET | {
        "spark.master": "local[*]" if saved else "local[1]",
        "spark.app.name": "dstreams checkpoint",
    }
    for key, value in settings.items():
        conf.set(key, value)
    with launching(conf):
        gateway = launch_gateway(conf, {"stderr": stderr})
    return SparkContext(conf=conf, gateway=gateway)
