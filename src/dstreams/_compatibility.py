"""What becomes of a program of the old engine, name by name: the one table of it.

``python -m dstreams check`` looks here, the errors for what is refused have their sentences from here, and
docs/compatibility.md its notes. Nothing of Spark is imported, so that ``check`` needs no Spark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

__all__ = [
    "CHANGE",
    "EXPORTS",
    "KAFKA_PACKAGE",
    "MODULES",
    "NOTE",
    "OLD_KAFKA",
    "PYTHON_2_MODULES",
    "PYTHON_2_NAMES",
    "RUNS",
    "SERVERS",
    "TABLE",
    "TELLING",
    "Fact",
    "find",
    "missing",
]

RUNS, NOTE, CHANGE = "runs", "note", "change"
"""The verdicts: runs; runs, with something to know; needs a change of the program or of how it is started."""


@dataclass(frozen=True)
class Fact:
    """What becomes of one name.

    Attributes
    ----------
    name : str
        As programs write it; with an argument in parentheses, of calls that give it.
    verdict : str
        `RUNS`, `NOTE` or `CHANGE`.
    says : str
        What is to be known, or why it is refused.
    instead : str
        What to write instead.
    see : str
        Subject of the row of docs/differences.md about it.
    gives : str
        Class of what a call returns, where names of that class are in the table.
    position : int or None
        Place of the argument among those without a name.
    """

    name: str
    verdict: str = RUNS
    says: str = ""
    instead: str = ""
    see: str = ""
    gives: str = ""
    position: int | None = None

    @property
    def sentence(self) -> str:
        """The text of an error: why, and what to do."""
        return f"{self.says}. Instead: {self.instead}" if self.instead else self.says

    def at(self, version: str) -> Fact:
        """The same with a version of Spark, where it is to be written.

        Parameters
        ----------
        version : str
            The version.
        """
        says, instead = (text.replace("VERSION", version) for text in (self.says, self.instead))
        return replace(self, says=says, instead=instead)


KAFKA_PACKAGE = "org.apache.spark:spark-sql-kafka-0-10_2.13"
"""Maven coordinates, without the version, of the connector that is there in the place of the old engine's."""
OLD_KAFKA = re.compile(r"spark-streaming-kafka(-0-8)?(-assembly)?_2\.1\d[\w.:-]*")
"""The old engine's connector to Kafka, in the arguments of spark-submit."""
SERVERS = "spark.streaming.dstreams.kafka.bootstrap.servers"
"""Setting: brokers of programs that name a ZooKeeper quorum, as Kafka 0.8 had it."""

# ---------------------------------------------------------------------- modules

MODULES = {
    "pyspark.streaming": "dstreams",
    "pyspark.streaming.context": "dstreams.context",
    "pyspark.streaming.dstream": "dstreams.dstream",
    "pyspark.streaming.listener": "dstreams.listener",
    "pyspark.streaming.util": "dstreams.util",
    "pyspark.streaming.flume": "dstreams.flume",
    "pyspark.streaming.kafka": "dstreams.kafka",
    "pyspark.streaming.kinesis": "dstreams.kinesis",
}
"""Modules of the old engine, and those of this package that programs get for them."""

EXPORTS: dict[str, tuple[str, ...]] = {
    "pyspark.streaming": (
        "StreamingContext", "DStream", "StreamingListener",
        "DStreamError", "Duration", "Milliseconds", "Minutes", "Seconds", "State", "StateSpec",
    ),
    "pyspark.streaming.context": ("StreamingContext",),
    "pyspark.streaming.dstream": ("DStream", "TransformedDStream", "MapWithStateDStream"),
    "pyspark.streaming.listener": ("StreamingListener",),
    "pyspark.streaming.util": ("rddToFileName", "TransformFunction", "TransformFunctionSerializer"),
    "pyspark.streaming.flume": ("FlumeUtils", "utf8_decoder"),
    "pyspark.streaming.kafka": (
        "KafkaUtils", "OffsetRange", "TopicAndPartition", "Broker", "KafkaMessageAndMetadata", "KafkaRDD",
        "utf8_decoder", "KafkaDStream", "kafka_package", "with_kafka",
    ),
    "pyspark.streaming.kinesis": ("KinesisUtils", "InitialPositionInStream", "MetricsLevel", "utf8_decoder"),
    # What else takes or gives streams, or is an argument of theirs.
    "pyspark": ("StorageLevel",),
    "pyspark.storagelevel": ("StorageLevel",),
    "pyspark.mllib.clustering": ("StreamingKMeans",),
    "pyspark.mllib.regression": ("StreamingLinearRegressionWithSGD",),
    "pyspark.mllib.classification": ("StreamingLogisticRegressionWithSGD",),
}  # fmt: skip
"""Names that programs import from each module."""

# ---------------------------------------------------------------------- names


def _all(owner: str, names: str, gives: str = "") -> list[Fact]:
    """Names of a class that simply run."""
    return [Fact(f"{owner}.{name}", gives=gives) for name in names.split()]


_NO_JVM = "there is no DStream of the JVM behind it"
_SCALA = "only Scala and Java have it"
_INSIDE = "it wraps a function for the JVM's DStreams, and there are none"
_GIVE_RDDS = "give RDDs to a stream with ssc.queueStream(...), or records with ssc.receiverStream(...)"
_JVM = "`_jssc`, `_jdstream`, `DStream(jstream, ssc, serializer)`"
_LEVEL = "accepted and not used: blocks are in the driver's memory, and with a checkpoint directory in its log"
_SEE_LEVEL = "`storageLevel` of receivers"
_CONNECTOR = f"needs Spark's Kafka connector: start the program with --packages {KAFKA_PACKAGE}:VERSION"

_FACTS = [
    *map(Fact, dict.fromkeys(name for names in EXPORTS.values() for name in names)),
    # Contexts
    *_all("StreamingContext", "sparkContext start awaitTermination awaitTerminationOrTimeout remember checkpoint"),
    *_all("StreamingContext", "explain status _sc"),
    *_all("StreamingContext", "socketTextStream textFileStream binaryRecordsStream transform", "DStream"),
    *_all("StreamingContext", "socketStream receiverStream dataFrameStream", "DStream"),
    *_all("StreamingContext", "getActive getActiveOrCreate", "StreamingContext"),
    Fact("StreamingContext.queueStream", says="lists and RDDs may be mixed; has batch times without gaps",
         gives="DStream"),
    Fact("StreamingContext.union", says="streams may be serialized differently", gives="DStream"),
    Fact("StreamingContext.addStreamingListener", says="any object with one of the methods"),
    Fact("StreamingContext.stop", says="may be called anywhere, also graceful and inside a callback"),
    Fact("StreamingContext.getOrCreate", NOTE, "a checkpoint directory of the old engine is recognised and "
         "refused: name a new one, and the program starts afresh in it", see="what is in a checkpoint directory",
         gives="StreamingContext"),
    Fact("StreamingContext.socketTextStream(storageLevel)", NOTE, _LEVEL, see=_SEE_LEVEL, position=2),
    Fact("StreamingContext(jssc)", CHANGE, "a context of the JVM's old engine cannot be taken over",
         "make the context of a SparkContext: StreamingContext(sc, 1)", _JVM, position=2),
    Fact("StreamingContext._jssc", CHANGE, _NO_JVM,
         f"{_GIVE_RDDS}; stop(), remember() and checkpoint() are methods of ssc", _JVM),
    Fact("StreamingContext._jvm", CHANGE, _NO_JVM, "ssc.sparkContext._jvm is the JVM", _JVM),
    Fact("StreamingContext._jduration", CHANGE, _NO_JVM, "the interval is the one that the program has given", _JVM),
    Fact("StreamingContext.fileStream", CHANGE, _SCALA,
         "ssc.textFileStream(directory), ssc.binaryRecordsStream(directory, length), or ssc.dataFrameStream(...) for "
         "what else Spark reads"),
    Fact("StreamingContext.getState", CHANGE, _SCALA, "StreamingContext.getActive() is ssc"),
    # Streams
    *_all("DStream", "foreachRDD pprint saveAsTextFiles print saveAsPickleFiles toDF is_cached is_checkpointed"),
    *_all("DStream", "_sc _ssc"),
    *_all("DStream", "map flatMap filter mapPartitions mapPartitionsWithIndex mapValues flatMapValues glom", "DStream"),
    *_all("DStream", "count countByValue reduce reduceByKey combineByKey groupByKey partitionBy", "DStream"),
    *_all("DStream", "cache persist transform transformWith union repartition named updateStateByKey", "DStream"),
    *_all("DStream", "cogroup join leftOuterJoin rightOuterJoin fullOuterJoin", "DStream"),
    *_all("DStream", "window reduceByWindow countByWindow countByValueAndWindow groupByKeyAndWindow", "DStream"),
    *_all("DStream", "reduceByKeyAndWindow", "DStream"),
    *_all("DStream", "mapWithState", "MapWithStateDStream"),
    *_all("DStream", "context", "StreamingContext"),
    *_all("MapWithStateDStream", "stateSnapshots", "DStream"),
    Fact("DStream.checkpoint", NOTE, "the interval is checked and has no effect: every batch is checkpointed",
         see="`DStream.checkpoint(interval)`", gives="DStream"),
    Fact("DStream.slice", NOTE, "batches that are remembered; none is computed for it: call ssc.remember(seconds) "
         "before start(), or cache() on the stream", see="`slice` of batches that are forgotten or to come"),
    Fact("DStream.reduceByKeyAndWindow(filterFunc)", NOTE,
         "with a window of at least five slides, asked about the pairs that have changed only",
         see="`filterFunc` of `reduceByKeyAndWindow`", position=5),
    Fact("DStream(jstream)", CHANGE, "a stream of the JVM cannot be wrapped, since there is none", _GIVE_RDDS, _JVM,
         position=0),
    Fact("DStream._jdstream", CHANGE, _NO_JVM,
         "transform(f) and foreachRDD(f) give the RDD of each batch, and rdd._jrdd is the JVM's", _JVM),
    Fact("DStream._jrdd_deserializer", CHANGE, _NO_JVM,
         "the RDDs that transform(f) and foreachRDD(f) give have one each", _JVM),
    Fact("DStream.saveAsHadoopFiles", CHANGE, _SCALA, "stream.foreachRDD(lambda rdd: rdd.saveAsHadoopFile(...))"),
    Fact("DStream.saveAsNewAPIHadoopFiles", CHANGE, _SCALA,
         "stream.foreachRDD(lambda rdd: rdd.saveAsNewAPIHadoopFile(...))"),
    Fact("DStream.saveAsObjectFiles", CHANGE, _SCALA,
         "stream.saveAsPickleFiles(prefix), read with sc.pickleFile(path)"),
    Fact("TransformedDStream", NOTE, "a name for annotations; operations return `DStream`", see="`TransformedDStream`"),
    # Listeners, helpers
    *_all("StreamingListener", "onStreamingStarted onReceiverStarted onReceiverError onReceiverStopped"),
    *_all("StreamingListener", "onBatchSubmitted onBatchStarted onBatchCompleted"),
    *_all("StreamingListener", "onOutputOperationStarted onOutputOperationCompleted"),
    Fact("StreamingListener.Java", CHANGE, "a mark for py4j, which is not needed here", "leave it out"),
    Fact("TransformFunction", CHANGE, _INSIDE, "stream.transform(f) and stream.foreachRDD(f) take f as it is", _JVM),
    Fact("TransformFunctionSerializer", CHANGE, _INSIDE,
         "ssc.checkpoint(directory) saves the functions of a program with it", _JVM),
    *_all("StateSpec", "function initialState numPartitions timeout", "StateSpec"),
    # Kafka
    *_all("KafkaRDD", "offsetRanges"),
    *_all("KafkaDStream", "commitAsync"),
    Fact("KafkaUtils.createDirectStream", NOTE, _CONNECTOR, see="Kafka: partitions of a topic without new records",
         gives="KafkaDStream"),
    Fact("KafkaUtils.createRDD", NOTE, _CONNECTOR),
    Fact("KafkaUtils.createStream", NOTE, f"no receiver, each record once, offsets are committed to the group; "
         f"{_CONNECTOR}", see="Kafka: `createStream`", gives="KafkaDStream"),
    Fact("KafkaUtils.createStream(zkQuorum)", CHANGE, "Kafka has no ZooKeeper any more, so zkQuorum leads nowhere",
         "name the brokers: kafkaParams={'bootstrap.servers': 'host:9092'}, or, without a change of the program, "
         f"spark-submit --conf {SERVERS}=host:9092", "Kafka: `createStream`"),
    Fact("KafkaUtils.createStream(storageLevel)", NOTE, _LEVEL, see=_SEE_LEVEL, position=5),
    Fact("spark-streaming-kafka", CHANGE, "the connector of Spark's old engine, in which Python has no Kafka since "
         "Spark 3", f"ask for Structured Streaming's: --packages {KAFKA_PACKAGE}:VERSION (in PYSPARK_SUBMIT_ARGS or of "
         "spark-submit; the conf spark.jars.packages). The program itself stays as it is"),
    # Kinesis, Flume, MQTT
    *_all("InitialPositionInStream", "LATEST TRIM_HORIZON"),
    *_all("MetricsLevel", "DETAILED SUMMARY NONE"),
    Fact("KinesisUtils.createStream", NOTE, "needs boto3 beside the driver: pip install 'dstreams[kinesis]'; positions "
         "are in the program's checkpoint directory, and in no table of DynamoDB", see="Kinesis", gives="DStream"),
    Fact("KinesisUtils.createStream(storageLevel)", NOTE, _LEVEL, see=_SEE_LEVEL, position=8),
    Fact("FlumeUtils.createStream", NOTE, "needs Avro beside the driver, where the agents' Avro sink sends to: "
         "pip install 'dstreams[flume]'", see="receivers", gives="DStream"),
    Fact("FlumeUtils.createStream(storageLevel)", NOTE, _LEVEL, see=_SEE_LEVEL, position=3),
    Fact("FlumeUtils.createPollingStream", CHANGE, "the sink that it polls, SparkSink, was a part of Spark until 2.4 "
         "and works with Flume 1.6 only", "give the agent another sink: its Avro sink with FlumeUtils.createStream, or "
         "its Kafka sink (type = org.apache.flume.sink.kafka.KafkaSink) with KafkaUtils.createDirectStream, which also "
         "keeps what comes while this program is down", "Flume: polling a `SparkSink`", "DStream"),
    Fact("pyspark.streaming.mqtt", CHANGE, "MQTT is a receiver of the program's own", "copy the class MQTTReceiver "
         "from dstreams' examples/mqtt_receiver.py, and write ssc.receiverStream(MQTTReceiver(brokerUrl, topic)) in "
         "the place of MQTTUtils.createStream(ssc, brokerUrl, topic). With a client_id, the broker keeps what comes "
         "meanwhile"),
    # Models
    *_all("StreamingKMeans", "setK setDecayFactor setHalfLife setInitialCenters setRandomCenters", "StreamingKMeans"),
    *_all("StreamingLinearRegressionWithSGD", "setInitialWeights", "StreamingLinearRegressionWithSGD"),
    *_all("StreamingLogisticRegressionWithSGD", "setInitialWeights", "StreamingLogisticRegressionWithSGD"),
    *(fact for model in ("KMeans", "LinearRegressionWithSGD", "LogisticRegressionWithSGD")
      for fact in (*_all(f"Streaming{model}", "trainOn latestModel"),
                   *_all(f"Streaming{model}", "predictOn predictOnValues", "DStream"))),
    # Levels that PySpark had until 2.4
    *(Fact(f"StorageLevel.{old}", CHANGE, "PySpark has it no more, since Python's records are always serialized",
           f"StorageLevel.{old.replace('_SER', '')}")
      for old in ("MEMORY_ONLY_SER", "MEMORY_ONLY_SER_2", "MEMORY_AND_DISK_SER", "MEMORY_AND_DISK_SER_2")),
    # Settings
    Fact("spark.streaming.concurrentJobs", NOTE, "not read: outputs run one after the other, in order",
         see="`spark.streaming.concurrentJobs`"),
    Fact("spark.streaming.gracefulStopTimeout", NOTE, "bounds a graceful stop; if it is not set, nothing does",
         see="`spark.streaming.gracefulStopTimeout`"),
    Fact("spark.streaming.kafka.maxRatePerPartition", NOTE,
         "limits the batch as a whole: a partition with more may take more"),
    Fact("spark.streaming.receiver.maxRate", NOTE,
         "what is above the rate waits in the receiver, and so in the network",
         see="`spark.streaming.receiver.maxRate` and backpressure"),
    Fact("spark.streaming.receiver.writeAheadLog.enable", NOTE,
         "not read: with a checkpoint directory there always is a write-ahead log", see="receivers at a restart"),
    Fact("spark.streaming.stopGracefullyOnShutdown", NOTE,
         "works: SIGTERM and SIGINT finish and commit the batches that are due, then the exit code is 0",
         see="SIGTERM and SIGINT with `spark.streaming.stopGracefullyOnShutdown`"),
    # Where they are run
    Fact("notebook", NOTE, "begin its first cell with: import dstreams.compat; dstreams.compat.activate()"),
    Fact("Python 2", CHANGE, "Python 3 cannot run it",
         "convert what is written for Python 2: pip install fissix, then python -m fissix -w FILE (the 2to3 that "
         "Python had until 3.12)"),
]  # fmt: skip

TABLE = {fact.name: fact for fact in _FACTS}
"""All facts by name."""

_PARENTS = {"KafkaDStream": "DStream", "MapWithStateDStream": "DStream", "TransformedDStream": "DStream"}
_CLOSED = {
    "StreamingContext", "DStream", "KafkaUtils", "KinesisUtils", "FlumeUtils", "InitialPositionInStream",
    "MetricsLevel",
}  # fmt: skip
"""Classes of which every name is here."""

TELLING = {
    name.rpartition(".")[2]: name
    for name in (
        "StreamingContext.socketTextStream", "StreamingContext.textFileStream", "StreamingContext.binaryRecordsStream",
        "StreamingContext.queueStream", "StreamingContext.awaitTerminationOrTimeout",
        "StreamingContext.addStreamingListener", "StreamingContext._jssc", "DStream._jdstream", "DStream.foreachRDD",
        "DStream.updateStateByKey", "DStream.mapWithState", "DStream.transformWith", "DStream.saveAsTextFiles",
        "DStream.reduceByWindow", "DStream.countByWindow", "DStream.countByValueAndWindow",
        "DStream.groupByKeyAndWindow", "DStream.reduceByKeyAndWindow", "KafkaRDD.offsetRanges",
        "KafkaDStream.commitAsync", "MapWithStateDStream.stateSnapshots",
    )
}  # fmt: skip
"""Names that nothing else in PySpark has: they count on a value of which nothing is known."""

PYTHON_2_NAMES = {
    "basestring", "execfile", "long", "raw_input", "reduce", "reload", "unichr", "unicode", "xrange",
}  # fmt: skip
PYTHON_2_MODULES = {
    "BaseHTTPServer", "ConfigParser", "HTMLParser", "Queue", "SocketServer", "StringIO", "__builtin__", "cPickle",
    "cStringIO", "commands", "httplib", "itertools.ifilter", "itertools.imap", "itertools.izip",
    "thread", "urllib2", "urlparse",
}  # fmt: skip


def find(owner: str, name: str) -> Fact | None:
    """What becomes of an attribute of a class, or of what its calls return.

    Parameters
    ----------
    owner : str
        The class.
    name : str
        The attribute.

    Returns
    -------
    Fact or None
        That of a class it is derived from, where it has none of its own; of the class itself where that is refused; a
        `missing` one where the class has no such name; None where the table does not list the names of the class.
    """
    kind = owner
    while True:
        if found := TABLE.get(f"{kind}.{name}"):
            return found
        if kind not in _PARENTS:
            break
        kind = _PARENTS[kind]
    refused = TABLE.get(owner)
    if refused is not None and refused.verdict == CHANGE:
        return refused
    return missing(f"{owner}.{name}") if kind in _CLOSED and not name.startswith("__") else None


def missing(name: str) -> Fact:
    """Of a name that neither PySpark nor this package has.

    Parameters
    ----------
    name : str
        The name.
    """
    return Fact(name, CHANGE, "there is no such name; docs/compatibility.md lists those that there are")
