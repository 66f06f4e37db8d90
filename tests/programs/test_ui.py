"""Spark's UI while a program runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.programs.program import SUBMIT, Program

TABS = """
import threading
import urllib.request
from pyspark import SparkContext
from pyspark.sql import SparkSession
from pyspark.streaming import StreamingContext

sc = SparkContext()
ssc = StreamingContext(sc, 1)
looked = threading.Event()


def look(rdd):
    SparkSession.builder.getOrCreate().sql("select 1 as one").collect()
    looked.set()


ssc.queueStream([[1]] * 30).foreachRDD(look)
ssc.start()
looked.wait(120)
ssc.stop(stopSparkContext=False, stopGraceFully=True)
tabs = sc._jsc.sc().ui().get().getTabs()
print("tabs", sorted(tabs.apply(i).name() for i in range(tabs.size())))
with urllib.request.urlopen(sc.uiWebUrl + "/SQL/") as page:
    print("queries", page.status, "SQL" in page.read().decode())
"""


@pytest.mark.parametrize("first", [False, True], ids=["a session made later", "a session made before"])
def test_one_tab_for_each_thing(tmp_path: Path, first: bool) -> None:
    """A session of the program's own does not bring a second one."""
    made = "SparkSession.builder.getOrCreate()" if first else ""
    (tmp_path / "app.py").write_text(TABS.replace("sc = SparkContext()", f"sc = SparkContext()\n{made}"))
    submit = SUBMIT.replace("spark.ui.enabled=false", "spark.ui.enabled=true") + "--conf spark.ui.port=0 "
    submit += "--conf spark.streaming.dstreams.paced=false pyspark-shell"
    command = [sys.executable, "-m", "dstreams", "app.py"]
    with Program(command, tmp_path, PYSPARK_SUBMIT_ARGS=submit) as program:
        assert program.finish(200) == 0, program.report()
    expected = ["Environment", "Executors", "Jobs", "SQL / DataFrame", "Stages", "Storage", "Structured Streaming"]
    (tabs,) = (line for line in program.lines if line.startswith("tabs"))
    assert tabs == f"tabs {expected}"
    assert "queries 200 True" in program.lines, program.report()
