"""A reader that outlives its driver, as after an impatient end of the program: no batch follows, and no error."""

from __future__ import annotations

import pytest

from dstreams._sources.link import CLOCK, Link
from dstreams._sources.queue import QueueReader
from dstreams._sources.tick import TickReader


def test_no_batch_follows_when_the_driver_is_gone() -> None:
    link = Link()
    link.serve(CLOCK, object())
    clock = link.remote(CLOCK)
    link.close()
    with pytest.raises((OSError, EOFError)):
        clock.call("due")
    rows, end = TickReader(clock).read({"time": 5000})
    assert (list(rows), end) == ([], {"time": 5000})
    assert QueueReader(clock, clock, None).latestOffset({"n": 3}, None) == {"n": 3}
