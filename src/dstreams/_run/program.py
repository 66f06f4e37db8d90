"""The program as its checkpoint directory keeps it: what it is, for people and upgrades, and its pickled graph.

One file, ``_dstreams/program-<n>``, the newest of which counts: a line of JSON, which can be read without unpickling
anything, then the pickle. The directory is the owner's alone, since unpickling runs code.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import platform
import sys
import time
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import asdict, dataclass, field
from typing import IO, TYPE_CHECKING, Any

import pyspark
from pyspark import SparkConf, cloudpickle

from dstreams._plan.default_partitions import restoring_with
from dstreams._plan.graph import Graph
from dstreams._plan.identity import Operation
from dstreams._plan.worker_errors import one_line
from dstreams._run.layout import Layout
from dstreams._version import __version__
from dstreams.errors import CheckpointError, DStreamTypeError

if TYPE_CHECKING:
    from pyspark import SparkContext

    from dstreams._builder import Builder
    from dstreams._spark.files import Files

__all__ = [
    "FILE", "OURS", "Program", "describe", "hashing", "pickle_graph", "read_graph", "read_program",
    "save_program", "without_process",
]  # fmt: skip

OURS = "_dstreams"
"""Folder in the checkpoint directory, and in each run's, where everything is that does not bear a name of Spark's."""
FORMAT = 1
FILE = "program-"
"""How the names of the files begin that a program is saved in."""
_KEEP = 2

_CONTAINERS = (list, dict, set, bytearray, deque, defaultdict, OrderedDict, Counter)

_OF_THE_PROCESS = (
    "spark.app.id", "spark.app.startTime", "spark.app.submitTime", "spark.driver.host", "spark.driver.port",
    "spark.driver.bindAddress", "spark.executor.id", "spark.ui.port", "spark.blockManager.port",
    "spark.yarn.app.id", "spark.yarn.app.attemptId", "spark.yarn.jars", "spark.yarn.keytab", "spark.yarn.principal",
    "spark.kerberos.keytab", "spark.kerberos.principal", "spark.kubernetes.driver.pod.name",
    "spark.kubernetes.executor.podNamePrefix", "spark.submit.pyFiles", "spark.submit.deployMode",
    "spark.repl.local.jars", "spark.sql.warehouse.dir",
)  # fmt: skip
"""Settings of one process; a restored program takes those of the process it runs in, as on the old engine."""


@dataclass(frozen=True)
class Program:
    """What is known of a program without unpickling it.

    Attributes
    ----------
    app, script : str
        Name of the application, and of the file that the program is in.
    interval_ms : int
        Batch interval in ms.
    remember_ms : int, optional
        What ``remember`` was called with, in ms.
    parallelism : int
        Default number of partitions.
    conf : dict of str to str
        Spark's settings.
    operations : list of Operation
        Sources and operations with state.
    outputs : list of str
        Output operations, as ``explain`` shows them.
    layouts : list of Layout
        Where the query, and each exchange, keeps what in the directory.
    dstreams, python, pyspark : str
        Versions that wrote it.
    hashing : list of str
        What decides about the partition of a key: Python's algorithm for hashes, and its seed in workers.
    root : str
        Full name of the folder that it is saved in.
    written_ms : int
        When, in ms since the epoch.
    format : int
        Version of this file.
    """

    app: str
    script: str
    interval_ms: int
    remember_ms: int | None
    parallelism: int
    conf: dict[str, str]
    operations: list[Operation]
    outputs: list[str]
    layouts: list[Layout]
    dstreams: str
    python: str
    pyspark: str
    hashing: list[str]
    root: str = ""
    written_ms: int = 0
    format: int = FORMAT
    size: int = field(default=0, compare=False)
    sha256: str = field(default="", compare=False)

    def spark_conf(self) -> SparkConf:
        """Settings for a SparkContext in a new process: the saved ones, where this process has none of its own."""
        conf = SparkConf()
        for key, value in without_process(self.conf).items():
            if key == "spark.app.name" or not conf.contains(key):
                conf.set(key, value)
        return conf


def describe(builder: Builder, operations: list[Operation], remember_ms: int | None, script: str) -> Program:
    """Describe a program that is about to start; where it keeps what is known later."""
    sc = builder.sc
    return Program(
        app=sc.appName or "",
        script=script,
        interval_ms=builder.interval_ms,
        remember_ms=remember_ms,
        parallelism=builder.parallelism,
        conf=dict(sc.getConf().getAll()),
        operations=operations,
        outputs=[str(output) for output in builder.graph.outputs],
        layouts=[],
        dstreams=__version__,
        python=platform.python_version(),
        pyspark=pyspark.__version__,
        hashing=hashing(sc),
        written_ms=int(time.time() * 1000),
    )


def hashing(sc: SparkContext) -> list[str]:
    """What decides about the partition of a key: another value of it, and the state's keys are in wrong buckets."""
    return [sys.hash_info.algorithm, str(sys.hash_info.width), str(sc.environment.get("PYTHONHASHSEED", "0"))]


# ---------------------------------------------------------------------- the file


def pickle_graph(graph: Graph) -> bytes:
    """Pickle what is used of a program's graph.

    Raises
    ------
    DStreamTypeError
        If that cannot be done; it names the operation.
    """
    live = Graph(graph.live(), graph.outputs)
    try:
        return bytes(cloudpickle.dumps(live))
    except Exception as error:
        parts = [(str(node), part) for node in live.nodes for part in (node.evaluate, node.step, node.source)]
        parts += [(str(output), output.run) for output in live.outputs]
        for name, part in parts:
            try:
                cloudpickle.dumps(part)
            except Exception as reason:
                raise _not_picklable(name, reason) from error
        raise _not_picklable("the program", error) from error


def _not_picklable(name: str, error: Exception) -> DStreamTypeError:
    return DStreamTypeError(
        f"{name}: it cannot be saved in the checkpoint directory, from which the program would be restored: "
        f"{one_line(error)}. "
        "Its function (or something it closes over) holds a thing that lives in this process only, such as a "
        "SparkContext, an RDD, a DStream, a lock, a file or a connection. Take the SparkContext from the RDD "
        "(rdd.context), and make other things inside the function."
    )


def without_process(conf: dict[str, str]) -> dict[str, str]:
    """Of the settings of a program those that are not of one process."""
    return {key: value for key, value in conf.items() if key not in _OF_THE_PROCESS}


def save_program(files: Files, program: Program, payload: bytes) -> None:
    """Write the next program file, and forget all but the newest ones.

    Parameters
    ----------
    files : Files
        Files of the run's folder.
    program : Program
        What it is.
    payload : bytes
        Its pickled graph.
    """
    numbers = _numbers(files)
    header = asdict(program) | {"size": len(payload), "sha256": hashlib.sha256(payload).hexdigest(), "root": files.root}
    number = numbers[-1] + 1 if numbers else 1
    files.write(f"{OURS}/{FILE}{number:06d}", json.dumps(header).encode() + b"\n" + payload)
    for old in _numbers(files)[:-_KEEP]:
        files.delete(f"{OURS}/{FILE}{old:06d}")


def read_program(files: Files) -> tuple[Program, bytes] | None:
    """Read the newest program file; None if there is none.

    Raises
    ------
    CheckpointError
        If it is damaged, or written by a newer version.
    """
    numbers = _numbers(files)
    if not numbers:
        return None
    name = f"{OURS}/{FILE}{numbers[-1]:06d}"
    line, _, payload = files.read(name).partition(b"\n")
    try:
        header: dict[str, Any] = json.loads(line)
        format = int(header["format"])
    except Exception:
        raise CheckpointError.unreadable(files.root, _damaged(name, "its first line is no description")) from None
    if format > FORMAT:
        raise CheckpointError.unreadable(
            files.root,
            f"it was written by dstreams {header.get('dstreams')}, whose format {format} this version "
            f"({FORMAT}) does not know. Install that version or a newer one; nothing was changed.",
        )
    if len(payload) != header["size"] or hashlib.sha256(payload).hexdigest() != header["sha256"]:
        found = f"{len(payload)} bytes of {header['size']}, or others than were written"
        raise CheckpointError.unreadable(files.root, _damaged(name, found))
    operations = [Operation(**operation) for operation in header.pop("operations")]
    layouts = [Layout.from_json(layout) for layout in header.pop("layouts")]
    return Program(operations=operations, layouts=layouts, **header), payload


def read_graph(files: Files, program: Program, payload: bytes) -> Graph:
    """Unpickle the graph of a saved program.

    Raises
    ------
    CheckpointError
        If this interpreter or this version of the package cannot.
    """
    ours, theirs = (version.split(".")[:2] for version in (platform.python_version(), program.python))
    if ours != theirs:
        raise CheckpointError.unreadable(
            files.root,
            f"the program was saved by Python {program.python}, and this is {platform.python_version()}: functions are "
            "saved as byte code, which another version cannot run. Start with that Python, or once with "
            "getOrCreate(..., upgrade=True) (or the conf spark.streaming.dstreams.upgrade=true), which runs your "
            "setup function instead of the saved program and keeps offsets and state.",
        )
    try:
        with restoring_with(program.parallelism):
            unpickler = _Unpickler(io.BytesIO(payload))
            graph: Graph = unpickler.load()
    except Exception as error:
        raise CheckpointError.unreadable(
            files.root,
            f"the saved program cannot be restored ({type(error).__name__}: {error}). If a module that it needs has "
            "changed or is missing, bring it back, or start once with getOrCreate(..., upgrade=True), which runs your "
            "setup function instead and keeps offsets and state.",
        ) from error
    unpickler.bind_to_script()
    return graph


class _Unpickler(pickle.Unpickler):
    """Restores functions of the main script, which see its lists and other containers again.

    A function's globals are pickled with it. Those that the script has made anew as they were saved are the script's
    own from then on, as they were when the program was started first: what an output appends is seen by the script.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self._globals: dict[int, dict[str, Any]] = {}  # functions share them

    def find_class(self, module: str, name: str) -> Any:
        """Note the functions that cloudpickle makes."""
        found = super().find_class(module, name)
        if name != "_function_setstate":
            return found

        def noted(function: Any, state: Any) -> Any:
            self._globals[id(function.__globals__)] = function.__globals__
            return found(function, state)

        return noted

    def bind_to_script(self) -> None:
        """Let restored functions share the containers of the script that are as they were saved."""
        script = vars(sys.modules["__main__"])
        for names in self._globals.values():
            if names.get("__name__") == "__main__" and names is not script:
                for name, saved in names.items():
                    live = script.get(name)
                    if type(live) in _CONTAINERS and type(live) is type(saved) and _same(live, saved):
                        names[name] = live


def _same(live: Any, saved: Any) -> bool:
    try:
        return bool(live == saved)
    except Exception:  # of elements that cannot be compared
        return False


def _damaged(name: str, what: str) -> str:
    return (
        f"the file {name} is damaged ({what}). Restore it from a copy; or start once with getOrCreate(..., "
        "upgrade=True) after you have deleted that file, if an older one is there; or use another directory. "
        "Nothing was changed."
    )


def _numbers(files: Files) -> list[int]:
    names = (name[len(FILE) :] for name in files.names(OURS) if name.startswith(FILE))
    return sorted(int(name) for name in names if name.isdigit())
