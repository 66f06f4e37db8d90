"""The saved program: what becomes of its settings."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from pyspark import SparkContext

from dstreams._run.before_spark import saved_conf
from dstreams._run.program import Program
from dstreams._run.runs import Run


def test_settings_of_a_restored_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were saved, the master too, but for what belongs to the process that wrote them."""
    monkeypatch.setattr(SparkContext, "_jvm", None)  # the settings of another test's process
    saved = {"spark.master": "local[2]", "spark.app.name": "counts", "spark.driver.port": "4711", "spark.own": "1"}
    program = Program("counts", "app.py", 1000, None, 2, saved, [], [], [], "0.1.0", "3.11.0", "4.3.0", [])
    conf = program.spark_conf()
    assert {key: conf.get(key) for key in saved} == {**saved, "spark.driver.port": None}


def test_settings_are_those_of_the_run_that_counts(tmp_path: Path) -> None:
    """They are read before there is a JVM."""
    for location, memory in (("", "1g"), ("_dstreams/run-2", "2g")):
        folder = tmp_path / location / "_dstreams"
        folder.mkdir(parents=True)
        (folder / "program-000001").write_text(json.dumps({"conf": {"spark.driver.memory": memory}}) + "\n")
    assert saved_conf(f"file:{tmp_path}").get("spark.driver.memory") == "1g"
    (tmp_path / "_dstreams" / "current").write_text(json.dumps([asdict(Run("_dstreams/run-2")), asdict(Run(""))]))
    assert saved_conf(f"file:{tmp_path}").get("spark.driver.memory") == "2g"
