"""``python -m dstreams checkpoint DIR`` tells what a directory holds, and leaves it as it is."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from operator import add, sub
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pyspark import RDD

from dstreams import StreamingContext
from dstreams._plan.identity import Operation
from dstreams._run.checkpoint import files_of
from dstreams._run.command import USAGE
from dstreams._run.inspect import inspect
from dstreams._run.layout import Layout
from dstreams._run.program import read_program, save_program
from dstreams._run.runs import folder_name
from dstreams.errors import CheckpointError, DStreamValueError
from tests.recovery.collect import attach, run_for

pytestmark = pytest.mark.recovery

PAIRS = [[("a", 1), ("b", 1)], [("a", 2)], [], [("c", 5)]]
AGE = re.compile(r"\([0-9a-z ]* (ago|from now)\)")


def total(new, old):
    return sum(new) + (old or 0)


class Look:
    """An output that tells what the directory holds while a batch runs; it can be pickled."""

    told: ClassVar[list[str]] = []

    def __init__(self, directory: Path) -> None:
        self.directory = str(directory)

    def __call__(self, rdd: RDD[Any]) -> None:
        if len(self.told) < 2:
            self.told.append(inspect(rdd.context, self.directory))


@pytest.fixture(scope="module")
def made(spark_context, tmp_path_factory) -> Path:
    """A directory with every kind of thing in it."""

    def setup() -> StreamingContext:
        ssc = StreamingContext(spark_context, 1)
        pairs = ssc.queueStream(PAIRS)
        changed = pairs.transform(lambda rdd: rdd.mapValues(lambda v: v * 10))
        streams = {
            "state": pairs.updateStateByKey(total, initialRDD=[("z", 1)]).named("totals"),
            "window": pairs.reduceByKeyAndWindow(add, sub, 5, numPartitions=3),
            "exchange": changed.updateStateByKey(total),
        }
        attach(streams, "made")
        pairs.foreachRDD(Look(directory))
        return ssc

    directory = tmp_path_factory.mktemp("made") / "checkpoint"
    run_for(StreamingContext.getOrCreate(str(directory), setup), 2)
    return directory


@pytest.fixture
def copy(made, tmp_path) -> Path:
    """A copy of it, to be spoiled."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.fixture
def tell(spark_context):
    """Tell what a directory holds; fails if that has changed anything."""

    def tell(directory: Path, **arguments: Any) -> str:
        before = everything(directory)
        try:
            text = inspect(spark_context, str(directory), **arguments)
        finally:
            assert everything(directory) == before
        assert max(map(len, text.splitlines())) <= 100
        return text

    return tell


def everything(directory: Path) -> dict[str, bytes | None]:
    """Every file and folder; when a folder has changed, its time has."""
    paths = [directory, *sorted(directory.rglob("*"))]
    return {f"{path} {path.stat().st_mtime_ns}": path.read_bytes() if path.is_file() else None for path in paths}


def delete(path: Path) -> None:
    """Delete a file, with the checksum that Hadoop keeps beside it."""
    path.unlink()
    path.with_name(f".{path.name}.crc").unlink(missing_ok=True)


def last(directory: Path, log: str = "offsets") -> int:
    return max(int(path.name) for path in (directory / log).iterdir() if path.name.isdigit())


def section(text: str, title: str) -> str:
    """The lines below a line, up to the next one that is no deeper."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip().startswith(title))
    depth = len(lines[start]) - len(lines[start].lstrip())
    deeper = []
    for line in lines[start + 1 :]:
        if len(line) - len(line.lstrip()) <= depth:
            break
        deeper.append(line)
    return "\n".join(deeper)


def field(text: str, label: str) -> str:
    """What stands behind a label, on one line."""
    found = re.search(rf"^( +){label} .*\n(?:\1 {{12}}.*\n?)*", f"{text}\n", re.MULTILINE)
    assert found, f"no {label} in {text}"
    return " ".join(found[0].split()).removeprefix(f"{label} ")


# ---------------------------------------------------------------------- what is told


def test_all_that_there_is(made, tell):
    text = tell(made)
    n = last(made)
    tick = next(json.loads(line) for line in (made / f"offsets/{n}").read_text().splitlines() if '"time"' in line)
    assert text.startswith(f"Checkpoint directory file:{made}\n")
    assert re.fullmatch(
        r"'.*', from test_checkpoint_command.py; batches of 1 s, 2 partitions by default, master local\[2\]",
        field(text, "program"),
    )
    assert re.search(r"ago\) by dstreams \S+, pyspark \S+, Python 3\.", field(text, "saved"))
    assert field(text, "begun").startswith(f"batch {n} of 2")
    assert field(text, "committed").endswith("nothing is pending")
    assert f"process {os.getpid()} on " in field(text, "driver")
    assert field(text, "driver").startswith("none is running on it")

    assert field(section(text, "queueStream"), "offset") == f"{n + 1} elements"
    at = tell(made, now_ms=tick["time"] + 200_000)
    assert field(section(at, "tick"), "offset").endswith("(3 min 20 s ago)")
    assert "(2 d 3 h ago)" in tell(made, now_ms=tick["time"] + 51 * 3600_000)

    totals = section(text, "totals")
    assert field(totals, "kind").startswith("updateStateByKey(")
    assert field(totals, "reads") == "queueStream"
    assert field(totals, "named") == "yes"
    assert field(totals, "begins") == "with an initial state, which it has"
    window = section(text, "reduceByKeyAndWindow of queueStream")
    assert (field(window, "named"), field(window, "partitions")) == ("no", "3")
    exchange = section(text, "updateStateByKey of queueStream")
    for operation in (totals, window, exchange):
        assert re.fullmatch(r"[1-9]\d* entr(y|ies), [1-9][\d,.]* (bytes|KiB)", field(operation, "state"))
    assert re.search(
        r"^3 operations, [1-9]\d* entries, .*; on disk: state .*, _dstreams/exchange-1/state", field(text, "state")
    )
    assert section(text, "Outputs").splitlines()[0].strip().startswith("foreachRDD at collect.py:")
    assert field(section(text, "exchange 1: updateStateByKey of queueStream"), "committed").startswith("batch ")
    assert "previous" not in text


def test_the_state_of_each_operation_is_its_own(made, tell, spark_session):
    """What is told agrees with what Spark's reader gives for the whole operator."""
    text = tell(made)
    reader = spark_session.read.format("statestore").option("stateVarName", "state").option("batchId", last(made))
    stored = [len(row["user_map_value"]["data"]) for row in reader.load(str(made)).collect()]
    told = [field(section(text, id), "state") for id in ("totals", "reduceByKeyAndWindow of queueStream")]
    assert sum(int(size.split()[0]) for size in told) == len(stored)


def test_while_a_driver_runs(made):
    first, second = Look.told
    for n, text in enumerate((first, second)):
        assert f"batch {n} of " in field(text, "begun")
        assert "pending: it is running, or will be run again" in field(text, "begun")
        assert field(text, "driver") == f"running on it now: process {os.getpid()} on {os.uname().nodename}"
    assert field(first, "committed") == "no batch yet"
    assert field(second, "committed").startswith("batch 0 of ")
    assert field(section(first, "totals"), "state") == "nothing yet"
    for operation in ("totals", "updateStateByKey of queueStream"):
        assert "entries" in field(section(second, operation), "state")


def test_a_batch_that_is_pending(copy, tell):
    n = last(copy)
    delete(copy / f"commits/{n}")
    text = tell(copy)
    assert re.fullmatch(rf"batch {n} of .*; pending: it will be run again at the next start", field(text, "begun"))
    assert re.fullmatch(rf"batch {n - 1} of .* (ago|from now)\)", field(text, "committed"))
    assert "with the pending batch" in field(section(text, "queueStream"), "offset")
    assert "entries" in field(section(text, "updateStateByKey of queueStream"), "state")


def test_no_batch_yet(copy, tell):
    for folder in ("offsets", "commits", "state", "_dstreams/exchange-1"):
        shutil.rmtree(copy / folder)
    text = tell(copy)
    assert field(text, "begun") == "no batch yet"
    assert field(section(text, "queueStream"), "offset") == "nothing yet"
    assert field(section(text, "totals"), "begins") == "with an initial state, which it gets yet"
    assert field(section(text, "totals"), "state") == "nothing yet"
    assert field(text, "state").endswith("on disk: nothing yet")


def test_a_first_batch_that_is_pending(copy, tell):
    for path in [*(copy / "offsets").iterdir(), *(copy / "commits").iterdir()]:
        if path.name != "0" or path.parent.name == "commits":
            path.unlink()
    text = tell(copy)
    assert "pending" in field(text, "begun")
    assert field(text, "committed") == "no batch yet"
    assert field(section(text, "queueStream"), "offset") == "nothing yet; with the pending batch: 1 element"
    assert field(section(text, "totals"), "state") == "nothing yet"


def test_a_driver_that_runs_keeps_its_lock(copy, tell):
    lock = os.open(copy / "_dstreams/lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        n = last(copy)
        delete(copy / f"commits/{n}")
        text = tell(copy)
        assert field(text, "driver") == f"running on it now: process {os.getpid()} on {os.uname().nodename}"
        assert "it is running, or will be run again" in field(text, "begun")
        with pytest.raises(BlockingIOError):
            other = os.open(copy / "_dstreams/lock", os.O_RDWR)
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            finally:
                os.close(other)
    finally:
        os.close(lock)
    assert field(tell(copy), "driver").startswith("none is running on it")


def test_another_file_system(copy, tell, spark_context):
    conf = spark_context._jsc.hadoopConfiguration()
    conf.set("fs.viewfs.mounttable.told.link./here", f"file:{copy}")
    before = everything(copy)
    text = inspect(spark_context, "viewfs://told/here")
    assert everything(copy) == before
    assert text.startswith("Checkpoint directory viewfs://told/here\n")
    assert field(text, "driver").endswith("whether it is running cannot be told on this file system")
    assert "entries" in field(section(text, "totals"), "state")


def test_a_run_that_was_replaced(spark_context, tmp_path, tell):
    """A second program that begins anew: where it is, and where the first one is kept."""

    def run() -> None:
        ssc = StreamingContext(spark_context, 1)
        ssc.checkpoint(str(tmp_path / "c"))
        attach({"state": ssc.queueStream(PAIRS).updateStateByKey(total)}, "replaced")
        run_for(ssc, 1)

    run()
    assert "previous" not in tell(tmp_path / "c")
    run()
    current = (tmp_path / "c" / "_dstreams" / "current").read_bytes()
    (tmp_path / "c" / "_dstreams" / "current").unlink()
    with pytest.raises(CheckpointError, match=r"_dstreams/current is missing.*there is _dstreams/run-2\. Restore it"):
        tell(tmp_path / "c")
    (tmp_path / "c" / "_dstreams" / "current").write_bytes(current)
    text = tell(tmp_path / "c")
    assert field(text, "in") == f"file:{tmp_path}/c/_dstreams/run-2, the checkpoint location of its query"
    assert field(text, "previous") == f"the run before the last upgrade or fresh start is kept in file:{tmp_path}/c"
    assert field(section(text, "updateStateByKey of queueStream"), "state").endswith("bytes")


def test_damaged_pointer(copy, tell):
    (copy / "_dstreams/current").write_text("[")
    with pytest.raises(CheckpointError, match=r"_dstreams/current is damaged .* which says which of the runs"):
        tell(copy)


def test_a_program_that_was_deleted(copy, tell):
    for path in (copy / "_dstreams").glob("*program-*"):
        path.unlink()
    with pytest.raises(CheckpointError, match=r"the files _dstreams/program-\* have been deleted there"):
        tell(copy)


def test_state_that_cannot_be_read(copy, tell):
    shutil.rmtree(copy / "state/0")
    text = tell(copy)
    for id in ("totals", "reduceByKeyAndWindow of queueStream"):
        assert field(section(text, id), "state").startswith("could not be read: ")
    assert "entries" in field(section(text, "updateStateByKey of queueStream"), "state")
    assert "(without 2 that could not be read)" in field(text, "state")
    assert section(text, "Outputs")


# ---------------------------------------------------------------------- a directory made by hand


@pytest.fixture
def crafted(made, tmp_path, spark_context) -> Path:
    """Receivers and files, and a program that nobody can unpickle."""
    found = read_program(files_of(spark_context, str(made)))
    assert found is not None
    address = "s3a://key:hush1@bucket/in"
    operations = [
        Operation("socketTextStream(h:1)", "socketTextStream", hint="socketTextStream(h:1)"),
        Operation("files", "textFileStream", hint=f"textFileStream({address})", named=True),
    ]
    program = replace(
        found[0],
        conf={"spark.master": "yarn", "spark.hadoop.fs.s3a.secret.key": "hush2", "spark.app.name": "hush3"},
        operations=operations,
        layouts=[Layout(["tick", "files", "socketTextStream(h:1)", "socketTextStream(h:1)"], 1, [], {}, ["files"])],
        interval_ms=500,
    )
    directory = tmp_path / "crafted"
    save_program(files_of(spark_context, str(directory)), program, b"this is no pickle")
    for folder, name in (("offsets", "0"), ("commits", "0"), ("offsets", "1")):
        (directory / folder).mkdir(exist_ok=True)
        records = '{"n": 1234}' if name == "0" else '{"n": 1235}'
        files = '{"logOffset":3}' if name == "0" else "-"
        lines = ["v1", "{}", '{"time": 1500, "zero": 500}', files, records, records]
        (directory / folder / name).write_text("\n".join(lines))
    return directory


def test_inputs_of_other_kinds(crafted, tell):
    log = crafted / "_dstreams/log"
    for folder, size in ((folder_name("socketTextStream(h:1)"), 5000), ("old-12345678", 10)):
        (log / folder).mkdir(parents=True)
        (log / folder / f"{0:020d}-0.wal").write_bytes(bytes(size))
    text = tell(crafted, now_ms=1500)
    receiver = section(text, "socketTextStream(h:1)")
    assert field(receiver, "offset") == "1,234 records; with the pending batch: 1,235 records"
    assert field(receiver, "log") == f"4.9 KiB written ahead in _dstreams/log/{folder_name('socketTextStream(h:1)')}"
    assert field(section(text, "files"), "offset") == "logOffset 3; with the pending batch: nothing yet"
    assert field(text, "committed").startswith("batch 0 of 1970-01-01 ")
    assert ".500 (0 s ago)" in field(text, "committed") or "01.500" in field(text, "committed")
    assert field(text, "driver").startswith("none is running on it; the last was an unknown process")
    assert field(text, "state") == "the program has no operation with state"
    assert "_dstreams/log/old-12345678: 10 bytes" in text


def test_no_secrets(crafted, tell):
    text = tell(crafted)
    assert "batches of 0.5 s" in text and "master yarn" in " ".join(text.split())
    assert "hush" not in text and "s3a.secret" not in text
    assert field(section(text, "files"), "kind") == "textFileStream(s3a://key:***@bucket/in)"


def test_offsets_of_another_program(crafted, tell):
    (crafted / "offsets/1").write_text('v1\n{}\n{"time": 1500, "zero": 500}')
    with pytest.raises(CheckpointError, match="offset log has 1 sources, and the program 4"):
        tell(crafted)
    (crafted / "offsets/1").write_text('v1\n{}\n{"time": 15\n-\n-\n-')
    with pytest.raises(CheckpointError, match="offsets/1 is damaged"):
        tell(crafted)


# ---------------------------------------------------------------------- bad directories


def test_no_directory(tmp_path, spark_context):
    with pytest.raises(DStreamValueError, match=rf"^no such directory: {tmp_path}/nothing$"):
        inspect(spark_context, f"{tmp_path}/nothing")
    (tmp_path / "file").touch()
    with pytest.raises(DStreamValueError, match=r"^no such directory"):
        inspect(spark_context, f"{tmp_path}/file")
    with pytest.raises(DStreamValueError, match=r"^nosuch://x/y: .*No FileSystem for scheme .* The classes of nosuch"):
        inspect(spark_context, "nosuch://x/y")


def test_no_program(tmp_path, tell):
    with pytest.raises(DStreamValueError, match=r"holds no program of dstreams$"):
        tell(tmp_path)
    (tmp_path / "offsets").mkdir()
    with pytest.raises(DStreamValueError, match=r"holds no program of dstreams$"):  # anybody may have such a folder
        tell(tmp_path)
    (tmp_path / "metadata").write_text('{"id":"68a2fbc4-0bb7-4f0c-9e0d-1d2c3b4a5968"}')
    with pytest.raises(CheckpointError, match="no program is saved in it"):
        tell(tmp_path)
    (tmp_path / "checkpoint-1795598258000.bk").touch()
    with pytest.raises(CheckpointError, match="checkpoint directory of the old engine"):
        tell(tmp_path)


def test_damaged_files(copy, tell):
    n = last(copy)
    whole = (copy / f"offsets/{n}").read_bytes()
    (copy / f"offsets/.{n}.crc").unlink(missing_ok=True)
    (copy / f"offsets/{n}").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match=rf"offsets/{n} is damaged"):
        tell(copy)
    (copy / f"offsets/{n}").unlink()
    with pytest.raises(CheckpointError, match=rf"offsets/{n} is missing, although batch {n} was committed"):
        tell(copy)
    (copy / f"offsets/{n}").write_bytes(whole)
    (program,) = (copy / "_dstreams").glob("program-*")
    saved = program.read_bytes()
    delete(program)
    program.write_bytes(saved[:-1])
    with pytest.raises(CheckpointError, match=r"damaged .*bytes of"):
        tell(copy)


# ---------------------------------------------------------------------- the command


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dstreams", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd, check=False)


def test_the_command(made, tell):
    before = everything(made)
    done = run("checkpoint", str(made))
    assert everything(made) == before
    assert (done.returncode, done.stderr) == (0, "")
    assert AGE.sub("", done.stdout).split() == AGE.sub("", tell(made)).split()


def test_the_command_on_a_directory_of_the_old_engine(tmp_path):
    (tmp_path / "checkpoint-1795598258000").touch()
    done = run("checkpoint", tmp_path.name, cwd=tmp_path.parent)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"dstreams: file:{tmp_path} is a checkpoint directory of the old engine")


@pytest.mark.parametrize("arguments", [[], ["a", "b"]])
def test_the_command_wants_one_directory(arguments, tmp_path):
    done = run("checkpoint", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("dstreams: checkpoint: name one directory")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(option):
    done = run("checkpoint", option)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, USAGE, "")
    assert "python -m dstreams checkpoint DIR" in run(option).stdout


def test_a_program_of_that_name_wins(tmp_path):
    (tmp_path / "checkpoint").write_text("import sys\nprint('the program', sys.argv[1:])\n")
    done = run("checkpoint", "x", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "the program ['x']\n")


def test_for_programs(made, spark_context):
    """The same as JSON."""
    found = json.loads(inspect(spark_context, str(made), as_json=True))
    n = last(made)
    assert found["directory"] == found["location"] == f"file:{made}" and found["previous"] is None
    assert found["program"]["script"] == "test_checkpoint_command.py" and found["program"]["interval_ms"] == 1000
    assert found["begun"] == found["committed"] and found["committed"]["batch"] == n
    assert found["running"] is False
    inputs = {each["id"]: each for each in found["inputs"]}
    assert inputs["queueStream"]["committed"] == {"n": min(n + 1, len(PAIRS))}
    states = {each["id"]: each for each in found["state"]}
    assert states["totals"]["named"] and states["totals"]["entries"] > 0 and states["totals"]["bytes"] > 0
    assert states["reduceByKeyAndWindow of queueStream"]["partitions"] == 3
    assert len(found["outputs"]) == 4
