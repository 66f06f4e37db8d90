"""Every way in which users bring a program to a cluster, and what they are told where something is missing there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.nodes import archive, bare_python, package_zip
from tests.cluster.standalone import SPARK_HOME, Cluster
from tests.cluster.submitted import LAUNCHER, WORDCOUNT, arguments, counted, expected, fast
from tests.programs.feed import Feed
from tests.programs.program import EXAMPLES, Program

pytestmark = pytest.mark.slow
ALL = ("pyarrow", "google", "dstreams")


def refused(command: list[str], cwd: Path) -> str:
    """Run the program, which must end with one clear error, and return its last line."""
    with Program(command, cwd) as program:
        assert program.finish(240) not in (0, None), program.report()
        lines = [line for line in program.lines if line.startswith("dstreams.errors.")]
        assert lines, program.report()
        assert not [line for line in program.lines if line.startswith("{")], program.report()
        return lines[-1]


@pytest.fixture(scope="module")
def changed(tmp_path_factory) -> str:
    """The program with one import changed."""
    path = tmp_path_factory.mktemp("program") / "wordcount.py"
    path.write_text(WORDCOUNT.read_text().replace("from pyspark.streaming", "from dstreams"))
    return str(path)


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> str:
    return str(package_zip(tmp_path_factory.mktemp("dist")))


# ---------------------------------------------------------------------- ways


def test_installed_everywhere(cluster, changed, tmp_path):
    counted(fast(cluster, changed, *arguments(tmp_path)), tmp_path)


def test_py_files(cluster, changed, package, tmp_path):
    """Neither the nodes nor the driver have the package: one file brings it to both."""
    python = bare_python(tmp_path / "node", "pyarrow", "google")
    command = fast(cluster, "--py-files", package, changed, *arguments(tmp_path), python=python, driver=python)
    counted(command, tmp_path)


def test_archive(cluster, changed, tmp_path):
    """Nodes that have nothing get an environment."""
    packed = archive(bare_python(tmp_path / "environment", *ALL), tmp_path / "environment.tar.gz")
    command = fast(
        cluster,
        "--archives",
        f"{packed}#environment",
        changed,
        *arguments(tmp_path),
        python="./environment/bin/python",
        driver="./environment/bin/python",
    )
    counted(command, tmp_path)


def test_unmodified_program(cluster, tmp_path):
    counted(fast(cluster, LAUNCHER, str(WORDCOUNT), *arguments(tmp_path)), tmp_path)


def test_the_launcher_is_beside_python():
    """It is installed with the package."""
    installed = Path(sys.executable).with_name("run_dstreams.py")
    assert installed.read_text().splitlines()[1:] == Path(LAUNCHER).read_text().splitlines()[1:]


def test_without_the_package(cluster, tmp_path):
    """The launcher says how to bring it along."""
    python = bare_python(tmp_path / "node", "pyarrow", "google")
    command = fast(cluster, LAUNCHER, str(WORDCOUNT), *arguments(tmp_path), python=python, driver=python)
    with Program(command, tmp_path) as program:
        assert program.finish(120) == 1
        assert any("--py-files dist/dstreams.zip" in line for line in program.lines), program.report()


def test_example_of_pyspark(cluster, tmp_path):
    """A program of the old engine with a socket and an initial state; interrupted, it ends without a stack."""
    example = str(EXAMPLES / "stateful_network_wordcount.py")
    with (
        Feed() as feed,
        Program(cluster.submit(LAUNCHER, example, feed.host, str(feed.port)), tmp_path) as program,
    ):
        feed.wait_for_client()
        feed.send(b"hello cluster hello\n")
        expected = {"('hello', 3)", "('cluster', 1)", "('world', 1)"}  # in a batch's lines, one after the other
        program.wait_for(lambda: expected <= set(program.lines), "the counts")
        program.interrupt()
        assert not [line for line in program.errors if "\tat " in line], program.report()


SHELL = """
from dstreams import StreamingContext
ssc = StreamingContext(sc, 1)
found = []
ssc.queueStream([[1, 2], [3]]).map(lambda x: x * x).foreachRDD(lambda rdd: found.append(rdd.collect()))
ssc.start()
ssc.awaitTerminationOrTimeout(0.1)
import time
while len(found) < 3: time.sleep(0.1)

print("found", found[:3])
ssc.stop(stopSparkContext=False)
print("still there", sc.parallelize([1, 2]).sum())
exit()
"""


def test_shell(cluster, tmp_path):
    """``start()`` returns, and the shell can be used meanwhile and afterwards."""
    command = cluster.submit()[1:]
    environment = os.environ | {
        "PYSPARK_DRIVER_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON_OPTS": "-i", "SPARK_HOME": str(SPARK_HOME)
    }  # fmt: skip
    done = subprocess.run(
        [str(SPARK_HOME / "bin" / "pyspark"), *command],
        input=SHELL, capture_output=True, text=True, timeout=240, cwd=tmp_path, env=environment, check=False,
    )  # fmt: skip
    assert "found [[1, 4], [9], []]" in done.stdout, done.stdout + done.stderr
    assert "still there 3" in done.stdout, done.stdout + done.stderr


# ---------------------------------------------------------------------- what is missing


@pytest.mark.parametrize("lacks", ["dstreams", "pyarrow", "google"])
def test_node_without_a_package(cluster, changed, lacks, tmp_path):
    python = bare_python(tmp_path / "node", *(module for module in ALL if module != lacks))
    command = fast(cluster, changed, *arguments(tmp_path), python=python)
    said = refused(command, tmp_path)
    package = {"google": "protobuf"}.get(lacks, lacks)
    assert said.startswith("dstreams.errors.ClusterError: ") and f"Python has no package {package}" in said
    assert "docs/deploy.md" in said
    assert not (tmp_path / "c" / "_dstreams").exists()


def test_node_with_another_python(cluster, changed, tmp_path):
    """One that says that it is Python 3.5."""
    python = bare_python(tmp_path / "node", *ALL)
    (site,) = (tmp_path / "node").glob("lib/*/site-packages")
    (site / "other.pth").write_text(
        "import collections, sys; "
        "sys.version_info = collections.namedtuple('V', 'major minor micro releaselevel serial')(3, 5, 0, 'final', 0)\n"
    )
    said = refused(fast(cluster, changed, *arguments(tmp_path), python=python), tmp_path)
    assert "the executors run Python 3.5 and this program 3." in said and "PYSPARK_PYTHON" in said


def test_node_without_python(cluster, changed, tmp_path):
    command = fast(cluster, changed, *arguments(tmp_path), python="/opt/no/python")
    said = refused(command, tmp_path)
    assert "no Python interpreter /opt/no/python" in said


def test_cluster_without_free_cores(cluster, changed, tmp_path):
    """Another program has them all: this one says what it waits for, and goes on when it gets some."""
    everything = cluster.submit(str(SPARK_HOME / "examples/src/main/python/pi.py"), "100000")
    with Program(everything, tmp_path) as other:
        other.wait_for(lambda: len(cluster.executors()) >= 2, "its executors")
        with Program(fast(cluster, changed, *arguments(tmp_path)), tmp_path) as program:
            program.wait_for(lambda: any("no executor" in line for line in program.lines), "a word about cores")
            other.interrupt(signal.SIGKILL)
            assert program.finish(240) == 0, program.report()
            assert [line for line in program.lines if line.startswith("{")] == expected(), program.report()


def test_one_core(changed, tmp_path):
    """State, a socket and an exchange need no more."""
    with Cluster(tmp_path / "cluster", workers=1) as small:
        counted(fast(small, changed, *arguments(tmp_path)), tmp_path)


def test_directory_that_executors_do_not_see(changed, tmp_path):
    """The workers have a disk of their own where the driver has its checkpoint directory."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    assert shutil.which("unshare"), "needs unshare of util-linux"
    mount = f'mount -t tmpfs none {hidden} && exec "$@"'
    other_disk = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    with Cluster(tmp_path / "cluster", workers=1, wrap=other_disk) as other:
        said = refused(fast(other, changed, *arguments(hidden)), tmp_path)
        assert f"checkpoint: the directory file:{hidden}/c is on the driver's disk" in said
        assert not (hidden / "c" / "_dstreams").exists()
        counted(fast(other, changed, *arguments(tmp_path)), tmp_path)
