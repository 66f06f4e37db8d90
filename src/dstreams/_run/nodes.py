"""What the nodes of a cluster must have: looked at when a program starts, so that what is missing is told at once."""

from __future__ import annotations

import importlib
import logging
import os
import platform
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dstreams._run.files import jvm_reason, local_path
from dstreams._version import __version__
from dstreams.errors import ClusterError

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["check_nodes", "is_local", "missing", "wait_for_executors"]

log = logging.getLogger("dstreams")

_NO_MODULE = re.compile(r"No module named '(?:(pyarrow)[\w.]*|(google)(?:\.protobuf[\w.]*)?|(dstreams)(?:\._[\w.]*)?)'")
_PACKAGES = {"google": "protobuf"}
"""Packages that have another name than their module."""
_OTHER_PYTHON = re.compile(r"Python in worker has different version:? \(?'?([\d., ]+?)'?\)? than that in driver")
_NO_PYTHON = re.compile(r'Cannot run program "([^"]+)"')
_HOW = "Install it on all nodes, or send an environment along with --archives; docs/deploy.md shows both."
_SAY_AGAIN_SECONDS = 15.0
_REGISTER_SECONDS = 30.0
_SETTLE_SECONDS = 1.0


def is_local(sc: SparkContext) -> bool:
    """Whether tasks run in the driver's own process, so that there are no other nodes."""
    assert sc._jsc is not None
    return bool(sc._jsc.sc().isLocal())


def missing(text: str) -> str | None:
    """What an executor lacks, if the text of a failure says so: one sentence, and what to do."""
    if found := _NO_MODULE.search(text):
        module = next(filter(None, found.groups()))
        if module == "dstreams":
            return (
                "the executors' Python has no package dstreams. Install it on all nodes, or pass it with "
                "--py-files dist/dstreams.zip (`make dist` makes it); docs/deploy.md shows both."
            )
        return (
            f"the executors' Python has no package {_PACKAGES.get(module, module)}, which dstreams needs there. {_HOW}"
        )
    if found := _OTHER_PYTHON.search(text):
        return (
            f"the executors run Python {found[1].replace(', ', '.')} and this program "
            f"{platform.python_version()}; Spark asks for the same minor version. Name the executors' interpreter with "
            "PYSPARK_PYTHON (or --conf spark.pyspark.python), or send an environment along with --archives; "
            "docs/deploy.md shows both."
        )
    if found := _NO_PYTHON.search(text):
        return (
            f"the executors have no Python interpreter {found[1]}. Name theirs with PYSPARK_PYTHON (or --conf "
            "spark.pyspark.python), or send an environment along with --archives; docs/deploy.md shows both."
        )
    return None


def wait_for_executors(sc: SparkContext) -> None:
    """Wait until a cluster has given executors, since the default parallelism follows from their cores.

    A standalone master gives them some seconds after the SparkContext is there, when the state of a program would be
    laid out for the two partitions that Spark assumes until then. Returns after half a minute in any case; at once
    where executors come only when there is work.
    """
    conf = sc._conf
    on_demand = str(conf.get("spark.dynamicAllocation.enabled", "false")).lower() == "true"
    if is_local(sc) or on_demand or conf.contains("spark.default.parallelism"):
        return
    deadline = time.monotonic() + _REGISTER_SECONDS
    count, since = 0, time.monotonic()
    while (now := time.monotonic()) < deadline and not (count and now - since > _SETTLE_SECONDS):
        if (found := _executors(sc)) != count:
            count, since = found, now
        time.sleep(0.1)  # Spark calls nobody in Python when an executor registers


def check_nodes(sc: SparkContext, directory: str | None) -> None:
    """See that executors can do what the program will ask of them; nothing to see in local mode.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    directory : str, optional
        URI of the directory to which executors will write state.

    Raises
    ------
    ClusterError
        If they lack something; the message says what and where.
    """
    if is_local(sc):
        return
    folder = local_path(directory) if directory is not None else None
    token = _put_token(folder) if folder is not None else None
    try:
        with _saying_what_it_waits_for(sc):
            found = _ask(sc, token)
    finally:
        if token is not None:
            os.unlink(token)
    for node in found:
        if node.version != __version__:
            raise ClusterError(
                f"the executor on {node.host} has dstreams {node.version} and this program {__version__}. "
                "Install the same version on all nodes, or pass it with --py-files dist/dstreams.zip."
            )
        if node.lacks is not None:
            raise ClusterError(f"on {node.host}, {missing(node.lacks) or node.lacks}")
        if not node.sees:
            raise ClusterError(
                f"checkpoint: the directory {directory} is on the driver's disk, and the executor on {node.host}, "
                "which would write the program's state there, does not see it or may not write to it. Name a directory "
                "on a file system that all nodes reach, such as hdfs://, s3a://, or a disk that all have mounted under "
                "the same path."
            )


@dataclass(frozen=True)
class _Found:
    """What a task has seen on its node."""

    host: str
    version: str
    lacks: str | None
    sees: bool


class _Look:
    """Looks at a node, in a task."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, _: Iterable[int]) -> Iterator[_Found]:
        lacks = None
        for module in ("pyarrow", "google.protobuf.message"):  # jars of Spark's have a folder google/protobuf
            try:
                importlib.import_module(module)
            except ImportError as error:
                lacks = lacks or str(error)
        sees = self._token is None or (
            os.access(self._token, os.R_OK) and os.access(os.path.dirname(self._token), os.W_OK)
        )
        yield _Found(socket.gethostname(), __version__, lacks, sees)


def _ask(sc: SparkContext, token: str | None) -> list[_Found]:
    """Run tasks on all cores there are, which reaches most executors; others are noticed in the batch they fail."""
    tasks = max(sc.defaultParallelism, 2)
    try:
        return sc.parallelize(range(tasks), tasks).mapPartitions(_Look(token)).collect()
    except Exception as error:
        log.debug("the first job on the executors failed", exc_info=error)
        text = missing(str(error)) or f"a first job on the executors failed: {jvm_reason(error)}"
        raise ClusterError(text) from None


def _put_token(folder: str) -> str:
    """Leave a file that only a process with the same disk can see."""
    path = os.path.join(folder, f".dstreams-{secrets.token_hex(16)}")
    with open(path, "x"):
        return path


def _executors(sc: SparkContext) -> int:
    assert sc._jsc is not None
    return len(sc._jsc.sc().statusTracker().getExecutorInfos()) - 1  # the driver is among them


@contextmanager
def _saying_what_it_waits_for(sc: SparkContext) -> Iterator[None]:
    """Say every now and then why nothing happens."""
    done = threading.Event()

    def say() -> None:
        begun = time.monotonic()
        while not done.wait(_SAY_AGAIN_SECONDS):
            seconds = round(time.monotonic() - begun)
            if executors := _executors(sc):
                reason = f"{executors} executor(s) have not answered; other jobs may have their cores"
            else:
                reason = (
                    f"{sc.master} has given this program no executor: are there workers with free cores and memory "
                    "(spark.cores.max, spark.executor.cores, spark.executor.memory)?"
                )
            log.warning("waiting for the cluster for %d s: %s", seconds, reason)

    speaker = threading.Thread(target=say, name="dstreams-waiting", daemon=True)
    speaker.start()
    try:
        yield
    finally:
        done.set()
        speaker.join()
