"""``python -m dstreams warm-up``: makes the archive of :mod:`dstreams._run.class_archive`."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import dstreams
from dstreams._run.class_archive import VARIABLE, NoArchive, add_options, archive_path, failure_of, put_in_place

__all__ = ["USAGE", "command", "make"]

USAGE = """usage: python -m dstreams warm-up

Makes an archive of the classes that Spark loads, in the user's cache ($XDG_CACHE_HOME or ~/.cache), by running a
small program once. Java reads classes from it rather than from Spark's jars, so that programs and tests start faster:
those under `python -m dstreams PROGRAM.py`, with StreamingContext(SparkConf(), ...), and with the pytest fixtures.
After an update of Spark or Java, run this again. DSTREAMS_CLASS_ARCHIVE=off in the environment lets no archive be
used or made."""

_NOT_FOR_IT = (
    "PYSPARK_SUBMIT_ARGS", "PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET",
    "SPARK_REMOTE", "SPARK_API_MODE", "SPARK_CONNECT_MODE_ENABLED",
    # They end the class path, and an archive of what is before them is good for the whole.
    "HADOOP_CONF_DIR", "YARN_CONF_DIR", "SPARK_DIST_CLASSPATH",
)  # fmt: skip
_PROGRAM = "dstreams._run.warm_up_program"
_UNFINISHED = "making-"
_TIMEOUT = 900.0


def command(arguments: list[str]) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : list of str
        What follows ``warm-up``.

    Returns
    -------
    int
        Exit code.
    """
    if arguments in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    if arguments:
        print(f"dstreams: warm-up: takes no arguments (got {' '.join(arguments)})", file=sys.stderr)
        return 2
    began = time.monotonic()
    try:
        archive = archive_path()
        print("Making an archive of the classes that Spark loads, by running a small program ...", flush=True)
        make(archive)
    except NoArchive as reason:
        print(f"dstreams: warm-up: no archive can be made: {reason}", file=sys.stderr)
        return 2
    megabytes = archive.stat().st_size / 2**20
    print(f"Made {archive} ({megabytes:.0f} MiB) in {time.monotonic() - began:.0f} s. JVMs start from it from now on.")
    return 0


def make(archive: Path) -> None:
    """Make an archive, in the place of one that may be there; it appears as a whole or not at all.

    Parameters
    ----------
    archive : Path
        Where it goes.

    Raises
    ------
    NoArchive
        If it cannot be made.
    """
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        _forget_unfinished(archive.parent)
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=archive.parent, ignore_cleanup_errors=True) as scratch:
            unfinished = Path(scratch, archive.name)
            try:
                _run_program(Path(scratch), unfinished)
            except NoArchive as reason:
                failure_of(archive).write_text(f"{reason}\n")
                raise
            put_in_place(unfinished, archive)
    except OSError as error:
        raise NoArchive(str(error)) from None


def _run_program(scratch: Path, archive: Path) -> None:
    """Run the program in a process of its own, whose JVM leaves the archive when it ends."""
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_IT}
    environment[VARIABLE] = add_options(shlex.quote(f"-XX:ArchiveClassesAtExit={archive}"))
    paths = [str(Path(dstreams.__path__[0]).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment |= {"PYTHONPATH": os.pathsep.join(paths), "PYSPARK_PYTHON": sys.executable}
    environment["PYSPARK_DRIVER_PYTHON"] = sys.executable
    log = scratch / "log.txt"
    with log.open("wb") as out:
        try:
            code = subprocess.run(
                [sys.executable, "-m", _PROGRAM], cwd=scratch, env=environment, timeout=_TIMEOUT,
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, check=False,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            raise NoArchive(f"the program has not ended after {_TIMEOUT:.0f} s") from None
    if code or not archive.is_file():
        raise NoArchive(_reason(log.read_text(errors="replace")) or f"the program ended with exit code {code}")


def _reason(said: str) -> str:
    """The line that tells most of what a JVM and a program have printed."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and "[warning]" not in line]
    errors = [line for line in lines if re.match(r"\[[\d.,]+m?s\]\[error *\]", line)]
    return re.sub(r"^(\[[^]]*\])+ *", "", (errors or lines or [""])[-1])


def _forget_unfinished(folder: Path) -> None:
    """Delete what makers have left behind that were killed more than an hour ago."""
    for left in folder.glob(f"{_UNFINISHED}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > 3600:
                shutil.rmtree(left)
