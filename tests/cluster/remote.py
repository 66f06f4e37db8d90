"""Checkpoint directories and inputs that are not on this machine's disk, as the tests look at them."""

from __future__ import annotations

import fnmatch
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, Protocol

from tests.recovery.feeds import CarefulSender, FileFeed
from tests.recovery.outputs import Outputs

__all__ = ["RemotePath", "RemoteSender", "remote_feed"]


class RemotePath(ABC):
    """What the tests use of a ``Path``, for a URI; each file system says how to look.

    Parameters
    ----------
    uri : str
        Its name, with scheme.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def __str__(self) -> str:
        return self.uri

    def __truediv__(self, name: str) -> RemotePath:
        return self._of(f"{self.uri}/{name}")

    @property
    def name(self) -> str:
        return self.uri.rpartition("/")[2]

    @property
    def parent(self) -> RemotePath:
        return self._of(self.uri.rpartition("/")[0])

    def glob(self, pattern: str) -> list[RemotePath]:
        return [path for path in self.iterdir() if fnmatch.fnmatch(path.name, pattern)] if self.exists() else []

    def rglob(self, pattern: str) -> Iterator[RemotePath]:
        """Files below it whose name fits."""
        return (path for path in map(self._of, self._files()) if fnmatch.fnmatch(path.name, pattern))

    def read_text(self) -> str:
        return self.read_bytes().decode()

    def iterdir(self) -> list[RemotePath]:
        return [self / name for name in self._names()]

    @abstractmethod
    def exists(self) -> bool:
        """Whether there is such a file or folder."""

    @abstractmethod
    def read_bytes(self) -> bytes:
        """All bytes of a file."""

    @abstractmethod
    def _of(self, uri: str) -> RemotePath:
        """Another name in the same file system."""

    @abstractmethod
    def _names(self) -> Sequence[str]:
        """Names in this folder."""

    @abstractmethod
    def _files(self) -> Iterator[str]:
        """URIs of all files below it, none if there is no such folder."""


class Store(Protocol):
    """A file system that is not this machine's."""

    uri: str

    def make_folder(self, folder: str) -> None:
        """Make a folder."""

    def put(self, file: Path, folder: str) -> None:
        """Let a local file appear in a folder as a whole."""


def remote_feed(
    kind: str, store: Store, beside: Path, checkpoint: RemotePath, outputs: Outputs, rng: Random
) -> tuple[FileFeed | CarefulSender, list[str]]:
    """Make a feed of a program whose checkpoint directory is in a store, and the program's arguments for it.

    Parameters
    ----------
    kind : str
        ``"socket"``, or ``"files"`` that appear in the store.
    store : Store
        The store.
    beside : Path
        A local folder's name, beside which files are written.
    checkpoint : RemotePath
        The program's checkpoint directory.
    outputs : Outputs
        What the program has processed.
    rng : Random
        Source of randomness.
    """
    if kind == "socket":
        sender = RemoteSender(checkpoint, outputs, rng)
        return sender, [kind, str(sender.port)]
    folder = f"{store.uri}/{kind}/in"
    store.make_folder(folder)
    return _RemoteFeed(lambda file: store.put(file, folder), beside, checkpoint, outputs, rng), [kind, folder]


class _RemoteFeed(FileFeed):
    """Lets numbered files appear in a remote directory."""

    def __init__(
        self, put: Callable[[Path], None], beside: Path, checkpoint: RemotePath, outputs: Outputs, rng: Random
    ) -> None:
        self._put = put
        super().__init__(beside, checkpoint, outputs, rng)

    def move(self, file: Path) -> None:
        """Let a file appear."""
        self._put(file)


class RemoteSender(CarefulSender):
    """A sender that looks into a remote log."""

    def reader(self, folder: Any) -> Any:
        return _Folder(folder)


class _Folder:
    """A folder of a write-ahead log that a receiver is writing to."""

    lasting = False

    def __init__(self, path: RemotePath) -> None:
        self.folder = str(path)
        self._path = path

    def names(self) -> list[str]:
        return [path.name for path in self._path.iterdir()]

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()
