"""HDFS as the place of checkpoints, write-ahead logs, inputs and outputs, with parts of it going down."""

from __future__ import annotations

import sys
from random import Random

import pytest

from dstreams import StreamingContext
from tests.cluster.hdfs import Hdfs, HdfsPath
from tests.cluster.remote import RemoteSender, remote_feed
from tests.recovery.broken import run_broken
from tests.recovery.killer import Killer
from tests.recovery.outputs import Outputs

pytestmark = pytest.mark.slow


WAITING = ["--conf", "spark.hadoop.dfs.client.retry.policy.enabled=true"]
"""Lets the client wait for a namenode that restarts."""


@pytest.fixture
def hdfs(tmp_path):
    with Hdfs(tmp_path / "hdfs") as running:
        yield running


class Parts:
    """Takes parts of HDFS away, and brings them back."""

    def __init__(self, hdfs: Hdfs) -> None:
        self._hdfs = hdfs
        self._stopped = False

    def datanode_stopped_or_started(self) -> None:
        if self._stopped:
            self._hdfs.start_datanode()
        else:
            self._hdfs.stop_datanode()
        self._stopped = not self._stopped

    def namenode_restarted(self) -> None:
        self._hdfs.restart_namenode()


@pytest.mark.parametrize("kind", ["socket", "files"])
def test_parts_going_down(kind, cluster, hdfs, rng, tmp_path):
    """A datanode is stopped and started, the namenode restarted, and the driver killed: nothing is lost."""
    outputs = Outputs(tmp_path / "outputs")
    checkpoint = HdfsPath(hdfs, f"{hdfs.uri}/{kind}/checkpoint")
    feed, arguments = remote_feed(kind, hdfs, tmp_path / "in", checkpoint, outputs, Random(rng.random()))
    killer = Killer(tmp_path, arguments, outputs, rng, cluster.submit(*WAITING), checkpoint)
    parts = Parts(hdfs)

    def disturb() -> None:
        killer.disturb(4, [parts.datanode_stopped_or_started, parts.namenode_restarted])
        killer.kill(4)

    run_broken(killer, feed, disturb, stacks=True)


def test_full(hdfs, rng, tmp_path):
    """No room is left: the receiver holds its sender back, or the program ends and says why; then it goes on."""
    outputs = Outputs(tmp_path / "outputs")
    checkpoint = HdfsPath(hdfs, f"{hdfs.uri}/full/checkpoint")
    feed = RemoteSender(checkpoint, outputs, Random(rng.random()))
    killer = Killer(tmp_path, ["socket", str(feed.port)], outputs, rng, [sys.executable], checkpoint)
    no_limit = hdfs.jvm.java.lang.Long.MAX_VALUE

    def fill() -> None:
        hdfs.fs.setQuota(hdfs.path(str(checkpoint)), no_limit, 1)

    def disturb() -> None:
        killer.disturb(1, [fill])
        code = killer.ended()
        assert code not in (0, None)
        said = [line for line in killer.said() if line.startswith("dstreams.errors.")]
        assert said and "quota" in said[-1], killer.said()
        hdfs.fs.setQuota(hdfs.path(str(checkpoint)), no_limit, -1)

    run_broken(killer, feed, disturb, stacks=True)


def test_inputs_and_outputs(hdfs, spark_context, tmp_path):
    """``textFileStream``, ``binaryRecordsStream`` and ``saveAsTextFiles``."""
    ssc = StreamingContext(spark_context, 1)
    root = f"{hdfs.uri}/io"
    for folder in ("texts", "records"):
        hdfs.make_folder(f"{root}/{folder}")
    texts, records = ssc.textFileStream(f"{root}/texts"), ssc.binaryRecordsStream(f"{root}/records", 4)
    both = texts.union(records.map(lambda record: record.decode()))
    both.saveAsTextFiles(f"{root}/out/part")
    found: list[str] = []

    class Fed:
        batches = 0

        def __call__(self, rdd):
            found.extend(rdd.collect())
            self.batches += 1
            if self.batches == 1:
                for name, text in (("texts", "some\nwords\n"), ("records", "12345678")):
                    (tmp_path / name).write_text(text)
                    hdfs.put(tmp_path / name, f"{root}/{name}")
            if len(found) == 4:
                ssc.stop(stopSparkContext=False, stopGraceFully=True)

    both.foreachRDD(Fed())
    ssc.start()
    try:
        assert ssc.awaitTerminationOrTimeout(200)
    finally:
        ssc.stop(stopSparkContext=False)
    assert sorted(found) == ["1234", "5678", "some", "words"]
    parts = HdfsPath(hdfs, f"{root}/out").rglob("part-*")
    written = [line for part in parts for line in part.read_text().splitlines()]
    assert sorted(written) == sorted(found)
