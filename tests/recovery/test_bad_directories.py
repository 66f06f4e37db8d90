"""Checkpoint directories that cannot be used: what is said, and that nothing is touched."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark import SparkContext

from dstreams import StreamingContext
from dstreams.errors import CheckpointError, DStreamError, DStreamTypeError, DStreamValueError
from tests.harness import attach, collected, files_below, run_for, times

pytestmark = pytest.mark.recovery

PAIRS = [[("a", 1)]] * 30
RUN = "used"


def total(new, old):
    return sum(new) + (old or 0)


def setup_of(sc: SparkContext, run: str) -> Callable[[], StreamingContext]:
    def setup() -> StreamingContext:
        ssc = StreamingContext(sc, 1)
        attach({"state": ssc.queueStream(PAIRS).updateStateByKey(total)}, run)
        return ssc

    return setup


@pytest.fixture(scope="module")
def template(spark_context, tmp_path_factory) -> Path:
    """A directory of a program that has run, once for all tests."""
    directory = tmp_path_factory.mktemp("template")
    run_for(StreamingContext.getOrCreate(str(directory), setup_of(spark_context, RUN)), 2)
    return directory


@pytest.fixture
def used(template, spark_context, tmp_path) -> tuple[Path, Callable[[], StreamingContext]]:
    """A copy of that directory, and the program's setup function; collected is what that program has given."""
    first = collected[f"{RUN}/state"][: last(template, "offsets") + 1]
    collected[f"{RUN}/state"][:] = first
    directory = shutil.copytree(template, tmp_path / "used")
    return directory, setup_of(spark_context, RUN)


def program_file(directory: Path) -> Path:
    return max((directory / "_dstreams").glob("program-*"))


def write(path: Path, data: bytes) -> None:
    """Write a file as somebody would who does not care for Hadoop's checksums; at once, as drivers do."""
    (path.parent / f".{path.name}.crc").unlink(missing_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(data)
    new.replace(path)


def edit_header(directory: Path, **fields: Any) -> None:
    """Change what a program file says of itself."""
    line, _, payload = program_file(directory).read_bytes().partition(b"\n")
    write(program_file(directory), json.dumps(json.loads(line) | fields).encode() + b"\n" + payload)


def refused(used: tuple[Path, Callable[[], StreamingContext]], **options: Any) -> str:
    """What is said of a directory; nothing in it has been touched, and no context is left."""
    directory, setup = used
    before = files_below(directory)
    ssc = None
    with pytest.raises(CheckpointError) as caught:
        ssc = StreamingContext.getOrCreate(str(directory), setup, **options)
        ssc.start()
    if ssc is not None:
        ssc.stop(stopSparkContext=False)
    assert files_below(directory) == before, "something was touched"
    assert "\tat " not in str(caught.value)
    return str(caught.value)


def last(directory: Path, folder: str) -> int:
    return max(int(path.name) for path in (directory / folder).glob("[0-9]*"))


# ---------------------------------------------------------------------- the saved program


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: data[:-100], r"damaged .*bytes of \d+"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "damaged .*or others than were written"),
        (lambda data: data[:100], "damaged .*no description"),
        (lambda data: b"", "damaged .*no description"),
        (lambda data: b"\x00" * len(data), "damaged .*no description"),
    ],
    ids=["truncated", "a bit flipped", "only its beginning", "empty", "zeros"],
)
def test_damaged_program_file(used, damage, says):
    path = program_file(used[0])
    write(path, damage(path.read_bytes()))
    text = refused(used)
    assert text.startswith("Failed to read checkpoint from directory file:")
    assert re.search(says, text) and "Nothing was changed" in text


def test_a_directory_of_an_older_version(used):
    """It says nothing of runs: there is one, and its successor is another."""
    directory, setup = used
    (directory / "_dstreams" / "current").unlink()
    run_for(StreamingContext.getOrCreate(str(directory), setup), 1)
    batches = dict(collected[f"{RUN}/state"])
    assert [records for _, records in sorted(batches.items())] == [[("a", n + 1)] for n in range(len(batches))]
    ssc = setup()
    ssc.checkpoint(str(directory))
    run_for(ssc, 1)
    current = json.loads((directory / "_dstreams" / "current").read_text())
    assert [run["location"] for run in current] == ["_dstreams/run-2", ""]


def test_program_of_a_newer_version(used):
    edit_header(used[0], format=99, dstreams="7.0")
    text = refused(used)
    assert "written by dstreams 7.0" in text and "Install that version" in text


def test_program_of_another_python(used):
    """Its functions are byte code; its state is not: an upgrade goes on with it."""
    edit_header(used[0], python="3.8.1")
    text = refused(used)
    assert "saved by Python 3.8.1" in text and "upgrade=True" in text
    run_for(StreamingContext.getOrCreate(str(used[0]), used[1], upgrade=True), 1)


def test_keys_hashed_otherwise(used):
    """Another seed or algorithm of Python's hashes: every key would be looked for in the wrong bucket."""
    other = "siphash24" if sys.hash_info.algorithm != "siphash24" else "siphash13"
    edit_header(used[0], hashing=[other, "64", "0"])
    assert other in refused(used)
    assert other in refused(used, upgrade=True)
    edit_header(used[0], hashing=[sys.hash_info.algorithm, str(sys.hash_info.width), "123"])
    assert "PYTHONHASHSEED=123" in refused(used)


def test_another_pyspark_is_warned_of(used, caplog):
    edit_header(used[0], pyspark="4.0.9")
    run_for(StreamingContext.getOrCreate(*map_str(used)), 1)
    assert "was written with pyspark 4.0.9" in caplog.text


def map_str(used):
    return str(used[0]), used[1]


def test_module_that_is_gone(used, monkeypatch):
    """The saved program needs a class that this process does not have."""
    import tests.harness as collect

    monkeypatch.delattr(collect, "Collect")
    text = refused(used)
    assert "cannot be restored (AttributeError" in text and "upgrade=True" in text


# ---------------------------------------------------------------------- the query's logs


def test_missing_commit_runs_the_batch_again(used):
    directory, setup = used
    batch = last(directory, "commits")
    for path in (directory / "commits").glob(f"*{batch}*"):
        path.unlink()
    before = collected[f"{RUN}/state"][-1]
    run_for(StreamingContext.getOrCreate(str(directory), setup), 2)
    batches = collected[f"{RUN}/state"]
    assert batches.count(before) == 2, "the same time and the same state"
    n = len(times(RUN, "state"))
    assert batches[-1][1] == [("a", n)], "nothing is lost or counted twice"


def test_missing_offsets(used):
    directory, _ = used
    batch = last(directory, "offsets")
    kept = (directory / "offsets" / str(batch)).read_bytes()
    (directory / "offsets" / str(batch)).unlink()
    if (directory / "commits" / str(batch)).exists():
        text = refused(used)
        assert f"offsets/{batch} is missing, although batch {batch} was committed" in text
    write(directory / "offsets" / str(batch), kept)
    (directory / "offsets" / str(batch - 1)).unlink()
    text = refused(used)
    assert f"offsets/{batch - 1} is missing, which tells where batch {batch} begins" in text


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:10], lambda data: b"v7\n{}\n0"])
def test_damaged_offsets(used, damage):
    directory, _ = used
    path = directory / "offsets" / str(last(directory, "offsets"))
    write(path, damage(path.read_bytes()))
    assert f"offsets/{path.name} is damaged" in refused(used)


def test_offsets_of_another_run(used):
    directory, _ = used
    path = directory / "offsets" / str(last(directory, "offsets"))
    write(path, path.read_bytes() + b"\n0")
    assert "they are not of the same run" in refused(used)


def test_a_directory_that_was_moved(used, template, tmp_path):
    """Spark has written full names of files into it."""
    directory, setup = used
    moved = directory.rename(tmp_path / "moved")
    run_for(StreamingContext.getOrCreate(str(moved), setup), 1)
    files = [path for path in (moved / "state").rglob("*") if path.is_file()]
    assert not [path for path in files if str(template).encode() in path.read_bytes()]
    batches = dict(collected[f"{RUN}/state"])
    assert [records for _, records in sorted(batches.items())] == [[("a", n + 1)] for n in range(len(batches))]


def test_missing_state(used):
    """Spark says which file it misses; the batch is not committed."""
    directory, setup = used
    for path in (directory / "state").rglob("*.changelog"):
        path.unlink()
    for path in (directory / "state").rglob("*.zip"):
        path.unlink()
    committed = last(directory, "commits")
    ssc = StreamingContext.getOrCreate(str(directory), setup)
    ssc.start()
    with pytest.raises(Exception, match=r"(?s)state.*changelog|CANNOT_LOAD_STATE_STORE") as caught:
        ssc.awaitTermination(200)
    ssc.stop(stopSparkContext=False)
    assert "\tat " not in str(caught.value)
    assert last(directory, "commits") == committed


def test_directory_of_another_structured_streaming_job(spark_session, tmp_path):
    directory = tmp_path / "theirs"
    query = (
        spark_session.readStream.format("rate-micro-batch").option("rowsPerBatch", 1).load()
        .writeStream.format("noop").option("checkpointLocation", str(directory)).trigger(once=True).start()
    )  # fmt: skip
    assert query.awaitTermination(200)
    text = refused((directory, lambda: pytest.fail("not called")))
    assert "no program is saved in it" in text and "another Structured Streaming job" in text


# ---------------------------------------------------------------------- the old engine

OLD_PROGRAM = """
import sys, warnings
warnings.simplefilter("ignore")
from pyspark import SparkContext
from pyspark.streaming import StreamingContext
directory, incoming = sys.argv[1:]
sc = SparkContext("local[2]", "old")
sc.setLogLevel("ERROR")
ssc = StreamingContext(sc, 1)
ssc.checkpoint(directory)
pairs = ssc.textFileStream(incoming).map(lambda w: (w, 1))
pairs.updateStateByKey(lambda n, o: sum(n) + (o or 0)).foreachRDD(lambda rdd: None)
ssc.start()
ssc.awaitTerminationOrTimeout(4)
ssc.stop()
"""


@pytest.mark.old_engine
def test_directory_of_the_old_engine(spark_context, tmp_path):
    """A real one: it is recognised, and what can be done is said."""
    (tmp_path / "incoming").mkdir()
    (tmp_path / "old.py").write_text(OLD_PROGRAM)
    directory = tmp_path / "old"
    done = subprocess.run(
        [sys.executable, str(tmp_path / "old.py"), str(directory), str(tmp_path / "incoming")],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert list(directory.glob("checkpoint-*")), done.stderr
    for options in ({}, {"upgrade": True}):
        text = refused((directory, lambda: pytest.fail("not called")), **options)
        assert "checkpoint directory of the old engine" in text
        assert "initialRDD" in text and "docs/how-to/migrate.md" in text and "cannot be gone on with" in text


# ---------------------------------------------------------------------- an exchange that has got elsewhere


def with_exchange(sc: SparkContext) -> Callable[[], StreamingContext]:
    def setup() -> StreamingContext:
        ssc = StreamingContext(sc, 1)
        doubled = ssc.queueStream(PAIRS).transform(lambda rdd: rdd.mapValues(lambda v: 2 * v))
        attach({"state": doubled.updateStateByKey(total)}, "exchanged")
        return ssc

    return setup


@pytest.fixture(scope="module")
def exchanged(spark_context, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("exchanged")
    run_for(StreamingContext.getOrCreate(str(directory), with_exchange(spark_context)), 4)
    return directory


def lose(directory: Path, folder: str, *names: int) -> None:
    for name in names:
        for path in (directory / folder / str(name), directory / folder / f".{name}.crc"):
            path.unlink(missing_ok=True)


INNER = "_dstreams/exchange-1"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d, n: shutil.rmtree(d / INNER), "has committed no batch, the program the batches up to"),
        (lambda d, n: lose(d, f"{INNER}/commits", n), r"has committed the batches up to \d+ ms, the program"),
        (
            lambda d, n: (lose(d, f"{INNER}/commits", n), lose(d, f"{INNER}/offsets", n)),
            r"has committed the batches up to \d+ ms, the program",
        ),
        (
            lambda d, n: (lose(d, "commits", n, n - 1), lose(d, "offsets", n)),
            r"has committed the batches up to \d+ ms, the program",
        ),
    ],
    ids=["missing", "its last commit is missing", "behind", "ahead"],
)
def test_an_exchange_of_another_run(exchanged, spark_context, tmp_path, spoil, says):
    """Its state would not be that of the program's batches."""
    directory = Path(shutil.copytree(exchanged, tmp_path / "copy"))
    spoil(directory, last(directory, "commits"))
    text = refused((directory, with_exchange(spark_context)))
    assert re.search(says, text) and "In it is the state of updateStateByKey" in text and "Nothing was changed" in text


def test_an_exchange_that_is_a_batch_ahead(exchanged, spark_context, tmp_path):
    """A kill between the two commits: the batch is run again, with the state of before."""
    directory = Path(shutil.copytree(exchanged, tmp_path / "copy"))
    n = last(directory, "commits")
    lose(directory, "commits", n)
    before = len(collected["exchanged/state"])
    run_for(StreamingContext.getOrCreate(str(directory), with_exchange(spark_context)), 2)
    again = [records for _, records in collected["exchanged/state"][before:]]
    assert again[:2] == [[("a", 2 * (n + 1))], [("a", 2 * (n + 2))]]


# ---------------------------------------------------------------------- where nothing can be written


def test_directory_that_cannot_be_made(spark_context, tmp_path):
    (tmp_path / "file").write_text("no directory")
    for path in (str(tmp_path / "file" / "checkpoint"), "/proc/checkpoint"):
        with pytest.raises(DStreamValueError, match="checkpoint: cannot write to the directory") as caught:
            StreamingContext.getOrCreate(path, setup_of(spark_context, "nowhere"))
        assert path in str(caught.value) and "\tat " not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("nofs://host/checkpoint", r"No FileSystem for scheme.*: start Spark with --packages or --jars"),
        ("s3a://bucket/checkpoint", r"S3AFileSystem.*: start Spark with --packages org\.apache\.hadoop:hadoop-aws:3\."),
        ("s3://bucket/checkpoint", r"No FileSystem for scheme.*Hadoop's name for S3 is s3a://"),
    ],
)
def test_file_system_without_its_jars(path, advice, spark_context):
    with pytest.raises(CheckpointError, match=f"Failed to read checkpoint from directory {path}: .*{advice}"):
        StreamingContext.getOrCreate(path, setup_of(spark_context, "nowhere"))
    ssc = StreamingContext(spark_context, 1)
    with pytest.raises(DStreamValueError, match=f"checkpoint: cannot write to the directory {path} .*{advice}"):
        ssc.checkpoint(path)


@pytest.mark.parametrize("path", [None, 7, "", b"bytes"])
def test_no_path(path, spark_context):
    with pytest.raises((DStreamTypeError, DStreamValueError), match="checkpoint: "):
        StreamingContext.getOrCreate(path, setup_of(spark_context, "nowhere"))


def test_setup_function_that_gives_no_context(tmp_path):
    with pytest.raises(DStreamTypeError, match=r"setupFunc must return the StreamingContext .* got NoneType"):
        StreamingContext.getOrCreate(str(tmp_path), lambda: None)
    with pytest.raises(DStreamTypeError, match="setupFunc should be callable"):
        StreamingContext.getOrCreate(str(tmp_path), None)


class Disk:
    """A disk that can be filled: a small one of its own where the test may mount one, else the limit of file sizes.

    Parameters
    ----------
    directory : Path
        Where it is.
    jvm : int
        Process that writes to it.
    """

    def __init__(self, directory: Path, jvm: int) -> None:
        self.directory = directory
        self._jvm = jvm
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(directory)]
        self.mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0

    def fill(self) -> None:
        if not self.mounted:
            resource.prlimit(self._jvm, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            return
        with open(self.directory / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        (self.directory / "filler").unlink(missing_ok=True)
        resource.prlimit(self._jvm, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def close(self) -> None:
        self.free()
        if self.mounted:
            # Lazy: it was busy once after the program had ended, by what is not known.
            subprocess.run(["umount", "--lazy", str(self.directory)], check=True)


@pytest.fixture
def disk(spark_context, tmp_path):
    directory = tmp_path / "disk"
    directory.mkdir()
    found = Disk(directory, spark_context._jvm.java.lang.ProcessHandle.current().pid())
    yield found
    found.close()


def test_full_disk(spark_context, disk):
    """The program ends with what the system says; when there is room again, it goes on exactly."""
    collected["full/state"].clear()
    setup = setup_of(spark_context, "full")
    ssc = StreamingContext.getOrCreate(str(disk.directory / "checkpoint"), setup)

    class FillAfterTwo:
        def onBatchCompleted(self, _: Any) -> None:
            if len(collected["full/state"]) == 2:
                disk.fill()

    ssc.addStreamingListener(FillAfterTwo())
    ssc.start()
    with pytest.raises(DStreamError, match=r"No space left on device|File too large") as caught:
        ssc.awaitTermination(200)
    ssc.stop(stopSparkContext=False)
    assert "\tat " not in str(caught.value)
    disk.free()
    run_for(StreamingContext.getOrCreate(str(disk.directory / "checkpoint"), setup), 2)
    batches = dict(collected["full/state"])
    assert [records for _, records in sorted(batches.items())] == [[("a", n + 1)] for n in range(len(batches))]


# ---------------------------------------------------------------------- two drivers


def test_a_second_driver_is_refused(used):
    """The lock of the first one holds, and the second one says who has it."""
    directory, _ = used
    code = (
        "import fcntl, os, sys\n"
        "lock = os.open(sys.argv[1], os.O_RDWR)\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    lock = str(directory / "_dstreams" / "lock")
    with subprocess.Popen(
        [sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None and first.stdout.readline() == "locked\n"
        text = refused(used)
        assert "another program is running on the checkpoint directory" in text and "process " in text
        first.kill()
    run_for(StreamingContext.getOrCreate(*map_str(used)), 1)


def test_a_driver_that_was_replaced_ends(used):
    """On a disk that machines share without sharing locks the later one wins, and the earlier one does not commit."""
    directory, setup = used
    ssc = StreamingContext.getOrCreate(str(directory), setup)
    taken = []

    class TakeOver:
        def onBatchCompleted(self, _: Any) -> None:
            if not taken:
                taken.append(1)
                write(directory / "_dstreams" / "owner", b"process 1 on elsewhere")

    ssc.addStreamingListener(TakeOver())
    ssc.start()
    with pytest.raises(CheckpointError, match=r"another program \(process 1 on elsewhere\) has taken over"):
        ssc.awaitTermination(200)
    ssc.stop(stopSparkContext=False)
    run_for(StreamingContext.getOrCreate(str(directory), setup), 1)
    batches = dict(collected[f"{RUN}/state"])
    assert [records for _, records in sorted(batches.items())] == [[("a", n + 1)] for n in range(len(batches))]


# ---------------------------------------------------------------------- programs that cannot be saved


def test_function_that_closes_over_the_spark_context(spark_context, tmp_path):
    """The old engine's text, at start, with the operation."""
    sc = spark_context
    for op, define in {
        "foreachRDD": lambda stream: stream.foreachRDD(lambda rdd: sc.emptyRDD()),
        "transform": lambda stream: stream.transform(lambda rdd: sc.emptyRDD()).pprint(),
    }.items():
        ssc = StreamingContext(sc, 1)
        ssc.checkpoint(str(tmp_path / op))
        define(ssc.queueStream([[1]]))
        with pytest.raises(DStreamTypeError, match="CONTEXT_ONLY_VALID_ON_DRIVER") as caught:
            ssc.start()
        assert f"{op} at test_bad_directories.py:" in str(caught.value) and "rdd.context" in str(caught.value)
        assert not (tmp_path / op / "offsets").exists()
        ssc.stop(stopSparkContext=False)


def test_function_that_closes_over_a_stream(spark_context, tmp_path):
    ssc = StreamingContext(spark_context, 1)
    ssc.checkpoint(str(tmp_path))
    stream = ssc.queueStream([[1]])
    stream.foreachRDD(lambda rdd: stream.count())
    with pytest.raises(DStreamTypeError, match=r"foreachRDD at .*cannot be saved in the checkpoint directory"):
        ssc.start()
    ssc.stop(stopSparkContext=False)
