"""What a SparkContext knows and does not tell in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark import SparkContext

from dstreams._spark.jvm import java

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import SparkConf

__all__ = [
    "active_context", "checkpoint_directory", "executor_count", "hadoop_conf", "is_local", "is_stopped", "java_context",
    "jvm_conf", "murmur3", "settings",
]  # fmt: skip


def active_context() -> SparkContext | None:
    """The SparkContext of this process, if there is one."""
    return SparkContext._active_spark_context


def java_context(sc: SparkContext) -> JavaObject:
    """The SparkContext of Scala."""
    assert sc._jsc is not None
    return sc._jsc.sc()


def is_stopped(sc: SparkContext) -> bool:
    """Whether this process has stopped it, so that there is nothing left to ask."""
    return sc._jsc is None


def settings(sc: SparkContext) -> SparkConf:
    """Its settings themselves, of which ``getConf()`` makes a copy."""
    return sc._conf


def jvm_conf(sc: SparkContext) -> JavaObject:
    """The JVM's ``SparkConf``, which knows times and sizes with units."""
    return java_context(sc).conf()


def hadoop_conf(sc: SparkContext) -> JavaObject:
    """Hadoop's configuration."""
    assert sc._jsc is not None
    return sc._jsc.hadoopConfiguration()


def is_local(sc: SparkContext) -> bool:
    """Whether tasks run in the driver's own process, so that there are no other nodes."""
    return bool(java_context(sc).isLocal())


def executor_count(sc: SparkContext) -> int:
    """Number of the executors that have registered."""
    return len(java_context(sc).statusTracker().getExecutorInfos()) - 1  # the driver is among them


def checkpoint_directory(sc: SparkContext) -> str | None:
    """What ``setCheckpointDir`` was given."""
    found = java_context(sc).getCheckpointDir()
    return str(found.get()) if found.isDefined() else None


def murmur3(sc: SparkContext, seed: int) -> JavaObject:
    """The hash by which Spark sends rows to partitions.

    An object, although there is a static method: py4j takes whichever method of that name it meets first.
    """
    return java(sc, "org.apache.spark.unsafe.hash.Murmur3_x86_32")(seed)
