"""A Spark to come, which no longer has the old engine: its classes, its page, ``pyspark.streaming``."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pyspark
import pytest
from py4j.java_gateway import JavaPackage
from pyspark import SparkContext

from dstreams._run import streaming_page as page_module
from dstreams._run.progress import BatchInfo, Event, Time
from dstreams._run.streaming_page import StreamingPage, streaming_page
from dstreams._spark import old_engine
from tests.programs.program import SUBMIT, Program

LEFT_OUT = "Spark's Streaming page, its REST API and its metrics are left out: "

PROGRAM = """
import importlib.util
import json
import threading
from operator import add
from pyspark import SparkContext
import dstreams
import dstreams.compat

sc = SparkContext()


def what_is_there(_):
    return [str(importlib.util.find_spec("pyspark.streaming"))]


print("in the driver:", *what_is_there(None), type(sc._jvm.org.apache.spark.streaming.StreamingContext).__name__)
print("in a worker:", *sc.parallelize([1], 1).mapPartitions(what_is_there).collect())
sc.addPyFile("helper.py")


def run(name, streaming, directory):
    class Count(streaming.StreamingListener):
        batches = 0
        three = threading.Event()

        def onBatchCompleted(self, batchCompleted):
            self.batches += 1
            if self.batches == 3:
                self.three.set()

    def show(what):
        return lambda time, rdd: found[what].append(sorted(rdd.collect()))

    found = {"totals": [], "window": []}
    listener = Count()
    ssc = streaming.StreamingContext(sc, 1)
    ssc.checkpoint(directory)
    ssc.addStreamingListener(listener)
    pairs = ssc.queueStream([["to", "be"], ["or", "to"], ["be"]])
    if name == "under its old name":
        from helper import pair
    else:
        def pair(word):
            return word, 1

    pairs = pairs.map(pair)
    pairs.updateStateByKey(lambda new, so_far: sum(new) + (so_far or 0)).foreachRDD(show("totals"))
    pairs.reduceByKeyAndWindow(add, None, 2, 1).foreachRDD(show("window"))
    ssc.start()
    assert listener.three.wait(120)
    ssc.stop(stopSparkContext=False, stopGraceFully=True)
    print(name, json.dumps({what: batches[:3] for what, batches in found.items()}))


run("plainly", dstreams, "first")
dstreams.compat.activate()
import pyspark.streaming
run("under its old name", pyspark.streaming, "second")
"""

HELPER = """
from pyspark.streaming import StreamingContext
from pyspark.streaming.kafka import KafkaUtils
from pyspark.streaming.listener import StreamingListener


def pair(word):
    assert StreamingContext.__module__ == "dstreams.context" and KafkaUtils.__module__ == "dstreams.kafka.streams"
    return word, 1
"""

FOUND = {
    "totals": [[["be", 1], ["to", 1]], [["be", 1], ["or", 1], ["to", 2]], [["be", 2], ["or", 1], ["to", 2]]],
    "window": [[["be", 1], ["to", 1]], [["be", 1], ["or", 1], ["to", 2]], [["be", 1], ["or", 1], ["to", 1]]],
}


def without_old_engine(folder: Path) -> Path:
    """Lay out the installed PySpark once more, in links, without all that is the old engine's; give its place."""
    installed, own = Path(pyspark.__file__).parent, folder / "pyspark"
    (own / "jars").mkdir(parents=True)
    for entry in installed.iterdir():
        if entry.name not in ("jars", "streaming", "python"):  # the last has all of PySpark in a zip, for workers
            (own / entry.name).symlink_to(entry)
    for jar in (installed / "jars").iterdir():
        if not jar.name.startswith("spark-streaming_"):
            (own / "jars" / jar.name).symlink_to(jar)
    return own


def test_programs_run_without_the_old_engine(tmp_path: Path) -> None:
    """State, a window and a listener, with imports of both kinds; the log says once what is not there."""
    home = without_old_engine(tmp_path / "spark")
    (tmp_path / "app.py").write_text(PROGRAM)
    (tmp_path / "helper.py").write_text(HELPER)
    submit = SUBMIT.replace("spark.ui.enabled=false", "spark.ui.enabled=true")
    submit += "--conf spark.ui.port=0 --conf spark.streaming.dstreams.paced=false pyspark-shell"
    path = os.pathsep.join(filter(None, (str(home.parent), os.environ.get("PYTHONPATH"))))
    environment = {"SPARK_HOME": str(home), "PYTHONPATH": path, "PYSPARK_SUBMIT_ARGS": submit}
    with Program([sys.executable, "app.py"], tmp_path, **environment) as program:
        assert program.finish(240) == 0, program.report()
    assert program.lines[:2] == ["in the driver: None JavaPackage", "in a worker: None"], "the test is not one"
    found = dict(line.split(" {", 1) for line in program.lines[2:])
    assert list(found) == ["plainly", "under its old name"], program.report()
    assert all(json.loads("{" + shown) == FOUND for shown in found.values()), program.report()
    (said,) = (line for line in program.errors if "Streaming page" in line)
    reason = "this Spark no longer has org.apache.spark.streaming.StreamingContext"
    assert said.endswith(f"INFO dstreams: {LEFT_OUT}{reason}")
    assert not any("Traceback" in line or "NoClassDefFound" in line for line in program.errors), program.report()


@pytest.fixture
def said(spark_context: SparkContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Any:
    """What the log says, in a context that has a sink for metrics and is told for the first time."""
    monkeypatch.setattr(spark_context, "_conf", spark_context.getConf().set("spark.metrics.conf.*.sink.one.class", "X"))
    page_module._say_left_out.cache_clear()
    monkeypatch.setattr(logging.getLogger("dstreams"), "propagate", True)
    caplog.set_level(logging.INFO, "dstreams")
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.mark.old_engine
@pytest.mark.parametrize("missing", ["scheduler.StreamingListenerReceiverError", "api.java.JavaStreamingContext"])
def test_some_of_its_classes_are_gone(
    spark_context: SparkContext, said: Any, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, java = f"org.apache.spark.streaming.{missing}", old_engine.java

    def without(sc: SparkContext, wanted: str) -> Any:
        found = java(sc, f"{wanted}IsGone" if wanted == name else wanted)
        assert isinstance(found, JavaPackage) == (wanted == name)
        return found

    monkeypatch.setattr(old_engine, "java", without)
    assert streaming_page(spark_context, 1000, []) is None
    assert streaming_page(spark_context, 1000, []) is None
    assert said() == [f"{LEFT_OUT}this Spark no longer has {name}"]


@pytest.mark.old_engine
def test_its_listener_has_become_another(spark_context: SparkContext, said: Any) -> None:
    """What is found out only when there is something to tell: the page goes, and says so once."""
    sc = spark_context
    page = streaming_page(sc, 1000, [])
    assert page is not None
    page.onStreamingStarted(Event("onStreamingStarted", "time", 1))
    assert registered(page) and not said()
    page._engine._progress = page._engine._new("java.util.ArrayList")
    for method in ("onBatchSubmitted", "onBatchStarted"):
        getattr(page, method)(Event(method, "batchInfo", BatchInfo(Time(1000), 1000, {})))
    assert not registered(page)
    (line,) = said()
    assert line.startswith(LEFT_OUT) and "onBatchSubmitted" in line
    page.close()


def registered(page: StreamingPage) -> bool:
    """Whether the program's metrics are with Spark's."""
    engine = page._engine
    owner, source = old_engine._METRICS, f"{engine._sc.appName}.StreamingMetrics"
    system = engine._call("org.apache.spark.SparkEnv", "metricsSystem", owner, [], engine._jsc.env())
    takes, gives = ["java.lang.String"], "scala.collection.immutable.Seq"
    return not engine._call(owner, "getSourcesByName", gives, takes, system, source).isEmpty()
