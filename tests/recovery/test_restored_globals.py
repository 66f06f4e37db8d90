"""Functions of a script that is started again see the script's own lists, as they did in the first run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.programs.program import SUBMIT, Program

pytestmark = pytest.mark.recovery

APP = """
import time
from pyspark import SparkContext
from pyspark.streaming import StreamingContext

seen = []
names = {"a": "first"}
names["b"] = time.time()  # another one in each run


def setup():
    ssc = StreamingContext(SparkContext(), 1)
    ssc.queueStream([[n] for n in range(40)]).foreachRDD(lambda rdd: seen.append((rdd.collect(), names["a"])))
    return ssc


ssc = StreamingContext.getOrCreate("checkpoint", setup)
names["a"] = "changed"
ssc.start()
while len(seen) < 2:
    time.sleep(0.05)
ssc.stop(stopGraceFully=True)
print("seen", len(seen) >= 2, seen[0])
"""


def test_a_script_that_is_started_again(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    found = []
    for _ in range(2):
        command = [sys.executable, "-m", "dstreams", "app.py"]
        with Program(command, tmp_path, PYSPARK_SUBMIT_ARGS=SUBMIT + "pyspark-shell") as program:
            assert program.finish(240) == 0, program.report()
        found += [line for line in program.lines if line.startswith("seen")]
    assert found[0] == "seen True ([0], 'changed')"
    first = int(found[1].partition("([")[2].partition("]")[0])
    assert first >= 2, "it goes on"
    assert found[1].endswith("'changed')"), "what differs stays as it was saved"
