"""A checkpoint directory in which others have files: theirs stay as they are, whatever their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dstreams import StreamingContext
from tests.harness import attach, collected, files_below, run_for

pytestmark = pytest.mark.recovery

OURS = "_dstreams"
THEIRS = ("state/notes.txt", "sources/feed.csv", "metadata/schema.json", "commits/0", "offsets/0", "readme.txt")


def total(new: list[int], old: int | None) -> int:
    return sum(new) + (old or 0)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder of a project, with names that Spark uses too."""
    for name in THEIRS:
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine\n")
    return tmp_path / "project"


def theirs(directory: Path) -> dict[str, bytes]:
    return {name: data for name, data in files_below(directory).items() if not name.startswith(OURS)}


def counted(sc: Any, directory: Path, run: str) -> StreamingContext:
    """A program that counts; not started."""
    ssc = StreamingContext(sc, 1)
    ssc.checkpoint(str(directory))
    attach({"state": ssc.queueStream([[("a", 1)]] * 30).updateStateByKey(total)}, run)
    return ssc


def test_files_of_a_project_stay(spark_context, shared, caplog):
    """`ssc.checkpoint(".")`: programs that start anew, and one that goes on."""
    before = files_below(shared)
    with caplog.at_level("INFO", logger="dstreams"):
        run_for(counted(spark_context, shared, "anew 1"), 2)
    assert f"has files of others, so this program's are in file:{shared}/{OURS}/run-1" in caplog.text
    run_for(counted(spark_context, shared, "anew 2"), 2)
    assert [records for _, records in collected["anew 2/state"][:2]] == [[("a", 1)], [("a", 2)]]
    ended = collected["anew 2/state"][-1][1][0][1]
    run_for(StreamingContext.getOrCreate(str(shared), lambda: pytest.fail("there is a program")), 2)
    assert [("a", ended + 1)] in [records for _, records in collected["anew 2/state"]]
    assert theirs(shared) == before


def test_a_program_is_made_where_a_project_is(spark_context, shared):
    before = files_below(shared)
    ssc = StreamingContext.getOrCreate(str(shared), lambda: counted(spark_context, shared, "made here"))
    run_for(ssc, 1)
    assert collected["made here/state"][0][1] == [("a", 1)]
    assert theirs(shared) == before


def test_the_checkpoint_of_a_query_of_the_users_own_stays(spark_session, spark_context, tmp_path):
    """The query goes on afterwards."""
    directory = tmp_path / "query"

    def query() -> list[int]:
        started = (
            spark_session.readStream.format("rate-micro-batch").option("rowsPerBatch", 1).load()
            .writeStream.format("noop").option("checkpointLocation", str(directory)).trigger(once=True).start()
        )  # fmt: skip
        assert started.awaitTermination(200)
        return [progress.batchId for progress in started.recentProgress]

    first = query()
    before = files_below(directory)
    run_for(counted(spark_context, directory, "beside a query"), 1)
    assert theirs(directory) == before
    assert query() == [first[-1] + 1]


def test_the_previous_run_is_kept_until_a_new_one_has_done_something(spark_context, tmp_path):
    """A new version that fails at once, and is started again: what the old one has left is still there."""
    directory = tmp_path / "checkpoint"
    run_for(counted(spark_context, directory, "good"), 2)
    commits = sorted(path.name for path in (directory / "commits").iterdir() if path.name.isdigit())

    def broken(rdd: Any) -> None:
        raise ValueError("a new version with a mistake")

    for _ in range(2):
        ssc = counted(spark_context, directory, "bad")
        ssc.queueStream([[1]] * 30).foreachRDD(broken)
        ssc.start()
        with pytest.raises(ValueError, match="a new version with a mistake"):
            ssc.awaitTermination(200)
        ssc.stop(stopSparkContext=False)
        kept = directory / "commits"
        assert sorted(path.name for path in kept.iterdir() if path.name.isdigit()) == commits
        assert len(list((directory / "_dstreams").glob("run-*"))) == 1


def test_no_empty_folders(spark_context, tmp_path):
    """Spark makes a folder for RDDs each time that it is told the directory; it makes it again when it needs it."""
    ssc = StreamingContext(spark_context, 1)
    for _ in range(2):
        ssc.checkpoint(str(tmp_path))
        assert list(tmp_path.iterdir()) == []
    rdd = spark_context.parallelize([1, 2], 1)
    rdd.checkpoint()
    assert rdd.count() == 2 and rdd.isCheckpointed()
    assert len(list(tmp_path.iterdir())) == 1
