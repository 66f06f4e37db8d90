"""The query's own Spark session: our settings live there, and the user's session keeps its own."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from pyspark import RDD
from pyspark.sql import SparkSession

from dstreams._spark.context import hadoop_conf, is_stopped, java_context, murmur3, settings
from dstreams._spark.jvm import java, jvm_of

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["Tabs", "bucket_ids", "private_session", "temporary_checkpoint"]

_STATE = "org.apache.spark.sql.execution.streaming.state."
_OPTIMIZER = "org.apache.spark.sql.catalyst.optimizer."

_SETTINGS = {
    # Adaptive execution would run the shuffle when a batch is turned into an RDD, and merge partitions.
    "spark.sql.adaptive.enabled": "false",
    # Branches of the union are found by their position: none may be merged or left out.
    "spark.sql.optimizer.excludedRules": ",".join(
        _OPTIMIZER + rule for rule in ("PropagateEmptyRelation", "ConvertToLocalRelation", "CombineUnions")
    ),
    "spark.sql.unionOutputPartitioning": "false",
    "spark.sql.streaming.forceDeleteTempCheckpointLocation": "true",
    # A function of the program that never returns cannot be interrupted; stop() does not wait for it without end.
    "spark.sql.streaming.stopTimeout": "30s",
    # With the default of 4 MiB a text file of 6 MiB becomes one big and one tiny split.
    "spark.sql.files.openCostInBytes": "65536",
    # The file source writes down all files that it has ever read each time; by default in every tenth batch.
    "spark.sql.streaming.fileSource.log.compactInterval": "100",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
    # It is a variable of the workers' environment, and those of RDDs have none: both would have workers of their own.
    "spark.sql.execution.pyspark.udf.simplifiedTraceback.enabled": "false",
    "spark.sql.streaming.stateStore.providerClass": _STATE + "RocksDBStateStoreProvider",
    # A batch writes what has changed; without this it would upload the whole state.
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    # A snapshot takes 100 ms of the batch that makes one; a restart reads the changes since, a file for each batch.
    "spark.sql.streaming.stateStore.minDeltasForSnapshot": "50",
    # A count of rows that nobody needs, at the price of a read before each write.
    "spark.sql.streaming.stateStore.rocksdb.trackTotalNumberOfRows": "false",
}
_LISTING = "spark.sql.sources.parallelPartitionDiscovery.parallelism"
"""Conf: the most tasks that look at the files of a batch, or at the directories of a pattern, where there are more than
32 of them; with Spark's default there is one for each."""
_ON_A_LOCAL_DISK = {
    # The default manager renames through a second layer: 90 ms more per batch on a local disk.
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
}


def private_session(sc: SparkContext, checkpoint: str | None) -> SparkSession:
    """Make a session for a query.

    Neither the default session of the process nor ``RDD.toDF`` (which PySpark binds to the session that was
    made last) is left changed, so that ``SparkSession.builder.getOrCreate()`` in the program finds what it would
    find without us.

    Parameters
    ----------
    sc : SparkContext
        The context of the program.
    checkpoint : str, optional
        The query's checkpoint location, if the program names one.
    """
    instantiated, active = SparkSession._instantiatedSession, SparkSession._activeSession
    to_df = RDD.__dict__.get("toDF")
    jvm_class = SparkSession._get_j_spark_session_class(jvm_of(sc))
    try:
        if instantiated is not None and not is_stopped(instantiated.sparkContext):
            session = instantiated.newSession()
        else:
            had_default = jvm_class.getDefaultSession().isDefined()
            session = SparkSession(sc, jvm_class(java_context(sc), java(sc, "java.util.HashMap")()))
            if not had_default:
                jvm_class.clearDefaultSession()
                jvm_class.clearActiveSession()
    finally:
        SparkSession._instantiatedSession, SparkSession._activeSession = instantiated, active
        if to_df is not None:
            RDD.toDF = to_df  # type: ignore[method-assign]
    for key, value in _SETTINGS.items():
        session.conf.set(key, value)
    if not settings(sc).contains(_LISTING):
        session.conf.set(_LISTING, str(sc.defaultParallelism))
    if checkpoint.startswith("file:") if checkpoint else _local_files(sc):
        for key, value in _ON_A_LOCAL_DISK.items():
            session.conf.set(key, value)
    return session


class Tabs:
    """Takes the tabs out of Spark's UI that are there twice.

    A session that the program makes after ours brings its own, which show the same: all sessions of a SparkContext
    write to one store.

    Parameters
    ----------
    sc : SparkContext
        The context of the program.
    """

    def __init__(self, sc: SparkContext) -> None:
        self._sc = sc
        self._known = SparkSession._instantiatedSession

    def update(self) -> None:
        """Look whether the program has made a session since."""
        session, known = SparkSession._instantiatedSession, self._known
        self._known = session
        if session is None or session is known or session.sparkContext is not self._sc or is_stopped(self._sc):
            return
        session._jsparkSession.sharedState()  # which adds the tabs, if it has not yet
        found = java_context(self._sc).ui()
        if found.isDefined():
            ui, names = found.get(), set()
            tabs = ui.getTabs()
            for tab in [tabs.apply(i) for i in range(tabs.size())]:
                if tab.name() in names:
                    ui.detachTab(tab)
                names.add(tab.name())


def bucket_ids(sc: SparkContext, op: int, partitions: int) -> list[int]:
    """Find for each partition a number that Spark hashes there, together with the number of an exchange.

    (Numbers 0 and 1 both go to one of two partitions: a hash is not a remainder.)
    """
    after_op = murmur3(sc, murmur3(sc, 42).hashInt(op))  # the hash of two columns (op, bucket) goes on from the first
    found: dict[int, int] = {}
    candidate = 0
    while len(found) < partitions:
        found.setdefault(after_op.hashInt(candidate) % partitions, candidate)
        candidate += 1
    return [found[partition] for partition in range(partitions)]


def temporary_checkpoint() -> str:
    """Make a directory of the driver's for the offset log of a program without a checkpoint directory.

    Spark would make one too, with a warning that the program's user can do nothing about.
    """
    return tempfile.mkdtemp(prefix="dstreams-")


def _local_files(sc: SparkContext) -> bool:
    return str(hadoop_conf(sc).get("fs.defaultFS", "file:///")).startswith("file:")
