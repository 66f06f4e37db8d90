"""An object store as the place of checkpoints, write-ahead logs and inputs; executors and driver are killed."""

from __future__ import annotations

from random import Random

import pytest

from tests.cluster.parts import Parts
from tests.cluster.remote import remote_feed
from tests.cluster.s3 import S3, S3Path
from tests.recovery.broken import run_broken
from tests.recovery.killed_upgrades import killed_at_each_step
from tests.recovery.killer import Killer
from tests.recovery.outputs import Outputs

pytestmark = pytest.mark.slow


@pytest.fixture
def s3(tmp_path):
    with S3(tmp_path / "s3") as running:
        yield running


@pytest.mark.parametrize("kind", ["socket", "files"])
def test_killed(kind, cluster, s3, rng, tmp_path):
    """Executors are killed, then the driver, at any moment: nothing is lost, nothing counts twice."""
    outputs = Outputs(tmp_path / "outputs")
    checkpoint = S3Path(s3, f"{s3.uri}/{kind}/checkpoint")
    feed, arguments = remote_feed(kind, s3, tmp_path / "in", checkpoint, outputs, Random(rng.random()))
    killer = Killer(tmp_path, arguments, outputs, rng, cluster.submit(*s3.options), checkpoint)
    parts = Parts(cluster, rng)

    def disturb() -> None:
        killer.disturb(2, [parts.executor_killed])
        killer.kill(3)

    run_broken(killer, feed, disturb, stacks=True)


def test_an_upgrade_killed_at_each_step(s3, tmp_path):
    """Folders cannot be renamed at once there: what counts is one small object, written last."""
    died = killed_at_each_step(f"{s3.uri}/upgraded/checkpoint", "moves", s3.options, tmp_path)
    assert died > 5, died
