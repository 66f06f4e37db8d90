"""What others on the machine and on the network can see of a program, and Spark's own protections under it."""

from __future__ import annotations

import os
import socket
import stat
import struct
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cluster.standalone import Cluster
from tests.cluster.submitted import LAUNCHER, WORDCOUNT, arguments, counted, fast
from tests.programs.feed import Feed
from tests.programs.program import EXAMPLES, Program, run
from tests.recovery.killer import processes

pytestmark = pytest.mark.slow

SECRET = "open-sesame-2"
PROTECTED = {
    "spark.authenticate": "true",
    "spark.authenticate.secret": SECRET,
    "spark.network.crypto.enabled": "true",
}


def test_authenticated_and_encrypted(tmp_path):
    """Spark's authentication, encryption of its network and of what it spills: readers and state work under them."""
    settings = {name.replace(".", "__"): value for name, value in PROTECTED.items()}
    settings["spark__io__encryption__enabled"] = "true"
    with Cluster(tmp_path / "cluster", settings=PROTECTED) as protected:
        command = fast(protected, LAUNCHER, str(WORDCOUNT), *arguments(tmp_path), **settings)
        program = counted(command, tmp_path)
    assert SECRET not in "\n".join([*program.lines, *program.errors])


def test_a_stranger_gets_no_executors(tmp_path):
    with Cluster(tmp_path / "cluster", workers=1, settings=PROTECTED) as protected:
        command = fast(protected, LAUNCHER, str(WORDCOUNT), *arguments(tmp_path), spark__authenticate__secret="guess")
        with Program(command, tmp_path) as program:
            assert program.finish(240) != 0, program.report()
            assert not [line for line in program.lines if line.startswith("{")]


def listeners(session: int) -> set[str]:
    """Addresses on which processes of a session listen."""
    inodes = set()
    for pid in processes(session):
        with suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    inodes.add(os.readlink(descriptor))
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                found.add(_address(fields[1].partition(":")[0]))
    return found


def _address(text: str) -> str:
    words = [int(text[i : i + 8], 16) for i in range(0, len(text), 8)]
    packed = struct.pack(f"<{len(words)}I", *words)
    name = socket.inet_ntop(socket.AF_INET6 if len(words) == 4 else socket.AF_INET, packed)
    return name.removeprefix("::ffff:")


def test_nothing_listens_beyond_loopback(tmp_path):
    """A program with state, a socket and a checkpoint directory; and what it writes is its owner's alone."""
    example = EXAMPLES / "stateful_network_wordcount.py"
    with Feed() as feed, run("dstreams", example, feed.host, str(feed.port), cwd=tmp_path) as program:
        feed.wait_for_client()
        feed.send(b"hello\n")
        program.wait_for(lambda: "('hello', 2)" in program.lines, "the counts")
        assert listeners(program.process.pid) <= {"127.0.0.1", "::1"}
        checkpoint = tmp_path / "checkpoint"
        assert stat.S_IMODE(checkpoint.stat().st_mode) == 0o700
        ours = [path for path in (checkpoint / "_dstreams").rglob("*") if path.suffix != ".crc"]
        open_to_others = [path for path in ours if "exchange" not in str(path) and path.stat().st_mode & 0o077]
        assert ours and not open_to_others
        program.interrupt()
