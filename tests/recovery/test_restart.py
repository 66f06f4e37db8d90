"""A program that is stopped and started again goes on as if it had not been stopped."""

from __future__ import annotations

import json
import logging
import os
import time
from operator import add, sub
from pathlib import Path
from typing import Any

import pytest
from pyspark import SparkContext

from dstreams import State, StateSpec, StreamingContext
from dstreams.errors import DStreamStateError
from tests.harness import attach, collected, results, run_for, times

pytestmark = pytest.mark.recovery

PAIRS = [[("a", 1), ("b", 1)], [("a", 2)], [], [("c", 5)], [("a", 7), ("c", 1)], [], [("b", 2)], [], []]
BATCHES = 7


def total(new, old):
    return sum(new) + (old or 0)


def track(key: str, value: int | None, state: State[int]):
    if state.isTimingOut():
        return key, "idle", state.get()
    state.update((state.getOption() or 0) + value)
    return key, value, state.get()


def everything(sc: SparkContext, run: str) -> StreamingContext:
    """Every kind of state, directly on a source, on each other, and behind the batch side."""
    ssc = StreamingContext(sc, 1)
    pairs = ssc.queueStream(PAIRS)
    state = pairs.updateStateByKey(total, initialRDD=sc.parallelize([("z", 100), ("a", 50)]))
    changed = pairs.transform(lambda rdd: rdd.mapValues(lambda v: v * 10))
    mapped = pairs.mapWithState(StateSpec.function(track).initialState([("z", 3)]).timeout(2))
    attach(
        {
            "input": pairs,
            "state": state,
            "state of state": state.filter(lambda pair: pair[1] % 2 == 0).updateStateByKey(total),
            "window": pairs.window(3, 2),
            "incremental": pairs.reduceByKeyAndWindow(add, sub, 5),
            "mapped": mapped,
            "snapshots": mapped.stateSnapshots(),
            "exchange": changed.updateStateByKey(total),
            "exchange window": changed.reduceByKeyAndWindow(add, None, 3, 3),
        },
        run,
    )
    return ssc


OUTPUTS = ["input", "state", "state of state", "window", "incremental", "mapped", "snapshots", "exchange",
           "exchange window"]  # fmt: skip


def test_all_state_goes_on(spark_context, tmp_path):
    def start(directory: Path, run: str, batches: int) -> None:
        run_for(StreamingContext.getOrCreate(str(directory), lambda: everything(spark_context, run)), batches)

    start(tmp_path / "once", "once", BATCHES)
    expected = results("once", OUTPUTS)
    setups = []
    for batches in (2, 4, BATCHES):
        done = len(times("again", "input"))
        if done >= BATCHES:
            break
        start(tmp_path / "again", "again", batches)
        setups.append(done)
        assert len(times("again", "input")) > done, "each start goes on"
    assert len(setups) > 1
    found = results("again", OUTPUTS)
    apart = {b - a for a, b in zip(times("again", "input"), times("again", "input")[1:], strict=False)}
    assert apart == {1000}, "batch times go on without a gap: the program reads queues only"
    for name in OUTPUTS:
        slides = {"window": 2, "exchange window": 3}.get(name, 1)
        n = BATCHES // slides
        assert found[name][:n] == expected[name][:n], name


def test_setup_is_not_called_for_a_restored_program_and_nothing_can_be_added(spark_context, tmp_path):
    calls = []

    def setup() -> StreamingContext:
        calls.append(1)
        ssc = StreamingContext(spark_context, 1)
        attach({"state": ssc.queueStream(PAIRS).updateStateByKey(total)}, "restored")
        return ssc

    directory = str(tmp_path / "checkpoint")
    run_for(StreamingContext.getOrCreate(directory, setup), 1)
    ssc = StreamingContext.getOrCreate(directory, setup)
    assert calls == [1]
    assert ssc.sparkContext is spark_context
    for add_something in (lambda: ssc.queueStream([[1]]), lambda: ssc.socketTextStream("localhost", 1)):
        with pytest.raises(DStreamStateError, match=r"restored from its checkpoint directory.*not been initialized"):
            add_something()
    assert "updateStateByKey" in ssc.explain()
    run_for(ssc, 1)
    assert len(times("restored", "state")) >= 2


def test_a_program_that_does_not_ask_for_it_starts_anew(spark_context, tmp_path):
    """As on the old engine; what was there is kept, once."""

    def run(name: str) -> None:
        ssc = StreamingContext(spark_context, 1)
        ssc.checkpoint(str(tmp_path))
        attach({"state": ssc.queueStream([[("a", 1)]]).updateStateByKey(total)}, name)
        run_for(ssc, 1)

    run("first")
    run("second")
    assert collected["first/state"][0][1] == collected["second/state"][0][1] == [("a", 1)]
    for folder in (tmp_path, tmp_path / "_dstreams" / "run-2"):
        assert (folder / "offsets").is_dir() and (folder / "_dstreams" / "program-000001").is_file()
    # and getOrCreate finds the program that ran last, although that did not know of getOrCreate
    ssc = StreamingContext.getOrCreate(str(tmp_path), lambda: pytest.fail("there is a program to restore"))
    run_for(ssc, 1)
    assert collected["second/state"][-1][1] == [("a", 1)]
    assert len(times("second", "state")) >= 2


def test_downtime_is_one_batch_and_not_replayed(spark_context, tmp_path):
    """A program on the real clock: files that came meanwhile are in the first batch, whose time is the present."""
    incoming, checkpoint = tmp_path / "incoming", tmp_path / "checkpoint"
    incoming.mkdir()

    def put(name: str, text: str) -> None:
        (tmp_path / name).write_text(text)
        (tmp_path / name).rename(incoming / name)

    def setup() -> StreamingContext:
        ssc = StreamingContext(spark_context, 1)
        lines = ssc.textFileStream(str(incoming))
        attach({"state": lines.map(lambda word: (word, 1)).updateStateByKey(total)}, "downtime")
        return ssc

    ssc = StreamingContext.getOrCreate(str(checkpoint), setup)
    put("one", "a\nb\n")
    run_for(ssc, 3)
    before = collected["downtime/state"][-1]
    assert before[1] == [("a", 1), ("b", 1)]
    # The driver is down for an hour, as far as the directory can tell.
    for log in (checkpoint / "offsets").glob("[0-9]*"):
        version, metadata, *lines = log.read_text().split("\n")
        moved = [json.dumps({k: v - 3_600_000 for k, v in json.loads(line).items()}) if '"zero"' in line else line
                 for line in lines]  # fmt: skip
        log.write_text("\n".join([version, metadata, *moved]))
        (log.parent / f".{log.name}.crc").unlink(missing_ok=True)
    put("two", "a\n")
    put("three", "c\n")
    began = time.time() * 1000
    run_for(StreamingContext.getOrCreate(str(checkpoint), setup), 2)
    again = [batch for batch in collected["downtime/state"] if batch[0] > before[0]]
    assert again[0][1] == [("a", 2), ("b", 1), ("c", 1)], "everything that came meanwhile, in one batch"
    assert again[0][0] >= began - 1000, "at the present time"


def test_files_that_come_while_the_program_stops_are_not_lost(spark_context, tmp_path, monkeypatch):
    """Spark logs a batch for them although no batch time follows; it has to wait for the next start, in silence."""
    incoming, checkpoint = tmp_path / "incoming", tmp_path / "checkpoint"
    incoming.mkdir()

    def put(name: str, text: str) -> None:
        (tmp_path / name).write_text(text)
        (tmp_path / name).rename(incoming / name)

    def setup() -> StreamingContext:
        ssc = StreamingContext(spark_context, 0.5)
        lines = ssc.textFileStream(str(incoming))
        attach({"state": lines.map(lambda word: (word, 1)).updateStateByKey(total)}, "stopping")
        return ssc

    ssc = StreamingContext.getOrCreate(str(checkpoint), setup)
    put("one", "a\n")
    ssc.start()
    while not collected["stopping/state"] or collected["stopping/state"][-1][1] != [("a", 1)]:
        ssc.awaitTerminationOrTimeout(0.1)
    muted: list[bool] = []
    monkeypatch.setattr(ssc._query, "_mute", lambda: muted.append(True))
    ssc._query.clock.close()  # what stop() begins with
    assert ssc._query.clock.wait_for_end(100)
    logged = len(list((checkpoint / "offsets").glob("[0-9]*")))
    put("two", "b\n")
    while ssc._query._stream.isActive and len(list((checkpoint / "offsets").glob("[0-9]*"))) == logged:
        ssc.awaitTerminationOrTimeout(0.1)
    ssc.stop(stopSparkContext=False)
    assert muted, "Spark would print a stack"
    run_for(StreamingContext.getOrCreate(str(checkpoint), setup), 2)
    assert collected["stopping/state"][-1][1] == [("a", 1), ("b", 1)]
    batches = dict(collected["stopping/state"])
    assert list(batches) == sorted(batches)
    assert len(batches) == len(collected["stopping/state"]), "no batch time twice"


# ---------------------------------------------------------------------- a batch that fails

FAIL = {"now": False}


class FailingOutput:
    """An output that raises while it is told to."""

    def __call__(self, rdd: Any) -> None:
        if FAIL["now"] and rdd.count():
            raise RuntimeError("the database is away")


def test_a_failed_batch_is_run_again_with_the_same_records_and_time(spark_context, tmp_path):
    def setup() -> StreamingContext:
        ssc = StreamingContext(spark_context, 1)
        pairs = ssc.queueStream([[("a", 1)], [("a", 2)], [("a", 3)]])
        attach({"state": pairs.updateStateByKey(total)}, "failing")
        pairs.foreachRDD(FailingOutput())
        return ssc

    FAIL["now"] = True
    ssc = StreamingContext.getOrCreate(str(tmp_path / "checkpoint"), setup)
    ssc.start()
    with pytest.raises(RuntimeError, match="the database is away"):
        ssc.awaitTermination(200)
    ssc.stop(stopSparkContext=False)
    (first,) = collected["failing/state"]
    assert first[1] == [("a", 1)]
    assert not list((tmp_path / "checkpoint" / "commits").glob("[0-9]*")), "nothing is committed"
    FAIL["now"] = False
    run_for(StreamingContext.getOrCreate(str(tmp_path / "checkpoint"), setup), 3)
    batches = collected["failing/state"]
    assert batches[1] == first, "the same batch, with the same time"
    assert [records for _, records in batches[1:4]] == [[("a", 1)], [("a", 3)], [("a", 6)]]


def test_an_update_function_that_raises_tears_no_state(spark_context, tmp_path):
    directory = str(tmp_path / "checkpoint")
    flag = tmp_path / "fail"

    def setup() -> StreamingContext:
        path = str(flag)

        def careful(new, old):
            import os

            if os.path.exists(path) and 2 in new:
                raise ZeroDivisionError("two")
            return sum(new) + (old or 0)

        ssc = StreamingContext(spark_context, 1)
        attach({"state": ssc.queueStream(PAIRS).updateStateByKey(careful)}, "raising")
        return ssc

    flag.touch()
    ssc = StreamingContext.getOrCreate(directory, setup)
    ssc.start()
    with pytest.raises(ZeroDivisionError, match=r"two .*updateStateByKey at test_restart.py"):
        ssc.awaitTermination(200)
    ssc.stop(stopSparkContext=False)
    assert [records for _, records in collected["raising/state"]] == [[("a", 1), ("b", 1)]]
    flag.unlink()
    run_for(StreamingContext.getOrCreate(directory, setup), 2)
    assert [records for _, records in collected["raising/state"]][1:3] == [
        [("a", 3), ("b", 1)], [("a", 3), ("b", 1)],
    ]  # fmt: skip


JOB = """
import os
from dstreams import StreamingContext
from tests.harness import attach

def total(new, old):
    if os.path.exists(POISON):
        raise ValueError("a poisoned record")
    return sum(new) + (old or 0)

def setup():
    ssc = StreamingContext(SC, 1)
    attach({"state": ssc.queueStream([[("a", 1)]] * 9).updateStateByKey(total)}, "says so")
    return ssc
"""


def test_a_restored_program_says_that_it_is_one(spark_context, tmp_path, monkeypatch, caplog):
    """And when it fails, that a mended file alone changes nothing; an upgrade says what it goes on with."""
    monkeypatch.setattr(logging.getLogger("dstreams"), "propagate", True)
    caplog.set_level(logging.INFO, "dstreams")
    script, poison, checkpoint = tmp_path / "job.py", tmp_path / "poison", str(tmp_path / "checkpoint")
    script.write_text(JOB)
    job: dict[str, Any] = {"__name__": "job", "POISON": str(poison), "SC": spark_context}
    exec(compile(JOB, str(script), "exec"), job)
    run_for(StreamingContext.getOrCreate(checkpoint, job["setup"]), 1)
    assert not any("restored" in message for message in caplog.messages)

    os.utime(script, (time.time() + 60,) * 2)
    poison.touch()
    ssc = StreamingContext.getOrCreate(checkpoint, job["setup"])
    ssc.start()
    with pytest.raises(ValueError, match="a poisoned record"):
        ssc.awaitTermination(200)
    ssc.stop(stopSparkContext=False)
    said = "\n".join(caplog.messages)
    assert f"restored: the program that was saved in {checkpoint_name(checkpoint)} at 20" in said
    assert "setup was not called" in said and "job.py is newer than the saved program: changed code takes" in said
    assert "the next start runs it again" in said and "it is the program as it was saved: changed code takes" in said

    poison.unlink()
    run_for(StreamingContext.getOrCreate(checkpoint, job["setup"], upgrade=True), 1)
    assert "upgraded: goes on with: queueStream, updateStateByKey of queueStream" in caplog.text


def checkpoint_name(path: str) -> str:
    return f"file:{path}"
