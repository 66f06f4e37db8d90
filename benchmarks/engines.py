"""How each engine runs a workload, and how the time of a batch is taken. Used by ``child.py``, one engine per process.

The time of a batch is everything from the moment it was due until the engine is done with it:

* the old engine: from the batch time to ``processingEndTime`` of ``onBatchCompleted``. That is its ``totalDelay``
  plus what comes before the submission: the listing of directories and the making of the RDDs.
* Structured Streaming (dstreams and the hand-written job): from the boundary of the interval to the end of the
  trigger (``timestamp`` of the progress plus ``durationMs.triggerExecution``), which includes the listing, planning,
  the hand-over to RDDs and the offset and commit files.

A batch that was due while the one before it was still running counts from that one's end, on both sides.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import pyspark
from pyspark import SparkConf, SparkContext
from pyspark.sql import Row
from pyspark.sql.streaming.stateful_processor import StatefulProcessor
from workloads import add, add_up, keep_state, pair, queue_batches, running_word_count, split, word_count

CORES = 2
MASTER = os.environ.get("BENCHMARK_MASTER", f"local[{CORES}]")
"""Where Spark runs; ``scaling.py`` names others."""
MORE = json.loads(os.environ.get("BENCHMARK_CONF", "{}"))
TIMEOUT = 120


def conf(extra=()):
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.sql.streaming.numRecentProgressUpdates": "1000",
        **MORE,
        **dict(extra),
    }
    return SparkConf().setMaster(MASTER).setAppName("benchmark").setAll(settings.items())


def batch_times(rows):
    """Add the time of each batch, by the rule that this module's docstring tells."""
    end_before = 0
    for row in sorted(rows, key=lambda row: row["due"]):
        row["ms"] = row["end"] - max(row["due"], end_before)
        row["late"] = end_before > row["due"]
        end_before = row["end"]
    return rows


class DStreams:
    """The two engines with the DStream API."""

    def __init__(self, engine, interval, extra=()):
        if engine == "legacy":
            from pyspark.streaming import StreamingContext, StreamingListener
        else:
            from dstreams import StreamingContext, StreamingListener
        self.engine = engine
        self.sc = SparkContext(conf=conf(extra))
        self.sc.setLogLevel("ERROR")
        self.ssc = StreamingContext(self.sc, interval)
        self.completed = []
        completed = self.completed

        class Listener(StreamingListener):
            def onBatchCompleted(self, event):
                info = event.batchInfo()
                times = {
                    "due": info.batchTime().milliseconds(),
                    "submitted": info.submissionTime(),
                    "start": info.processingStartTime(),
                    "end": info.processingEndTime(),
                }
                completed.append(times)

        self.ssc.addStreamingListener(Listener())

    def start(self, directory, counted):
        """Run the word count on a directory; `counted` gets the time and the count of each batch."""
        self.start_on(self.ssc.textFileStream(directory), counted)

    def start_on(self, lines, counted):
        """Run the word count on a stream of lines."""
        self.count(word_count(lines), counted)
        self.ssc.start()

    def count(self, stream, counted):
        """Count every batch of a stream."""
        stream.foreachRDD(lambda moment, rdd: counted(round(moment.timestamp() * 1000), rdd.count()))

    def rows(self):
        if self.engine == "legacy":
            return batch_times([dict(row) for row in list(self.completed)])
        outputs = {row["due"]: row["end"] - row["start"] for row in list(self.completed)}
        rows = progress_rows(self.ssc._query._stream._jsq)
        for row in rows:
            row["outputs"] = outputs.get(row["due"])
        return batch_times(rows)

    def check(self):
        """Raise what a batch failed with."""
        self.ssc.awaitTerminationOrTimeout(0.01)

    def stop(self):
        self.ssc.stop(stopSparkContext=False)


class HandWritten:
    """The same job as a Structured Streaming program without any facade, with the settings an expert would choose."""

    def __init__(self, interval, more=()):
        from pyspark.sql import SparkSession

        manager = "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
        state = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
        extra = {
            "spark.sql.streaming.stateStore.providerClass": state,
            "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
            "spark.sql.streaming.stateStore.rocksdb.trackTotalNumberOfRows": "false",
            "spark.sql.shuffle.partitions": str(CORES),
            "spark.sql.adaptive.enabled": "false",
            "spark.sql.files.openCostInBytes": "65536",
            "spark.sql.streaming.checkpointFileManagerClass": manager,
            **dict(more),
        }
        self.sc = SparkContext(conf=conf(extra))
        self.sc.setLogLevel("ERROR")
        self.spark = SparkSession(self.sc)
        self.interval_ms = round(interval * 1000)

    def start(self, directory, counted):
        self.start_on(self.spark.readStream.text(directory), counted)

    def start_on(self, lines, counted):
        """Run the word count on a frame of lines."""
        words = _map_in_arrow(_map_in_arrow(lines, _count_words).repartition(CORES, "word"), _merge_counts)
        self.count(words, counted)

    def count(self, frame, counted):
        """Count every batch of a frame."""

        def output(frame, batch_id):
            counted(batch_id, frame.count())

        trigger = f"{self.interval_ms} milliseconds"
        self.query = frame.writeStream.trigger(processingTime=trigger).foreachBatch(output).start()

    def start_sums(self, directory, counted):
        """Add up the values of each key that the files have, one file per batch."""
        reader = self.spark.readStream.schema("key long, value long").option("maxFilesPerTrigger", 1)
        self.count(_with_state(reader.csv(directory).groupBy("key"), RunningSum()), counted)

    def rows(self):
        rows = progress_rows(self.query._jsq, self.interval_ms)
        return batch_times(rows)

    def check(self):
        if self.query.exception() is not None:
            raise self.query.exception()

    def stop(self):
        self.query.stop()


_COUNTS = "word string, n long"
_SUMS = "key long, total long"


def _count_words(batches):
    import pyarrow as pa

    counts = {}
    for batch in batches:
        for line in batch.column(0).to_pylist():
            for word in split(line):
                key, value = pair(word)
                counts[key] = add(counts[key], value) if key in counts else value
    yield pa.RecordBatch.from_arrays([pa.array(counts.keys(), pa.string()), pa.array(counts.values(), pa.int64())],
                                     names=["word", "n"])  # fmt: skip


def _merge_counts(batches):
    import pyarrow as pa

    counts = {}
    for batch in batches:
        for key, value in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
            counts[key] = add(counts[key], value) if key in counts else value
    yield pa.RecordBatch.from_arrays([pa.array(counts.keys(), pa.string()), pa.array(counts.values(), pa.int64())],
                                     names=["word", "n"])  # fmt: skip


def _map_in_arrow(frame, function):
    """``frame.mapInArrow``, which asks for pandas without using it."""
    from pyspark.sql import DataFrame
    from pyspark.sql.udf import UserDefinedFunction
    from pyspark.util import PythonEvalType

    udf = UserDefinedFunction(function, _COUNTS, evalType=PythonEvalType.SQL_MAP_ARROW_ITER_UDF)
    return DataFrame(frame._jdf.mapInArrow(udf(*frame.columns)._jc, False, None), frame.sparkSession)


class RunningSum(StatefulProcessor):
    """State as the guide of Structured Streaming has it: a value for each key, called for the keys with data."""

    def init(self, handle):
        self._total = handle.getValueState("total", "total long")

    def handleInputRows(self, key, rows, timerValues):
        before = self._total.get()
        total = add_up([row.value for row in rows], before[0] if before else None)
        self._total.update((total,))
        yield Row(key=key[0], total=total)

    def close(self):
        pass


def _with_state(grouped, processor):
    """``grouped.transformWithState``, which asks for pandas without using it."""
    from pyspark.sql import DataFrame
    from pyspark.sql.streaming.stateful_processor_util import TransformWithStateInPandasUdfUtils
    from pyspark.sql.types import StructType
    from pyspark.sql.udf import UserDefinedFunction
    from pyspark.util import PythonEvalType

    run = TransformWithStateInPandasUdfUtils(processor, "None").transformWithStateUDF
    kind = PythonEvalType.SQL_TRANSFORM_WITH_STATE_PYTHON_ROW_UDF
    frame = grouped._df
    column = UserDefinedFunction(run, _SUMS, evalType=kind)(*frame.columns)
    schema = frame.sparkSession._jsparkSession.parseDataType(StructType.fromDDL(_SUMS).json())
    jdf = grouped._jgd.transformWithStateInPySpark(column._jc, schema, "Update", "None", None, "")
    return DataFrame(jdf, frame.sparkSession)


def progress_rows(jquery, interval_ms=None):
    """One row per finished trigger that ran a batch; `interval_ms` where the plan has no batch time of its own."""
    rows = []
    for progress in [json.loads(progress.json()) for progress in jquery.recentProgress()]:
        durations = progress["durationMs"]
        if "addBatch" not in durations:
            continue
        start = round(datetime.fromisoformat(progress["timestamp"].replace("Z", "+00:00")).timestamp() * 1000)
        if interval_ms is not None:
            due = start // interval_ms * interval_ms
        else:
            # The batch time is the offset of dstreams' own source, which makes every batch happen.
            due = next(offset["time"] for offset in map(_end_offset, progress["sources"]) if "time" in offset)
        end = start + durations["triggerExecution"]
        rows.append({"due": due, "start": start, "end": end, "batch": progress["batchId"], "phases": durations})
    return rows


def _end_offset(source):
    offset = source["endOffset"] or {}
    return json.loads(offset) if isinstance(offset, str) else offset


# ---------------------------------------------------------------------- workloads


def make(engine, interval):
    return HandWritten(interval) if engine == "handwritten" else DStreams(engine, interval)


def run_words(engine, files, expected, scratch, interval, warm_up, measured):
    """One file per batch: the next is moved into the directory when the batch before has been counted."""
    watched, staging = Path(scratch, "watched"), Path(scratch, "staging")
    watched.mkdir()
    staging.mkdir()
    counts = queue.Queue()
    run = make(engine, interval)
    run.start(str(watched), lambda key, count: count and counts.put((key, count)))
    keys, key_name = [], "batch" if engine == "handwritten" else "due"
    try:
        for i in range(warm_up + measured):
            name = f"batch-{i:05d}.txt"
            shutil.copyfile(files[i % len(files)], staging / name)
            os.rename(staging / name, watched / name)
            key, count = take(counts, run)
            if count != expected[i % len(files)]:
                raise AssertionError(f"{engine}: batch {i} has {count} words, not {expected[i % len(files)]}")
            keys.append(key)
        rows = wait_for(run, lambda rows: any(row[key_name] == keys[-1] for row in rows))
    finally:
        run.stop()

    by_key = {row[key_name]: row for row in rows}
    return [by_key[key] for key in keys[warm_up:]]


def run_empty(engine, scratch, state, interval, warm_up, measured):
    """A directory in which nothing appears, or with state only a hundred words before the first batch."""
    watched = Path(scratch, "watched")
    watched.mkdir()
    run = make(engine, interval)
    lines = run.ssc.textFileStream(str(watched))
    if state:
        run.ssc.checkpoint(str(Path(scratch, "checkpoint")))
    (running_word_count if state else word_count)(lines).pprint()
    run.ssc.start()
    if state:
        written = Path(scratch, "words.txt")
        written.write_text(" ".join(f"word{i}" for i in range(100)))
        os.rename(written, watched / "words.txt")
    try:
        rows = wait_for(run, lambda rows: len(rows) >= warm_up + measured)
    finally:
        run.stop()
    return sorted(rows, key=lambda row: row["due"])[warm_up : warm_up + measured]


def run_queue(engine, kind, scratch, sizes, interval, warm_up, measured):
    """A program with state on a queue: first come the batches with all keys, then those that touch some of them.

    The old engine checkpoints the RDD of its state every ten batches, whatever the interval.
    """
    memory_wanted = kind == "memory-state"
    kind = "update" if memory_wanted else kind
    skipped = sizes["fill"] + warm_up
    batches, expected = queue_batches(kind, batches=warm_up + measured + memory_wanted, **sizes)
    if memory_wanted:  # it is read in a first batch with one key, before those that are timed, and in one at the end
        batches.insert(0, [(0, 1)])
        expected.insert(0, 1)
        skipped += 1
    run = DStreams(engine, interval, {"spark.driver.memory": "4g"} if memory_wanted else {})
    run.sc.setCheckpointDir(str(Path(scratch, "checkpoint")))
    counts = queue.Queue()
    pause = Pause([0, skipped - 1, len(batches) - 1] if memory_wanted else [])

    def counted(due, count):
        counts.put((due, count))
        pause.here()

    stream = keep_state(kind, run.ssc.queueStream(batches), sizes["slots"], interval)
    if kind in ("update", "reduce-window"):
        stream.checkpoint(10 * interval)
    run.count(stream, counted)
    dues, memories = [], []
    run.ssc.start()
    try:
        for i, wanted in enumerate(expected):
            due, count = take(counts, run)
            if count != wanted:
                raise AssertionError(f"{engine}: batch {i} has {count} records, not {wanted}")
            dues.append(due)
            if i in pause.batches:
                pause.wait(run)
                memories.append({"batches": i + 1, "keys": wanted, **memory(run.sc)})
                pause.go_on()
        rows = wait_for(run, lambda rows: any(row["due"] == dues[-1] for row in rows))
    finally:
        pause.end()
        run.stop()
    by_due = {row["due"]: row for row in rows}
    return [by_due[due] for due in dues[skipped : skipped + measured]] + memories


def run_sums(engine, scratch, sizes, interval, warm_up, measured):
    """The hand-written job on the batches of `run_queue`, as files that are there from the beginning."""
    skipped = sizes["fill"] + warm_up
    batches, _ = queue_batches("update", batches=warm_up + measured, **sizes)
    watched = Path(scratch, "watched")
    watched.mkdir()
    for i, batch in enumerate(batches):
        path = watched / f"batch-{i:05d}.csv"
        path.write_text("".join(f"{key},{value}\n" for key, value in batch))
        os.utime(path, (i + 1, i + 1))  # which is their order
    counts = queue.Queue()
    run = make(engine, interval)
    run.start_sums(str(watched), lambda key, count: counts.put((key, count)))
    keys = []
    try:
        for i, batch in enumerate(batches):
            key, count = take(counts, run)
            if count != len(batch):
                raise AssertionError(f"{engine}: batch {i} has {count} records, not {len(batch)}")
            keys.append(key)
        rows = wait_for(run, lambda rows: any(row["batch"] == keys[-1] for row in rows))
    finally:
        run.stop()
    by_key = {row["batch"]: row for row in rows}
    return [by_key[key] for key in keys[skipped:]]


class Pause:
    """Holds some batches in their output while the memory is read, so that it is read at the same point of each.

    Parameters
    ----------
    batches : list of int
        Numbers of these batches, from 0.
    """

    def __init__(self, batches):
        self.batches = batches
        self._seen = 0
        self._waits, self._may = threading.Event(), threading.Event()

    def here(self):
        """Called by the output in every batch."""
        if self._seen in self.batches:
            self._waits.set()
            self._may.wait(TIMEOUT)
            self._may.clear()
        self._seen += 1

    def wait(self, run):
        """Wait for the next batch that is held."""
        while not self._waits.wait(0.2):
            run.check()
        self._waits.clear()

    def go_on(self):
        """Let it go on."""
        self._may.set()

    def end(self):
        """Hold no batch any more."""
        self.batches = []
        self._may.set()


def run_memory(engine, words, interval, measured):
    """As many batches as fast as possible; the memory in use after the first hundred and at the end."""
    run = DStreams(engine, interval, {"spark.streaming.dstreams.paced": "false",
                                      "spark.sql.streaming.numRecentProgressUpdates": "100"})  # fmt: skip
    lines = [" ".join(f"word{i}" for i in range(10))] * (words // 10)
    wanted, rows = sorted({100, measured}), []
    pause = Pause([batches - 1 for batches in wanted])

    def output(rdd):
        if rdd.count() != 10:
            raise AssertionError("wrong count")
        pause.here()

    word_count(run.ssc.queueStream([lines], default=lines)).foreachRDD(output)
    start = time.time()
    run.ssc.start()
    try:
        for batches in wanted:
            pause.wait(run)
            rows.append({"batches": batches, "seconds": round(time.time() - start, 1), **memory(run.sc)})
            pause.go_on()
    finally:
        pause.end()
        run.stop()
    return rows


def memory(sc):
    """MB in use by this process, by the JVM and by the Python processes that Spark started."""
    jvm = sc._jvm
    pid = jvm.java.lang.ProcessHandle.current().pid()
    runtime = jvm.java.lang.Runtime.getRuntime()
    jvm_rss = _tree()[pid][1]
    for _ in range(2):
        jvm.java.lang.System.gc()
        time.sleep(0.2)
    tree = _tree()
    below, workers = [pid], 0
    while below:
        parent = below.pop()
        children = [child for child, (its_parent, _) in tree.items() if its_parent == parent]
        workers += sum(tree[child][1] for child in children)
        below += children
    heap = (runtime.totalMemory() - runtime.freeMemory()) / 1024
    megabytes = {"driver_python": tree[os.getpid()][1], "jvm_heap": heap, "jvm_rss": jvm_rss, "workers": workers}
    return {name: round(kb / 1024, 1) for name, kb in megabytes.items()}


def _tree():
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,rss="], capture_output=True, text=True, check=True).stdout
    return {int(pid): (int(parent), int(rss)) for pid, parent, rss in map(str.split, listed.splitlines())}


def take(counts, run):
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        try:
            return counts.get(timeout=1)
        except queue.Empty:
            run.check()
    raise TimeoutError("a batch did not come")


def wait_for(run, enough):
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        rows = run.rows()
        if enough(rows):
            return rows
        run.check()
        time.sleep(0.5)  # seldom: asking takes time from what is measured
    raise TimeoutError("the batches did not come")


def versions(sc):
    import pyarrow

    java = sc._jvm.java.lang.System.getProperty("java.version")
    return {"pyspark": pyspark.__version__, "pyarrow": pyarrow.__version__, "java": java,
            "python": sys.version.split()[0]}  # fmt: skip
