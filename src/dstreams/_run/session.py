"""The query's own Spark session: our settings live there, and the user's session keeps its own."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from pyspark import RDD
from pyspark.sql import SparkSession

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["private_session", "temporary_checkpoint"]

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
    # With the default of 4 MiB a text file of 6 MiB becomes one big and one tiny split.
    "spark.sql.files.openCostInBytes": "65536",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
}
_LOCAL_CHECKPOINT_MANAGER = (
    "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
)


def private_session(sc: SparkContext, parallelism: int) -> SparkSession:
    """Make a session for a query.

    Neither the default session of the process nor ``RDD.toDF`` (which PySpark binds to the session that was
    made last) is left changed, so that ``SparkSession.builder.getOrCreate()`` in the program finds what it would
    find without us.

    Parameters
    ----------
    sc : SparkContext
        The context of the program.
    parallelism : int
        Partitions of a shuffle that names none.
    """
    instantiated, active = SparkSession._instantiatedSession, SparkSession._activeSession
    to_df = RDD.__dict__.get("toDF")
    jvm_class = SparkSession._get_j_spark_session_class(sc._jvm)
    try:
        if instantiated is not None and instantiated._sc._jsc is not None:
            session = instantiated.newSession()
        else:
            had_default = jvm_class.getDefaultSession().isDefined()
            assert sc._jvm is not None and sc._jsc is not None
            session = SparkSession(sc, jvm_class(sc._jsc.sc(), sc._jvm.java.util.HashMap()))
            if not had_default:
                jvm_class.clearDefaultSession()
                jvm_class.clearActiveSession()
    finally:
        SparkSession._instantiatedSession, SparkSession._activeSession = instantiated, active
        if to_df is not None:
            RDD.toDF = to_df  # type: ignore[method-assign]
    for key, value in _SETTINGS.items():
        session.conf.set(key, value)
    session.conf.set("spark.sql.shuffle.partitions", str(parallelism))
    if _local_files(sc):
        # The default manager renames through a second layer: 90 ms more per batch on a local disk.
        session.conf.set("spark.sql.streaming.checkpointFileManagerClass", _LOCAL_CHECKPOINT_MANAGER)
    return session


def temporary_checkpoint(sc: SparkContext) -> str | None:
    """Make a directory for the offset log of a program without a checkpoint directory; None leaves it to Spark.

    Spark would make one too, with a warning that the program's user can do nothing about.
    """
    return tempfile.mkdtemp(prefix="dstreams-") if _local_files(sc) else None


def _local_files(sc: SparkContext) -> bool:
    assert sc._jsc is not None
    default_fs: str = sc._jsc.hadoopConfiguration().get("fs.defaultFS", "file:///")
    return default_fs.startswith("file:")
