"""``python -m dstreams checkpoint DIR``: what is asked for on the command line, and a Spark that does it quietly."""

from __future__ import annotations

import argparse
import sys
import tempfile

from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError

from dstreams._run.before_spark import saved_conf
from dstreams._run.launch import QUIET, launching
from dstreams._run.repartition import repartition
from dstreams._run.report import Report
from dstreams._run.report_text import without_passwords
from dstreams._spark.gateway import quiet_context
from dstreams._spark.jvm import jvm_reason
from dstreams.errors import DStreamError

__all__ = ["command"]


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
    parser = argparse.ArgumentParser(
        "python -m dstreams checkpoint",
        description="Shows what a checkpoint directory holds: the program, how far it has got, and the size of its "
        "state. Nothing in it is changed, also while a driver runs on it.",
    )
    parser.add_argument("directory", metavar="DIR", help="a path, or a URI of any Hadoop file system")
    options = parser.add_mutually_exclusive_group()
    options.add_argument("--json", action="store_true", help="show it as JSON, for programs")
    options.add_argument(
        "--repartition", type=_partitions, metavar="N", help="instead, spread the state of a program that does not "
        "run over N partitions, for all operations that name no number of partitions themselves; what was there "
        "before is kept",
    )  # fmt: skip
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryFile() as said:
        try:
            sc = _quiet_context(said.fileno(), saved_conf(asked.directory) if asked.repartition else None)
        except PySparkRuntimeError as error:
            said.seek(0)
            lines = [line for line in said.read().decode(errors="replace").splitlines() if "WARN" not in line]
            return _refuse(f"checkpoint: Spark cannot be started: {lines[0] if lines else jvm_reason(error)}")
        except (Py4JError, OSError, DStreamError) as error:
            return _refuse(f"checkpoint: Spark cannot be started: {jvm_reason(error)}")
        try:
            if asked.repartition:
                print(repartition(sc, asked.directory, asked.repartition))
            else:
                report = Report(sc, asked.directory)
                print(report.json() if asked.json else report.text())
        except (DStreamError, Py4JError) as error:
            return _refuse(jvm_reason(error))
        finally:
            sc.stop()
    return 0


def _partitions(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"it needs a number of partitions of at least 1 (got {text})")
    return int(text)


def _refuse(reason: str) -> int:
    print(f"dstreams: {without_passwords(' '.join(reason.split()))}", file=sys.stderr)
    return 2


def _quiet_context(stderr: int, saved: SparkConf | None) -> SparkContext:
    """Make a SparkContext whose JVM says nothing on the terminal: a small one, or one with a program's settings."""
    conf = saved or SparkConf()
    conf.setAll([*QUIET.items(), ("spark.master", "local[*]" if saved else "local[1]")])
    conf.setAppName("dstreams checkpoint")
    with launching(conf):
        return quiet_context(conf, stderr)
