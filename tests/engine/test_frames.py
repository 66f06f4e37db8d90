"""Streaming DataFrames as streams, and streams as streaming DataFrames."""

from __future__ import annotations

import datetime
import json

import pytest
from pyspark.sql import Row
from pyspark.sql import functions as sf

from dstreams.errors import DStreamTypeError, DStreamValueError, UnsupportedDStreamOperation
from dstreams.kafka import KafkaUtils
from tests.harness import Output

pytestmark = pytest.mark.engine

SCHEMA = "name STRING, n INT, at TIMESTAMP, tags ARRAY<STRING>, more MAP<STRING, INT>, inner STRUCT<x: DOUBLE>"


def write(folder, name, *rows):
    text = "\n".join(json.dumps(row) for row in rows)
    (folder.parent / name).write_text(text)
    (folder.parent / name).rename(folder / name)


def test_rows_of_a_streaming_frame(streaming, spark_session, tmp_path):
    """With the values that a batch query gives; by frame and by function; before an operation with state, too."""
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder, "a.json", {"name": "ü", "n": 1, "at": "2026-01-02T03:04:05", "tags": ["x", None], "more": {"k": 2},
                             "inner": {"x": 0.5}}, {"name": None})  # fmt: skip
    frame = spark_session.readStream.schema(SCHEMA).json(str(folder)).where(sf.coalesce("n", sf.lit(0)) >= 0)
    ssc = streaming()
    spark_session.sparkContext.setCheckpointDir(str(tmp_path / "checkpoint"))
    path = str(folder)
    rows = Output(ssc.dataFrameStream(lambda spark: spark.readStream.schema(SCHEMA).json(path)))
    counts = ssc.dataFrameStream(lambda spark: spark.readStream.schema("name STRING").json(path)).map(
        lambda row: (row.name or "none", 1)
    )
    state = Output(counts.updateStateByKey(lambda new, old: sum(new) + (old or 0)))
    ssc.start()
    rows.wait_for(lambda o: len(o.elements) == 2)
    state.wait_for(lambda o: ("none", 1) in o.elements)
    write(folder, "b.json", {"name": "ü", "n": 5})
    state.wait_for(lambda o: ("ü", 2) in o.elements)
    ssc.stop(stopSparkContext=False)
    expected = spark_session.read.schema(SCHEMA).json(path).collect()
    assert sorted(rows.elements, key=repr) == sorted(expected, key=repr)
    first = next(row for row in rows.elements if row.n == 1)
    assert first == Row(name="ü", n=1, at=datetime.datetime(2026, 1, 2, 3, 4, 5), tags=["x", None], more={"k": 2},
                        inner=Row(x=0.5))  # fmt: skip

    ssc = streaming()
    plain = Output(ssc.dataFrameStream(frame).map(lambda row: row.n))
    ssc.start()
    plain.wait_for(lambda o: sorted(o.elements, key=str) == [1, 5, None])
    ssc.stop(stopSparkContext=False)


def test_frames_that_cannot_be_streams(streaming, spark_session, tmp_path):
    rates = spark_session.readStream.format("rate").load()
    ssc = streaming()
    with pytest.raises(DStreamTypeError, match="expected a streaming DataFrame or a function"):
        ssc.dataFrameStream("rates")
    with pytest.raises(DStreamTypeError, match="is not a streaming one"):
        ssc.dataFrameStream(spark_session.range(3))
    for stateful, name in (
        (rates.groupBy("value").count(), "Aggregate"),
        (rates.dropDuplicates(["value"]), "Deduplicate"),
        (rates.join(rates.withColumnRenamed("timestamp", "t"), "value"), "Join"),
    ):
        with pytest.raises(DStreamValueError, match=f"operation with state \\({name}\\)"):
            ssc.dataFrameStream(stateful)
    ssc.dataFrameStream(rates.join(spark_session.range(3).withColumnRenamed("id", "value"), "value")).pprint()
    ssc.checkpoint(str(tmp_path))
    with pytest.raises(DStreamTypeError, match="a DataFrame cannot be saved in the checkpoint directory"):
        ssc.start()
    ssc = streaming()
    ssc.dataFrameStream(lambda spark: 1).pprint()
    with pytest.raises(DStreamTypeError, match="the function must return a DataFrame, got 1"):
        ssc.start()


def run(frame, tmp_path):
    """Rows that a query of Spark's own makes of all that is there."""
    query = (
        frame.writeStream.format("memory").queryName("found").outputMode("append")
        .option("checkpointLocation", str(tmp_path / "own")).trigger(availableNow=True).start()
    )  # fmt: skip
    query.awaitTermination(120)
    return sorted(map(tuple, frame.sparkSession.table("found").collect()))


def test_stream_as_a_streaming_frame(streaming, spark_session, broker, tmp_path):
    topic = broker.topic()
    broker.send(topic, ["a b", "b"])
    ssc = streaming()
    given = {"bootstrap.servers": broker.servers, "auto.offset.reset": "earliest"}
    words = KafkaUtils.createDirectStream(ssc, [topic], given).flatMap(lambda pair: pair[1].split())
    frame = words.map(lambda word: (word, 1)).toDF("word STRING, n BIGINT", spark_session)
    assert frame.isStreaming and frame.dtypes == [("word", "string"), ("n", "bigint")]
    assert run(frame, tmp_path) == [("a", 1), ("b", 1), ("b", 1)]
    rows = ssc.dataFrameStream(spark_session.readStream.format("rate").load()).map(lambda row: {"v": row.value})
    assert rows.union(rows).toDF("v BIGINT").columns == ["v"]
    with pytest.raises(DStreamTypeError, match="is no schema such as"):
        words.toDF("word SOMETHING")
    with pytest.raises(DStreamTypeError, match="StructType with fields"):
        words.toDF(1)


def test_streams_that_cannot_be_a_streaming_frame(streaming, spark_session, tmp_path):
    ssc = streaming()
    queue = ssc.queueStream([[1]])
    files = ssc.textFileStream(str(tmp_path))
    pairs = files.map(lambda line: (line, 1))
    for stream, text in (
        (queue.map(str), r"queueStream .*read by a reader of this package's own"),
        (files.transform(lambda rdd: rdd).map(str), r"\] transform .*needs the real RDD"),
        (pairs.updateStateByKey(lambda new, old: 1), r"\] updateStateByKey .*has a state"),
        (pairs.window(2), r"\] window .*has a state"),
    ):
        with pytest.raises(UnsupportedDStreamOperation, match=f"toDF: .*{text}"):
            stream.toDF("x STRING")
