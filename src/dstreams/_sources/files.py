"""textFileStream and binaryRecordsStream, on Structured Streaming's file source.

The file source lists a directory one level deep, leaves out names that begin with ``.`` or ``_``, remembers
what it has read, and works on every Hadoop file system. Two rules are added, by filters on what is known of a file, so
that Spark skips the files themselves: those that are older than the stream are not read, nor those that cannot be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dstreams._sources.source import NativeSource, Read
from dstreams._sources.start import Start
from dstreams._spark.files import hadoop_path
from dstreams._spark.source import start_from

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark import SparkContext

__all__ = ["BinaryRecordsSource", "TextFileSource", "read_lines"]

_WEEK_MS = 7 * 24 * 3600 * 1000
"""What is older than that, seen from the newest file, is old: with less, a file from a clock that is ahead would make
all others old. Spark's own default."""


def read_lines(batches: Iterator[pa.RecordBatch]) -> Iterator[Any]:
    """Lines of Arrow batches of text; bytes that are not UTF-8 become U+FFFD."""
    for batch in batches:
        column = batch.column(0)
        try:
            yield from column.to_pylist()
        except UnicodeDecodeError:
            for line in column.cast(pa.binary(), safe=False).to_pylist():
                yield line.decode("utf-8", "replace")


class _Directory(NativeSource):
    """A directory that is watched for new files.

    Parameters
    ----------
    directory : str
        Directory, or a glob of directories, of any Hadoop file system.
    created_ms : int
        When the stream was defined, in ms; older files are not read.
    remember_ms : int
        Remember window in ms.
    """

    operation: str
    format: str
    modified: str

    def __init__(self, directory: str, created_ms: int, remember_ms: int) -> None:
        self.directory = directory
        self._created_ms = created_ms
        self._remember_ms = remember_ms

    def describe(self) -> str:
        """Name of the stream with its directory."""
        return f"{self.operation}({self.directory})"

    def frame(self, session: SparkSession, start: Start) -> DataFrame:
        """Streaming frame of new files; which ones were read is in the file source's own log."""
        reader = session.readStream.format(self.format).option("maxFileAge", f"{self._max_age_ms}ms")
        if self.format == "binaryFile":
            reader = reader.schema("path STRING, modificationTime TIMESTAMP, length LONG, content BINARY")
        born = F.timestamp_millis(F.lit(self._created_ms))
        # A name, or a pattern, stands for directories: a file that it matches lies one level higher than theirs.
        path = F.regexp_replace("_metadata.file_path", "^[^/]*(//[^/]*)?/", "")  # without scheme and host
        inside = F.size(F.split(path, "/")).isin([depth + 1 for depth in self._depths(session.sparkContext)])
        # Hadoop makes a path of the name of a local file's checksum, and takes what is before a colon for a scheme.
        local, name = F.col("_metadata.file_path").startswith("file:"), F.col("_metadata.file_name")
        readable = ~(local & (name.contains(":") | name.contains("%3A")))
        frame = reader.load(_as_glob(self.directory)).where((F.col(self.modified) > born) & inside & readable)
        return frame.select(*self._columns())

    def opened(self, source: JavaObject, sc: SparkContext) -> None:
        """Let it leave out what is older than the stream: the filter would have each such file looked at alone."""
        start_from(source, self._created_ms + 1, self._max_age_ms, sc)

    @property
    def _max_age_ms(self) -> int:
        return max(self._remember_ms, _WEEK_MS)

    def _depths(self, sc: SparkContext) -> set[int]:
        """Number of names in the full path of a directory; several where the alternatives of a pattern differ."""
        found = (hadoop_path(sc, name) for name in _alternatives(self.directory))
        return {int(fs.makeQualified(path).depth()) for fs, path in found}

    def _columns(self) -> list[str]:
        raise AssertionError("each kind of directory names its columns")

    def input_info(self, read: Read) -> tuple[int, str] | None:
        """No count, as on the old engine, and the names of the files."""
        before, at = (-1 if text is None else int(json.loads(text)["logOffset"]) for text in read.span())
        names = [unquote(entry["path"]) for entry in read.entries(before + 1, at)]
        return 0, "\n".join(names)

    def metadata(self) -> dict[str, Any]:
        """When the stream was defined: files that came while no program ran are newer than that."""
        return {"created_ms": self._created_ms}

    def resume(self, metadata: dict[str, Any]) -> None:
        """Read what is newer than the earlier stream."""
        self._created_ms = metadata["created_ms"]

    def announce(self, sc: SparkContext) -> str | None:
        """Say what is watched, and whether it is there."""
        found = self._matches(sc)
        if not found:
            return f"{self.describe()}: no such directory yet; it is read as soon as it is there"
        if not any(found):
            return f"{self.describe()}: this is a file, not a directory; nothing will be read from it"
        return f"{self.describe()}: waiting for new files"

    def _matches(self, sc: SparkContext) -> list[bool]:
        """For each path that the name stands for, whether it is a directory."""
        try:
            fs, path = hadoop_path(sc, self.directory)
            found = fs.globStatus(path)
        except Exception:  # an address that no file system answers for: the query's own error says more
            return []
        return [status.isDirectory() for status in (found or [])]


def _as_glob(directory: str) -> str:
    """Make a pattern of a path, for which nothing is listed: Spark refuses a path that does not exist yet.

    Hadoop looks for what has a slash in braces as if it were written without them. For any other pattern it lists the
    directory above, which may hold very many files, or be closed to this user.
    """
    directory = directory.rstrip("/") or "/"
    head, slash, name = directory.rpartition("/")
    if re.search(r"[\[\]{}*?\\]", directory) or not name:
        return directory
    if re.fullmatch(r"\w+:(//[^/]*)?", directory):  # the root of a file system, such as a bucket
        return f"{directory}/"
    escaped = name.replace(",", "\\,")
    return f"{head}{slash}{{./{escaped}}}"


def _alternatives(pattern: str) -> list[str]:
    """Patterns without ``{a,b}`` that together mean the same."""
    found = re.search(r"\{([^{}]*)\}", pattern)
    if found is None:
        return [pattern]
    each = (pattern[: found.start()] + part + pattern[found.end() :] for part in found[1].split(","))
    return [name for one in each for name in _alternatives(one)]


class TextFileSource(_Directory):
    """Lines of new text files."""

    operation = "textFileStream"
    format = "text"
    modified = "_metadata.file_modification_time"
    decode = staticmethod(read_lines)

    def _columns(self) -> list[str]:
        return ["value"]


class BinaryRecordsSource(_Directory):
    """Records of a fixed length in bytes of new files."""

    operation = "binaryRecordsStream"
    format = "binaryFile"
    modified = "modificationTime"

    def __init__(self, directory: str, created_ms: int, remember_ms: int, record_length: int) -> None:
        super().__init__(directory, created_ms, remember_ms)
        self.decode = RecordCutter(record_length)

    def _columns(self) -> list[str]:
        return ["path", "content"]


class RecordCutter:
    """Arrow batches of whole files to records of a fixed length.

    Parameters
    ----------
    length : int
        Length of a record in bytes.
    """

    def __init__(self, length: int) -> None:
        self.length = length

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Any]:
        """Yield the records; a file that is not a whole number of records fails the batch, as on the old engine."""
        n = self.length
        for batch in batches:
            for path, content in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if len(content) % n:
                    raise EOFError(
                        f"binaryRecordsStream: {path} has {len(content)} bytes, which is no multiple of the record "
                        f"length {n}. None of its records were read; later files are."
                    )
                for start in range(0, len(content), n):
                    yield content[start : start + n]
