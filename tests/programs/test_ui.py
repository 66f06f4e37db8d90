"""Spark's UI while a program runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver import ChromeService as Service
from selenium.webdriver.common.by import By

from tests.programs.feed import Feed
from tests.programs.program import SUBMIT, Program

ROOT = Path(__file__).parents[2]

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


STREAMING = """
import os
import sys
import time
from pyspark import SparkContext
from pyspark.streaming import StreamingContext


def until(file):
    while not os.path.exists(file):
        time.sleep(0.1)


def fails(rdd):
    if not rdd.isEmpty():
        raise ValueError("the table is not there")


def mbean(name):  # by way of a proxy: the class of the server itself is not one that py4j may use
    jvm, management = sc._jvm, sc._jvm.javax.management
    server = jvm.java.lang.management.ManagementFactory.getPlatformMBeanServer()
    found = f"metrics:name={sc.applicationId}.driver.{sc.appName}.StreamingMetrics.streaming.{name},type=gauges"
    gauge = jvm.java.lang.Class.forName("com.codahale.metrics.jmx.JmxReporter$JmxGaugeMBean")
    return management.JMX.newMBeanProxy(server, management.ObjectName(found), gauge).getValue()


sc = SparkContext()
ssc = StreamingContext(sc, 1)
ssc.checkpoint("checkpoint")
lines = ssc.socketTextStream(sys.argv[1], int(sys.argv[2]))
lines.map(lambda line: (line, 1)).updateStateByKey(lambda new, old: sum(new) + (old or 0)).pprint()
lines.foreachRDD(fails)
ssc.textFileStream("incoming").pprint()
print("page", sc.uiWebUrl, sc.applicationId, sc.appName, flush=True)
ssc.start()
until("look")
print("mbeans", *(f"{name}={mbean(name)}" for name in sys.argv[3:]), flush=True)
until("stop")
ssc.stop(stopSparkContext=False)
print("stopped", flush=True)
until("end")
"""


SINKS = {
    "prometheusServlet.class": "org.apache.spark.metrics.sink.PrometheusServlet",
    "prometheusServlet.path": "/metrics/prometheus",
    "jmx.class": "org.apache.spark.metrics.sink.JmxSink",
    "csv.class": "org.apache.spark.metrics.sink.CsvSink",
    "csv.directory": "metrics",
    "csv.period": "1",
}
GAUGES = "totalProcessedRecords", "receivers", "lastCompletedBatch_processingDelay"


class Page:
    """What a browser and programs get from Spark's UI."""

    def __init__(self, url: str, application: str, name: str) -> None:
        self.url = url
        self.metrics = f"{application}.driver.{name}.StreamingMetrics.streaming."
        self._api = f"{url}/api/v1/applications/{application}/streaming"

    def api(self, path: str) -> Any:
        return json.loads(self.html(f"{self._api}/{path}"))

    def html(self, path: str) -> str:
        with urllib.request.urlopen(path if "://" in path else f"{self.url}{path}", timeout=60) as answer:
            return answer.read().decode()  # type: ignore[no-any-return]

    def prometheus(self) -> dict[str, float]:
        """What the Prometheus sink shows of the old engine's metrics; such a name has no dots and dashes."""
        line = re.sub("[^a-zA-Z0-9]", "_", f"metrics.{self.metrics}") + r'(\w+)_Value{type="gauges"} (\S+)'
        lines = re.findall(line, self.html("/metrics/prometheus"))
        return {name: float(value) for name, value in lines}

    def text(self, path: str) -> str:
        return " ".join(re.sub("<[^>]*>", " ", self.html(path)).split())


@pytest.fixture
def streaming_program(tmp_path: Path) -> Iterator[tuple[Program, Feed, Page]]:
    """A program with a receiver, state, files, and an output that fails when there is something."""
    (tmp_path / "app.py").write_text(STREAMING)
    (tmp_path / "metrics").mkdir()
    submit = SUBMIT.replace("spark.ui.enabled=false", "spark.ui.enabled=true") + "--conf spark.ui.port=0 "
    submit += " ".join(f"--conf spark.metrics.conf.*.sink.{key}={value}" for key, value in SINKS.items())
    submit += " pyspark-shell"
    with Feed() as feed:
        command = [sys.executable, "-m", "dstreams", "app.py", feed.host, str(feed.port), *GAUGES]
        with Program(command, tmp_path, PYSPARK_SUBMIT_ARGS=submit) as program:
            program.wait_for(lambda: any(line.startswith("page ") for line in program.lines), "the page")
            page = Page(*next(line.split()[1:] for line in program.lines if line.startswith("page ")))
            feed.wait_for_client()
            yield program, feed, page


def until(condition: Callable[[], Any]) -> Any:
    """Ask until there is an answer."""
    deadline = time.monotonic() + 200
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.2)
    return found


@pytest.mark.old_engine
def test_the_streaming_page(streaming_program: tuple[Program, Feed, Page], tmp_path: Path) -> None:
    """Spark's own page, REST API and metrics of the old engine, over our batches."""
    program, feed, page = streaming_program
    feed.send(b"to be\nor not\nto be\n")
    with_records = until(lambda: [batch for batch in page.api("batches") if batch["inputSize"] == 3])[0]
    batch = f"batches/{with_records['batchId']}"
    until(lambda: page.api(batch)["status"] == "COMPLETED")

    done = page.api(batch)
    assert (done["numCompletedOutputOps"], done["numFailedOutputOps"], done["numTotalOutputOps"]) == (2, 1, 3)
    assert done["processingTime"] >= 0 and done["schedulingDelay"] >= 0
    outputs = page.api(f"{batch}/operations")
    assert [output["name"] for output in outputs] == ["pprint", "foreachRDD", "pprint"]
    assert outputs[1]["failureReason"] == "ValueError: the table is not there"
    assert outputs[0]["jobIds"], "the jobs of state go with the batch"
    assert outputs[1]["jobIds"], "and those of an output with it"

    receivers = {receiver["streamId"]: receiver for receiver in page.api("receivers")}
    assert receivers[0]["streamName"] == f"socketTextStream({feed.host}:{feed.port})"
    assert receivers[0]["isActive"] and receivers[0]["executorHost"] == "driver"
    assert receivers[1]["streamName"] == "File stream [1]" and "isActive" not in receivers[1]
    statistics = page.api("statistics")
    assert statistics["batchDuration"] == 1000 and statistics["numActiveReceivers"] == 1
    assert statistics["numProcessedRecords"] == 3

    gauges = json.loads(page.html("/metrics/json"))["gauges"]
    (tmp_path / "look").touch()
    program.wait_for(lambda: any(line.startswith("mbeans ") for line in program.lines), "the MBeans")
    beans = next(line.split()[1:] for line in program.lines if line.startswith("mbeans "))
    by_sink = {
        "json": {name.removeprefix(page.metrics): gauge["value"] for name, gauge in gauges.items()},
        "prometheus": page.prometheus(),
        "jmx": {name: int(value) for name, value in (bean.split("=") for bean in beans)},
    }
    delays = [each["processingTime"] for each in page.api("batches") if each["status"] == "COMPLETED"]
    for sink, found in by_sink.items():
        assert [found[name] for name in GAUGES[:2]] == [3, 1], sink
        assert found[GAUGES[2]] in delays, sink
    written = tmp_path / "metrics" / f"{page.metrics}{GAUGES[0]}.csv"
    until(lambda: written.is_file() and written.read_text().endswith(",3\n"))

    shown = page.text("/streaming/")
    assert "Running batches of 1 second" in shown and f"socketTextStream({feed.host}:{feed.port})" in shown
    shown = page.text(f"/streaming/batch?id={with_records['batchId']}")
    assert "ValueError: the table is not there" in shown and "foreachRDD at app.py:" in shown

    feed.close()
    lost = until(lambda: [receiver for receiver in page.api("receivers") if receiver.get("lastErrorMessage")])[0]
    assert lost["streamId"] == 0 and not lost["isActive"]

    (tmp_path / "stop").touch()
    program.wait_for(lambda: "stopped" in program.lines, "its end")
    assert "Running batches" not in page.text("/streaming/") and not page.prometheus()
    (tmp_path / "end").touch()
    assert program.finish(60) == 0, program.report()


@pytest.fixture
def browser() -> Iterator[Chrome]:
    """A Chromium without a screen, which the set-up has installed; where it could not, this says so as it does."""
    look = [sys.executable, ROOT / "tools" / "bootstrap.py", "--browser", "--no-system-packages"]
    found = subprocess.run(look, check=False, stderr=subprocess.PIPE, text=True)
    if found.returncode != 0:
        pytest.fail(found.stderr, pytrace=False)
    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "window-size=1280,1600"):
        options.add_argument(f"--{argument}")
    running = Chrome(options, Service(shutil.which("chromedriver")))
    yield running
    running.quit()


@pytest.mark.old_engine
def test_the_streaming_page_in_a_browser(browser: Chrome, streaming_program: tuple[Program, Feed, Page]) -> None:
    """Its charts are drawn, its numbers are the listener's, and its links lead to the batch and its jobs."""
    _, feed, page = streaming_program
    feed.send(b"to be\nor not\nto be\n")
    with_records = until(lambda: [batch for batch in page.api("batches") if batch["inputSize"] == 3])[0]["batchId"]
    until(lambda: page.api(f"batches/{with_records}")["status"] == "COMPLETED")

    browser.get(f"{page.url}/streaming/")
    for chart in ("all-stream-records", "scheduling-delay", "processing-time", "total-delay"):
        for kind in ("timeline", "histogram"):
            found = until(lambda of=f"#{chart}-{kind} svg": browser.find_elements(By.CSS_SELECTOR, of))
            assert found[0].size["width"] > 100 and found[0].size["height"] > 50, (chart, kind)
    rows = browser.find_elements(By.CSS_SELECTOR, "table tr")
    (row,) = (row for row in rows if re.search(rf"id={with_records}\b", row.get_attribute("innerHTML") or ""))
    shown = page.api(f"batches/{with_records}")
    assert "3 records" in row.text and "2/3" in row.text and "1 failed" in row.text
    amount, unit = row.find_elements(By.TAG_NAME, "td")[3].text.split()
    in_ms = {"ms": 1, "s": 1000, "min": 60000}[unit]
    assert float(amount) * in_ms == pytest.approx(shown["processingTime"], abs=in_ms / 2), "as exact as it is shown"

    row.find_element(By.TAG_NAME, "a").click()
    until(lambda: "Details of batch" in browser.page_source)
    assert "ValueError: the table is not there" in browser.find_element(By.TAG_NAME, "body").text
    jobs = browser.find_elements(By.CSS_SELECTOR, "a[href*='/jobs/job']")
    assert len(jobs) >= 2
    jobs[0].click()
    until(lambda: "Details for Job" in browser.page_source)


@pytest.mark.old_engine
def test_no_page_where_it_is_switched_off(tmp_path: Path) -> None:
    look = TABS[TABS.index("tabs =") : TABS.index("with urllib")]
    program = TABS.replace("looked.wait(120)", f"looked.wait(120)\n{look}")
    submit = SUBMIT.replace("spark.ui.enabled=false", "spark.ui.enabled=true") + "--conf spark.ui.port=0 "
    for value, there in (("true", True), ("false", False)):
        (tmp_path / "app.py").write_text(program)
        arguments = submit + f"--conf spark.streaming.ui.enabled={value} pyspark-shell"
        with Program([sys.executable, "-m", "dstreams", "app.py"], tmp_path, PYSPARK_SUBMIT_ARGS=arguments) as running:
            assert running.finish(200) == 0, running.report()
        tabs = [line for line in running.lines if line.startswith("tabs")]
        assert ["'Streaming'" in line for line in tabs] == [there, False], "it goes with the program"
