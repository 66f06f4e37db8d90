"""Python's start-up hook in the Python processes that Spark starts for our programs; it makes them quick.

Three things cost a batch of a second or less more than its work does:

Spark puts ``pyspark.zip`` first on the path of every Python process it starts, and a module in a zip is compiled anew
in each process: two seconds where the installed package next to it takes half a second. Where the zip belongs to a
PySpark that is installed for this interpreter, it goes to the end of the path.

The JVM writes the head of a task and its data one after the other, and the second waits for the acknowledgement of the
first, which Linux delays by 40 ms. A worker asks for acknowledgements at once, task by task (it is no lasting setting).

After every task PySpark's daemon lets Python look through all objects for garbage, 5 to 20 ms for those of the modules
alone. What was imported once is put where the garbage collector does not look (``gc.freeze``).
"""

import gc
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType
from typing import BinaryIO

_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _here]

_tail = os.path.join("pyspark", "python", "lib", "")
for _entry in list(sys.path):
    _package_parent, _found, _zip = _entry.partition(_tail)
    if _found and _zip.endswith(".zip") and os.path.abspath(_package_parent) in map(os.path.abspath, sys.path):
        sys.path.remove(_entry)
        sys.path.append(_entry)

if any(argument.startswith("pyspark.") for argument in sys.orig_argv):
    with suppress(OSError):  # a signal to the whole group is the driver's to answer; PySpark's daemon does the same
        os.setpgid(0, 0)

# The process in which Spark asks a stateful operator for its state's schema tells its life on standard output.
if any(argument.endswith("transform_with_state_driver_worker") for argument in sys.orig_argv):
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def _freeze() -> None:
    gc.collect()
    gc.freeze()


def _acknowledge_at_once(file: BinaryIO) -> None:
    with suppress(OSError, AttributeError):  # no TCP, or not Linux
        connection = socket.socket(fileno=os.dup(file.fileno()))
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _prepared(main: Callable[[BinaryIO, BinaryIO], None]) -> Callable[[BinaryIO, BinaryIO], None]:
    """Wrap what a worker calls for each task."""
    fresh = True

    def run(infile: BinaryIO, outfile: BinaryIO) -> None:
        nonlocal fresh
        _acknowledge_at_once(infile)
        if fresh:  # in the worker, since pyarrow starts a thread, which does not go well with fork()
            fresh = False
            with suppress(ImportError):  # where it is missing, the stage that needs it says so
                import pyarrow  # noqa: F401
            _freeze()
        main(infile, outfile)

    return run


class _OldNames(MetaPathFinder):
    """Lets a module of the program that imports what PySpark no longer has be imported in a worker too.

    That is ``pyspark.streaming.kafka`` and its like, and ``pyspark.streaming`` once Spark has dropped the old engine.
    """

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname == "pyspark.streaming":
            return spec_from_loader(fullname, _Alias("dstreams"))
        parent, _, name = fullname.rpartition(".")
        if parent != "pyspark.streaming" or name not in ("flume", "kafka", "kinesis"):
            return None
        return spec_from_loader(fullname, _Alias(f"dstreams.{name}"))


class _Alias(Loader):
    def __init__(self, name: str) -> None:
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        if self._name == "dstreams":
            import_module("dstreams.compat").activate()  # its submodules have old names too
        return import_module(self._name)

    def exec_module(self, module: ModuleType) -> None:
        """It has run when it was imported."""


sys.meta_path.append(_OldNames())  # last: what PySpark itself has comes first

if "pyspark.daemon" in sys.orig_argv:
    import pyspark.serializers
    import pyspark.sql.types
    import pyspark.worker

    pyspark.worker.main = _prepared(pyspark.worker.main)
    _freeze()

# This file hides a sitecustomize of the machine's own, if there is one: run it too.
_spec = PathFinder.find_spec("sitecustomize", sys.path)
if _spec is not None and _spec.loader is not None:
    _spec.loader.exec_module(module_from_spec(_spec))
