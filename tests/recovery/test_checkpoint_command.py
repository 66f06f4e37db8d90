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

import pyspark
import pytest
from pyspark import RDD

from dstreams import StreamingContext
from dstreams._plan.identity import Operation
from dstreams._run.layout import Layout
from dstreams._run.program import read_program, save_program
from dstreams._run.report import Report
from dstreams._run.runs import folder_name
from dstreams._spark.files import files_of
from dstreams.errors import CheckpointError, DStreamValueError
from tests.harness import attach, run_for

pytestmark = pytest.mark.recovery

HERE = f"process {os.getpid()} on {os.uname().nodename}"
PAIRS = [[("a", 1), ("b", 1)], [("a", 2)], [], [("c", 5)]]
AGE = re.compile(r"\([0-9a-z ,:]* (ago|from now)\)")


def total(new, old):
    return sum(new) + (old or 0)


class Reports:
    """An output that reports what the directory holds while a batch runs; it can be pickled."""

    texts: ClassVar[list[str]] = []

    def __init__(self, directory: Path) -> None:
        self.directory = str(directory)

    def __call__(self, rdd: RDD[Any]) -> None:
        if len(self.texts) < 2:
            self.texts.append(Report(rdd.context, self.directory).text())


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
        pairs.foreachRDD(Reports(directory))
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

    def tell(directory: Path, now_ms: int | None = None) -> str:
        before = everything(directory)
        try:
            text = Report(spark_context, str(directory)).text(now_ms)
        finally:
            assert everything(directory) == before
        assert max(map(len, text.splitlines())) <= 100
        return text

    return tell


def everything(directory: Path) -> dict[str, bytes | None]:
    """Every file and folder; when a folder has changed, its time has.

    To read a state, Spark 4.1 and 4.2 open the file of the next changes and remove it: its folders have another time.
    """
    opens = pyspark.__version__.startswith(("4.1.", "4.2."))
    found: dict[str, bytes | None] = {}
    for path in [directory, *sorted(directory.rglob("*"))]:
        time_ns = 0 if opens and path.is_dir() and "state" in path.parts else path.stat().st_mtime_ns
        found[f"{path} {time_ns}"] = path.read_bytes() if path.is_file() else None
    return found


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
    program = section(text, "Program")
    labels = ("script", "interval", "parallelism", "master")
    assert [field(program, label) for label in labels] == ["test_checkpoint_command.py", "1 s", "2", "local[2]"]
    assert field(program, "saved").endswith("ago)") and field(program, "python").startswith("3.")
    assert field(text, "begun") == field(text, "committed") and field(text, "begun").startswith(f"batch {n}, time 2")
    assert (field(text, "pending"), field(text, "running")) == ("no", "no")
    assert field(text, "driver") == HERE

    assert field(section(text, "queueStream"), "committed") == f"elements {n + 1}"
    assert field(tell(made, now_ms=tick["time"] + 200_000), "committed").endswith("(0:03:20 ago)")
    assert "(2 days, 3:00:00 ago)" in tell(made, now_ms=tick["time"] + 51 * 3600_000)

    totals = section(text, "totals")
    assert field(totals, "call").startswith("updateStateByKey(")
    assert field(totals, "reads") == "queueStream"
    assert field(totals, "named") == "yes"
    assert field(totals, "initial") == "with an initial state, which it has"
    window = section(text, "reduceByKeyAndWindow of queueStream")
    assert (field(window, "named"), field(window, "partitions")) == ("no", "3")
    exchange = section(text, "updateStateByKey of queueStream")
    for operation in (totals, window, exchange):
        assert int(field(operation, "entries")) > 0
        assert re.fullmatch(r"[1-9][\d,.]* (bytes|KiB)", field(operation, "size"))
    assert re.fullmatch(r"operations 3, entries [1-9]\d*, size .*, unreadable 0", field(text, "total"))
    assert re.search(
        r"^  state       size .*\n  _dstreams/exchange-1/state size ", section(text, "On disk"), re.MULTILINE
    )
    assert section(text, "Outputs").splitlines()[0].strip().startswith("foreachRDD at harness.py:")
    assert field(section(text, "_dstreams/exchange-1"), "state") == "updateStateByKey of queueStream"
    assert field(section(text, "_dstreams/exchange-1"), "committed").startswith("batch ")
    assert field(text, "previous") == "none"


def test_the_state_of_each_operation_is_its_own(made, tell, spark_session):
    """What is told agrees with what Spark's reader gives for the whole operator."""
    text = tell(made)
    reader = spark_session.read.format("statestore").option("stateVarName", "state").option("batchId", last(made))
    stored = [len(row["user_map_value"]["data"]) for row in reader.load(str(made)).collect()]
    told = [field(section(text, id), "entries") for id in ("totals", "reduceByKeyAndWindow of queueStream")]
    assert sum(map(int, told)) == len(stored)


def test_while_a_driver_runs(made):
    first, second = Reports.texts
    for n, text in enumerate((first, second)):
        assert f"batch {n}, time " in field(text, "begun")
        assert field(text, "pending").startswith("yes: the batch that was begun is running, or will be run again")
        assert (field(text, "running"), field(text, "driver")) == ("yes", HERE)
    assert field(first, "committed") == "nothing yet"
    assert field(second, "committed").startswith("batch 0, time ")
    assert field(section(first, "totals"), "entries") == "0"
    for operation in ("totals", "updateStateByKey of queueStream"):
        assert int(field(section(second, operation), "entries")) > 0


def test_a_batch_that_is_pending(copy, tell):
    n = last(copy)
    delete(copy / f"commits/{n}")
    text = tell(copy)
    assert field(text, "pending").endswith("will be run again at the next start")
    assert field(text, "begun").startswith(f"batch {n}, time ")
    assert re.fullmatch(rf"batch {n - 1}, time .* (ago|from now)\)", field(text, "committed"))
    queue = section(text, "queueStream")
    assert (field(queue, "committed"), field(queue, "begun")) == (f"elements {n}", f"elements {n + 1}")
    assert int(field(section(text, "updateStateByKey of queueStream"), "entries")) > 0


def test_no_batch_yet(copy, tell):
    for folder in ("offsets", "commits", "state", "_dstreams/exchange-1"):
        shutil.rmtree(copy / folder)
    text = tell(copy)
    assert (field(text, "begun"), field(text, "pending")) == ("nothing yet", "no")
    assert field(section(text, "queueStream"), "begun") == "nothing yet"
    assert field(section(text, "totals"), "initial") == "with an initial state, which it gets yet"
    assert field(section(text, "totals"), "entries") == "0"
    assert "On disk" not in text


def test_a_first_batch_that_is_pending(copy, tell):
    for path in [*(copy / "offsets").iterdir(), *(copy / "commits").iterdir()]:
        if path.name != "0" or path.parent.name == "commits":
            path.unlink()
    text = tell(copy)
    assert field(text, "pending").startswith("yes")
    assert field(text, "committed") == "nothing yet"
    assert field(section(text, "queueStream"), "committed") == "nothing yet"
    assert field(section(text, "queueStream"), "begun") == "elements 1"
    assert field(section(text, "totals"), "entries") == "0"


def test_a_driver_that_runs_keeps_its_lock(copy, tell):
    lock = os.open(copy / "_dstreams/lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        n = last(copy)
        delete(copy / f"commits/{n}")
        text = tell(copy)
        assert (field(text, "running"), field(text, "driver")) == ("yes", HERE)
        assert "is running, or will be run again" in field(text, "pending")
        with pytest.raises(BlockingIOError):
            other = os.open(copy / "_dstreams/lock", os.O_RDWR)
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            finally:
                os.close(other)
    finally:
        os.close(lock)
    assert field(tell(copy), "running") == "no"


def test_another_file_system(copy, tell, spark_context):
    conf = spark_context._jsc.hadoopConfiguration()
    conf.set("fs.viewfs.mounttable.told.link./here", f"file:{copy}")
    before = everything(copy)
    text = Report(spark_context, "viewfs://told/here").text()
    assert everything(copy) == before
    assert text.startswith("Checkpoint directory viewfs://told/here\n")
    assert field(text, "running") == "cannot be told on this file system"
    assert int(field(section(text, "totals"), "entries")) > 0


def test_a_run_that_was_replaced(spark_context, tmp_path, tell):
    """A second program that begins anew: where it is, and where the first one is kept."""

    def run() -> None:
        ssc = StreamingContext(spark_context, 1)
        ssc.checkpoint(str(tmp_path / "c"))
        attach({"state": ssc.queueStream(PAIRS).updateStateByKey(total)}, "replaced")
        run_for(ssc, 1)

    run()
    assert field(tell(tmp_path / "c"), "previous") == "none"
    run()
    current = (tmp_path / "c" / "_dstreams" / "current").read_bytes()
    (tmp_path / "c" / "_dstreams" / "current").unlink()
    with pytest.raises(CheckpointError, match=r"_dstreams/current is missing.*there is _dstreams/run-2\. Restore it"):
        tell(tmp_path / "c")
    (tmp_path / "c" / "_dstreams" / "current").write_bytes(current)
    text = tell(tmp_path / "c")
    assert field(text, "location") == f"file:{tmp_path}/c/_dstreams/run-2"
    assert field(text, "previous") == f"the run before the last upgrade or fresh start is kept in file:{tmp_path}/c"
    assert field(section(text, "updateStateByKey of queueStream"), "size").endswith("bytes")


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
        assert field(section(text, id), "error").startswith("could not be read: ")
    assert int(field(section(text, "updateStateByKey of queueStream"), "entries")) > 0
    assert field(text, "total").endswith("unreadable 2")
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
    logs = crafted / "_dstreams/log"
    for folder, size in ((folder_name("socketTextStream(h:1)"), 5000), ("old-12345678", 10)):
        (logs / folder).mkdir(parents=True)
        (logs / folder / f"{0:020d}-0.wal").write_bytes(bytes(size))
    text = tell(crafted, now_ms=1500)
    receiver = section(text, "socketTextStream(h:1)")
    assert (field(receiver, "committed"), field(receiver, "begun")) == ("elements 1,234", "elements 1,235")
    files = section(text, "files")
    assert (field(files, "committed"), field(files, "begun")) == ("logOffset 3", "nothing yet")
    disk = section(text, "On disk").splitlines()
    log = f"_dstreams/log/{folder_name('socketTextStream(h:1)')}"
    assert f"  {log} input socketTextStream(h:1), size 4.9 KiB" in disk
    assert "  _dstreams/log/old-12345678 input one that the program does not have, size 10 bytes" in disk
    assert field(text, "committed").startswith("batch 0, time 1970-01-01 ")
    assert field(text, "committed").endswith("01.500 (0:00:00 ago)")
    assert (field(text, "running"), field(text, "driver")) == ("no", "an unknown process")
    assert field(text, "total").startswith("operations 0,") and "Operations with state" not in text


def test_no_secrets(crafted, tell):
    text = tell(crafted)
    assert (field(text, "interval"), field(text, "master")) == ("0.5 s", "yarn")
    assert "hush" not in text and "s3a.secret" not in text
    assert field(section(text, "files"), "call") == "textFileStream(s3a://key:***@bucket/in)"


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
        Report(spark_context, f"{tmp_path}/nothing")
    (tmp_path / "file").touch()
    with pytest.raises(DStreamValueError, match=r"^no such directory"):
        Report(spark_context, f"{tmp_path}/file")
    with pytest.raises(DStreamValueError, match=r"^nosuch://x/y: .*No FileSystem for scheme .* The classes of nosuch"):
        Report(spark_context, "nosuch://x/y")


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
    assert done.stderr.startswith("usage: python -m dstreams checkpoint [-h] [--json | --repartition N] DIR\n")
    said = "unrecognized arguments: b" if arguments else "arguments are required: DIR"
    assert said in done.stderr


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(option):
    done = run("checkpoint", option)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: python -m dstreams checkpoint [-h] [--json | --repartition N] DIR" in done.stdout
    assert "spread the state of a program that does not run" in " ".join(done.stdout.split())
    assert "python -m dstreams checkpoint DIR" in run(option).stdout


def test_a_program_of_that_name_wins(tmp_path):
    (tmp_path / "checkpoint").write_text("import sys\nprint('the program', sys.argv[1:])\n")
    done = run("checkpoint", "x", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "the program ['x']\n")


def test_for_programs(made, spark_context):
    """The same as JSON."""
    found = json.loads(Report(spark_context, str(made)).json())
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
