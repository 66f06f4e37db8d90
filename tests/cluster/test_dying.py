"""A program on a cluster whose parts are killed goes on as if nothing had happened."""

from __future__ import annotations

from random import Random

import pytest

from tests.cluster.parts import Parts
from tests.recovery.broken import run_broken
from tests.recovery.feeds import CarefulSender, FileFeed
from tests.recovery.killer import Killer
from tests.recovery.outputs import Outputs

ROUNDS = 12


@pytest.fixture
def killer_of(tmp_path, rng, cluster):
    def make(arguments: list[str], outputs: Outputs) -> Killer:
        return Killer(tmp_path, arguments, outputs, rng, cluster.submit())

    return make


@pytest.mark.parametrize("rounds", [1, pytest.param(ROUNDS, marks=pytest.mark.slow)])
def test_executor_killed(rounds, cluster, killer_of, rng, tmp_path):
    """State in every form, a socket, an exchange: an executor dies in the middle of a batch, its state moves."""
    outputs = Outputs(tmp_path / "outputs")
    feed = CarefulSender(tmp_path / "checkpoint", outputs, Random(rng.random()))
    killer = killer_of(["socket", str(feed.port)], outputs)
    parts = Parts(cluster, rng)
    run_broken(killer, feed, lambda: killer.disturb(rounds, [parts.executor_killed]), stacks=True)


@pytest.mark.slow
def test_worker_and_master(cluster, killer_of, rng, tmp_path):
    """Workers go and others come, and the master is restarted."""
    directory = tmp_path / "in"
    directory.mkdir()
    outputs = Outputs(tmp_path / "outputs")
    feed = FileFeed(directory, tmp_path / "checkpoint", outputs, Random(rng.random()))
    killer = killer_of(["files", str(directory)], outputs)
    parts = Parts(cluster, rng)
    run_broken(
        killer, feed, lambda: killer.disturb(2 * ROUNDS, [parts.worker_replaced, parts.master_restarted]), stacks=True
    )


@pytest.mark.slow
def test_driver_killed(cluster, killer_of, rng, tmp_path):
    """The driver is killed and started again, as a supervising loop does."""
    outputs = Outputs(tmp_path / "outputs")
    feed = CarefulSender(tmp_path / "checkpoint", outputs, Random(rng.random()))
    killer = killer_of(["socket", str(feed.port)], outputs)
    run_broken(killer, feed, lambda: killer.kill(ROUNDS), stacks=True)
