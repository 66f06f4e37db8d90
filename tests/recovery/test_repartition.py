"""``checkpoint DIR --repartition N``: a program goes on in more or fewer partitions as if it had not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from operator import add, sub
from pathlib import Path

import pytest

from dstreams import StateSpec, StreamingContext
from dstreams._run import migration
from dstreams._run.checkpoint import read_directory
from dstreams._run.repartition import repartition
from dstreams._spark.files import files_of
from dstreams.errors import CheckpointError, DStreamValueError, UpgradeError
from tests.harness import attach, collected, run_for

pytestmark = pytest.mark.recovery

BATCHES = [[(f"key-{(7 * n + i) % 23}", n) for i in range(n % 6)] for n in range(1, 30)]


def total(new, old):
    return sum(new) + (old or 0)


def count(key, value, state):
    if state.isTimingOut():
        return key, "gone", state.get()
    state.update((state.getOption() or 0) + 1)
    return key, state.get()


FEW = ("state", "three", "mapped")


@pytest.fixture
def program(spark_context):
    """Make a program with some kinds of state, or with all, on a directory, or restore it."""

    def make(directory: Path, names: Iterable[str] | None = FEW) -> StreamingContext:
        def setup() -> StreamingContext:
            ssc = StreamingContext(spark_context, 1)
            pairs = ssc.queueStream(BATCHES)
            counts = pairs.mapWithState(StateSpec.function(count).timeout(4))
            streams = {
                "state": pairs.updateStateByKey(total).named("totals"),
                "three": pairs.updateStateByKey(total, numPartitions=3).named("three"),
                "mapped": counts,
                "snapshots": counts.stateSnapshots(),
                "records": pairs.window(5, 2),
                "reduced": pairs.reduceByKeyAndWindow(add, sub, 10, 1),
                "grouped": pairs.groupByKeyAndWindow(4, 1).mapValues(sorted),
                "exchange": pairs.transform(lambda rdd: rdd.mapValues(lambda v: -v)).updateStateByKey(total),
            }
            attach({name: streams[name] for name in names or streams}, str(directory))
            return ssc

        return StreamingContext.getOrCreate(str(directory), setup)

    return make


def outputs(directory: Path) -> dict[str, dict[int, list]]:
    """Records by output and number of the batch."""
    mine = {key: found for key, found in collected.items() if key.startswith(f"{directory}/")}
    first = min(time for found in mine.values() for time, _ in found)
    return {
        key.rpartition("/")[2]: {(time - first) // 1000 + 1: records for time, records in found}
        for key, found in mine.items()
    }


@pytest.mark.parametrize("names", [FEW, pytest.param(None, marks=pytest.mark.slow, id="all")])
def test_more_and_fewer(names, program, spark_context, tmp_path):
    directory, control = tmp_path / "changed", tmp_path / "control"
    run_for(program(control, names), 8)
    run_for(program(directory, names), 3)
    text = repartition(spark_context, str(directory), 5)
    assert "the state of totals is in 5 partitions, before in 2" in text
    assert "the state of three stays in 3 partitions" in text
    assert "goes on in" in text and "run-2" in text
    assert (directory / "state").is_dir(), "the backup"
    run_for(program(directory), 2)
    repartition(spark_context, str(directory), 1)
    run_for(program(directory), 2)
    saved = read_directory(files_of(spark_context, str(directory)))
    assert saved is not None
    places = {id: len(place.buckets) for layout in saved[0].layouts for id, place in layout.state.items()}
    assert places["totals"] == 1 and places["three"] == 3, places
    expected, found = outputs(control), outputs(directory)
    assert set(found) == set(expected)
    batches = range(1, 8)
    for name in expected:
        for batch in batches:
            assert found[name].get(batch) == expected[name].get(batch), (name, batch)


@pytest.mark.slow
def test_before_anything_was_committed(program, spark_context, tmp_path):
    """The first batch, which is run again, makes as many partitions as were asked for."""
    directory = tmp_path / "c"
    run_for(program(directory, ["state"]), 1)
    shutil.rmtree(directory / "commits")
    shutil.rmtree(directory / "state")
    for path in (directory / "offsets").iterdir():
        if path.name not in ("0", ".0.crc"):
            path.unlink()
    collected.pop(f"{directory}/state")
    repartition(spark_context, str(directory), 5)
    run_for(program(directory), 2)
    assert outputs(directory)["state"][2] == [("key-14", 2), ("key-15", 2), ("key-7", 1)]
    stores = [path.name for path in (directory / "_dstreams/run-2/state/0").iterdir() if path.name.isdigit()]
    assert sorted(stores) == list("01234")


@pytest.mark.slow
def test_lost_state_is_noticed(program, spark_context, tmp_path, monkeypatch):
    """What was repartitioned is counted before it takes the place of what was there."""
    run_for(program(tmp_path / "c", ["state"]), 4)
    whole = migration._repartitioned
    monkeypatch.setattr(migration, "_repartitioned", lambda entries, *where: whole(entries.where("part = 0"), *where))
    with pytest.raises(UpgradeError, match=r"'totals' has \d+ values and records, and of those \d+ were stored"):
        repartition(spark_context, str(tmp_path / "c"), 5)
    saved = read_directory(files_of(spark_context, str(tmp_path / "c")))
    assert saved is not None and saved[0].parallelism == 2


@pytest.mark.slow
def test_command(program, tmp_path):
    """As its user calls it; then the directory tells of the new number."""
    run_for(program(tmp_path / "c"), 2)
    command = [sys.executable, "-m", "dstreams", "checkpoint", str(tmp_path / "c")]
    done = subprocess.run([*command, "--repartition", "4"], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "the default number of partitions is 4 now, before 2" in done.stdout and "_dstreams/run-2" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--repartition"], "--repartition: expected one argument"),
        (["--repartition", "0"], "needs a number of partitions"),
        (["--repartition", "many"], "needs a number of partitions"),
        (["--repartition", "3"], "arguments are required: DIR"),
    ],
)
def test_wrong_arguments(arguments, said, tmp_path, capsys):
    from dstreams._run.command import command

    directory = [] if "3" in arguments else [str(tmp_path)]
    with pytest.raises(SystemExit, match="2"):
        command([*directory, *arguments])
    assert said in capsys.readouterr().err


def test_refused_while_a_driver_runs(program, spark_context, tmp_path):
    ssc = program(tmp_path / "c")
    ssc.start()
    try:
        with pytest.raises(CheckpointError, match="another program is running"):
            repartition(spark_context, str(tmp_path / "c"), 4)
    finally:
        ssc.stop(stopSparkContext=False)


def test_nothing_there(spark_context, tmp_path):
    with pytest.raises(DStreamValueError, match="holds no program"):
        repartition(spark_context, str(tmp_path), 4)
