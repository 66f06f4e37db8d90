"""Programs that reach into the old engine's insides are told the public way."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from pyspark import SparkConf

from dstreams import DStream, StreamingContext
from dstreams._run.launch import launching
from dstreams.errors import DStreamTypeError, DStreamValueError
from dstreams.kafka import kafka_package


def bare(kind: type[Any]) -> Any:
    return kind.__new__(kind)


@pytest.mark.parametrize(
    ("kind", "name", "advice"),
    [
        (DStream, "_jdstream", r"rdd\._jrdd is the JVM's"),
        (DStream, "_jrdd_deserializer", "the RDDs"),
        (StreamingContext, "_jssc", r"ssc\.queueStream\(\.\.\.\), or records with ssc\.receiverStream"),
        (StreamingContext, "_jvm", r"ssc\.sparkContext\._jvm"),
        (StreamingContext, "fileStream", r"ssc\.textFileStream"),
        (DStream, "saveAsHadoopFiles", r"rdd\.saveAsHadoopFile"),
    ],
)
def test_what_is_not_there(kind, name, advice):
    with pytest.raises(AttributeError, match=rf"'{kind.__name__}' has no attribute '{name}': .*Instead: .*{advice}"):
        getattr(bare(kind), name)
    assert not hasattr(bare(kind), name)


def test_any_other_name():
    with pytest.raises(AttributeError, match=r"^'DStream' has no attribute 'mpa'$"):
        _ = bare(DStream).mpa
    assert copy.copy(bare(DStream)).__dict__ == {}


def test_a_stream_of_the_jvm():
    """As public programs make one of a queue of the JVM."""
    with pytest.raises(DStreamTypeError, match=r"DStream: a stream of the JVM cannot be wrapped.*ssc\.queueStream"):
        DStream(object(), object(), object())


def test_functions_for_the_jvm():
    """They can be imported, as public programs do at their top, and say the public way when they are used."""
    from dstreams.util import TransformFunction, TransformFunctionSerializer

    with pytest.raises(DStreamTypeError, match=r"TransformFunction: .*Instead: stream\.transform\(f\)"):
        TransformFunction(object(), print, object())
    with pytest.raises(DStreamTypeError, match=r"Instead: ssc\.checkpoint"):
        TransformFunctionSerializer(object(), object())


@pytest.mark.old_engine
def test_a_stream_is_one_of_the_old_engine_too():
    """Libraries have imported the class from there, ``pyspark.mllib`` among them."""
    import pyspark.streaming

    assert isinstance(bare(DStream), pyspark.streaming.DStream) and isinstance(bare(DStream), DStream)
    assert not isinstance(bare(DStream), pyspark.streaming.StreamingContext)
    assert type(bare(DStream)) is DStream


@pytest.mark.parametrize(
    ("arguments", "conf"),
    [
        ("--packages org.apache.spark:spark-streaming-kafka-0-8_2.11:2.4.5 pyspark-shell", {}),
        ("--jars /x/spark-streaming-kafka-0-8-assembly_2.11-2.4.5.jar pyspark-shell", {}),
        ("", {"spark.jars.packages": "a:b:1,org.apache.spark:spark-streaming-kafka_2.10:1.6.0"}),
        ("", {"spark.jars": "spark-streaming-kafka-assembly_2.10-1.6.0.jar"}),
    ],
)
def test_the_old_connector_to_kafka(monkeypatch, arguments, conf):
    """Refused before a JVM looks for it."""
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", arguments)
    settings = SparkConf(loadDefaults=False, _jvm=None)
    settings.setAll(list(conf.items()))
    new = re.escape(kafka_package())
    with pytest.raises(DStreamValueError, match=f"spark-streaming-kafka.* has no Kafka .*--packages .*{new}"):
        StreamingContext(settings, 1)


def test_the_new_connector_to_kafka(monkeypatch):
    monkeypatch.setenv(
        "PYSPARK_SUBMIT_ARGS", "--packages org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0 pyspark-shell"
    )
    with launching(SparkConf(loadDefaults=False, _jvm=None)):
        pass
