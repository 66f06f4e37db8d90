"""The ways to run a program: spark-submit with the launcher, with --py-files, and the examples of this project."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyspark
import pytest

import dstreams
from tests.programs.feed import Feed
from tests.programs.program import EXAMPLES, SUBMIT, Program

pytestmark = pytest.mark.engine

SPARK_SUBMIT = Path(pyspark.__file__).parent / "bin" / "spark-submit"
PACKAGE = Path(dstreams.__file__).parent
PROJECT = Path(__file__).parents[2]

# Prints where the package was loaded from, in the driver and in a worker, and what a lifted operation gave.
USES_THE_PACKAGE = """
import threading

import dstreams
from pyspark import SparkContext

def origin(x):
    import dstreams
    return x, dstreams.__file__

ssc = dstreams.StreamingContext(SparkContext(appName="py-files"), 1)
printed = threading.Event()
stream = ssc.queueStream([["worker"]]).map(origin)
stream.pprint()
stream.foreachRDD(lambda rdd: printed.set())
ssc.start()
printed.wait(100)
ssc.stop()
print("driver", dstreams.__file__)
"""


def submit(cwd: Path, *arguments: str, **environment: str) -> Program:
    return Program([str(SPARK_SUBMIT), *SUBMIT.split(), *arguments], cwd, PYSPARK_PYTHON=sys.executable, **environment)


def test_unmodified_program_under_spark_submit(tmp_path):
    with Feed() as feed:
        program = str(EXAMPLES / "network_wordcount.py")
        with submit(tmp_path, str(PACKAGE / "__main__.py"), program, feed.host, str(feed.port)) as run:
            feed.wait_for_client()
            feed.send(b"a b a\n")
            run.wait_for(lambda: {"('a', 2)", "('b', 1)"} <= set(run.lines), "the counts")
            run.interrupt()


@pytest.mark.slow
def test_package_from_py_files(tmp_path):
    archive = shutil.make_archive(str(tmp_path / "dstreams"), "zip", PACKAGE.parent, PACKAGE.name)
    (tmp_path / "app.py").write_text(USES_THE_PACKAGE)
    with submit(tmp_path, "--py-files", archive, str(tmp_path / "app.py")) as run:
        assert run.finish(120) == 0, run.report()
        origins = [line for line in run.lines if line.startswith(("driver", "('worker'"))]
        assert len(origins) == 2 and all("dstreams.zip" in line for line in origins), run.report()


def test_main_job(tmp_path):
    """What ``make run`` runs: batches of the word feed (how many in its seconds, the machine says), a clean end."""
    with Program([sys.executable, str(PROJECT / "examples" / "main_job.py")], tmp_path) as run:
        assert run.finish(120) == 0, run.report()
        assert any(line.startswith("Time: ") for line in run.lines), run.report()
        # Ten words of a batch are printed; which, the interpreter's hashes say.
        assert any(re.fullmatch(r"\('\w+', \d+\)", line) for line in run.lines), run.report()
        noise = [line for line in run.errors if "\tat " in line or "Traceback" in line or " ERROR " in line]
        assert not noise, run.report()


@pytest.mark.slow
def test_workers_use_this_interpreter(tmp_path):
    """A local run finds its packages although ``python3`` on the path is another interpreter, and says nothing."""
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "python3").write_text("#!/bin/sh\necho 'the wrong python was started' >&2\nexit 1\n")
    (fake / "python3").chmod(0o755)
    java_and_tools = f"{fake}:/usr/bin:/bin"
    code = USES_THE_PACKAGE.replace("SparkContext(appName", "SparkContext('local[1]', appName")
    (tmp_path / "app.py").write_text(code)
    environment = {"PATH": java_and_tools, "HOME": str(tmp_path)}
    import os

    for key in ("JAVA_HOME", "SPARK_LOCAL_IP", "PYTHONPATH"):
        if key in os.environ:
            environment[key] = os.environ[key]
    done = subprocess.run(
        [sys.executable, "-m", "dstreams", str(tmp_path / "app.py")],
        env=environment, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert "('worker', " in done.stdout, done.stdout + done.stderr
    assert "the wrong python" not in done.stderr, done.stderr
