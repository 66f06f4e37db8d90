"""Files of any Hadoop file system for a receiver, whose process has no JVM: the driver reads and writes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from dstreams._java import java
from dstreams._sources.link import Remote

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import SparkContext

__all__ = ["DriverFiles", "DriverFolder"]


class DriverFiles:
    """The driver's end; what is called over the link.

    Parameters
    ----------
    sc : SparkContext
        The program's context.
    """

    def __init__(self, sc: SparkContext) -> None:
        assert sc._jsc is not None
        self._jvm = sc._jvm
        self._conf = sc._jsc.hadoopConfiguration()
        self._open: dict[str, JavaObject] = {}

    def names(self, folder: str) -> list[str]:
        """Names in a folder; none if there is no such folder."""
        with _first_line():
            fs, path = self._find(folder)
            return [str(status.getPath().getName()) for status in fs.listStatus(path)] if fs.exists(path) else []

    def read(self, path: str) -> bytes:
        """All bytes of a file."""
        with _first_line():
            fs, file = self._find(path)
            stream = fs.open(file)
            try:
                return bytes(stream.readAllBytes())
            finally:
                stream.close()

    def append(self, path: str, data: bytes) -> None:
        """Write to the end of a file, which is made (anew) the first time and stays open until :meth:`close`."""
        with _first_line():
            try:
                if path not in self._open:
                    self._open[path] = self._create(path)
                stream = self._open[path]
                stream.write(bytearray(data))
                if stream.hasCapability("hflush"):
                    stream.hflush()
                else:
                    stream.flush()
            except Exception:
                # Nobody knows how much of it was written, so nothing more may follow.
                with suppress(Exception):
                    self._open.pop(path).close()
                raise

    def close(self, path: str) -> None:
        """Complete a file; on an object store it is there from now on."""
        with _first_line():
            if path in self._open:
                self._open.pop(path).close()

    def close_all(self) -> None:
        """Complete the files of receivers that ended without doing so."""
        for path in list(self._open):
            with suppress(OSError):
                self.close(path)

    def delete(self, path: str) -> None:
        """Delete a file, if there is one."""
        with _first_line():
            fs, file = self._find(path)
            fs.delete(file, False)

    def _find(self, path: str) -> tuple[JavaObject, JavaObject]:
        file = java(self._jvm, "org.apache.hadoop.fs.Path")(path)
        return file.getFileSystem(self._conf), file

    def _create(self, path: str) -> JavaObject:
        fs, file = self._find(path)
        folder, permission = file.getParent(), java(self._jvm, "org.apache.hadoop.fs.permission.FsPermission")
        if not fs.exists(folder):
            fs.mkdirs(folder)
            fs.setPermission(folder, permission("700"))
        stream = fs.create(file, True)
        fs.setPermission(file, permission("600"))  # before there is anything in it
        return stream


class DriverFolder:
    """The receiver's end: one folder, in which the driver reads and writes.

    Parameters
    ----------
    folder : str
        URI of the folder.
    files : Remote
        A :class:`DriverFiles`.
    """

    lasting = False

    def __init__(self, folder: str, files: Remote) -> None:
        self.folder = folder
        self._files = files

    def hold(self) -> None:
        """Do nothing: what an earlier driver's receiver writes goes through that driver and ends with it."""

    def release(self) -> None:
        """Do nothing."""

    def names(self) -> list[str]:
        """Names in the folder."""
        return list(self._call("names", self.folder))

    def read(self, name: str) -> bytes:
        """All bytes of a file."""
        return bytes(self._call("read", f"{self.folder}/{name}"))

    def append(self, name: str, data: bytes) -> None:
        """Write to the end of a file that this receiver makes."""
        self._call("append", f"{self.folder}/{name}", data)

    def close(self, name: str) -> None:
        """Complete a file."""
        self._call("close", f"{self.folder}/{name}")

    def delete(self, name: str) -> None:
        """Delete a file, if there is one."""
        self._call("delete", f"{self.folder}/{name}")

    def _call(self, method: str, *args: Any) -> Any:
        try:
            return self._files.call(method, *args)
        except EOFError:
            raise OSError("the driver has ended") from None
        except RuntimeError as error:
            raise OSError(str(error).removeprefix("OSError: ")) from None


@contextmanager
def _first_line() -> Iterator[None]:
    """Of an exception of the JVM pass on what it says, without the stack."""
    try:
        yield
    except Exception as error:
        text = str(getattr(error, "java_exception", error)) or type(error).__name__
        raise OSError(text.splitlines()[0]) from None
