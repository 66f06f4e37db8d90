"""RDDs of ranges of Kafka's offsets, outside of any stream."""

from __future__ import annotations

import json
from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame

from dstreams._plan.worker import ChunkWriter, StageFunction
from dstreams._spark.python_stage import map_in_arrow
from dstreams._spark.rdd import CHUNK, binary_rdd, parts_of, rdd_of_chunks
from dstreams._spark.session import private_session
from dstreams.errors import DStreamValueError
from dstreams.kafka._cluster import KafkaCluster, check_jars
from dstreams.kafka._records import OffsetRange, offsets_text
from dstreams.kafka._source import KafkaDecoder, KafkaRDD

if TYPE_CHECKING:
    from pyspark import SparkContext

    from dstreams.kafka._parameters import ConsumerParameters

__all__ = ["read_ranges"]


def read_ranges(
    sc: SparkContext,
    op: str,
    parameters: ConsumerParameters,
    ranges: list[OffsetRange],
    decode: KafkaDecoder,
) -> KafkaRDD:
    """Make an RDD with a partition for each range, in their order.

    Raises
    ------
    DStreamStateError, DStreamValueError
        If the brokers do not answer, or have not all of it.
    """
    check_jars(sc, op)
    with KafkaCluster(sc, op, parameters) as cluster:
        partitions = cluster.partitions({each.topic for each in ranges})
        first, last = (cluster.ends(partitions, which) for which in ("earliest", "latest"))
    for each in ranges:
        part = (each.topic, each.partition)
        if part not in first or not first[part] <= each.fromOffset <= each.untilOffset <= last[part]:
            there = f"{first[part]} to {last[part]}" if part in first else "no such partition"
            raise DStreamValueError(f"{op}: the topic does not have all of {each}; there is {there}")
    session = private_session(sc, None)
    frames: list[DataFrame] = []
    for each in ranges:
        if not each.count():  # Spark would leave it out
            frames.append(session.range(0, 1, 1, 1).where("id > 0").selectExpr("cast(null as binary) as chunk"))
            continue
        begin, end = ({(each.topic, each.partition): offset} for offset in (each.fromOffset, each.untilOffset))
        options: dict[str, Any] = {
            **parameters.source_options(),
            "assign": json.dumps({each.topic: [each.partition]}),
            "startingOffsets": offsets_text(begin),
            "endingOffsets": offsets_text(end),
            "includeHeaders": str("headers" in decode.columns).lower(),
        }
        frame = session.read.format("kafka").options(**options).load().selectExpr(*decode.columns)
        frames.append(map_in_arrow(frame, StageFunction(decode, (), ChunkWriter()), CHUNK, op))
    if not frames:
        return KafkaRDD(*parts_of(sc.emptyRDD()), lambda: [])
    union = reduce(DataFrame.union, frames)
    return KafkaRDD(*parts_of(rdd_of_chunks(binary_rdd(union), sc)), lambda: list(ranges))
