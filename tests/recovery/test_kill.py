"""A program that is killed at any moment goes on as if nothing had happened.

Repeat a run (as far as time can be repeated) with the seed that a failure shows: ``DSTREAMS_KILL_SEED=123 pytest ...``.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.recovery.broken import run_broken
from tests.recovery.feeds import CarefulSender, FileFeed
from tests.recovery.killer import Killer
from tests.recovery.outputs import Outputs

pytestmark = [
    pytest.mark.recovery,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the processes of a program in /proc"),
    pytest.mark.parametrize("kills", [2, pytest.param(25, marks=pytest.mark.slow)]),
]


@pytest.mark.slow  # the socket-fed program has everything that this one has, and a log more
def test_files(kills, rng, tmp_path):
    directory = tmp_path / "in"
    directory.mkdir()
    outputs = Outputs(tmp_path / "outputs")
    feed = FileFeed(directory, tmp_path / "checkpoint", outputs, Random(rng.random()))
    killer = Killer(tmp_path, ["files", str(directory)], outputs, rng)
    run_broken(killer, feed, lambda: killer.kill(kills))


def test_socket(kills, rng, tmp_path):
    outputs = Outputs(tmp_path / "outputs")
    feed = CarefulSender(tmp_path / "checkpoint", outputs, Random(rng.random()))
    killer = Killer(tmp_path, ["socket", str(feed.port)], outputs, rng)
    run_broken(killer, feed, lambda: killer.kill(kills))
