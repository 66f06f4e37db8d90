"""The streaming programs that PySpark ships, unmodified, on both engines: the same output is expected."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pyspark
import pytest

from tests.programs.feed import Feed
from tests.programs.program import EXAMPLES, RUNNERS, Program, run

pytestmark = [
    pytest.mark.engine,
    # The old engine takes part where all tests are run: what it gives does not change from day to day.
    pytest.mark.parametrize(
        "engine",
        [pytest.param(name, id=name, marks=[] if name == "dstreams" else pytest.mark.slow) for name in RUNNERS],
    ),
]

TEXT = b"to be or not to be\nthat is the question\r\nto be\n"
WORDS = Counter(TEXT.decode().split())
HEADER = re.compile(r"Time: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")


def printed_pairs(program: Program) -> Counter:
    """Sum of all pairs that pprint has shown, over all batches."""
    pairs = Counter()
    for line in program.lines:
        if line.startswith("("):
            key, value = ast.literal_eval(line)
            pairs[key] += value
    return pairs


def end(program: Program, engine: str) -> None:
    """Interrupt the program as its user would; ours ends without a stack of the JVM."""
    program.interrupt()
    if engine == "dstreams":
        assert not [line for line in program.errors if "\tat " in line or "Py4J" in line], program.report()


def test_network_wordcount(engine, tmp_path):
    with (
        Feed() as feed,
        run(engine, EXAMPLES / "network_wordcount.py", feed.host, str(feed.port), cwd=tmp_path) as program,
    ):
        feed.wait_for_client()
        feed.send(TEXT)
        program.wait_for(lambda: printed_pairs(program) == WORDS, f"the counts {WORDS}")
        headers = [line for line in program.lines if line.startswith("Time:")]
        assert headers and all(HEADER.match(line) for line in headers)
        first = next(i for i, line in enumerate(program.lines) if line.startswith("("))
        assert program.lines[first - 3] == program.lines[first - 1] == "-" * 43
        end(program, engine)


@pytest.mark.slow
def test_stateful_network_wordcount(engine, tmp_path):
    """It keeps its state in ``checkpoint`` below the working directory, and starts with two words."""

    def last() -> dict:
        """What the batch that was printed last says."""
        starts = [i for i, line in enumerate(program.lines) if HEADER.match(line)]
        pairs = (
            [ast.literal_eval(line) for line in program.lines[starts[-1] :] if line.startswith("(")] if starts else []
        )
        return dict(pairs)

    with (
        Feed() as feed,
        run(engine, EXAMPLES / "stateful_network_wordcount.py", feed.host, str(feed.port), cwd=tmp_path) as program,
    ):
        feed.wait_for_client()
        feed.send(TEXT)
        expected = {**WORDS, "hello": 1, "world": 1}
        program.wait_for(lambda: last() == expected, f"the counts {expected}")
        feed.send(b"hello question\n")
        program.wait_for(lambda: last() == {**expected, "hello": 2, "question": 2}, "the counts of both lines")
        assert list((tmp_path / "checkpoint").iterdir())
        end(program, engine)


@pytest.mark.slow
def test_hdfs_wordcount(engine, tmp_path):
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    with run(engine, EXAMPLES / "hdfs_wordcount.py", str(incoming), cwd=tmp_path) as program:
        program.wait_for(lambda: any(HEADER.match(line) for line in program.lines), "the first batch")
        (tmp_path / "part").write_bytes(TEXT)
        (tmp_path / "part").rename(incoming / "part")
        program.wait_for(lambda: printed_pairs(program) == WORDS, f"the counts {WORDS}")
        end(program, engine)


@pytest.mark.slow
def test_queue_stream(engine, tmp_path):
    with run(engine, EXAMPLES / "queue_stream.py", cwd=tmp_path) as program:
        assert program.finish(120) == 0, program.report()
        # Five queued RDDs of 1000 numbers, so 100 for each last digit, then empty batches.
        assert printed_pairs(program) == Counter({digit: 500 for digit in range(10)}), program.report()
        assert sum(bool(HEADER.match(line)) for line in program.lines) >= 6
        if engine == "dstreams":
            assert not [line for line in program.errors if "\tat " in line], program.report()


@pytest.mark.slow
def test_sql_network_wordcount(engine, tmp_path):
    def totals() -> Counter:
        counts = Counter()
        for line in program.lines:
            if match := re.match(r"\|\s*(\w+)\|\s*(\d+)\|$", line):
                counts[match[1]] += int(match[2])
        return counts

    with (
        Feed() as feed,
        run(engine, EXAMPLES / "sql_network_wordcount.py", feed.host, str(feed.port), cwd=tmp_path) as program,
    ):
        feed.wait_for_client()
        feed.send(TEXT)
        program.wait_for(lambda: totals() == WORDS, f"the counts {WORDS}")
        assert any(re.match(r"========= \d{4}-\d\d-\d\d \d\d:\d\d:\d\d =========$", line) for line in program.lines)
        assert not [line for line in program.errors if "SparkSession" in line and "WARN" in line], program.report()
        end(program, engine)


@pytest.mark.slow
def test_network_wordjoinsentiments(engine, tmp_path):
    data = tmp_path / "data" / "streaming"
    data.mkdir(parents=True)
    # The program splits at a space, and the list that PySpark ships with it has tabs.
    shipped = Path(pyspark.__file__).parent / "data" / "streaming" / "AFINN-111.txt"
    (data / shipped.name).write_text(shipped.read_text("utf-8").replace("\t", " "), "utf-8")
    expected = {"superb (10 happiness)", "good (3 happiness)", "abandon (-2 happiness)"}
    with (
        Feed() as feed,
        run(engine, EXAMPLES / "network_wordjoinsentiments.py", feed.host, str(feed.port), cwd=tmp_path) as program,
    ):
        feed.wait_for_client()
        feed.send(b"superb good superb abandon unheardofword\n")
        program.wait_for(lambda: expected <= set(program.lines), f"the lines {expected}")
        shown = [line for line in program.lines if "happiness)" in line]
        assert shown == ["superb (10 happiness)", "good (3 happiness)", "abandon (-2 happiness)"]
        total = program.lines[program.lines.index(shown[0]) - 1]
        assert total == "Happiest topics in the last 5 seconds (3 total):"
        end(program, engine)
