"""Files of any Hadoop file system, from the driver: read whole, written whole, readable by their owner only."""

from __future__ import annotations

import os
import re
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dstreams._spark.context import hadoop_conf
from dstreams._spark.jvm import java_in, jvm_of, jvm_reason

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject, JVMView
    from pyspark import SparkContext
    from typing_extensions import Self

__all__ = ["Files", "files_of", "hadoop_files", "local_path", "hadoop_path"]

_OWNER_FILE, _OWNER_FOLDER = 0o600, 0o700
_WHOLE = "fs.capability.outputstream.abortable"
"""What Hadoop says of object stores: a file is there once it is closed, in the place of the one before."""
_MANAGER = "org.apache.spark.sql.execution.streaming.checkpointing.CheckpointFileManager$.MODULE$"
"""Spark's way to replace a file at once on other file systems."""
_MODULES = {"s3a": "hadoop-aws", "abfs": "hadoop-azure", "abfss": "hadoop-azure"}
"""Modules of Hadoop that have the file systems which Spark does not bring."""


def local_path(uri: str) -> str | None:
    """Path on this machine that a URI stands for; None if it is of another file system."""
    scheme, colon, rest = uri.partition(":")
    if not colon or "/" in scheme:
        return os.path.abspath(uri)
    if scheme != "file":
        return None
    # Hadoop does not decode %20 and the like, and knows no host: both stand for themselves in its paths.
    return re.sub("^//[^/]*", "", rest)


def _write_local(path: str, data: bytes) -> None:
    """Replace a file at once; Hadoop's checksum of the one before must not be held against it."""
    folder, name = os.path.split(path)
    fresh = f"{folder}/.{name}.{uuid.uuid4().hex}.tmp"
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_FILE), "wb") as file:
            file.write(data)
        with suppress(FileNotFoundError):
            os.unlink(f"{folder}/.{name}.crc")
        os.replace(fresh, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(fresh)
        raise


def _missing_classes(jvm: JVMView, path: str, reason: str) -> str | None:
    """Say what to do about a file system whose classes are not there; None where that is not the reason."""
    if not re.search("No FileSystem for scheme|ClassNotFound|NoClassDefFound", reason):
        return None
    scheme = path.partition(":")[0]
    if scheme in ("s3", "s3n"):
        return f"{reason}. Hadoop's name for S3 is s3a://"
    module = _MODULES.get(scheme)
    version = jvm.org.apache.hadoop.util.VersionInfo.getVersion()
    jars = f"--packages org.apache.hadoop:{module}:{version}" if module else "--packages or --jars"
    return f"{reason}. The classes of {scheme}:// are not there, or not all of them: start Spark with {jars}"


def hadoop_files(jvm: JVMView, path: str) -> Files:
    """Files below a path, before there is a SparkContext; with the Hadoop settings of ``spark.hadoop.*``."""
    return Files(jvm, jvm.org.apache.spark.deploy.SparkHadoopUtil.get().conf(), path)


def files_of(sc: SparkContext, directory: str) -> Files:
    """Files below a path, with the Hadoop settings of a SparkContext."""
    return Files(jvm_of(sc), hadoop_conf(sc), directory)


def hadoop_path(sc: SparkContext, name: str) -> tuple[JavaObject, JavaObject]:
    """Hadoop's ``FileSystem`` that a path is on, and the ``Path``."""
    path = java_in(jvm_of(sc), "org.apache.hadoop.fs.Path")(name)
    return path.getFileSystem(hadoop_conf(sc)), path


class Files:
    """What lies below one directory; names are relative to it.

    Parameters
    ----------
    jvm : JVMView
        The JVM.
    conf : JavaObject
        Hadoop's configuration.
    root : str
        Path or URI of the directory, which need not exist.

    Attributes
    ----------
    root : str
        Its full name, with scheme.
    local : bool
        Whether it is on a disk of this machine.
    """

    def __init__(self, jvm: JVMView, conf: JavaObject, root: str) -> None:
        self._jvm = jvm
        self._conf = conf
        path = self._of(root)
        try:
            self._fs = path.getFileSystem(conf)
        except Exception as error:
            if advice := _missing_classes(jvm, root, jvm_reason(error)):
                raise OSError(advice) from None
            raise
        self.root = str(self._fs.makeQualified(path).toString())
        self.local = self.root.startswith("file:")

    def below(self, name: str) -> Self:
        """Files of a folder."""
        return type(self)(self._jvm, self._conf, f"{self.root}/{name}")

    def names(self, folder: str = "") -> list[str]:
        """Names in a folder, sorted; none if there is no such folder."""
        path = self._path(folder)
        if not self._fs.exists(path):
            return []
        return sorted(str(status.getPath().getName()) for status in self._fs.listStatus(path))

    def exists(self, name: str = "") -> bool:
        """Whether there is such a file or folder."""
        return bool(self._fs.exists(self._path(name)))

    def is_folder(self) -> bool:
        """Whether the directory exists, and is one."""
        path = self._path("")
        return self.exists() and bool(self._fs.getFileStatus(path).isDirectory())

    def size(self, name: str) -> int:
        """Bytes of a file, or of all files of a folder."""
        return int(self._fs.getContentSummary(self._path(name)).getLength())

    def read(self, name: str) -> bytes:
        """All bytes of a file."""
        stream = self._fs.open(self._path(name))
        try:
            return bytes(java_in(self._jvm, "org.apache.commons.io.IOUtils.toByteArray")(stream))
        finally:
            stream.close()

    def write(self, name: str, data: bytes) -> None:
        """Write a file so that it is there whole, or as it was before, also if the program dies meanwhile."""
        self.make_folder(name.rpartition("/")[0])
        path = self._path(name)
        if self.local:
            _write_local(f"{local_path(self.root)}/{name}", data)
            return
        if self._fs.hasPathCapability(path, _WHOLE):
            stream = self._fs.create(path, True)
            undo = stream.abort
        else:
            stream = java_in(self._jvm, _MANAGER).create(path, self._conf).createAtomic(path, True)
            undo = stream.cancel
        try:
            stream.write(bytearray(data))
        except BaseException:
            undo()
            raise
        stream.close()
        self._fs.setPermission(path, self._permission(_OWNER_FILE))

    def stream(self, name: str) -> JavaObject:
        """Output stream of the JVM to a file, which is made anew."""
        self.make_folder(name.rpartition("/")[0])
        return self._create(self._path(name))

    def make_folder(self, name: str) -> None:
        """Make a folder, for its owner only, if there is none."""
        path = self._path(name)
        if not self._fs.exists(path):
            self._fs.mkdirs(path, self._permission(_OWNER_FOLDER))

    def delete(self, name: str) -> None:
        """Delete a file or folder, if there is one."""
        self._fs.delete(self._path(name), True)

    def delete_empty(self, folder: str) -> None:
        """Delete a folder, by its full name, if nothing is in it."""
        path = self._of(folder)
        if not self._fs.listStatus(path):
            self._fs.delete(path, False)

    def copy(self, name: str, into: Files, to: str) -> None:
        """Copy a file or folder, if there is one, to another directory of the same file system."""
        if self.exists(name):
            into.make_folder(to.rpartition("/")[0])
            copy = java_in(self._jvm, "org.apache.hadoop.fs.FileUtil.copy")
            if not copy(self._fs, self._path(name), self._fs, into._path(to), False, True, self._conf):
                raise OSError(f"{self._path(name).toString()} cannot be copied to {into._path(to).toString()}")

    def can_write(self) -> None:
        """Make the directory, for its owner only, and see that it can be written to; raises what the system says."""
        path = self._path("")
        fresh = not self._fs.exists(path)
        if not self._fs.mkdirs(path):
            raise OSError("it cannot be made")
        if fresh:
            self._fs.setPermission(path, self._permission(_OWNER_FOLDER))
        probe = self._path(f".dstreams-{uuid.uuid4().hex}")
        try:
            self._fs.create(probe, True).close()
        finally:
            self._fs.delete(probe, False)

    def _create(self, path: JavaObject) -> JavaObject:
        stream = self._fs.create(path, True)
        self._fs.setPermission(path, self._permission(_OWNER_FILE))  # before there is anything in it
        return stream

    def _permission(self, mode: int) -> JavaObject:
        return java_in(self._jvm, "org.apache.hadoop.fs.permission.FsPermission")(f"{mode:o}")

    def _path(self, name: str) -> JavaObject:
        return self._of(f"{self.root}/{name}" if name else self.root)

    def _of(self, path: str) -> Any:
        return java_in(self._jvm, "org.apache.hadoop.fs.Path")(path)
