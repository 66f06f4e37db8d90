"""The saved program: what becomes of its settings."""

from __future__ import annotations

import pytest
from pyspark import SparkContext

from dstreams._run.program import Program


def test_settings_of_a_restored_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were saved, the master too, but for what belongs to the process that wrote them."""
    monkeypatch.setattr(SparkContext, "_jvm", None)  # the settings of another test's process
    saved = {"spark.master": "local[2]", "spark.app.name": "counts", "spark.driver.port": "4711", "spark.own": "1"}
    program = Program("counts", "app.py", 1000, None, 2, saved, [], [], [], "0.1.0", "3.11.0", "4.3.0", [])
    conf = program.spark_conf()
    assert {key: conf.get(key) for key in saved} == {**saved, "spark.driver.port": None}
