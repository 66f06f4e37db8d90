"""Programs with a checkpoint directory whose outputs fail, or whose exchange cannot commit."""

from __future__ import annotations

import shutil
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from dstreams import StreamingContext
from dstreams.errors import DStreamValueError
from tests.harness import Collect, collected, run_for

pytestmark = pytest.mark.recovery

PAIRS = [[("k", 1)]] * 40


def total(new: list[int], old: int | None) -> int:
    return sum(new) + (old or 0)


class Fails(Collect):
    """Fails in the batches with these numbers, when it has collected."""

    def __init__(self, key: str, numbers: set[int]) -> None:
        super().__init__(key)
        self.numbers = numbers

    def __call__(self, time: datetime, rdd: Any) -> None:
        super().__call__(time, rdd)
        if len(collected[self.key]) in self.numbers:
            raise ValueError(f"batch {len(collected[self.key])}")


def program(sc: Any, run: str, exchange: bool = False, fails: frozenset[int] = frozenset()) -> StreamingContext:
    ssc = StreamingContext(sc, 1)
    pairs = ssc.queueStream(PAIRS)
    if exchange:
        pairs = pairs.transform(lambda rdd: rdd)
    totals = pairs.updateStateByKey(total).map(lambda kv: kv[1])
    totals.foreachRDD(Fails(f"{run}/failing", set(fails)))
    totals.foreachRDD(Collect(f"{run}/totals"))
    return ssc


def totals(run: str) -> list[int]:
    return [value for _, records in collected[f"{run}/totals"] for value in records]


@pytest.fixture
def wait(monkeypatch):
    """Wait until an output has run so many times, without awaitTermination."""
    ran = threading.Condition()
    call = Collect.__call__

    def called(self: Collect, time: datetime, rdd: Any) -> None:
        call(self, time, rdd)
        with ran:
            ran.notify_all()

    monkeypatch.setattr(Collect, "__call__", called)

    def until(run: str, number: int) -> None:
        with ran:
            assert ran.wait_for(lambda: len(totals(run)) >= number, 200), totals(run)

    return until


def test_a_program_that_waits_for_nothing_goes_on(spark_context, tmp_path, wait, caplog):
    """As on the old engine: the error is logged, later batches run with the state, who waits later gets the error."""
    run = "goes on"
    ssc = StreamingContext.getOrCreate(str(tmp_path), lambda: program(spark_context, run, fails=frozenset({2, 3})))
    ssc.start()
    wait(run, 5)
    with pytest.raises(ValueError, match="batch 3"):
        ssc.awaitTermination(200)
    ssc.stop(stopSparkContext=False)
    done = len(totals(run))
    assert totals(run) == list(range(1, done + 1)), "each batch ran once, failed outputs or not"
    assert "spark.streaming.dstreams.failedOutput=stop ends the program" in caplog.text
    run_for(StreamingContext.getOrCreate(str(tmp_path), lambda: program(spark_context, run)), 2)
    again = totals(run)[done:]
    assert again[0] in (done, done + 1), "none but the last batch may come again"
    assert again == list(range(again[0], again[0] + len(again)))


@pytest.mark.parametrize("setting", [None, "stop", "continue"])
def test_a_program_that_waits(spark_context, tmp_path, wait, caplog, setting):
    """It ends, and the next start runs the batch again; `continue` lets it go on."""
    run = f"waits {setting}"
    name = "spark.streaming.dstreams.failedOutput"
    if setting is not None:
        spark_context._conf.set(name, setting)
    try:
        ssc = StreamingContext.getOrCreate(str(tmp_path), lambda: program(spark_context, run, fails=frozenset({2})))
        ssc.start()
        with pytest.raises(ValueError, match="batch 2") as caught:
            ssc.awaitTermination(200)
        if setting == "continue":
            wait(run, 4)
        ssc.stop(stopSparkContext=False)
    finally:
        spark_context._conf.set(name, "auto")
    if hasattr(caught.value, "__notes__"):
        assert f"{name}=" in caught.value.__notes__[0]
    assert f"{name}=" in caplog.text
    done = len(totals(run))
    if setting == "continue":
        assert totals(run) == list(range(1, done + 1))
    else:
        assert totals(run) == [1, 2]
        run_for(StreamingContext.getOrCreate(str(tmp_path), lambda: program(spark_context, run)), 2)
        assert totals(run)[:4] == [1, 2, 2, 3], "the batch was run again"


def test_a_setting_that_is_none(spark_context, tmp_path):
    name = "spark.streaming.dstreams.failedOutput"
    spark_context._conf.set(name, "perhaps")
    try:
        ssc = program(spark_context, "none")
        with pytest.raises(DStreamValueError, match="must be auto, stop or continue, got 'perhaps'"):
            ssc.start()
    finally:
        spark_context._conf.set(name, "auto")
    ssc.stop(stopSparkContext=False)


def test_an_exchange_that_cannot_commit(spark_context, tmp_path, wait):
    """The program ends with an error, its batch is not committed, and the next start counts each record once."""
    run = "exchange"
    ssc = StreamingContext.getOrCreate(str(tmp_path), lambda: program(spark_context, run, exchange=True))
    ssc.start()
    wait(run, 3)
    commits = tmp_path / "_dstreams" / "exchange-1" / "commits"
    shutil.move(commits, tmp_path / "away")
    commits.write_bytes(b"a file in the place of the folder")
    with pytest.raises(Exception, match="the exchange has ended"):
        ssc.awaitTermination(200)
    ssc.stop(stopSparkContext=False)
    outer, inner = committed(tmp_path / "commits"), committed(tmp_path / "away")
    assert outer <= inner, "the outer batch was not committed without the inner one"
    commits.unlink()
    shutil.move(tmp_path / "away", commits)
    done = len(totals(run))
    run_for(StreamingContext.getOrCreate(str(tmp_path), lambda: program(spark_context, run, exchange=True)), 3)
    again = totals(run)[done:]
    assert again[0] == outer + 2, "the batch after the last one that was committed"
    assert again == list(range(again[0], again[0] + len(again)))


def committed(folder: Path) -> int:
    return max(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def test_a_stop_in_the_middle_of_a_batch_raises_nothing(spark_context, caplog):
    """`stop()` cancels the batch; that is no error, neither for who waits nor in the log."""
    begun, ended = threading.Event(), threading.Event()
    ssc = StreamingContext(spark_context, 1)

    def endless(numbers: Any) -> Any:
        import time

        while True:  # until Spark kills the task
            time.sleep(0.05)

    def look(rdd: Any) -> None:
        begun.set()
        try:
            rdd.mapPartitions(endless).collect()
        finally:
            ended.set()

    ssc.queueStream([[1, 2]]).foreachRDD(look)
    ssc.start()
    waiting = threading.Thread(target=lambda: results.append(ssc.awaitTerminationOrTimeout(200)))
    results: list[Any] = []
    waiting.start()
    assert begun.wait(200)
    ssc.stop(stopSparkContext=False)
    waiting.join(200)
    assert results == [True] and ended.is_set()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
