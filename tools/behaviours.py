"""What `compatibility.py` cannot find out by looking at code: see there."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["BEHAVIOURS", "REMOVED", "SCALA", "SINCE", "Behaviour"]

SINCE = {
    "dstreams.context": "0.1.0",
    "dstreams.dstream": "0.1.0",
    "dstreams.flume": "0.1.0",
    "dstreams.kafka": "0.1.0",
    "dstreams.listener": "0.1.0",
    "dstreams.receiver": "0.1.0",
    "dstreams.util": "0.1.0",
    "dstreams.kinesis.InitialPositionInStream": "0.1.0",
    "dstreams.kinesis.MetricsLevel": "0.1.0",
    "dstreams.kinesis.utf8_decoder": "0.1.0",
    "dstreams.kinesis.KinesisUtils": "0.1.0",
    "dstreams.DStream": "0.1.0",
    "dstreams.Milliseconds": "0.1.0",
    "dstreams.Minutes": "0.1.0",
    "dstreams.Seconds": "0.1.0",
    "dstreams.Duration": "0.1.0",
    "dstreams.State": "0.1.0",
    "dstreams.StateSpec": "0.1.0",
    "dstreams.StreamingContext": "0.1.0",
}
"""First version that has a path of this package and what is below it. What is not here counts as new in the version
that the file is made with, so a release has to add its new names, or their module."""

_LEVEL = "storageLevel=StorageLevel.MEMORY_AND_DISK_2"

REMOVED = [
    (
        "Kafka 0.8: `pyspark.streaming.kafka`, Spark 1.3 to 2.4",
        "dstreams.kafka",
        [
            (
                "KafkaUtils.createStream",
                f"(ssc, zkQuorum, groupId, topics, kafkaParams=None, {_LEVEL}, keyDecoder=utf8_decoder, "
                "valueDecoder=utf8_decoder)",
            ),
            (
                "KafkaUtils.createDirectStream",
                "(ssc, topics, kafkaParams, fromOffsets=None, keyDecoder=utf8_decoder, valueDecoder=utf8_decoder, "
                "messageHandler=None)",
            ),
            (
                "KafkaUtils.createRDD",
                "(sc, kafkaParams, offsetRanges, leaders=None, keyDecoder=utf8_decoder, valueDecoder=utf8_decoder, "
                "messageHandler=None)",
            ),
            ("OffsetRange", "(topic, partition, fromOffset, untilOffset)"),
            ("TopicAndPartition", "(topic, partition)"),
            ("Broker", "(host, port)"),
            ("KafkaMessageAndMetadata", "(topic, partition, offset, key, message)"),
            ("KafkaRDD.offsetRanges", "()"),
            ("utf8_decoder", "(s)"),
        ],
    ),
    (
        "Flume: `pyspark.streaming.flume`, Spark 1.5 to 2.4",
        "dstreams.flume",
        [
            (
                "FlumeUtils.createStream",
                f"(ssc, hostname, port, {_LEVEL}, enableDecompression=False, bodyDecoder=utf8_decoder)",
            ),
            (
                "FlumeUtils.createPollingStream",
                f"(ssc, addresses, {_LEVEL}, maxBatchSize=1000, parallelism=5, bodyDecoder=utf8_decoder)",
            ),
            ("utf8_decoder", "(s)"),
        ],
    ),
]
"""Utilities that PySpark had: title, module of this package, and names with their signatures then."""

_PARTITIONER = "`numPartitions`; `partitionBy` takes a function"
_LONG = "give `slideDuration`"

SCALA: dict[str, list[tuple[str, str, bool, str]]] = {
    "State": [
        ("PairDStreamFunctions.mapWithState(spec)", "DStream.mapWithState", False, ""),
        ("StateSpec.function(f)", "StateSpec.function", False, "with or without the time, told by the arguments"),
        ("StateSpec.initialState(rdd)", "StateSpec.initialState", False, "also a list"),
        ("StateSpec.numPartitions(n)", "StateSpec.numPartitions", False, ""),
        ("StateSpec.partitioner(p)", "StateSpec.partitioner", False, "hash partitions only"),
        ("StateSpec.timeout(duration)", "StateSpec.timeout", True, "found in the batch in which it is due"),
        ("State.exists()", "State.exists", False, ""),
        ("State.get()", "State.get", False, ""),
        ("State.getOption()", "State.getOption", True, "the state or `None`"),
        ("State.update(s)", "State.update", False, ""),
        ("State.remove()", "State.remove", False, ""),
        ("State.isTimingOut()", "State.isTimingOut", False, ""),
        ("MapWithStateDStream.stateSnapshots()", "dstream.MapWithStateDStream.stateSnapshots", False, ""),
        ("updateStateByKey(f, partitioner[, initialRDD])", "", False, _PARTITIONER),
        ("updateStateByKey(iterator function, partitioner, rememberPartitioner[, initialRDD])", "", False, ""),
        ("updateStateByKey((time, key, values, state) => ..., ...)", "", False, "`mapWithState` gets the time"),
    ],
    "Inputs": [
        ("StreamingContext.receiverStream(receiver)", "StreamingContext.receiverStream", False, ""),
        (
            "Receiver",
            "receiver.Receiver",
            True,
            "runs in the driver; `store` takes a record, a list or an iterator",
        ),
        (
            "StreamingContext.socketStream(host, port, converter, level)",
            "StreamingContext.socketStream",
            True,
            "the converter gets a binary file",
        ),
        (
            "StreamingContext.fileStream[K, V, F](directory[, filter, newFilesOnly[, conf]])",
            "StreamingContext.fileStream",
            False,
            "",
        ),
        (
            "ConstantInputDStream(ssc, rdd)",
            "StreamingContext.queueStream",
            True,
            "`queueStream([rdd], default=rdd)`",
        ),
    ],
    "Windows": [
        ("reduceByWindow(reduce, window, slide)", "DStream.reduceByWindow", True, "`None` as the inverse"),
        ("groupByKeyAndWindow(window)", "", False, _LONG),
        ("groupByKeyAndWindow(window, slide, partitioner)", "", False, _PARTITIONER),
        ("countByValueAndWindow(window, slide, numPartitions)", "DStream.countByValueAndWindow", False, ""),
        ("reduceByKeyAndWindow(reduce, window)", "DStream.reduceByKeyAndWindow", True, "`None` as the inverse"),
        ("reduceByKeyAndWindow(reduce, window, slide, partitioner)", "", False, _PARTITIONER),
        (
            "reduceByKeyAndWindow(reduce, inverse, window, slide, numPartitions, filter)",
            "DStream.reduceByKeyAndWindow",
            False,
            "works like the Python node of the old engine where that differs",
        ),
    ],
    "Outputs": [
        ("DStream.print(n)", "DStream.print", False, "the same as `pprint`"),
        ("saveAsObjectFiles(prefix, suffix)", "DStream.saveAsPickleFiles", True, "pickled, read with `sc.pickleFile`"),
        (
            "saveAsHadoopFiles(prefix, suffix, ...)",
            "DStream.saveAsHadoopFiles",
            False,
            "`foreachRDD`, and what RDDs have",
        ),
        (
            "saveAsNewAPIHadoopFiles(prefix, suffix, ...)",
            "DStream.saveAsNewAPIHadoopFiles",
            False,
            "`foreachRDD`, and what RDDs have",
        ),
    ],
    "Context and streams": [
        ("new StreamingContext(conf, duration)", "StreamingContext", False, "takes a `SparkConf`"),
        ("new StreamingContext(path)", "StreamingContext.getOrCreate", True, "`getOrCreate` reads a directory"),
        ("StreamingContext.getOrCreate(path, f, conf, createOnError)", "", False, "what is damaged is refused"),
        ("StreamingContext.getState()", "StreamingContext.getState", False, "`getActive() is ssc`"),
        ("StreamingContext.removeStreamingListener(l)", "StreamingContext.removeStreamingListener", False, ""),
        ("DStream.slice(interval)", "DStream.slice", True, "`slice(begin, end)`"),
        ("DStream.countByValue(numPartitions)", "DStream.countByValue", True, "without the number of partitions"),
        ("Duration", "Duration", True, "a number of seconds"),
        ("Milliseconds(n)", "Milliseconds", False, ""),
        ("Seconds(n)", "Seconds", False, ""),
        ("Minutes(n)", "Minutes", False, ""),
    ],
    "Kafka 0-10": [
        (
            "KafkaUtils.createDirectStream(ssc, locationStrategy, consumerStrategy[, perPartitionConfig])",
            "kafka.KafkaUtils.createDirectStream",
            True,
            "Python's signature, with `subscribePattern` and `assign`",
        ),
        (
            "KafkaUtils.createRDD(sc, params, offsetRanges, locationStrategy)",
            "kafka.KafkaUtils.createRDD",
            True,
            "Python's signature",
        ),
        ("LocationStrategies", "kafka.LocationStrategies", False, "Spark's source chooses the executors"),
        ("ConsumerStrategies", "kafka.ConsumerStrategies", False, "`topics`, `subscribePattern`, `assign`"),
        ("HasOffsetRanges.offsetRanges", "kafka.KafkaRDD.offsetRanges", True, "a method of the stream's RDDs"),
        ("CanCommitOffsets.commitAsync(ranges[, callback])", "kafka.KafkaDStream.commitAsync", False, ""),
    ],
}
"""By topic: what Scala has, the name in this package if it has one (below `dstreams`, and looked for), whether that
differs, and a note."""


class Behaviour(NamedTuple):
    """What programs can see of the old engine.

    Attributes
    ----------
    topic : str
        Heading.
    id : str
        Short name.
    text : str
        What the old engine does.
    tests : tuple of str
        ``file::function`` or ``file::function[case]``; each fails if this package changes.
    see : str
        Where this package differs: the subject in docs/differences.md.
    note : str
        What this package does, where that is not in docs/differences.md or has to be more exact.
    """

    topic: str
    id: str
    text: str
    tests: tuple[str, ...]
    see: str = ""
    note: str = ""

    @property
    def status(self) -> str:
        """Whether this package behaves the same."""
        return "differs" if self.see or self.note else "same"


_OPERATIONS = "tests/engine/test_operations.py::"
_OPERATION = _OPERATIONS + "test_operation"
_LIFE = "tests/engine/test_lifecycle.py::"
_OUTPUTS = "tests/engine/test_outputs.py::"
_SOURCES = "tests/engine/test_sources.py::"
_KAFKA_TESTS = "tests/engine/test_kafka.py::"
_FAILURES = "tests/engine/test_failures.py::"
_STATE = "tests/engine/test_state.py::"
_TRACES = "tests/engine/test_state_traces.py::"
_EXCHANGE = "tests/engine/test_exchange.py::"
_STATELESS = "tests/parity/test_stateless.py::test_same_results"
_STATEFUL = "tests/parity/test_stateful.py::test_same_results"
_BOTH = "tests/parity/test_behaviours.py::"
_NO_RDD = _BOTH + "test_streams_without_an_rdd_and_slow_ones"
_FAIL = _BOTH + "test_batches_and_outputs_that_fail"
_STEPS = "tests/unit/test_steps.py::"
_CALLBACKS = "tests/unit/test_callbacks.py::"
_CLOCK = "tests/unit/test_clock.py::"
_RESTART = "tests/recovery/test_restart.py::"
_DIRECTORIES = "tests/recovery/test_bad_directories.py::"
_UPGRADE = "tests/recovery/test_upgrade.py::"
_SIGNALS = "tests/programs/test_signals.py::"

_CONTEXT = "Contexts"
_CHECKS = "What is refused"
_OPS = "Operations"
_PRINT = "Printing and saving"
_CALLS = "Functions of the program"
_SHARED = "Streams that several read"
_QUEUES = "Queues"
_SOCKETS = "Sockets"
_FILES = "Files"
_KAFKA = "Kafka"
_KINESIS = "Kinesis"
_LISTEN = "Listeners"
_TIME = "Batch times"
_NONE = "Streams without an RDD"
_SLICE = "slice"
_WINDOW = "Windows"
_UPDATE = "updateStateByKey"
_RECOVER = "Checkpoints and recovery"
_STOP = "Stopping"
_WRONG = "Failures"
_BATCHES = "Batch by batch"

BEHAVIOURS = (
    # ------------------------------------------------------------------ contexts
    Behaviour(
        _CONTEXT, "future-warning", "Making a context warns each time that DStreams are deprecated.",
        (_LIFE + "test_no_warning_that_dstreams_are_deprecated",),
        see="warning that DStreams are deprecated",
    ),
    Behaviour(
        _CONTEXT, "interval-truncated", "A batch interval is cut, not rounded, to ms: 2.01 s becomes 2009 ms.",
        ("tests/unit/test_duration.py::test_every_whole_millisecond_up_to_ten_seconds_is_exact",), see="interval",
    ),
    Behaviour(
        _CONTEXT, "interval-missing", "Without a batch interval the constructor fails with a bare `AssertionError`.",
        (_LIFE + "test_bad_intervals",), see="errors",
    ),
    Behaviour(
        _CONTEXT, "interval-zero", "An interval of 0 is taken, `start()` succeeds, and no batch ever comes.",
        (_LIFE + "test_bad_intervals", "tests/unit/test_duration.py::test_less_than_a_millisecond_is_a_value_error"),
        see="interval",
    ),
    Behaviour(
        _CONTEXT, "interval-text", "A text as the interval fails in py4j.",
        (_LIFE + "test_bad_intervals", "tests/unit/test_duration.py::test_what_is_no_number_is_a_type_error"),
        see="interval",
    ),
    Behaviour(
        _CONTEXT, "setup-returns-none", "A setup function that returns `None` ends in an `AttributeError`.",
        (_DIRECTORIES + "test_setup_function_that_gives_no_context",), see="errors",
    ),
    Behaviour(
        _CONTEXT, "active-until-stop", "The active context is the one that was started and not stopped, also after a "
        "batch has failed.",
        (_LIFE + "test_active_context", _FAIL),
    ),
    Behaviour(
        _CONTEXT, "active-after-sc-stop", "A bare `sc.stop()` leaves the context active.",
        (_LIFE + "test_sparkcontext_stopped_under_a_running_program",),
        see="`getActive()` after `sc.stop()`",
    ),
    Behaviour(
        _CONTEXT, "active-or-create", "`getActiveOrCreate` prefers the active context, and without a path returns what "
        "the setup function gives, as it is; a setup function that cannot be called is a `TypeError`.",
        (_LIFE + "test_get_active_or_create", _LIFE + "test_active_context"),
    ),
    Behaviour(
        _CONTEXT, "start-twice", "A second `start()` of a running context only warns.", (_LIFE + "test_active_context",)
    ),
    Behaviour(
        _CONTEXT, "await-any-time", "`awaitTerminationOrTimeout` may be called before start (`False` when time has run "
        "out) and after stop (`True`); `awaitTermination(timeout)` gives `None` in any case.",
        (_LIFE + "test_active_context", _LIFE + "test_stop_before_start"),
    ),
    Behaviour(
        _CONTEXT, "stop-any-time", "`stop()` may be called twice, before start, and after `sc.stop()`; a context that "
        "was stopped before its start takes no more definitions.",
        (_LIFE + "test_active_context", _LIFE + "test_stop_before_start",
         _LIFE + "test_definitions_after_stop_without_start",
         _LIFE + "test_sparkcontext_stopped_under_a_running_program"),
    ),
    Behaviour(
        _CONTEXT, "remember-once", "`remember` is accepted once, with an error text of its own the second time.",
        (_FAILURES + "test_bad_arguments", _LIFE + "test_batches_without_output_and_settings_after_start"),
    ),
    Behaviour(
        _CONTEXT, "settings-after-start", "`remember` and `checkpoint` of a running context are accepted, without "
        "effect on it.",
        (_LIFE + "test_batches_without_output_and_settings_after_start",),
    ),
    # ------------------------------------------------------------------ what is refused
    Behaviour(
        _CHECKS, "transform-nothing", "`ssc.transform` of an empty list fails in the JVM.",
        (_FAILURES + "test_bad_arguments", _OPERATIONS + "test_transform_refuses"), see="errors",
    ),
    Behaviour(
        _CHECKS, "different-slides", "Streams with different slide intervals cannot be the operands of a union or of "
        "`ssc.transform`; each of the three has a text of its own.",
        (_OPERATIONS + "test_streams_with_different_slides_do_not_mix",),
    ),
    Behaviour(
        _CHECKS, "union-arguments", "`ssc.union` of nothing is a `ValueError`, of one stream that very stream, and of "
        "something else a `TypeError`.",
        (_OPERATIONS + "test_union_of_none_or_one",),
    ),
    Behaviour(
        _CHECKS, "union-serializers", "`ssc.union` refuses streams that are serialized differently, such as a raw "
        "source and a mapped stream.",
        (_OPERATION + "[ssc.union of three]",), see="`ssc.union` of streams that are serialized differently",
    ),
    Behaviour(
        _CHECKS, "no-listener", "What is no `StreamingListener` is refused with an `AttributeError`.",
        (_OUTPUTS + "test_what_is_no_listener_is_refused",), see="errors",
    ),
    Behaviour(
        _CHECKS, "no-outputs", "`start()` without an output operation fails, and the context counts as stopped.",
        (_LIFE + "test_start_without_outputs",),
    ),
    Behaviour(
        _CHECKS, "start-after-stop", "A context that was stopped, or whose start failed, cannot be started.",
        (_LIFE + "test_active_context", _LIFE + "test_stop_before_start", _LIFE + "test_start_without_outputs"),
    ),
    Behaviour(
        _CHECKS, "second-context", "While a context runs, another one cannot be started; it can once the first has "
        "stopped.",
        (_LIFE + "test_a_second_context_has_to_wait",),
    ),
    Behaviour(
        _CHECKS, "define-after-start", "Inputs, windows, state and outputs cannot be added after start, nor after "
        "stop; the text says which.",
        (_LIFE + "test_operations_after_start_and_after_stop",
         _OUTPUTS + "test_outputs_cannot_be_added_to_a_running_program",
         _LIFE + "test_definitions_after_stop_without_start"),
    ),
    Behaviour(
        _CHECKS, "map-after-start", "`map` and what is built like it raise nothing after start or stop; the error "
        "comes when something is attached to the result.",
        (_LIFE + "test_operations_after_start_and_after_stop",), see="`stream.map(f)` after start or stop",
    ),
    Behaviour(
        _CHECKS, "persist-after-start", "Storage level and checkpoint interval cannot be changed after start.",
        (_LIFE + "test_operations_after_start_and_after_stop",
         _LIFE + "test_batches_without_output_and_settings_after_start"),
    ),
    Behaviour(
        _CHECKS, "slice-before-start", "`slice` before start says that the stream has not been initialized.",
        (_OPERATIONS + "test_slice_of_remembered_batches", _FAILURES + "test_bad_arguments"),
    ),
    Behaviour(
        _CHECKS, "union-of-contexts", "`union` of streams of two contexts is not noticed.",
        (_OPERATIONS + "test_streams_of_two_contexts_do_not_mix",), see="`a.union(b)` of two contexts",
    ),
    # ------------------------------------------------------------------ operations
    Behaviour(
        _OPS, "count", "`count` gives one number for each RDD: 0 where there are partitions without elements.",
        (_OPERATION + "[count]", _OPERATION + "[count after a filter]", _STATELESS + "[count]"),
    ),
    Behaviour(
        _OPS, "count-nothing", "`count` gives nothing where the RDD has no partition, such as in a batch without files "
        "or lines.",
        (_OPERATION + "[count of an empty RDD without partitions]",
         _SOURCES + "test_files_by_their_modification_time_and_content"),
    ),
    Behaviour(
        _OPS, "reduce", "`reduce` gives one element, and none for an empty RDD.",
        (_OPERATION + "[reduce]", _STATELESS + "[reduce]"),
    ),
    Behaviour(
        _OPS, "transform-with-slides", "`transformWith` does not ask for equal slides: the result comes at the times "
        "of the first stream, and where the second has no RDD an empty one stands in.",
        (_NO_RDD,),
    ),
    Behaviour(
        _OPS, "ssc-transform", "`ssc.transform` calls its function with one tuple of RDDs, in the order of the list.",
        (_OPERATION + "[ssc.transform gets a tuple]", _STATELESS + "[ssc.transform]"),
    ),
    Behaviour(
        _OPS, "ssc-union", "`ssc.union` puts the RDDs of a batch side by side.",
        (_OPERATION + "[ssc.union of three]", _STATELESS + "[ssc.union]"),
    ),
    Behaviour(
        _OPS, "union-undecodable", "`text_stream.union(mapped_stream)` gives data that cannot be decoded.",
        (_SOURCES + "test_files_by_their_modification_time_and_content",), see="`text_stream.union(mapped_stream)`",
    ),
    Behaviour(
        _OPS, "checkpoint-storage", "`stream.checkpoint(interval)` also sets a storage level.",
        (_OPERATIONS + "test_storage_levels_are_a_stream_s_own",), see="`DStream.checkpoint(interval)`",
    ),
    # ------------------------------------------------------------------ printing and saving
    Behaviour(
        _PRINT, "pprint", "`pprint` prints a line of dashes, the batch time, dashes, the first elements, `...` if "
        "there are more, and an empty line; the head for every batch that has an RDD, empty or not.",
        (_OUTPUTS + "test_pprint_byte_for_byte", _OUTPUTS + "test_outputs_of_no_partitions_and_of_no_rdd"),
    ),
    Behaviour(
        _PRINT, "pprint-microseconds", "The time that `pprint` shows is local and has microseconds only where the "
        "batch time is no full second.",
        (_OUTPUTS + "test_pprint_shows_microseconds_of_short_intervals", _OUTPUTS + "test_pprint_byte_for_byte"),
    ),
    Behaviour(
        _PRINT, "save-name", "`saveAsTextFiles` makes `prefix-<ms>` or `prefix-<ms>.suffix`; an empty suffix leaves a "
        "dot at the end.",
        (_OUTPUTS + "test_save_operations_write_a_directory_per_batch",
         "tests/unit/test_util.py::test_directory_of_a_batch"),
    ),
    Behaviour(
        _PRINT, "save-empty", "Every batch gets a directory with `_SUCCESS`, also an empty one; there are no part "
        "files where the RDD has no partitions.",
        (_OUTPUTS + "test_save_operations_write_a_directory_per_batch",
         _OUTPUTS + "test_outputs_of_no_partitions_and_of_no_rdd"),
    ),
    Behaviour(
        _PRINT, "save-exists", "Where the directory exists, stale files stay beside the new ones, or the batch is "
        "dropped without a word.",
        (_OUTPUTS + "test_an_existing_directory_is_replaced",), see="existing directory in `saveAsTextFiles`",
    ),
    # ------------------------------------------------------------------ functions of the program
    Behaviour(
        _CALLS, "one-or-two", "A function of one parameter gets the RDD, one of two the batch time and the RDD.",
        (_CALLBACKS + "test_functions_of_one_rdd", _OUTPUTS + "test_foreachRDD_in_both_forms_and_in_order"),
    ),
    Behaviour(
        _CALLS, "no-code", "What has no `__code__`, such as a `functools.partial` or a callable object, is an "
        "`AttributeError`.",
        (_CALLBACKS + "test_functions_of_one_rdd", _CALLBACKS + "test_what_is_not_callable_is_refused"),
        see="callback arguments",
    ),
    Behaviour(
        _CALLS, "wrong-number", "A wrong number of parameters is an `AssertionError` in `transform` and "
        "`transformWith`, and an error of every batch in `foreachRDD`.",
        (_CALLBACKS + "test_wrong_number_of_arguments_for_one_rdd",
         _CALLBACKS + "test_wrong_number_of_arguments_for_two_rdds", _OPERATIONS + "test_transform_refuses"),
        see="errors",
    ),
    Behaviour(
        _CALLS, "bound-methods", "`self` of a bound method counts as a parameter, so that methods are called wrongly "
        "or refused.",
        (_CALLBACKS + "test_functions_of_one_rdd[bound method with one]",
         _CALLBACKS + "test_functions_of_one_rdd[bound method with two]"),
        see="callback arguments",
    ),
    Behaviour(
        _CALLS, "default-arguments", "Parameters with defaults count: `lambda rdd, x=1:` gets the time as `rdd`.",
        (_CALLBACKS + "test_functions_of_one_rdd[a default after the RDD is not the time]",),
        see="callback arguments",
    ),
    Behaviour(
        _CALLS, "star-args", "`*args` alone get the time and the RDD in `foreachRDD` and are refused by `transform`.",
        (_CALLBACKS + "test_functions_of_one_rdd[only *args get both]",), see="callback arguments",
    ),
    Behaviour(
        _CALLS, "naive-local-time", "The batch time is a naive `datetime` in local time.",
        (_OPERATION + "[transform with the time]", _STATELESS + "[transform with the time]",
         _OUTPUTS + "test_foreachRDD_in_both_forms_and_in_order"),
    ),
    Behaviour(
        _CALLS, "foreach-result", "A `foreachRDD` function that returns something true fails its output after it has "
        "run.",
        (_OUTPUTS + "test_foreachRDD_in_both_forms_and_in_order",),
        see="`foreachRDD` function that returns something true",
    ),
    Behaviour(
        _CALLS, "transform-false", "A `transform` function that returns something false gives no RDD for that batch.",
        (_OPERATION + "[transform to something false]", _OPERATION + "[transform to no RDD]",
         _STATELESS + "[transform to something false]"),
    ),
    Behaviour(
        _CALLS, "transform-no-rdd", "A `transform` function that returns something true that is no RDD loses the whole "
        "batch.",
        (_FAIL, _FAILURES + "test_transform_that_returns_no_rdd"),
    ),
    Behaviour(
        _CALLS, "transform-pairs", "A `transform` function may return what the JVM has as an RDD of pairs, such as a "
        "`zip`.",
        (_OPERATION + "[transform to a pair RDD of the JVM]", _STATELESS + "[transform to a pair RDD of the JVM]"),
    ),
    Behaviour(
        _CALLS, "live-objects", "Without a checkpoint directory, functions of `foreachRDD` and `transform` use the "
        "live objects of the driver, the SparkContext too.",
        (_OUTPUTS + "test_foreachRDD_in_both_forms_and_in_order", _OUTPUTS + "test_what_an_output_gets_is_a_real_rdd"),
    ),
    # ------------------------------------------------------------------ streams that several read
    Behaviour(
        _SHARED, "recomputed", "A stream that two outputs read is computed for each of them.",
        (_OPERATIONS + "test_what_several_operations_read_is_computed_once",),
        see="stream read by several operations",
    ),
    Behaviour(
        _SHARED, "transform-calls", "A `transform` function is called once for each branch that follows it.",
        (_OPERATIONS + "test_a_transform_function_is_called_once_for_all_its_readers",),
        see="`transform` function and shared streams",
    ),
    Behaviour(
        _SHARED, "late-cache", "`cache()` counts only if it is called before other streams are derived.",
        (_OPERATIONS + "test_what_several_operations_read_is_computed_once",),
        see="stream read by several operations",
    ),
    # ------------------------------------------------------------------ queues
    Behaviour(
        _QUEUES, "queue-copied", "The list is copied when the stream is defined.",
        (_OPERATIONS + "test_the_queue_is_copied",),
    ),
    Behaviour(
        _QUEUES, "queue-ends", "After its last element a queue gives its default in every batch, or else an empty RDD "
        "of one partition; an element that is an empty list has the default number of partitions.",
        (_OPERATION + "[queueStream]", _STATELESS + "[queue of lists]", _STATELESS + "[queue with a default]"),
    ),
    Behaviour(
        _QUEUES, "queue-mixed", "Lists are accepted only if the first element is one: a list after an RDD is an "
        "`AttributeError`.",
        (_OPERATIONS + "test_a_queue_of_lists_and_rdds_and_its_slice_after_stop",),
        see="`queueStream` of RDDs and lists",
    ),
    Behaviour(
        _QUEUES, "queue-iterator", "An iterator is no queue: `TypeError`.",
        (_OPERATIONS + "test_queueStream_refuses", _FAILURES + "test_bad_arguments"),
    ),
    Behaviour(
        _QUEUES, "queue-empty", "A queue without elements and default is an `IndexError`.",
        (_OPERATIONS + "test_queueStream_refuses",), see="`queueStream([])`",
    ),
    Behaviour(
        _QUEUES, "queue-default-only", "A queue without elements but with a default gives one empty batch, then the "
        "default.",
        (_OPERATION + "[a default alone]", _STATELESS + "[empty queue with a default]"),
    ),
    Behaviour(
        _QUEUES, "queue-at-once", "With `oneAtATime=False` all elements, with all their partitions, are in the first "
        "batch; then comes the default.",
        (_OPERATION + "[oneAtATime=False]", _OPERATION + "[oneAtATime=False and a default]",
         _STATELESS + "[queue taken at once]"),
    ),
    # ------------------------------------------------------------------ sockets
    Behaviour(
        _SOCKETS, "lines", "Lines end with `\\n`, `\\r\\n` or `\\r`, which is dropped, and are decoded as UTF-8.",
        (_SOURCES + "test_lines_of_every_kind", "tests/unit/test_sources.py::test_lines"),
    ),
    Behaviour(
        _SOCKETS, "last-line", "A last line without an end is delivered when the connection ends.",
        (_SOURCES + "test_server_that_comes_later_and_drops_the_connection",
         "tests/unit/test_sources.py::test_the_last_line_of_a_connection_needs_no_end"),
    ),
    Behaviour(
        _SOCKETS, "no-lines", "A batch without lines has an RDD without partitions.",
        (_SOURCES + "test_lines_of_every_kind",),
    ),
    Behaviour(
        _SOCKETS, "no-server", "Where nobody answers, the receiver tries again and again, and nothing reaches "
        "`awaitTermination`.",
        (_SOURCES + "test_port_nobody_listens_on_stops_quickly",
         _SOURCES + "test_server_that_comes_later_and_drops_the_connection"),
    ),
    Behaviour(
        _SOCKETS, "connection-ends", "When the server closes the connection, the receiver connects again after two "
        "seconds; listeners see it stopped and started, and no error.",
        (_SOURCES + "test_a_connection_that_ends_is_no_error",
         _SOURCES + "test_server_that_comes_later_and_drops_the_connection"),
    ),
    # ------------------------------------------------------------------ Kafka
    Behaviour(
        _KAFKA, "kafka-pairs", "A direct stream has pairs of decoded key and value; what is missing stays `None`.",
        (_KAFKA_TESTS + "test_what_a_stream_reads", "tests/unit/test_kafka.py::test_decoders"),
    ),
    Behaviour(
        _KAFKA, "kafka-ranges", "`rdd.offsetRanges()[i]` is the range of the RDD's i-th partition.",
        (_KAFKA_TESTS + "test_offset_ranges_are_those_of_the_partitions",),
        see="Kafka: partitions of a topic without new records",
    ),
    Behaviour(
        _KAFKA, "kafka-from", "With `fromOffsets` exactly those partitions are read, from those offsets.",
        (_KAFKA_TESTS + "test_what_a_stream_reads", "tests/recovery/test_kafka.py::test_killed_and_restarted"),
    ),
    Behaviour(
        _KAFKA, "kafka-texts", "Arguments of a wrong type raise `topics should be list` and the like.",
        (_KAFKA_TESTS + "test_arguments_of_a_direct_stream", _KAFKA_TESTS + "test_arguments_of_the_others"),
    ),
    Behaviour(
        _KAFKA, "kafka-largest", "Without `auto.offset.reset` a stream begins with what comes after its start.",
        (_KAFKA_TESTS + "test_what_a_stream_reads",),
    ),
    Behaviour(
        _KAFKA, "kafka-rate", "`spark.streaming.kafka.maxRatePerPartition` limits what a batch takes.",
        (_KAFKA_TESTS + "test_rate_of_each_partition",),
        note="limits the batch as a whole: a partition with more may take more",
    ),
    Behaviour(
        _KAFKA, "kafka-group", "`createStream` goes on where its consumer group has ended.",
        (_KAFKA_TESTS + "test_offsets_of_a_consumer_group",), see="Kafka: `createStream`",
    ),
    # ------------------------------------------------------------------ Kinesis
    Behaviour(
        _KINESIS, "kinesis-jar", "`KinesisUtils.createStream` without its jar prints help and is a `TypeError`.",
        ("tests/unit/test_kinesis.py::test_client_that_is_not_installed",), see="Kinesis",
    ),
    # ------------------------------------------------------------------ files
    Behaviour(
        _FILES, "binary-length", "A file that is no multiple of the record length fails the outputs of its batch with "
        "a Java `EOFException`; later batches go on.",
        (_SOURCES + "test_binary_records",), see="wrong length in `binaryRecordsStream`",
    ),
    Behaviour(
        _FILES, "since-definition", "Files count that come after the stream was defined, even before start.",
        (_SOURCES + "test_which_files_are_read",),
    ),
    Behaviour(
        _FILES, "existing-files", "Files that are older than the stream are never read, and nothing is said.",
        (_SOURCES + "test_which_files_are_read",),
    ),
    Behaviour(
        _FILES, "moved-in-old", "A file that is moved in with a modification time older than a minute is ignored.",
        (_SOURCES + "test_files_by_their_modification_time_and_content", _SOURCES + "test_which_files_are_read"),
        see="file moved in with an old modification time, but newer than the stream",
    ),
    Behaviour(
        _FILES, "future-files", "A file with a modification time in the future is read when that time has come.",
        (_SOURCES + "test_files_by_their_modification_time_and_content",),
        see="file with a modification time in the future",
    ),
    Behaviour(
        _FILES, "rewritten", "A file that is written again under the same name within a minute is ignored.",
        (_SOURCES + "test_which_files_are_read",),
    ),
    Behaviour(
        _FILES, "underscore", "A file whose name begins with `_` loses its batch, and the other files in it.",
        (_SOURCES + "test_which_files_are_read",), see="file whose name begins with `_`",
    ),
    Behaviour(
        _FILES, "hidden-and-empty", "Names that begin with `.` are left out, and empty files give nothing.",
        (_SOURCES + "test_which_files_are_read",),
    ),
    Behaviour(
        _FILES, "subdirectory", "A directory within the directory is taken for a file when its modification time "
        "changes, and the files directly in it are read.",
        (_SOURCES + "test_which_files_are_read",), see="directory in a watched directory",
    ),
    Behaviour(
        _FILES, "missing-directory", "A directory that does not exist gives empty batches until it does.",
        (_SOURCES + "test_directory_that_comes_later",),
    ),
    Behaviour(
        _FILES, "lazy-content", "A file is read when the outputs run: what has replaced it by then is seen.",
        (_SOURCES + "test_files_by_their_modification_time_and_content",
         _SOURCES + "test_file_replaced_or_removed_before_it_is_read"),
    ),
    Behaviour(
        _FILES, "files-records", "Files count as 0 records.",
        (_SOURCES + "test_files_by_their_modification_time_and_content",),
    ),
    Behaviour(
        _FILES, "files-metadata", "Listeners get the names of a batch's files as the description of the input.",
        (_SOURCES + "test_files_by_their_modification_time_and_content",),
    ),
    # ------------------------------------------------------------------ listeners
    Behaviour(
        _LISTEN, "order", "Of each batch a listener is told, in this order: submitted, started, each output started "
        "and completed, completed.",
        (_FAIL, _OUTPUTS + "test_listeners_are_told_everything_in_order"),
    ),
    Behaviour(
        _LISTEN, "failed-batch", "A batch with a failed output is completed, too, and the output has its reason.",
        (_FAIL, _OUTPUTS + "test_the_failure_of_an_output_is_in_its_event"),
    ),
    Behaviour(
        _LISTEN, "lost-batch", "A batch whose RDDs could not be made has no events at all.", (_FAIL,)
    ),
    Behaviour(
        _LISTEN, "nothing-due", "A batch in which no output has an RDD has no events.",
        (_LIFE + "test_batches_without_output_and_settings_after_start",),
    ),
    Behaviour(
        _LISTEN, "getters", "What events hold are methods to call; times that are not known yet are -1.",
        (_OUTPUTS + "test_listeners_are_told_everything_in_order",
         _OUTPUTS + "test_an_event_keeps_what_was_known_when_it_happened"),
    ),
    Behaviour(
        _LISTEN, "queue-records", "Queues count as 0 records and have no input info.",
        (_FAIL, _OUTPUTS + "test_listeners_are_told_everything_in_order"),
    ),
    Behaviour(
        _LISTEN, "failing-listener", "What a listener raises ends nothing, and later events arrive.",
        (_OUTPUTS + "test_listeners_are_told_everything_in_order",),
    ),
    Behaviour(
        _LISTEN, "stop-in-listener", "`stop()` in a listener is an exception.",
        (_LIFE + "test_stop_from_a_listener",), see="`stop` inside `foreachRDD` (graceful) or a listener",
    ),
    # ------------------------------------------------------------------ batch times
    Behaviour(
        _TIME, "grid", "The first batch time is the next multiple of the interval since the epoch after start, and "
        "each later one an interval after it.",
        (_CLOCK + "test_first_batch_is_the_first_multiple_after_now",
         _LIFE + "test_batch_times_are_contiguous_on_the_logical_clock"),
    ),
    Behaviour(
        _TIME, "slides-from-start", "A stream with a slide of k intervals has its first RDD in the k-th batch after "
        "start, wherever that is on the clock.",
        (_TRACES + "test_windows", _STEPS + "test_a_slide_is_due_when_a_multiple_of_it_was_crossed_since_zero"),
    ),
    Behaviour(
        _TIME, "slow-batches", "When batches take longer than the interval, every one is run later with its own time, "
        "none is skipped or merged.",
        (_CLOCK + "test_real_clock_jumps_over_missed_batches_and_never_repeats_one",
         _CLOCK + "test_logical_clock_is_contiguous_however_late_a_batch_is"),
        see="late batch (real clock)",
    ),
    Behaviour(
        _TIME, "outputs-in-order", "The outputs of a batch run in the order of their definition, one at a time.",
        (_OUTPUTS + "test_foreachRDD_in_both_forms_and_in_order",
         _OUTPUTS + "test_listeners_are_told_everything_in_order"),
    ),
    Behaviour(
        _TIME, "concurrent-jobs", "`spark.streaming.concurrentJobs=2` runs outputs, also of different batches, at the "
        "same time and in any order.",
        (_OUTPUTS + "test_outputs_of_no_partitions_and_of_no_rdd",),
        see="`spark.streaming.concurrentJobs`",
    ),
    # ------------------------------------------------------------------ streams without an RDD
    Behaviour(
        _NONE, "transform-not-called", "Where a stream has no RDD, a `transform` function that follows is not called.",
        (_OPERATION + "[transform of no RDD is not called]",),
    ),
    Behaviour(
        _NONE, "outputs-not-called", "Outputs of a stream without an RDD are not called: nothing is printed or saved.",
        (_OUTPUTS + "test_outputs_of_no_partitions_and_of_no_rdd", _OPERATION + "[transform to no RDD]"),
    ),
    Behaviour(
        _NONE, "map-of-none", "`map` and what is built like it, directly on a `transform` that gave no RDD, loses the "
        "batch.",
        (_OPERATION + "[map of no RDD]", _OPERATION + "[reduceByKey of no RDD]"),
        see="`map` of a `transform` that gave None",
    ),
    Behaviour(
        _NONE, "joins", "In `transformWith`, joins and `cogroup` an empty RDD stands in for a missing one.",
        (_OPERATION + "[leftOuterJoin with no RDD]", _OPERATION + "[join with no RDD]",
         _OPERATION + "[transformWith no RDD]", _STATELESS + "[join with no RDD]",
         _STATELESS + "[cogroup with no RDD]", _STATELESS + "[transformWith no RDD]"),
    ),
    Behaviour(
        _NONE, "union-right", "`a.union(b)` is `a` where `b` has no RDD.",
        (_OPERATION + "[union with no RDD]", _STATELESS + "[union with no RDD]"),
    ),
    Behaviour(
        _NONE, "union-left", "`a.union(b)` fails later where `a` has no RDD.",
        (_OPERATION + "[no RDD in a union on the left]",), see="union where the left stream has no RDD",
    ),
    Behaviour(
        _NONE, "ssc-operations", "`ssc.union` and `ssc.transform` of a stream without an RDD lose the whole batch, and "
        "so does a function of `ssc.transform` that returns `None`.",
        (_FAIL, _FAILURES + "test_missing_rdd_where_all_are_needed",
         _FAILURES + "test_context_transform_that_returns_none"),
    ),
    Behaviour(
        _NONE, "window", "A window leaves out batches without an RDD, and has an empty RDD where all are missing.",
        (_NO_RDD, _EXCHANGE + "test_no_rdd_is_not_an_empty_one"),
    ),
    Behaviour(
        _NONE, "slower-operand", "A stream that slides more slowly has no RDD in between: joined with a fast one it is "
        "empty there, and what it is the first operand of comes at its own times only.",
        (_TRACES + "test_windows", _NO_RDD, _STATEFUL + "[slow joined with fast]"),
    ),
    # ------------------------------------------------------------------ slice
    Behaviour(
        _SLICE, "both-ends", "Both ends are rounded down to the slide and included; what lies before the start is left "
        "out.",
        (_OPERATIONS + "test_slice_of_remembered_batches",),
    ),
    Behaviour(
        _SLICE, "computes", "Batches that are forgotten or to come are computed, which takes elements out of queues.",
        (_OPERATIONS + "test_slice_of_remembered_batches",
         _OPERATIONS + "test_slice_of_a_stream_inside_the_plan_says_what_to_do"),
        see="`slice` of batches that are forgotten or to come",
    ),
    Behaviour(
        _SLICE, "after-stop", "Batches that are remembered can be had after stop, too.",
        (_OPERATIONS + "test_a_queue_of_lists_and_rdds_and_its_slice_after_stop",),
    ),
    # ------------------------------------------------------------------ windows
    Behaviour(
        _WINDOW, "lengths", "Window and slide must be multiples of the stream's own slide.",
        (_STATE + "test_window_lengths",),
    ),
    Behaviour(
        _WINDOW, "zero", "A window of 0 gives an RDD without partitions in every batch.",
        (_STATE + "test_window_lengths",), see="window or slide of 0",
    ),
    Behaviour(
        _WINDOW, "gaps", "A window shorter than its slide leaves out what comes in between.",
        (_TRACES + "test_windows", _STATEFUL + "[window shorter than its slide]"),
    ),
    Behaviour(
        _WINDOW, "partly-filled", "At the start a window is partly filled, the oldest batch first.",
        (_TRACES + "test_windows", _STEPS + "test_window"),
    ),
    Behaviour(
        _WINDOW, "levels", "`window` persists the stream that it is made of, whatever its level was, and `persist` on "
        "the window changes that one's level.",
        (_OPERATIONS + "test_storage_levels_are_a_stream_s_own",), see="stream persisted by `window`",
    ),
    Behaviour(
        _WINDOW, "needs-directory", "With an inverse function a window needs a checkpoint directory, however short it "
        "is; without one it does not.",
        (_STATE + "test_no_checkpoint_directory", _STATE + "test_windows_without_inverse_need_no_directory"),
    ),
    Behaviour(
        _WINDOW, "filter-ignored", "Without an inverse function the `filterFunc` of `reduceByKeyAndWindow` is ignored.",
        (_NO_RDD,),
    ),
    Behaviour(
        _WINDOW, "five-slides", "With an inverse function, keys that have left the window vanish from a window of less "
        "than five slides; from a longer one never, unless `filterFunc` removes them.",
        (_TRACES + "test_windows", _STEPS + "test_five_slides_make_the_difference",
         _STATEFUL + "[reduceByKeyAndWindow with a filter, short]"),
    ),
    Behaviour(
        _WINDOW, "inverse-arguments", "The inverse function gets the value so far and the one that leaves.",
        (_STEPS + "test_the_inverse_gets_the_value_so_far_and_the_one_that_leaves",),
    ),
    Behaviour(
        _WINDOW, "reduce-by-window", "`reduceByWindow` without an inverse gives nothing for an empty window.",
        (_STATEFUL + "[reduceByWindow]",),
    ),
    Behaviour(
        _WINDOW, "count-by-window", "`countByWindow` gives nothing for an empty window of less than five slides; with "
        "a longer one 0, but only once there has been an element.",
        (_TRACES + "test_windows", _STATEFUL + "[countByWindow, long]", _STATEFUL + "[countByWindow, short]"),
    ),
    Behaviour(
        _WINDOW, "count-by-value", "`countByValueAndWindow` has no counts of 0.",
        (_STATEFUL + "[countByValueAndWindow]",),
    ),
    Behaviour(
        _WINDOW, "group-by-key", "In `groupByKeyAndWindow` of less than five slides keys vanish; in a longer one they "
        "stay with nothing in them.",
        (_TRACES + "test_windows", _STATEFUL + "[groupByKeyAndWindow, short]",
         _STATEFUL + "[groupByKeyAndWindow, long]"),
    ),
    # ------------------------------------------------------------------ updateStateByKey
    Behaviour(
        _UPDATE, "every-key", "The function is called in every batch, also an empty one, for every key that has a "
        "state or values.",
        (_TRACES + "test_state", _STEPS + "test_update_calls_the_function_for_every_key_that_is_known_or_new"),
    ),
    Behaviour(
        _UPDATE, "arguments", "It gets a list of values, which may be empty, and the state, `None` for a new key.",
        (_TRACES + "test_state",),
    ),
    Behaviour(
        _UPDATE, "forget", "A result of `None` forgets the key, which may begin anew; 0, `\"\"` and `[]` are kept.",
        (_STEPS + "test_update_forgets_a_key_at_none_and_keeps_what_is_merely_false",
         _STATEFUL + "[updateStateByKey that forgets]"),
    ),
    Behaviour(
        _UPDATE, "initial", "The keys of `initialRDD` get a call in the first batch, also without values.",
        (_TRACES + "test_state", _STEPS + "test_update_calls_the_function_for_initial_keys_in_the_first_batch",
         _STATEFUL + "[updateStateByKey with an initial RDD]"),
    ),
    Behaviour(
        _UPDATE, "no-rdd", "Where the stream has no RDD, the states come out as they were, without calls.",
        (_NO_RDD, _EXCHANGE + "test_no_rdd_is_not_an_empty_one"),
    ),
    Behaviour(
        _UPDATE, "slow-parent", "After a window it works at the window's slide.",
        (_STATEFUL + "[updateStateByKey after a slow window]",),
    ),
    Behaviour(
        _UPDATE, "directory", "Without a checkpoint directory `start()` fails and the context counts as stopped; one "
        "that is set for the SparkContext is enough.",
        (_STATE + "test_no_checkpoint_directory", _TRACES + "test_state"),
    ),
    Behaviour(
        _UPDATE, "raises", "A function that raises fails its batch and all later ones; the stream never heals.",
        (_STATE + "test_update_function_that_raises", _RESTART + "test_an_update_function_that_raises_tears_no_state"),
        see="failing output of a program with a checkpoint directory",
    ),
    # ------------------------------------------------------------------ checkpoints and recovery
    Behaviour(
        _RECOVER, "files", "The directory has a pickled graph for each of the last batches, and RDDs of state.",
        (_DIRECTORIES + "test_directory_of_the_old_engine", _STATE + "test_the_state_can_be_read_with_spark"),
        see="what is in a checkpoint directory",
    ),
    Behaviour(
        _RECOVER, "interval-checks", "`start()` refuses a checkpoint interval that is shorter than the slide or no "
        "multiple of it.",
        (_LIFE + "test_checkpoint_interval",),
    ),
    Behaviour(
        _RECOVER, "setup-not-called", "Where the directory holds a program, that one runs, on the SparkContext that "
        "there is, and the setup function is not called.",
        (_RESTART + "test_setup_is_not_called_for_a_restored_program_and_nothing_can_be_added",),
    ),
    Behaviour(
        _RECOVER, "code-ignored", "Changes of the code, of captured values and of the batch interval take no effect, "
        "and listeners are not restored.",
        (_LIFE + "test_a_restored_program_is_the_saved_one", _UPGRADE + "test_by_conf_and_without"),
    ),
    Behaviour(
        _RECOVER, "unreadable", "Where no file can be read, the error begins with `Failed to read checkpoint from "
        "directory`.",
        (_DIRECTORIES + "test_damaged_program_file",),
    ),
    Behaviour(
        _RECOVER, "older-file", "Where the newest file is damaged, an older one is taken.",
        (_DIRECTORIES + "test_damaged_program_file",), see="damaged checkpoint file",
    ),
    Behaviour(
        _RECOVER, "replay", "Every interval since the last checkpoint is run, one by one, the last checkpointed batch "
        "always once more, even after a graceful stop.",
        (_RESTART + "test_downtime_is_one_batch_and_not_replayed", _RESTART + "test_all_state_goes_on"),
        see="restart after downtime",
    ),
    Behaviour(
        _RECOVER, "downtime-files", "Files that came while nothing ran are in the batches of their times.",
        (_RESTART + "test_downtime_is_one_batch_and_not_replayed",), see="restart after downtime",
    ),
    Behaviour(
        _RECOVER, "failed-again", "A batch that had failed is run again with the same files, after later ones.",
        (_RESTART + "test_a_failed_batch_is_run_again_with_the_same_records_and_time",), see="failed batch",
    ),
    Behaviour(
        _RECOVER, "grid-goes-on", "Batch times go on in the grid of the first start, and state goes on.",
        (_RESTART + "test_all_state_goes_on",
         _CLOCK + "test_the_logical_clock_goes_on_contiguously_and_keeps_its_pace_behind_the_time_of_day"),
    ),
    Behaviour(
        _RECOVER, "received-data", "What a receiver had and no batch had taken is lost without the write-ahead log.",
        ("tests/recovery/test_kill.py::test_socket",
         "tests/unit/test_write_ahead_log.py::test_a_second_receiver_goes_on_with_exactly_the_rest"),
        see="receivers at a restart",
    ),
    Behaviour(
        _RECOVER, "queues", "A program that reads queues starts with a directory and cannot be restored.",
        (_RESTART + "test_all_state_goes_on",), see="restart of a program that reads queues only",
    ),
    Behaviour(
        _RECOVER, "adding", "What is added to a restored program is accepted, and `start()` fails.",
        (_RESTART + "test_setup_is_not_called_for_a_restored_program_and_nothing_can_be_added",),
        see="adding to a restored program",
    ),
    Behaviour(
        _RECOVER, "master", "Without a SparkContext, a restored program runs with `local[*]`, whatever it had set.",
        ("tests/unit/test_program.py::test_settings_of_a_restored_program",), see="master of a restored program",
    ),
    Behaviour(
        _RECOVER, "closures", "With a directory, functions that use the SparkContext or a stream fail at start.",
        (_DIRECTORIES + "test_function_that_closes_over_the_spark_context",
         _DIRECTORIES + "test_function_that_closes_over_a_stream"),
    ),
    # ------------------------------------------------------------------ stopping
    Behaviour(
        _STOP, "graceful-batch", "A graceful stop runs one more batch with what has been received.",
        (_LIFE + "test_graceful_stop_takes_what_was_received",
         _CLOCK + "test_finish_lets_the_batch_of_the_running_interval_be_the_last"),
    ),
    Behaviour(
        _STOP, "graceful-backlog", "A graceful stop runs all batches that wait, however long that takes.",
        (_CLOCK + "test_finish_lets_the_batch_of_the_running_interval_be_the_last",), see="late batch (real clock)",
    ),
    Behaviour(
        _STOP, "immediate", "An immediate stop does not wait for a batch that takes long: it is cancelled.",
        (_LIFE + "test_stop_cancels_a_long_batch",),
    ),
    Behaviour(
        _STOP, "keep-spark-context", "`stop(False)` leaves the SparkContext to a new context.",
        (_LIFE + "test_a_second_context_has_to_wait",),
    ),
    Behaviour(
        _STOP, "inside-foreach", "`stop()` inside `foreachRDD` works, and never returns if it is graceful.",
        (_LIFE + "test_stop_inside_foreachRDD",), see="`stop` inside `foreachRDD` (graceful) or a listener",
    ),
    Behaviour(
        _STOP, "sigint", "Ctrl-C raises `KeyboardInterrupt` out of `awaitTermination`.",
        (_LIFE + "test_interrupt_without_a_graceful_stop",),
    ),
    Behaviour(
        _STOP, "sigterm", "SIGTERM ends the program at once, with the exit code of the signal.",
        (_SIGNALS + "test_not_graceful",),
    ),
    Behaviour(
        _STOP, "stop-gracefully-conf", "`spark.streaming.stopGracefullyOnShutdown` has no effect on Python programs.",
        (_SIGNALS + "test_graceful",), see="SIGTERM and SIGINT with `spark.streaming.stopGracefullyOnShutdown`",
    ),
    # ------------------------------------------------------------------ failures
    Behaviour(
        _WRONG, "output-fails", "Where an output fails, the other outputs of the batch run, the context stays active "
        "and later batches run.",
        (_FAIL, _FAILURES + "test_function_that_raises_in_foreachRDD",
         _FAILURES + "test_function_that_raises_in_a_lifted_operation"),
    ),
    Behaviour(
        _WRONG, "batch-fails", "Where the RDDs of a batch cannot be made, none of its outputs runs; later batches do.",
        (_FAIL, _FAILURES + "test_transform_that_raises_loses_the_batch"),
    ),
    Behaviour(
        _WRONG, "await-raises", "`awaitTermination` raises the error, again with every call and also after stop; a new "
        "error takes the place of the one before.",
        (_FAIL, _FAILURES + "test_function_that_raises_in_a_lifted_operation"),
    ),
    Behaviour(
        _WRONG, "error-class", "What it raises is a `Py4JJavaError` with the Python traceback in its text.",
        (_FAILURES + "test_function_that_raises_in_foreachRDD",
         _FAILURES + "test_function_that_raises_in_a_lifted_operation"),
        see="errors",
    ),
    Behaviour(
        _WRONG, "sys-exit", "`sys.exit` in a function of the program is an error like any other.",
        (_FAILURES + "test_sys_exit_in_a_callback_ends_nothing",),
    ),
    # ------------------------------------------------------------------ batch by batch: a1 is ("a", 1), - is nothing
    Behaviour(
        _BATCHES, "trace-window", "`window(3)` of (a1 b1), (a2), (), (c5), then nothing: (a1 b1), (a1 b1 a2), "
        "(a1 b1 a2), (a2 c5), (c5), (c5), ().",
        (_TRACES + "test_windows", _STEPS + "test_window"),
    ),
    Behaviour(
        _BATCHES, "trace-window-slide", "`window(3, 2)` of the same, in every second batch: (a1 b1 a2), (a2 c5), (c5), "
        "().",
        (_TRACES + "test_windows", _STEPS + "test_window"),
    ),
    Behaviour(
        _BATCHES, "trace-window-gaps", "`window(1, 2)` of the same, in every second batch: (a2), (c5), ().",
        (_TRACES + "test_windows", _STEPS + "test_window"),
    ),
    Behaviour(
        _BATCHES, "trace-inverse", "`reduceByKeyAndWindow(add, sub, 5, 1)` of the same: (a1 b1), then (a3 b1) twice, "
        "(a3 b1 c5) twice, (a2 b0 c5), (a0 b0 c5) twice, (a0 b0 c0).",
        (_TRACES + "test_windows", _STEPS + "test_a_long_reduced_window_keeps_keys_with_zero"),
    ),
    Behaviour(
        _BATCHES, "trace-inverse-filter", "The same with a filter of values above 0: from the sixth batch on (a2 c5), "
        "(c5), (c5), ().",
        (_TRACES + "test_windows", _STEPS + "test_a_long_reduced_window_with_a_filter"),
    ),
    Behaviour(
        _BATCHES, "trace-inverse-short", "The same with a window of 3: (a1 b1), (a3 b1), (a3 b1), (a2 c5), (c5), (c5), "
        "().",
        (_TRACES + "test_windows", _STEPS + "test_a_short_reduced_window_forgets"),
    ),
    Behaviour(
        _BATCHES, "trace-count-short", "`countByWindow(2, 1)` of nothing, three, one: (), (3), (4), (1), then ().",
        (_TRACES + "test_windows",),
    ),
    Behaviour(
        _BATCHES, "trace-count-long", "`countByWindow(5, 1)` of the same: (), (3), (4) four times, (1), then (0).",
        (_TRACES + "test_windows",),
    ),
    Behaviour(
        _BATCHES, "trace-groups", "`groupByKeyAndWindow(5, 1)` of a1, a2, nothing, (a3 b9): a value leaves after five "
        "batches, and the keys are still there when all have left.",
        (_TRACES + "test_windows",),
    ),
    Behaviour(
        _BATCHES, "trace-outer-join", "A stream left-joined with its own `window(2, 2)` has no match, two matches, no "
        "match, and so on.",
        (_TRACES + "test_windows",),
    ),
    Behaviour(
        _BATCHES, "trace-state", "`updateStateByKey` with a function that returns what it gets, of (a1 b1), (a2), (): "
        "in the third batch it gets no values and the pair of the second.",
        (_TRACES + "test_state",),
    ),
    Behaviour(
        _BATCHES, "trace-initial", "Sums that begin with z100 and a50, of the same: (a51 b1 z100), then (a53 b1 z100).",
        (_TRACES + "test_state",),
    ),
    Behaviour(
        _BATCHES, "trace-count", "`count()` of a queue of three, none, and after its end: 3, 0, 0; `reduce` gives "
        "nothing for the empty ones.",
        (_OPERATION + "[count]", _OPERATION + "[reduce]"),
    ),
    Behaviour(
        _BATCHES, "trace-at-once", "A queue of three lists of one, taken at once on two cores: six partitions, then "
        "its default.",
        (_OPERATION + "[oneAtATime=False]", _OPERATION + "[oneAtATime=False and a default]"),
    ),
)  # fmt: skip
