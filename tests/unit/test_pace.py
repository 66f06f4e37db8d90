"""When is said that batches fall behind."""

from __future__ import annotations

from datetime import datetime

from dstreams._run.pace import Pace
from dstreams._run.progress import BatchInfo, InputInfo, OutputInfo, Time

TIME = f"{datetime.fromtimestamp(5):%H:%M:%S}"


def told(*took_ms: int, waiting: int = 0) -> list[str | None]:
    """What is said of batches that take so long, of a second each."""
    pace = Pace(1000)
    found = []
    for took in took_ms:
        outputs = {
            0: OutputInfo(Time(5000), 0, "pprint", "pprint at app.py:9", 0, 10),
            1: OutputInfo(Time(5000), 1, "foreachRDD", "foreachRDD at app.py:10", 10, 1800),
        }
        info = BatchInfo(Time(5000), 5000, {0: InputInfo(0, 1234)}, outputs, 5100, 5100 + took)
        found.append(pace.observe(info, waiting))
    return found


def test_a_slow_batch_now_and_then_is_nothing_to_tell() -> None:
    assert told(6000, 1100, 900, 300, 1500, 1000, 2000, 1200, 100) == [None] * 9


def test_once_and_again_when_it_is_twice_as_bad_and_when_it_is_over() -> None:
    said = told(1500, 1500, 1500, 1600, 2900, 3000, 900, 1500, 900, 900, 900, 900, waiting=77)
    assert [number for number, text in enumerate(said) if text] == [2, 5, 10]
    assert said[2] == (
        f"batches fall behind: that of {TIME} took 1.5 s with 1,234 records, and one is due every 1 s; the next one "
        "takes what has come meanwhile; 77 records wait; the slowest output is foreachRDD at app.py:10, 1.8 s"
    )
    assert said[10] == f"batches have caught up: that of {TIME} took 900 ms"
