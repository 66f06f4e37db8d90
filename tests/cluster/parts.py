"""Kills of parts of a cluster."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from random import Random

from tests.cluster.standalone import Cluster

__all__ = ["Parts"]


class Parts:
    """Kills parts of a cluster.

    Parameters
    ----------
    cluster : Cluster
        The cluster.
    rng : Random
        Decides which.
    """

    def __init__(self, cluster: Cluster, rng: Random) -> None:
        self._cluster = cluster
        self._rng = rng

    def executor_killed(self) -> None:
        """Kill an executor; its worker starts another one."""
        victim = self._rng.choice(self._executors())
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)

    def worker_replaced(self) -> None:
        """Kill a worker with its executor, and start another worker."""
        self._executors()
        self._cluster.stop_worker(self._rng.choice(self._cluster.workers))
        self._cluster.start_worker()

    def master_restarted(self) -> None:
        """Kill the master, and start it again."""
        self._cluster.restart_master()

    def _executors(self) -> list[int]:
        """Wait until the executor that was killed last has a successor, so that never all of them are gone."""
        deadline = time.monotonic() + 120
        while len(found := self._cluster.executors()) < len(self._cluster.workers):
            assert time.monotonic() < deadline, f"no new executor comes: {found}\n{self._cluster.log('master')[-3000:]}"
            time.sleep(0.05)
        return found
