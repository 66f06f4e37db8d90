"""What the nodes of a cluster must have: looked at when a program starts, so that what is missing is told at once."""

from __future__ import annotations

import importlib
import logging
import os
import platform
import re
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from typing import TYPE_CHECKING

from dstreams._spark.context import executor_count, is_local, settings
from dstreams._spark.files import local_path
from dstreams._spark.jvm import jvm_reason
from dstreams._version import __version__
from dstreams.errors import ClusterError

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["check_nodes", "missing", "wait_for_executors"]

log = logging.getLogger("dstreams")

_NAME_PYTHON = (
    "with PYSPARK_PYTHON (or --conf spark.pyspark.python), or send an environment along with --archives; "
    "docs/deploy.md shows both."
)
_NO_PACKAGE = (
    r"the executors' Python has no package \1, which dstreams needs there. "
    "Install it on all nodes, or send an environment along with --archives; docs/deploy.md shows both."
)
_MISSING = {
    r"No module named 'dstreams(?:\._[\w.]*)?'": (
        "the executors' Python has no package dstreams. Install it on all nodes, or pass it with "
        "--py-files dist/dstreams.zip (`make dist` makes it); docs/deploy.md shows both."
    ),
    r"No module named '(pyarrow)[\w.]*'": _NO_PACKAGE,
    r"No module named 'google(?:\.protobuf[\w.]*)?'": _NO_PACKAGE.replace(r"\1", "protobuf"),
    r"Python in worker has different version:? \(?'?(\d+)(?:\.|, )(\d+)'?\)? than that in driver": (
        rf"the executors run Python \1.\2 and this program {platform.python_version()}; Spark asks for the same minor "
        f"version. Name the executors' interpreter {_NAME_PYTHON}"
    ),
    r'Cannot run program "([^"]+)"': rf"the executors have no Python interpreter \1. Name theirs {_NAME_PYTHON}",
}
"""What is said where a failure has such a text."""
_SAY_AGAIN_SECONDS = 15.0
_REGISTER_SECONDS = 30.0
_SETTLE_SECONDS = 1.0
_Answer = tuple[str, str, str | None, bool]
"""Of a node: its name, the version of this package there, what it lacks, whether it sees the checkpoint directory."""


def missing(text: str) -> str | None:
    """What an executor lacks, if the text of a failure says so: one sentence, and what to do."""
    found = ((re.search(pattern, text), advice) for pattern, advice in _MISSING.items())
    return next((match.expand(advice) for match, advice in found if match), None)


def wait_for_executors(sc: SparkContext) -> None:
    """Wait until a cluster has given executors, since the default parallelism follows from their cores.

    A standalone master gives them some seconds after the SparkContext is there, when the state of a program would be
    laid out for the two partitions that Spark assumes until then. Returns after half a minute in any case; at once
    where executors come only when there is work.
    """
    conf = settings(sc)
    on_demand = str(conf.get("spark.dynamicAllocation.enabled", "false")).lower() == "true"
    if is_local(sc) or on_demand or conf.contains("spark.default.parallelism"):
        return
    deadline = time.monotonic() + _REGISTER_SECONDS
    count, since = 0, time.monotonic()
    while (now := time.monotonic()) < deadline and not (count and now - since > _SETTLE_SECONDS):
        if (found := executor_count(sc)) != count:
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
    # A file that only a process with the same disk can see.
    with tempfile.NamedTemporaryFile(prefix=".dstreams-", dir=folder) if folder else nullcontext() as token:
        answers = _ask(sc, token.name if token is not None else None)
    for answer in answers:
        if (problem := _problem(*answer, directory)) is not None:
            raise ClusterError(problem)


def _ask(sc: SparkContext, token: str | None) -> list[_Answer]:
    """Run tasks on all cores there are, which reaches most executors; others are noticed in the batch they fail."""

    def look(_: Iterable[int]) -> Iterator[_Answer]:  # pickled whole: a node may have another version of this module
        from dstreams._version import __version__

        lacks = None
        for module in ("pyarrow", "google.protobuf.message"):  # jars of Spark's have a folder google/protobuf
            try:
                importlib.import_module(module)
            except ImportError as error:
                lacks = lacks or str(error)
        sees = token is None or (os.path.exists(token) and os.access(os.path.dirname(token), os.W_OK))
        yield socket.gethostname(), __version__, lacks, sees

    tasks = max(sc.defaultParallelism, 2)
    rdd = sc.parallelize(range(tasks), tasks).mapPartitions(look)
    begun = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        job: Future[list[_Answer]] = pool.submit(rdd.collect)
        while not wait([job], _SAY_AGAIN_SECONDS).done:
            if executors := executor_count(sc):
                reason = f"{executors} executor(s) have not answered; other jobs may have their cores"
            else:
                reason = (
                    f"{sc.master} has given this program no executor: are there workers with free cores and memory "
                    "(spark.cores.max, spark.executor.cores, spark.executor.memory)?"
                )
            log.warning("waiting for the cluster for %d s: %s", round(time.monotonic() - begun), reason)
    try:
        return job.result()
    except Exception as error:
        log.debug("the first job on the executors failed", exc_info=error)
        text = missing(str(error)) or f"a first job on the executors failed: {jvm_reason(error)}"
        raise ClusterError(text) from None


def _problem(host: str, version: str, lacks: str | None, sees: bool, directory: str | None) -> str | None:
    """What is wrong with a node that has given this answer."""
    if version != __version__:
        return (
            f"the executor on {host} has dstreams {version} and this program {__version__}. "
            "Install the same version on all nodes, or pass it with --py-files dist/dstreams.zip."
        )
    if lacks is not None:
        return f"on {host}, {missing(lacks) or lacks}"
    if not sees:
        return (
            f"checkpoint: the directory {directory} is on the driver's disk, and the executor on {host}, "
            "which would write the program's state there, does not see it or may not write to it. Name a directory "
            "on a file system that all nodes reach, such as hdfs://, s3a://, or a disk that all have mounted under "
            "the same path."
        )
    return None
