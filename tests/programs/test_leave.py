"""docs/how-to/leave.md: its code gives the same on dstreams and natively, and its program goes all the way."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from operator import add, sub
from os import utime
from pathlib import Path
from typing import Any

import pytest
from pyspark import StorageLevel
from pyspark.resultiterable import ResultIterable
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as sf
from pyspark.sql.streaming import StreamingQuery, StreamingQueryListener

from dstreams import StateSpec, StreamingContext
from dstreams._run.report import Report
from dstreams.kafka import KafkaUtils
from tests.guides import Operation, blocks, operations
from tests.harness import Output, attach, collected, flatten, run_for, run_table
from tests.programs.feed import Feed
from tests.programs.program import SUBMIT, Program
from tests.programs.test_running import PROJECT

pytestmark = pytest.mark.engine

PAGE = PROJECT / "docs" / "how-to" / "leave.md"
STEPS = PROJECT / "examples" / "leave"
PAIRS = [[("a", 1), ("b", 2), ("a", 3)], [("b", 4), ("c", 2)], [("a", 6), ("d", 1)], [("c", 3), ("c", 5)]]
OTHERS = [[("a", 1), ("e", 9)], [("b", 4)], [("d", 7), ("d", 8)], [("c", 3)]]
BATCHES = len(PAIRS)
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
"""When the first batch begins, for the event times; batch number n ends n seconds later."""
ROCKSDB = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"

Rows = list[Any]
EachBatch = Callable[[DataFrame, int], None]


# ---------------------------------------------------------------------- the operations


@pytest.fixture
def spark(spark_session: SparkSession, monkeypatch: pytest.MonkeyPatch) -> SparkSession:
    """A session as the page says; without pandas, which PySpark asks for and the code of the page does not use."""
    monkeypatch.setattr("pyspark.sql.pandas.functions.require_minimum_pandas_version", lambda: None)
    session = spark_session.newSession()
    session.conf.set("spark.sql.streaming.stateStore.providerClass", ROCKSDB)
    session.conf.set("spark.sql.shuffle.partitions", "1")
    return session


def environment(**names: Any) -> dict[str, Any]:
    """What the code of the page can use; as the main script's, so that its classes are pickled with what they are."""
    common = {"sf": sf, "add": add, "sub": sub, "StorageLevel": StorageLevel, "StateSpec": StateSpec}
    return {"__name__": "__main__", "KafkaUtils": KafkaUtils, **common, **names}


def define(names: dict[str, Any], *wanted: str) -> None:
    """Run the blocks of the page that define these names."""
    for name in wanted:
        block = next(b for b in blocks(PAGE, "python") if re.search(rf"^(def|class) {name}\b|^{name} = ", b, re.M))
        exec(compile(block, str(PAGE), "exec"), names)


def frame_of(spark: SparkSession, folder: Path, batches: list[list[tuple[str, int]]]) -> DataFrame:
    """A streaming DataFrame that has one file in each batch, with event times in the middle of the batch's second."""
    folder.mkdir()
    for number, batch in enumerate(batches):
        at = (START + timedelta(seconds=number + 0.5)).isoformat()
        file = folder / f"{number}.json"
        file.write_text("\n".join(json.dumps({"word": word, "n": n, "at": at}) for word, n in batch))
        utime(file, (time.time() - 100 + number,) * 2)
    reader = spark.readStream.schema("word STRING, n BIGINT, at TIMESTAMP").option("maxFilesPerTrigger", 1)
    return reader.json(str(folder))


def plain(value: Any) -> Any:
    """A record or a row, so that the two can be compared: ``(k, (v, w))`` is a row of three."""
    if isinstance(value, tuple):
        flat: list[Any] = []
        for item in map(plain, value):
            flat.extend(item if isinstance(item, tuple) else [item])
        return flat[0] if len(flat) == 1 else tuple(flat)
    if isinstance(value, list | ResultIterable):
        return in_order(value)
    return bytes(value) if isinstance(value, bytearray) else value


def in_order(rows: Any) -> Rows:
    return sorted(map(plain, rows), key=repr)


def native_results(operation: Operation, batches: list[Rows]) -> list[Rows]:
    """What an operation of dstreams would have given, from what the batches of the query gave."""
    if "sf.window" in operation.native:
        whole_table = mode_of(operation) == "complete"
        return by_window(batches[-1] if whole_table else [row for batch in batches for row in batch])
    if '"update"' in operation.native:  # rows that have changed, where dstreams gives all
        table: dict[Any, Any] = {}
        found = []
        for batch in batches:
            table.update({row[0]: row for row in batch})
            found.append(in_order(table.values()))
        return found
    return [in_order(batch) for batch in batches]


def by_window(rows: list[Row]) -> list[Rows]:
    """Rows by the batch at whose end their window ends."""
    ends = defaultdict(list)
    for window, *row in rows:
        ends[round(window.end.timestamp() - START.timestamp())].append(tuple(row))
    return [in_order(ends[number + 1]) for number in range(BATCHES)]


def mode_of(operation: Operation) -> str:
    if "transformWithState" in operation.native:
        return "update" if '"update"' in operation.native else "append"
    return "complete" if "groupBy" in operation.native else "append"


def dstream_results(
    streaming: Callable[[], StreamingContext], table: list[Operation], names: dict[str, Any]
) -> dict[Operation, list[Rows]]:
    """Run all operations as one program."""
    ssc = streaming()
    names |= {"ssc": ssc, "pairs": ssc.queueStream(PAIRS), "others": ssc.queueStream(OTHERS)}
    names["words"] = names["pairs"].map(lambda pair: pair[0])
    streams = {operation: eval(operation.dstreams, names) for operation in table}
    with_results = {operation: stream for operation, stream in streams.items() if stream is not None}
    rows = run_table(ssc, with_results, names["others"], BATCHES)
    return {operation: [in_order(flatten(row[operation]) or []) for row in rows] for operation in with_results}


def start(frame: DataFrame, mode: str, checkpoint: Path, each_batch: EachBatch) -> StreamingQuery:
    writer = frame.writeStream.outputMode(mode).foreachBatch(each_batch).option("checkpointLocation", str(checkpoint))
    return writer.trigger(availableNow=True).start()


def test_operations(streaming, spark, tmp_path):
    """All that have a result: the same in every batch, or at the end of every window."""
    sections = ("Record by record", "Of a batch", "Two streams", "Windows", "State by key")
    table = [operation for operation in operations(PAGE) if operation.section in sections]
    assert len(table) > 30
    names = environment()
    define(names, "digits", "Update")
    spark.sparkContext.setCheckpointDir(str(tmp_path / "checkpoints"))
    expected = dstream_results(streaming, table, names)

    names |= {
        "spark": spark,
        "frame": frame_of(spark, tmp_path / "pairs", PAIRS),
        "other": frame_of(spark, tmp_path / "others", OTHERS),
    }
    names["initial"] = spark.createDataFrame([("a", 100)], "word STRING, state BIGINT")
    define(names, "timed", "both_frame")
    batches: dict[Operation, list[Rows]] = defaultdict(list)
    of_batches = [operation for operation in table if re.match(r"(batch|both)\.", operation.native)]
    of_frames = [operation for operation in table if re.match(r"(frame|timed)\.", operation.native)]
    (of_store,) = set(table) - set(of_batches) - set(of_frames)

    def all_of_a_batch(both: DataFrame, _: int) -> None:
        both.persist()
        batch, other_batch = names["split"](both)
        for operation in of_batches:
            here = names | {"both": both, "batch": batch, "other_batch": other_batch}
            batches[operation].append(eval(operation.native, here).collect())
        both.unpersist()

    def keep(operation: Operation) -> EachBatch:
        return lambda frame, _: batches[operation].append(frame.collect())

    queries = [start(names["both_frame"], "append", tmp_path / "both", all_of_a_batch)]
    for number, operation in enumerate(of_frames):
        checkpoint = tmp_path / f"query-{number}"
        if "mapWithState" in operation.names:
            names["checkpoint"] = str(checkpoint)
        queries.append(start(eval(operation.native, names), mode_of(operation), checkpoint, keep(operation)))
    for query in queries:
        query.awaitTermination()
    found = {operation: native_results(operation, batches[operation]) for operation in [*of_batches, *of_frames]}
    found[of_store] = [in_order(eval(of_store.native, names).collect())]
    expected[of_store] = expected[of_store][-1:]
    different = [
        f"{operation.native}\n  dstreams {expected[operation]}\n  natively {found[operation]}"
        for operation in table
        if found[operation] != expected[operation]
    ]
    assert not different, "\n".join(different)


def saved(folder: Path, read: Callable[[str], Rows]) -> list[Rows]:
    """What has been saved batch by batch."""
    paths = sorted(folder.parent.glob(f"{folder.name}-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    return [in_order(read(str(path))) for path in paths[:BATCHES]]


def test_outputs(streaming, spark, tmp_path):
    table = [operation for operation in operations(PAGE) if operation.section == "Outputs"]
    assert len(table) == 4
    sc = spark.sparkContext
    places = {
        operation.names[0]: (tmp_path / f"{operation.names[0]}-ours", tmp_path / f"{operation.names[0]}-native")
        for operation in table
    }
    seen: tuple[list[Rows], list[Rows]] = ([], [])
    ssc = streaming()
    names = environment(ssc=ssc, pairs=ssc.queueStream(PAIRS))
    names["words"] = names["pairs"].map(lambda pair: pair[0])
    for operation in table:
        path = str(places[operation.names[0]][0])
        assert eval(operation.dstreams, names | {"seen": seen[0], "path": path}) is None
    run_table(ssc, {}, names["pairs"], BATCHES)

    frame = frame_of(spark, tmp_path / "pairs", PAIRS)
    for number, operation in enumerate(table):
        path = str(places[operation.names[0]][1])
        writer = eval(operation.native, environment(frame=frame, seen=seen[1], path=path))
        writer = writer.option("checkpointLocation", str(tmp_path / f"query-{number}"))
        writer.trigger(availableNow=True).start().awaitTermination()
    assert [in_order(batch) for batch in seen[0][:BATCHES]] == [in_order(batch) for batch in seen[1]]
    assert len(seen[1]) == BATCHES
    ours, native = places["saveAsTextFiles"]
    texts = saved(native, lambda path: spark.read.text(path).collect())
    assert texts == saved(ours, lambda path: sc.textFile(path).collect()) and len(texts) == BATCHES
    ours, native = places["saveAsPickleFiles"]
    tables = saved(native, lambda path: spark.read.parquet(path).collect())
    assert tables == saved(ours, lambda path: sc.pickleFile(path).collect()) and len(tables) == BATCHES


def taken(frame: DataFrame, checkpoint: Path) -> Rows:
    """All that a source has now, read by a query that goes on until that is done."""
    rows: Rows = []
    writer = frame.writeStream.foreachBatch(lambda batch, _: rows.extend(batch.collect()))
    query = writer.option("checkpointLocation", str(checkpoint)).start()
    try:
        query.processAllAvailable()
    finally:
        query.stop()
    return in_order(rows)


def test_sources(streaming, spark, broker, tmp_path):
    """Both read what a server, two directories and a topic of Kafka have."""
    table = {operation.names[0]: operation for operation in operations(PAGE) if operation.section == "Sources"}
    topic = broker.topic()
    broker.send(topic, ["one", "two"])
    texts, binaries, aside = (tmp_path / name for name in ("texts", "binaries", "aside"))
    for folder in (texts, binaries, aside):
        folder.mkdir()
    with Feed() as ours, Feed() as native:
        ssc = streaming()
        names = environment(ssc=ssc, spark=spark, topic=topic, servers=broker.servers)
        where = {
            "ssc.socketTextStream": {"host": ours.host, "port": ours.port},
            "ssc.textFileStream": {"directory": str(texts)},
            "ssc.binaryRecordsStream": {"directory": str(binaries)},
            "KafkaUtils.createDirectStream": {},
        }
        outputs = {name: Output(eval(table[name].dstreams, names | more)) for name, more in where.items()}
        ssc.start()
        ours.wait_for_client()
        ours.send(b"x y\nz\n")
        for folder, content in ((texts, b"a b\nc\n"), (binaries, b"aabbcc")):
            (aside / "file").write_bytes(content)
            (aside / "file").rename(folder / "file")
        for name, number in zip(where, (2, 2, 3, 2), strict=True):
            outputs[name].wait_for(lambda output, number=number: len(output.elements) == number)
        ssc.stop(stopSparkContext=False)

        where["ssc.socketTextStream"] = {"host": native.host, "port": native.port}
        rows: Rows = []
        lines = eval(table["ssc.socketTextStream"].native, names | where["ssc.socketTextStream"])
        writer = lines.writeStream.foreachBatch(lambda batch, _: rows.extend(batch.collect()))
        query = writer.option("checkpointLocation", str(tmp_path / "socket")).start()
        native.wait_for_client()
        native.send(b"x y\nz\n")
        deadline = time.monotonic() + 60
        while len(rows) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        query.stop()
    assert in_order(rows) == in_order(outputs.pop("ssc.socketTextStream").elements) == ["x y", "z"]
    for number, (name, output) in enumerate(outputs.items()):
        frame = eval(table[name].native, names | where[name])
        assert taken(frame, tmp_path / f"query-{number}") == in_order(output.elements), name
    define(names, "Numbers")
    frame = eval(table["ssc.socketStream"].native, names)
    assert taken(frame, tmp_path / "numbers") == list(range(6))


def test_kafka_goes_on_natively(streaming, spark, broker, tmp_path):
    """The offsets that `python -m dstreams checkpoint DIR --json` shows are those that Spark's source takes."""
    table = {operation.names[0]: operation for operation in operations(PAGE) if operation.section == "Sources"}
    direct = table["KafkaUtils.createDirectStream"]
    topic = broker.topic()
    broker.send(topic, ["one", "two"])
    ssc = streaming()
    ssc.checkpoint(str(tmp_path / "checkpoint"))
    names = environment(ssc=ssc, spark=spark, topic=topic, servers=broker.servers)
    attach({"values": eval(direct.dstreams, names)}, "leaving")
    run_for(ssc, 2)
    assert [value for batch in collected["leaving/values"] for value in batch[1]] == ["one", "two"]
    broker.send(topic, ["three"])
    (read,) = Report(spark.sparkContext, str(tmp_path / "checkpoint")).data["inputs"]
    code = direct.native.replace('"earliest"', "offsets")
    frame = eval(code, names | {"offsets": json.dumps(read["committed"])})
    assert taken(frame, tmp_path / "query") == ["three"]


class Listener(StreamingQueryListener):
    """Counts the queries that have ended."""

    ended = 0

    def onQueryStarted(self, event: Any) -> None:
        pass

    def onQueryProgress(self, event: Any) -> None:
        pass

    def onQueryIdle(self, event: Any) -> None:
        pass

    def onQueryTerminated(self, event: Any) -> None:
        self.ended += 1


def test_life_of_a_query(spark, tmp_path):
    table = {op.names[0]: op.native for op in operations(PAGE) if op.section == "The life of a program"}
    frame = frame_of(spark, tmp_path / "pairs", PAIRS)
    listener = Listener()
    writer = frame.writeStream.foreachBatch(lambda batch, batch_id: None)
    names = environment(spark=spark, frame=frame, listener=listener, writer=writer, directory=str(tmp_path / "query"))

    def run(name: str) -> Any:
        return eval(table.pop(name), names)

    assert run("ssc.sparkContext") is spark
    run("ssc.addStreamingListener")
    names["writer"] = run("StreamingContext(sc, 1)")
    names["writer"] = run("ssc.getOrCreate")
    query = names["query"] = run("ssc.start")
    query.processAllAvailable()
    assert [active.id for active in run("ssc.getActive")] == [query.id]
    assert run("ssc.status")["batchId"] == BATCHES - 1
    run("ssc.explain")
    assert run("ssc.awaitTermination") is False
    run("ssc.stop")
    assert not query.isActive
    spark.streams.removeListener(listener)
    words = ("none", "not needed", "the DataFrame itself")
    assert all(native in words for native in table.values()), table


# ---------------------------------------------------------------------- one program all the way


class Written:
    """What the program has written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def batches(self, name: str) -> list[Path]:
        """Directories of batches that are complete, the newest last."""
        marks = [path for path in (self.folder / name).glob("batch-*/_SUCCESS") if path.exists()]
        return [mark.parent for mark in sorted(marks, key=lambda mark: mark.stat().st_mtime_ns)]

    def lines(self, *folders: Path) -> Iterator[str]:
        for folder in folders:
            for part in sorted(folder.glob("part-*")):
                yield from part.read_text().splitlines()

    def totals(self) -> dict[str, int]:
        """Words of the last batch's totals."""
        records = map(json.loads, self.lines(*self.batches("totals")[-1:]))
        return {record["word"]: record["n"] for record in records}

    def windows(self) -> dict[str, set[int]]:
        """What counts of a word there were in any window."""
        found: dict[str, set[int]] = defaultdict(set)
        for record in map(json.loads, self.lines(*self.batches("window"))):
            found[record["word"]].add(record["n"])
        return found

    def words(self) -> Counter[str]:
        """Words of all lines."""
        return Counter(word for line in self.lines(*self.batches("lines")) for word in line.split())


@pytest.mark.slow
def test_one_program_all_the_way(tmp_path):
    """Each step goes on where the one before was stopped; no word is lost or counted twice."""
    written = Written(tmp_path / "words")
    sent: Counter[str] = Counter()

    def settle(program: Program) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                if written.totals() == written.words() == sent and set(written.windows()) == set(sent):
                    return
            except (OSError, ValueError):
                pass  # a directory that is being replaced
            assert program.process.poll() is None, program.report()
            time.sleep(0.2)
        raise AssertionError(f"{sent}\n{written.totals()}\n{written.words()}\n{written.windows()}\n{program.report()}")

    def run(step: int, *arguments: str) -> Program:
        command = [sys.executable, str(STEPS / f"step_{step}.py"), *arguments, str(written.folder)]
        return Program(command, tmp_path, PYSPARK_SUBMIT_ARGS=SUBMIT + "pyspark-shell", PYSPARK_PYTHON=sys.executable)

    def bridge(feed: str) -> Program:
        command = [sys.executable, str(STEPS / "socket_to_files.py"), server.host, str(server.port), feed]
        return Program(command, tmp_path)

    def send(step: int) -> None:
        once = f"step-{step}-{sent.total()}"  # in one line only, so whole in each window that has it
        for line in (f"to be {once} {once}", "", "or not  to be"):
            server.send(f"{line}\n".encode())
            sent.update(line.split())
            time.sleep(0.7)

    with Feed() as server:
        with run(1, server.host, str(server.port)) as program:
            server.wait_for_client(1)
            send(1)
            settle(program)
            assert program.interrupt(signal.SIGTERM) == 0, program.report()
        for clients, feed, steps in ((2, "feed-1", (2, 3)), (3, "feed-2", (4, 5))):
            with bridge(str(tmp_path / feed)):
                server.wait_for_client(clients)
                for step in steps:
                    send(step)  # before the program runs: nothing is lost
                    with run(step, str(tmp_path / feed)) as program:
                        settle(program)
                        send(step)
                        settle(program)
                        code = program.interrupt(signal.SIGTERM)
                        assert code == (0 if step < 4 else -signal.SIGTERM), program.report()
            if feed == "feed-1":
                shutil.copytree(written.batches("totals")[-1], written.folder / "carried")
    of_one_line = {word: counts for word, counts in written.windows().items() if word.startswith("step-")}
    assert len(of_one_line) == 9 and all(counts == {2} for counts in of_one_line.values()), of_one_line
