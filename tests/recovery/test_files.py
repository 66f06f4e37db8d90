"""Files of a checkpoint directory are replaced at once, on any file system."""

from __future__ import annotations

import os
import threading

import pytest

from dstreams._spark.files import files_of

pytestmark = pytest.mark.recovery


def test_a_file_is_always_there(spark_context, tmp_path):
    """Somebody who reads it while it is replaced finds the one or the other."""
    files = files_of(spark_context, str(tmp_path))
    files.write("below/pointer", b"0")
    found: list[bytes] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                found.append((tmp_path / "below" / "pointer").read_bytes())
            except OSError as error:
                found.append(str(error).encode())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for n in range(1, 300):
            files.write("below/pointer", str(n).encode())
    finally:
        done.set()
        reader.join()
    numbers = [int(data) for data in found]
    assert numbers == sorted(numbers)
    assert [path.name for path in (tmp_path / "below").iterdir()] == ["pointer"]
    assert (tmp_path / "below" / "pointer").stat().st_mode & 0o777 == 0o600


def test_another_file_system(spark_context, tmp_path):
    """There Spark's own way is taken."""
    spark_context._jsc.hadoopConfiguration().set("fs.viewfs.mounttable.files.link./here", f"file:{tmp_path}")
    files = files_of(spark_context, "viewfs://files/here")
    assert not files.local
    for data in (b"before", b"after"):
        files.write("below/pointer", data)
        assert files.read("below/pointer") == data
    assert {path.name for path in (tmp_path / "below").iterdir()} <= {"pointer", ".pointer.crc"}
    assert (tmp_path / "below" / "pointer").stat().st_mode & 0o777 == 0o600


def test_a_write_that_fails(spark_context, tmp_path, monkeypatch):
    """What was there stays."""
    files = files_of(spark_context, str(tmp_path))
    stream = files.stream("pointer")  # as Hadoop writes it, with a checksum
    stream.write(bytearray(b"before"))
    stream.close()

    def fails(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="no"):
        files.write("pointer", b"after")
    monkeypatch.undo()
    assert files.read("pointer") == b"before"
    files.write("pointer", b"after")
    assert files.read("pointer") == b"after", "the checksum of the one before is not held against it"
    assert [path.name for path in tmp_path.iterdir()] == ["pointer"]
