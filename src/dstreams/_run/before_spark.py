"""Before there is a JVM: what a checkpoint directory on a local disk says about how to start one.

Some settings count only when the JVM starts: the driver's memory, and jars such as those of a connector. The old
engine starts it to read the directory, before the program has set anything; a directory that is certainly on a disk of
this machine can be read without.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from pyspark import SparkConf

from dstreams._run.launch import launching
from dstreams._run.program import FILE, OURS, without_process
from dstreams._run.runs import CURRENT, read_runs
from dstreams._spark import gateway
from dstreams._spark.gateway import jvm_runs, settings_alone, spark_home

__all__ = ["saved_conf", "start_jvm"]

_MAYBE_ELSEWHERE = ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "SPARK_CONF_DIR", "PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS")
"""Where these are set, the JVM runs already, or the settings may put paths without a scheme on another file system."""


def start_jvm(path: str) -> bool:
    """Start the JVM, if there is none, for a program that may be in a checkpoint directory.

    Parameters
    ----------
    path : str
        The directory.

    Returns
    -------
    bool
        False if none was started because none is needed: there is certainly nothing in the directory, and the
        program's own settings can count.
    """
    folder = None if jvm_runs() else _local(path)
    if folder is None:
        with launching():
            gateway.start_jvm()
        return True
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    conf = _saved_conf(folder)
    with launching(conf):
        gateway.start_jvm(conf)
    return True


def saved_conf(path: str) -> SparkConf:
    """Settings of the program in a directory that is certainly local; else those that Spark finds by itself."""
    folder = _local(path)
    return (_saved_conf(folder) if folder is not None else None) or SparkConf()


def _local(path: str) -> Path | None:
    """Folder on a disk of this machine that a path certainly is; None if it may be elsewhere."""
    if path.startswith("file:"):
        return Path("/" + path.removeprefix("file:").lstrip("/"))
    elsewhere = any(os.environ.get(name) for name in _MAYBE_ELSEWHERE)
    defaults = Path(os.environ.get("SPARK_HOME") or spark_home()) / "conf" / "spark-defaults.conf"
    return None if ":" in path or elsewhere or defaults.exists() else Path(path)


def _saved_conf(folder: Path) -> SparkConf | None:
    """Settings of the program that a folder holds; what is wrong with it is told when it is read in full."""
    try:
        current = folder / CURRENT
        location = read_runs(current.read_bytes())[0].location if current.exists() else ""
        newest = max((folder / location / OURS).glob(f"{FILE}*"))
        with newest.open("rb") as file:
            saved = json.loads(file.readline())["conf"]
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    conf = settings_alone()
    conf.setAll(list(without_process(saved).items()))
    return conf
