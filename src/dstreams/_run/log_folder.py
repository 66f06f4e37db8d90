"""Where a receiver writes ahead: a folder of the checkpoint directory, on this machine's disk or on any file system."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from dstreams._sources.write_ahead import LocalFolder, LogFolder
from dstreams._spark.files import Files, local_path
from dstreams._spark.jvm import jvm_reason

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject

__all__ = ["HadoopFolder", "log_folder"]


def log_folder(files: Files, folder: str) -> LogFolder:
    """Folder of a checkpoint directory for a write-ahead log."""
    path = local_path(files.root)
    return HadoopFolder(files, folder) if path is None else LocalFolder(f"{path}/{folder}")


class HadoopFolder:
    """A folder of any Hadoop file system.

    Parameters
    ----------
    files : Files
        Files of the checkpoint directory.
    folder : str
        Name of the folder in it.
    """

    lasting = False

    def __init__(self, files: Files, folder: str) -> None:
        self.folder = f"{files.root}/{folder}"
        self._files = files
        self._name = folder
        self._open: dict[str, JavaObject] = {}

    def names(self) -> list[str]:
        """Names of the files."""
        with _as_os_errors():
            return self._files.names(self._name)

    def read(self, name: str) -> bytes:
        """All bytes of a file."""
        with _as_os_errors():
            return self._files.read(f"{self._name}/{name}")

    def append(self, name: str, data: bytes) -> None:
        """Write to the end of a file, and pass it on to where others can read it, if the file system can do that."""
        with _as_os_errors():
            try:
                if name not in self._open:
                    self._open[name] = self._files.stream(f"{self._name}/{name}")
                stream = self._open[name]
                stream.write(bytearray(data))
                if stream.hasCapability("hflush"):
                    stream.hflush()
                else:
                    stream.flush()
            except Exception:
                # Nobody knows how much of it was written, so nothing more may follow.
                with suppress(Exception):
                    self._open.pop(name).close()
                raise

    def close(self, name: str) -> None:
        """Complete a file; on an object store it is there from now on."""
        with _as_os_errors():
            if name in self._open:
                self._open.pop(name).close()

    def delete(self, name: str) -> None:
        """Delete a file, if there is one."""
        with _as_os_errors():
            self._files.delete(f"{self._name}/{name}")


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Of an exception of the JVM pass on what it says, without the stack."""
    try:
        yield
    except Exception as error:
        raise OSError(jvm_reason(error)) from None
