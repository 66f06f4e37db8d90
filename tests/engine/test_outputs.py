"""Output operations: what is printed, what is saved, what listeners are told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from pyspark import RDD, SparkContext

from dstreams import StreamingContext, StreamingListener
from dstreams.errors import DStreamStateError, DStreamTypeError
from dstreams.util import rddToFileName
from tests.harness import run_batches

pytestmark = pytest.mark.engine

Streaming = Callable[..., StreamingContext]
LINE = "-------------------------------------------"


def run(ssc: StreamingContext, batches: int) -> list[datetime]:
    """Run a program that has outputs of its own; the times of its first batches."""
    times: list[datetime] = []
    changed = threading.Condition()

    class Counter(StreamingListener):
        def onBatchCompleted(self, batchCompleted: Any) -> None:
            with changed:
                times.append(datetime.fromtimestamp(batchCompleted.batchInfo().batchTime().milliseconds() / 1000))
                changed.notify_all()
                if len(times) == batches:
                    ssc.stop(stopSparkContext=False)

    ssc.addStreamingListener(Counter())
    ssc.start()
    assert ssc.awaitTerminationOrTimeout(200)
    return times[:batches]


def header(time: datetime) -> str:
    return f"{LINE}\nTime: {time}\n{LINE}\n"


def test_pprint_byte_for_byte(streaming: Streaming, capsys: pytest.CaptureFixture[str]) -> None:
    ssc = streaming()
    numbers = ssc.queueStream([list(range(12)), [], list(range(10)), ["ü\n", None, ("a", 1.5)]])
    numbers.pprint()
    numbers.map(lambda x: f"<{x}>").pprint(2)
    numbers.count().pprint(num=0)
    times = run(ssc, 4)
    first, empty, exact, mixed = (header(time) for time in times)
    expected = (
        first + "".join(f"{n}\n" for n in range(10)) + "...\n\n" + first + "<0>\n<1>\n...\n\n" + first + "...\n\n"
        + empty + "\n" + empty + "\n" + empty + "...\n\n"
        + exact + "".join(f"{n}\n" for n in range(10)) + "\n" + exact + "<0>\n<1>\n...\n\n" + exact + "...\n\n"
        + mixed + "ü\n\nNone\n('a', 1.5)\n\n" + mixed + "<ü\n>\n<None>\n...\n\n" + mixed + "...\n\n"
    )  # fmt: skip
    out = capsys.readouterr().out
    assert out[: len(expected)] == expected
    assert all(time.microsecond == 0 for time in times)
    assert [(later - earlier).total_seconds() for earlier, later in pairwise(times)] == [1.0] * 3


def test_pprint_shows_microseconds_of_short_intervals(streaming: Streaming, capsys: pytest.CaptureFixture[str]) -> None:
    ssc = streaming(0.25)
    ssc.queueStream([[1]]).transform(lambda rdd: rdd.map(str)).print()
    times = run(ssc, 4)
    out = capsys.readouterr().out
    assert out.startswith(f"{header(times[0])}1\n\n{header(times[1])}\n")
    assert sum(f"Time: {time}\n" in out for time in times) == 4
    assert sum(line.startswith("Time: ") and "." in line for line in out.splitlines()) >= 3, "3 of 4 are no full second"


@pytest.mark.parametrize("num", ["10", None, 1.5, True])
def test_pprint_wants_an_int(streaming: Streaming, num: Any) -> None:
    with pytest.raises(DStreamTypeError, match="pprint: num must be an int"):
        streaming().queueStream([[1]]).pprint(num)


def test_foreachRDD_in_both_forms_and_in_order(streaming: Streaming) -> None:
    ssc = streaming()
    calls: list[tuple[Any, ...]] = []
    numbers = ssc.queueStream([[1, 2], [], [3]])

    def with_time(time: datetime, rdd: RDD[int]) -> int:
        calls.append(("time, rdd", time, rdd.collect()))
        return 5  # ignored

    assert numbers.foreachRDD(lambda rdd: calls.append(("rdd", rdd.sum())) or "ignored too") is None
    numbers.foreachRDD(with_time)
    # Only here can driver objects be used: a list, and the SparkContext.
    numbers.map(lambda n: -n).foreachRDD(lambda rdd: calls.append(("context", rdd.context is ssc.sparkContext)))
    times = run(ssc, 3)
    assert calls[:9] == [
        ("rdd", 3), ("time, rdd", times[0], [1, 2]), ("context", True),
        ("rdd", 0), ("time, rdd", times[1], []), ("context", True),
        ("rdd", 3), ("time, rdd", times[2], [3]), ("context", True),
    ]  # fmt: skip
    assert all(time.tzinfo is None for time in times)


def test_what_an_output_gets_is_a_real_rdd(streaming: Streaming) -> None:
    ssc = streaming()
    words = ssc.queueStream([["b", "a", "b"], []]).map(lambda word: (word, 1))

    def use(rdd: RDD[Any]) -> list[Any]:
        return [
            rdd.isEmpty(),
            rdd.count(),
            sorted(rdd.countByKey().items()),
            rdd.sortByKey(numPartitions=1).keys().take(2),
            rdd.zipWithIndex().map(lambda pair: pair[1]).collect(),
            rdd.cache().map(lambda kv: kv[1]).sum(),
            rdd.getNumPartitions(),
            rdd.union(rdd).distinct().count(),
            rdd.coalesce(1).glom().map(len).collect(),
        ]

    assert run_batches(ssc, words, 2, of=use) == [
        [False, 3, [("a", 1), ("b", 2)], ["a", "b"], [0, 1, 2], 3, 2, 2, [3]],
        [True, 0, [], [], [], 0, 2, 0, [0]],
    ]


def directories(parent: Path) -> list[str]:
    return sorted(path.name for path in parent.iterdir())


def lines_of(directory: str) -> list[str]:
    return [
        line
        for part in sorted(Path(directory).glob("part-*"))
        for line in part.read_text(encoding="utf-8").splitlines()
    ]


def test_save_operations_write_a_directory_per_batch(
    streaming: Streaming, spark_context: SparkContext, tmp_path: Path
) -> None:
    ssc = streaming()
    numbers = ssc.queueStream([[1, "ü", None], [], [b"x"]])
    text, pickled, dotted, plain = (str(tmp_path / name / "out") for name in ("text", "pickle", "dotted", "plain"))
    numbers.saveAsTextFiles(text, "txt")
    numbers.saveAsPickleFiles(pickled)
    numbers.count().saveAsTextFiles(dotted, "")
    numbers.map(str).repartition(1).saveAsPickleFiles(plain, suffix=None)
    times = run(ssc, 3)
    names = [rddToFileName(text, "txt", time) for time in times]
    assert [lines_of(name) for name in names] == [["1", "ü", "None"], [], ["x"]], "bytes are written as they are"
    assert [(Path(name) / "_SUCCESS").exists() for name in names] == [True] * 3
    assert [len(list(Path(name).glob("part-*"))) for name in names] == [2, 2, 2]
    assert names[0].endswith(f"{int(times[0].timestamp() * 1000)}.txt")
    found = [spark_context.pickleFile(rddToFileName(pickled, None, time)).collect() for time in times]
    assert found == [[1, "ü", None], [], [b"x"]]
    assert [lines_of(rddToFileName(dotted, "", time)) for time in times] == [["3"], ["0"], ["1"]]
    assert directories(tmp_path / "dotted")[0].endswith(".")
    names = [rddToFileName(plain, None, time) for time in times]
    assert [len(list(Path(name).glob("part-*"))) for name in names] == [1, 1, 1]
    assert sorted(spark_context.pickleFile(names[0]).collect()) == ["1", "None", "ü"]


def test_outputs_of_no_partitions_and_of_no_rdd(
    streaming: Streaming, spark_context: SparkContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ssc = streaming()
    numbers = ssc.queueStream([[1]])
    empty = numbers.transform(lambda rdd: rdd.context.emptyRDD())
    none = numbers.transform(lambda rdd: None)
    called: list[Any] = []
    for name, stream in {"empty": empty, "none": none}.items():
        stream.saveAsTextFiles(str(tmp_path / name))
        stream.pprint()
    numbers.foreachRDD(lambda rdd: called.append(rdd.count()))
    empty.foreachRDD(lambda rdd: called.append(rdd.getNumPartitions()))
    none.foreachRDD(lambda rdd: pytest.fail("there is no RDD"))
    spark_context._conf.set("spark.streaming.concurrentJobs", "4")
    try:
        times = run(ssc, 2)
    finally:
        spark_context._conf.set("spark.streaming.concurrentJobs", "1")
    assert called[:4] == [1, 0, 0, 0], "one output after the other, whatever the conf"
    for time in times:
        directory = Path(rddToFileName(str(tmp_path / "empty"), None, time))
        assert [path.name for path in directory.iterdir() if not path.name.startswith(".")] == ["_SUCCESS"]
    assert not list(tmp_path.glob("none*"))
    assert capsys.readouterr().out.startswith("".join(header(time) + "\n" for time in times))


def test_an_existing_directory_is_replaced(streaming: Streaming, tmp_path: Path) -> None:
    ssc = streaming()
    made: list[str] = []

    def leave_something(time: datetime, rdd: RDD[Any]) -> None:
        directory = Path(rddToFileName(str(tmp_path / "out"), "txt", time))
        directory.mkdir()
        for number in range(5):
            (directory / f"part-0000{number}").write_text("old\n")
        (directory / "notes").write_text("not ours\n")
        made.append(str(directory))

    numbers = ssc.queueStream([[1, 2], []])
    numbers.foreachRDD(leave_something)
    numbers.saveAsTextFiles(str(tmp_path / "out"), "txt")
    run(ssc, 2)
    assert lines_of(made[0]) == ["1", "2"]
    assert lines_of(made[1]) == []
    assert (Path(made[0]) / "_SUCCESS").exists()
    assert (Path(made[0]) / "notes").read_text() == "not ours\n"
    assert not [name for name in directories(tmp_path) if name.endswith(".tmp")]


class Recorder(StreamingListener):
    """Keeps all events by name."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def onStreamingStarted(self, streamingStarted: Any) -> None:
        self.events.append(("started", streamingStarted.time()))

    def onBatchSubmitted(self, batchSubmitted: Any) -> None:
        self.events.append(("batch submitted", batchSubmitted.batchInfo()))

    def onBatchStarted(self, batchStarted: Any) -> None:
        self.events.append(("batch started", batchStarted.batchInfo()))

    def onBatchCompleted(self, batchCompleted: Any) -> None:
        self.events.append(("batch completed", batchCompleted.batchInfo()))

    def onOutputOperationStarted(self, outputOperationStarted: Any) -> None:
        self.events.append(("output started", outputOperationStarted.outputOperationInfo()))

    def onOutputOperationCompleted(self, outputOperationCompleted: Any) -> None:
        self.events.append(("output completed", outputOperationCompleted.outputOperationInfo()))


class Failing(StreamingListener):
    def onBatchStarted(self, batchStarted: Any) -> None:
        raise RuntimeError("of a listener")


ONE_BATCH = [
    "batch submitted", "batch started", "output started", "output completed", "output started", "output completed",
    "batch completed",
]  # fmt: skip


def test_listeners_are_told_everything_in_order(streaming: Streaming) -> None:
    ssc = streaming()
    recorder, duck = Recorder(), type("Duck", (), {"onBatchCompleted": lambda self, event: seen.append(event)})()
    seen: list[Any] = []
    ssc.addStreamingListener(Failing())
    ssc.addStreamingListener(recorder)
    ssc.addStreamingListener(duck)
    numbers = ssc.queueStream([[1], [2]])
    numbers.foreachRDD(lambda rdd: None)
    numbers.foreachRDD(lambda rdd: None)
    times = run(ssc, 2)
    assert [name for name, _ in recorder.events][:15] == ["started", *ONE_BATCH, *ONE_BATCH]
    assert len(seen) >= 2
    started = recorder.events[0][1]
    assert isinstance(started, int)
    for events, time in ((recorder.events[1:8], times[0]), (recorder.events[8:15], times[1])):
        info = events[-1][1]
        assert info.batchTime().milliseconds() == int(time.timestamp() * 1000)
        assert str(info.batchTime()) == f"{info.batchTime().milliseconds()} ms"
        assert info.numRecords() == 0, "queues count as 0"
        assert info.streamIdToInputInfo() == {}
        assert started - 60_000 < info.submissionTime() <= info.processingStartTime() <= info.processingEndTime()
        assert info.schedulingDelay() == info.processingStartTime() - info.submissionTime()
        assert info.processingDelay() == info.processingEndTime() - info.processingStartTime()
        assert info.totalDelay() == info.schedulingDelay() + info.processingDelay()
        assert sorted(info.outputOperationInfos()) == [0, 1]
        for number, (_, output) in enumerate((events[3], events[5])):
            assert output.id() == number
            assert output.batchTime().milliseconds() == info.batchTime().milliseconds()
            assert output.name() == "foreachRDD"
            assert output.description().startswith("foreachRDD at test_outputs.py:")
            assert info.processingStartTime() <= output.startTime() <= output.endTime() <= info.processingEndTime()
            assert output.failureReason() is None


def test_an_event_keeps_what_was_known_when_it_happened(streaming: Streaming) -> None:
    ssc = streaming()
    recorder = Recorder()
    ssc.addStreamingListener(recorder)
    ssc.queueStream([[1]]).foreachRDD(lambda rdd: None)
    run(ssc, 1)
    (_, submitted), (_, started), (_, output), (_, output_done), (_, completed) = recorder.events[1:6]
    assert (submitted.processingStartTime(), submitted.processingEndTime()) == (-1, -1)
    assert (submitted.schedulingDelay(), submitted.processingDelay(), submitted.totalDelay()) == (-1, -1, -1)
    assert started.processingStartTime() >= started.submissionTime() > 0
    assert (started.processingEndTime(), output.endTime()) == (-1, -1)
    assert output_done.endTime() >= output.startTime() > 0
    assert completed.totalDelay() >= 0


def test_the_failure_of_an_output_is_in_its_event(streaming: Streaming) -> None:
    ssc = streaming()
    recorder = Recorder()
    done = threading.Event()
    batches: list[int] = []

    def fail_first(rdd: RDD[Any]) -> None:
        batches.append(1)
        if len(batches) == 1:
            raise LookupError("of an output")

    class Done(StreamingListener):
        def onBatchCompleted(self, batchCompleted: Any) -> None:
            if len(batches) == 2:
                done.set()

    ssc.addStreamingListener(recorder)
    ssc.addStreamingListener(Done())
    numbers = ssc.queueStream([[1], [2]])
    numbers.foreachRDD(fail_first)
    numbers.foreachRDD(lambda rdd: None)
    ssc.start()
    with pytest.raises(LookupError, match="of an output"):
        ssc.awaitTermination(200)
    assert done.wait(200), "later batches go on"
    ssc.stop(stopSparkContext=False)
    assert [name for name, _ in recorder.events][1:8] == ONE_BATCH, "the other output ran, the batch is completed"
    reasons = [info.failureReason() for name, info in recorder.events if name == "output completed"]
    assert reasons[:4] == ["LookupError: of an output", None, None, None]
    infos = recorder.events[7][1].outputOperationInfos()
    assert infos[0].failureReason() == "LookupError: of an output"
    assert infos[1].failureReason() is None


def test_what_is_no_listener_is_refused(streaming: Streaming) -> None:
    with pytest.raises(DStreamTypeError, match="has none of the methods of a StreamingListener"):
        streaming().addStreamingListener(object())


def test_outputs_cannot_be_added_to_a_running_program(streaming: Streaming) -> None:
    ssc = streaming()
    numbers = ssc.queueStream([[1]])
    numbers.foreachRDD(lambda rdd: None)
    ssc.start()
    with pytest.raises(DStreamStateError, match="after starting a context is not supported"):
        numbers.pprint()
    with pytest.raises(DStreamStateError, match="after starting a context is not supported"):
        numbers.map(str)
    ssc.stop(stopSparkContext=False)
    with pytest.raises(DStreamStateError, match="after stopping a context is not supported"):
        numbers.saveAsTextFiles("nowhere")


def test_work_on_state_is_processing_and_not_waiting(streaming: Streaming, tmp_path: Path) -> None:
    """On the old engine jobs are lazy: what an output asks for is computed while the batch is processed."""
    ssc = streaming()
    ssc.checkpoint(str(tmp_path / "checkpoint"))
    recorder = Recorder()
    ssc.addStreamingListener(recorder)
    begun: list[float] = []

    def update(new: list[int], total: int | None) -> int:
        deadline = monotonic() + 0.5  # work that can be seen in the times
        while monotonic() < deadline:
            pass
        return sum(new) + (total or 0)

    ssc.queueStream([[("a", 1)]]).updateStateByKey(update).foreachRDD(lambda rdd: begun.append(rdd.count()))
    run(ssc, 1)
    info = next(event for name, event in recorder.events if name == "batch completed")
    assert begun and info.processingDelay() >= 500 and info.schedulingDelay() == 0


@pytest.mark.parametrize(("prefix", "suffix"), [(None, None), ("", None), (5, None), ("out", 5)])
@pytest.mark.parametrize("operation", ["saveAsTextFiles", "saveAsPickleFiles"])
def test_a_name_that_is_none_is_refused_when_it_is_given(streaming, operation, prefix, suffix):
    stream = streaming().queueStream([[1]])
    with pytest.raises(DStreamTypeError, match=f"{operation}: (pre|suf)fix must be a str, got"):
        getattr(stream, operation)(prefix, suffix)
