"""When is said that batches fall behind."""

from __future__ import annotations

from datetime import datetime

from dstreams._run.pace import Pace
from dstreams._run.progress import BatchInfo, InputInfo, OutputInfo, Time

TIME = f"{datetime.fromtimestamp(5):%H:%M:%S}"


def told(*late_ms: int, waiting: int = 0) -> list[str | None]:
    """What is said of batches of a second that begin so late."""
    pace = Pace(1000)
    found = []
    for late in late_ms:
        outputs = {
            0: OutputInfo(Time(5000), 0, "pprint", "pprint at app.py:9", 0, 10),
            1: OutputInfo(Time(5000), 1, "foreachRDD", "foreachRDD at app.py:10", 10, 1800),
        }
        info = BatchInfo(Time(5000), 5000, {0: InputInfo(0, 1234)}, outputs, 5000 + late, 7000 + late)
        found.append(pace.look(info, waiting))
    return found


def test_a_slow_first_batch_is_nothing_to_tell() -> None:
    assert told(0, 6000, 5100, 4200, 3300, 2400, 1500, 600, 0) == [None] * 9


def test_once_and_again_when_it_is_twice_as_bad_and_when_it_is_over() -> None:
    said = told(0, 500, 1000, 1500, 2000, 2500, 3000, 3500, 2000, 900, 100, waiting=77)
    assert [number for number, text in enumerate(said) if text] == [3, 6, 9]
    assert said[3] == (
        f"batches fall behind: that of {TIME} began 1.5 s late and took 2.0 s with 1,234 records, and one is due every "
        "1 s; 77 records wait; the slowest output is foreachRDD at app.py:10, 1.8 s"
    )
    assert said[9] == f"batches have caught up: that of {TIME} began 900 ms after its time"
