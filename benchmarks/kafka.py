"""Word count over Kafka: dstreams and the hand-written job, each in a process of its own with a broker of its own.

All records are in the topic before the job starts, so that every batch finds as many as it may take.
"""

from __future__ import annotations

import queue
import random
import sys
from pathlib import Path

from engines import CORES, DStreams, HandWritten, take, wait_for
from workloads import drawn_lines, split, value_of, vocabulary, word_weights

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.kafka_broker import CONNECTOR, Broker

PARTITIONS = 4
VALUE_BYTES = 200


def run_kafka(engine, scratch, records, interval, warm_up, measured):
    """Read so many records in each batch, and count their words."""
    batches = warm_up + measured
    jars = {"spark.jars": ",".join(map(str, CONNECTOR.glob("*.jar"))), "spark.default.parallelism": str(CORES)}
    with Broker(Path(scratch)) as broker:
        topic = broker.topic(PARTITIONS)
        wanted = _fill(broker, topic, records // PARTITIONS, batches)
        counts = queue.Queue()
        if engine == "handwritten":
            run, key = HandWritten(interval, jars), "batch"
            lines = (
                run.spark.readStream.format("kafka").option("kafka.bootstrap.servers", broker.servers)
                .option("subscribe", topic).option("startingOffsets", "earliest")
                .option("maxOffsetsPerTrigger", records).load().selectExpr("cast(value as string)")
            )  # fmt: skip
            run.start_on(lines, lambda key, count: counts.put((key, count)))
        else:
            rate = records / PARTITIONS / interval
            jars["spark.streaming.kafka.maxRatePerPartition"] = str(rate)
            run, key = DStreams(engine, interval, jars), "due"
            from dstreams.kafka import KafkaUtils

            given = {"bootstrap.servers": broker.servers, "auto.offset.reset": "earliest"}
            run.start_on(
                KafkaUtils.createDirectStream(run.ssc, [topic], given).map(value_of),
                lambda key, count: counts.put((key, count)),
            )
        keys = []
        try:
            for number in range(batches):
                found, count = take(counts, run)
                if count != wanted:
                    raise AssertionError(f"{engine}: batch {number} has {count} words, not {wanted}")
                keys.append(found)
            rows = wait_for(run, lambda rows: any(row[key] == keys[-1] for row in rows))
        finally:
            run.stop()
    by_key = {row[key]: row for row in rows}
    return [by_key[found] for found in keys[warm_up:]]


def _fill(broker, topic, each, batches):
    """Put the same lines into each partition for every batch; the number of different words in a batch."""
    rng = random.Random(1)
    lines = drawn_lines(rng, vocabulary(rng), word_weights(), 400_000)
    values = []
    for line in lines:
        text = line
        while len(text) < VALUE_BYTES:
            text += " " + lines[rng.randrange(len(lines))]
        values.append(text[:VALUE_BYTES].rstrip())
    block = [values[i % len(values)] for i in range(each)]
    for number in range(PARTITIONS):
        for _ in range(batches):
            broker.send(topic, block, partition=number)
    return len({word for value in block for word in split(value)})
