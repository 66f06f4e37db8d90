"""RDDs as PySpark has them in the JVM: chunks, which are lists of pickled records, and what unpickles them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pyspark import RDD
from pyspark.core.rdd import Partitioner, PipelinedRDD, portable_hash
from pyspark.resultiterable import ResultIterable
from pyspark.serializers import AutoBatchedSerializer, BatchedSerializer, CPickleSerializer, NoOpSerializer

from dstreams._spark.context import java_context
from dstreams._spark.jvm import java, jvm_of

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import SparkContext
    from pyspark.serializers import Serializer
    from pyspark.sql import DataFrame

__all__ = [
    "CHUNK", "Cut", "EmptyRDD", "Partitioner", "PipelinedRDD", "ResultIterable", "binary_rdd", "chunk_rdd",
    "java_chunks", "parts_of", "portable_hash", "rdd_of_chunks", "record_serializer",
]  # fmt: skip

CHUNK = "chunk binary"
"""Schema of DataFrames whose rows are chunks."""


class Cut(NamedTuple):
    """Chunks of records, to be cut into partitions of about as many chunks each."""

    chunks: list[bytes]
    partitions: int


def record_serializer() -> Serializer:
    """How PySpark pickles the records of an RDD, several at a time."""
    return AutoBatchedSerializer(CPickleSerializer())


def rdd_of_chunks(jrdd: JavaObject, sc: SparkContext) -> RDD[Any]:
    """RDD of the records in an RDD of chunks."""
    return RDD(jrdd, sc, record_serializer())


def parts_of(rdd: RDD[Any]) -> tuple[JavaObject, SparkContext, Serializer]:
    """What an RDD is made of, so that another class of RDD can be the same."""
    return rdd._jrdd, rdd.ctx, rdd._jrdd_deserializer


def java_chunks(sc: SparkContext, found: Cut | RDD[Any] | None) -> JavaObject:
    """Scala's RDD of the chunks of something; without a partition if it is nothing."""
    if found is None:
        assert sc._jsc is not None
        return sc._jsc.emptyRDD().rdd()
    rdd = chunk_rdd(sc, found) if isinstance(found, Cut) else _pickled(found)
    return rdd._jrdd.rdd()


def chunk_rdd(sc: SparkContext, cut: Cut) -> RDD[Any]:
    """RDD of chunks that are in this process, made as ``sc.parallelize`` does: through a file, or encrypted."""
    chunks = sc._serialize_to_jvm(
        cut.chunks,
        NoOpSerializer(),
        lambda path: java(sc, "org.apache.spark.api.python.PythonRDD.readRDDFromFile")(sc._jsc, path, cut.partitions),
        lambda: jvm_of(sc).PythonParallelizeServer(java_context(sc), cut.partitions),
    )
    return rdd_of_chunks(chunks, sc)


def binary_rdd(frame: DataFrame) -> JavaObject:
    """RDD of the one column of a DataFrame, which is bytes."""
    encoder = java(frame.sparkSession.sparkContext, "org.apache.spark.sql.Encoders.BINARY")()
    return getattr(frame._jdf, "as")(encoder).javaRDD()


def _pickled(rdd: RDD[Any]) -> RDD[Any]:
    """The RDD itself where its elements in the JVM are chunks."""
    serializer = rdd._jrdd_deserializer
    if isinstance(serializer, BatchedSerializer) and isinstance(serializer.serializer, CPickleSerializer):
        return rdd
    return rdd._reserialize(record_serializer())


class EmptyRDD(RDD[Any]):
    """An RDD that is known to have no records, so that looking at it takes no Spark job."""

    def __init__(self, sc: SparkContext, partitions: int) -> None:
        assert sc._jsc is not None
        nothing = java(sc, "java.util.ArrayList")()
        jrdd = sc._jsc.parallelize(nothing, partitions) if partitions else sc._jsc.emptyRDD()
        super().__init__(jrdd, sc, record_serializer())

    def collect(self) -> list[Any]:
        """No records."""
        return []

    def take(self, num: int) -> list[Any]:
        """No records."""
        return []

    def count(self) -> int:
        """Zero."""
        return 0

    def isEmpty(self) -> bool:
        """Return True."""
        return True
