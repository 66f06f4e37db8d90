"""A real archive of Spark's classes: a JVM starts from it, and does without one that has something wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.slow]

APP = """
from pyspark import SparkConf
from pyspark.streaming import StreamingContext

conf = SparkConf().setMaster("local[2]").set("spark.ui.enabled", "false").set("spark.log.level", "ERROR")
conf.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1")
conf.set("spark.driver.extraJavaOptions", "-Xlog:class+load:file=classes.txt")
ssc = StreamingContext(conf, 1)
print("sum", ssc.sparkContext.parallelize([1, 2]).sum())
ssc.stop()
"""
FROM_ARCHIVE = "shared objects file (top)"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with an empty cache, and nothing set for JVMs but what makes them name their classes."""
    for name in ("SPARK_SUBMIT_OPTS", "PYSPARK_SUBMIT_ARGS", "DSTREAMS_CLASS_ARCHIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a user's cache"))
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def dstreams(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "dstreams", *arguments], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def loaded(place: Path) -> str:
    """Run the program, and return where its JVM has found the class of the SparkContext."""
    done = dstreams(place, "app.py")
    assert "sum 3" in done.stdout
    assert "cds" not in done.stdout + done.stderr, "whatever is wrong with an archive, the JVM does not tell"
    lines = (place / "classes.txt").read_text().splitlines()
    return next(line for line in lines if " org.apache.spark.SparkContext source:" in line)


def test_a_jvm_starts_from_the_archive(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert FROM_ARCHIVE not in loaded(place)
    done = dstreams(place, "warm-up")
    (archive,) = (place / "a user's cache" / "dstreams").glob("*.jsa")
    assert f"Made {archive} (" in done.stdout
    assert FROM_ARCHIVE in loaded(place)
    monkeypatch.setenv("DSTREAMS_CLASS_ARCHIVE", "off")
    assert FROM_ARCHIVE not in loaded(place)
    monkeypatch.delenv("DSTREAMS_CLASS_ARCHIVE")

    archive.chmod(0o600)
    size = archive.stat().st_size
    os.truncate(archive, size // 2)
    assert FROM_ARCHIVE not in loaded(place)
    archive.write_bytes(bytes(size))
    assert FROM_ARCHIVE not in loaded(place)
