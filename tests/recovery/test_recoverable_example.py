"""PySpark's own ``recoverable_network_wordcount.py``, unmodified, killed with SIGKILL and started again."""

from __future__ import annotations

import ast
import os
import re
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.programs.feed import Feed
from tests.programs.program import EXAMPLES, Program, run

pytestmark = pytest.mark.recovery

LINE = re.compile(r"Counts at time (\S+ \S+) (\[.*\])$")


def counts(output: Path) -> Counter:
    """All counts that the program has appended to its file, each batch time once."""
    batches = {}
    for line in output.read_text().splitlines() if output.exists() else []:
        time, pairs = LINE.match(line).groups()
        assert batches.setdefault(time, pairs) == pairs, "a batch that is run again gives the same"
    return sum((Counter(dict(ast.literal_eval(pairs))) for pairs in batches.values()), Counter())


def dropped(program: Program) -> int:
    """What the program's accumulator says last."""
    found = [line for line in program.lines if line.startswith("Dropped ")]
    return int(found[-1].split()[1]) if found else 0


def test_killed_and_restarted(tmp_path):
    output = tmp_path / "counts.txt"
    with Feed() as feed:
        arguments = (feed.host, str(feed.port), str(tmp_path / "checkpoint"), str(output))

        def start() -> Program:
            return run("dstreams", EXAMPLES / "recoverable_network_wordcount.py", *arguments, cwd=tmp_path)

        with start() as first:
            feed.wait_for_client()
            feed.send(b"to be or not to be a b\n")
            first.wait_for(lambda: counts(output)["be"] == 2 and dropped(first) == 2, "the counts")
            assert "Creating new context" in first.lines
            os.killpg(first.process.pid, signal.SIGKILL)
            first.finish()
        with start() as second:
            feed.wait_for_client(2)
            feed.send(b"to be a\n")
            second.wait_for(lambda: counts(output)["be"] == 3, "the counts of both runs")
            assert "Creating new context" not in second.lines, "restored, not made anew"
            # The accumulator is made in the new process, as the example has it, and so is the broadcast.
            second.wait_for(lambda: dropped(second) >= 1, "dropped words")
            assert second.interrupt() != 0
            assert not [line for line in second.errors if "\tat " in line], second.report()
    assert counts(output) == Counter({"to": 3, "be": 3, "or": 1, "not": 1})
