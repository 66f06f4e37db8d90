"""What ``python -m dstreams check`` says of programs is what running them shows.

The programs in ``field`` stand for what is in use: tutorials' and production's, for Spark 1 to 3, in the style of their
time. Those that are said to run do, on records of the test, and give what they should; those that are said to need a
change raise what was said.
"""

from __future__ import annotations

import ast
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dstreams._check.command import Checked, check
from dstreams._check.sources import read
from dstreams._compatibility import CHANGE, NOTE, RUNS
from dstreams.testing import ProgramFailed
from tests.programs.program import EXAMPLES
from tests.programs.test_running import PROJECT

pytestmark = pytest.mark.engine

FIELD = Path(__file__).parent / "field"
SOCKET = ["localhost", "9999"]


class Case(NamedTuple):
    """A program that runs: records of each batch, what its first ``pprint`` (or first output) gets in the last one."""

    batches: list[Any]
    expected: list[Any]
    arguments: list[str] = SOCKET
    verdict: str = RUNS
    then: Callable[[Path, str], None] | None = None
    """What else to see, in the folder ``{tmp}`` and in what was printed."""


def database(folder: Path, _: str) -> None:
    rows = sqlite3.connect(folder / "words.db").execute("select * from words order by word").fetchall()
    assert rows == [("be", 2), ("not", 3), ("to", 2)]


def shown_table(_: Path, printed: str) -> None:
    assert "|   a|    2|" in printed and "========= 2000-01-01 00:00:01 =========" in printed


def offsets(_: Path, printed: str) -> None:
    assert "orders 0 0 1" in printed.splitlines()


def listened(folder: Path, _: str) -> None:
    deadline = time.monotonic() + 60
    while not (folder / "log").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (folder / "log").read_text().split()[0].isdigit()


def kept(folder: Path, _: str) -> None:
    assert (folder / "out").read_text() == "[('x', 2)] 2\n"


def compared(folder: Path, _: str) -> None:
    assert (folder / "out").read_text().splitlines()[-1] == "1 before, 2 now"


def saved(folder: Path, _: str) -> None:
    (directory,) = folder.glob("out-*.txt")
    lines = [line for part in directory.glob("part-*") for line in part.read_text().splitlines()]
    assert sorted(lines) == ["BE", "TO"]


WORDS = ["to be or", "not to be"]
COUNTS = [("be", 2), ("not", 1), ("or", 1), ("to", 2)]
TWO = {"socketTextStream": ["u1,o1", "u2,o2"], "socketTextStream_2": ["u1,ann"]}

RUNNING = {
    "socket_wordcount.py": Case([WORDS], COUNTS),
    "log_files.py": Case([["h1 09:00 ERROR x", "h2 09:01 INFO y", "h1 09:02 ERROR z"]], [("h1", 2)], ["/logs"]),
    "queue_squares.py": Case([None, None, None], [4 + 9 + 16], []),
    "stateful_totals.py": Case([["hello you"], ["you"]], [("hello", 2), ("world", 1), ("you", 2)]),
    "window_inverse.py": Case([["a"], ["a"], ["b"]], [("a", 1), ("b", 1)]),
    "spam_filter.py": Case([["casino", "hello"]], ["hello"]),
    "database_output.py": Case([["to", "be", "not"]], [("be", 2), ("not", 3), ("to", 2)], [*SOCKET, "{tmp}/words.db"],
                               then=database),
    "sql_wordcount.py": Case([["a b a"]], ["a", "a", "b"], then=shown_table),
    "recoverable.py": Case([["a", "b", "a"]], [("a", 2), ("b", 1)], [*SOCKET, "checkpoint"], NOTE),
    "kafka_direct.py": Case([[(None, "a b a")]], [("a", 2), ("b", 1)], ["broker:9092", "orders"], NOTE, offsets),
    "kafka_receiver.py": Case([[(None, '{"user": "u", "amount": 2}'), (None, '{"user": "u", "amount": 3}')]],
                              [("u", 5)], ["zk:2181", "broker:9092"], NOTE),
    "kinesis_wordcount.py": Case([WORDS], COUNTS, ["app", "words", "https://kinesis", "eu-west-1"], NOTE),
    "flume_wordcount.py": Case([[({"host": "h"}, b"a b"), ({}, b"a")]], [("a", 2), ("b", 1)], verdict=NOTE),
    "listener.py": Case([["a", "b"]], [2], [*SOCKET, "{tmp}/log"], then=listened),
    "shared_variables.py": Case([["a x x b"]], [("a", 1), ("b", 1), ("x", 2)], [*SOCKET, "{tmp}/out"], then=kept),
    "kmeans.py": Case([["1 1", "9 9"]], [("[1.0,1.0]", 0), ("[9.0,9.0]", 1)], ["/points"]),
    "recent_batches.py": Case([["a"], ["b", "c"]], ["b", "c"], [*SOCKET, "{tmp}/out"], NOTE, compared),
    "binary_records.py": Case([[struct.pack("<ii", 1, 2), struct.pack("<ii", 1, 3)]], [(1, [2, 3])], ["/records"]),
    "trending_hashtags.py": Case([["#A #b"], ["x #a"]], [("#a", 3), ("#b", 2)]),
    "partitions.py": Case([["1", "2", "3"]], [(0, 2.0), (1, 2.0)]),
    "save_files.py": Case([["to", "be"]], ["BE", "TO"], ["/lines", "{tmp}/out"], then=saved),
    "joins.py": Case([TWO], [("u1", ("o1", "ann")), ("u2", ("o2", None))], [*SOCKET, "9998"]),
    "until_timeout.py": Case([None], ["aa", "bb"], []),
    "persisted.py": Case([["a"], ["a", "b"]], [("a", 2), ("b", 1)], verdict=NOTE),
    "job_class.py": Case([["a ", " ", "a"]], [("a", 2)], verdict=NOTE),
    "notebook.ipynb": Case([["a b a"]], [("a", 2), ("b", 1)], [], NOTE),
}  # fmt: skip

REFUSED = {
    "kafka_zookeeper.py": ["zk:2181", "words"],
    "flume_polling.py": SOCKET,
    "mqtt_wordcount.py": ["tcp://broker:1883", "words"],
    "jvm_queue.py": [],
    "jssc_checkpoint.py": SOCKET,
    "jvm_logger.py": SOCKET,
    "transform_function.py": SOCKET,
    "hadoop_output.py": SOCKET,
}
"""Programs that raise the table's sentence, and their arguments."""

LACKING = {
    "python2_names.py": "name 'xrange' is not defined",
    "serialized_level.py": "has no attribute 'MEMORY_AND_DISK_SER'",
}
"""Programs that use what is not there, and what Python says."""

BEFORE_SPARK = ["python2_print.py", "kafka_package.py"]
"""Programs that are refused in a process of their own, before a JVM is started."""


def changes(checked: Checked) -> list[str]:
    """The sentences of what needs a change."""
    return [use.fact.sentence for use in checked.uses if use.fact.verdict == CHANGE]


def test_every_program_is_run():
    names = {path.name for path in FIELD.iterdir() if path.is_file()}
    assert names == RUNNING.keys() | REFUSED.keys() | LACKING.keys() | set(BEFORE_SPARK)
    assert len(names) > 30


@pytest.mark.parametrize("name", RUNNING)
def test_what_is_said_to_run(name, stream_test, tmp_path, capsys, monkeypatch):
    case = RUNNING[name]
    for module in [module for module in sys.modules if module.startswith("pyspark.mllib")]:
        monkeypatch.delitem(sys.modules, module)  # in a process of its own it would get our DStream
    assert check(str(FIELD / name)).verdict == case.verdict
    path = script_of(FIELD / name, tmp_path)
    run = stream_test(path, args=[argument.replace("{tmp}", str(tmp_path)) for argument in case.arguments])
    for records in case.batches:
        inputs = records if isinstance(records, dict) else {}
        result = run.batch(*([records] if isinstance(records, list) else []), **inputs)
    assert sorted(result["pprint"] if "pprint" in result else result[0]) == case.expected
    if case.then is not None:
        case.then(tmp_path, capsys.readouterr().out)


def script_of(path: Path, folder: Path) -> Path:
    """Give a program's file; of a notebook, one that runs its cells."""
    if path.suffix != ".ipynb":
        return path
    script = folder / "notebook.py"
    script.write_text("\n".join(ast.unparse(block.tree) for block in read(str(path)).blocks if block.tree is not None))
    return script


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, stream_test):
    checked = check(str(FIELD / name))
    assert checked.verdict == CHANGE
    with pytest.raises(ProgramFailed) as failed:
        stream_test(FIELD / name, args=REFUSED[name])
    assert any(sentence in str(failed.value.__cause__) for sentence in changes(checked)), failed.value


@pytest.mark.parametrize("name", LACKING)
def test_what_is_not_there(name, stream_test):
    assert check(str(FIELD / name)).verdict == CHANGE
    with pytest.raises(ProgramFailed, match=LACKING[name]):
        stream_test(FIELD / name, args=SOCKET)


@pytest.mark.parametrize("name", BEFORE_SPARK)
def test_what_is_refused_before_spark(name):
    checked = check(str(FIELD / name))
    done = subprocess.run(
        [sys.executable, "-m", "dstreams", str(FIELD / name)], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 1
    (sentence,) = changes(checked)
    assert sentence in done.stderr
    assert "Setting default log level" not in done.stderr, "no JVM was started"


def test_the_examples_and_pysparks():
    """They are run by test_examples.py, test_running.py, test_pyspark_examples.py and test_recoverable_example.py."""
    noted = {"kafka_wordcount", "mqtt_receiver", "order_totals", "running_totals", "windows"}
    noted.add("recoverable_network_wordcount")
    checked = [check(str(path)) for folder in (PROJECT / "examples", EXAMPLES) for path in folder.glob("*.py")]
    verdicts = {each.path: each.verdict for each in checked if each.uses}
    assert len(verdicts) > 16
    assert verdicts == {path: NOTE if Path(path).stem in noted else RUNS for path in verdicts}
