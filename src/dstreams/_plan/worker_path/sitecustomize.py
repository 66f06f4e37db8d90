"""Python's start-up hook in the worker processes of our queries: import PySpark from its compiled files.

Spark puts ``pyspark.zip`` first on the path of every Python process it starts. A module in a zip is compiled
anew in each process: two seconds where the installed package next to it takes half a second. Where the zip
belongs to a PySpark that is installed for this interpreter, it goes to the end of the path.
"""

import os
import sys
from contextlib import suppress
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _here]

_tail = os.path.join("pyspark", "python", "lib", "")
for _entry in list(sys.path):
    _package_parent, _found, _zip = _entry.partition(_tail)
    if _found and _zip.endswith(".zip") and os.path.abspath(_package_parent) in map(os.path.abspath, sys.path):
        sys.path.remove(_entry)
        sys.path.append(_entry)

with suppress(OSError):  # a signal to the whole group is the driver's to answer; PySpark's daemon does the same
    os.setpgid(0, 0)

# The process in which Spark asks a stateful operator for its state's schema tells its life on standard output.
if any(argument.endswith("transform_with_state_driver_worker") for argument in sys.orig_argv):
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def _tell(kind, error, traceback):  # type: ignore[no-untyped-def]
    if not issubclass(kind, (BrokenPipeError, ConnectionResetError)):
        sys.__excepthook__(kind, error, traceback)


# A reader's answer may come when the query has been stopped: Spark has hung up, and nobody is to be told of that.
if any(argument.endswith("python_streaming_source_runner") for argument in sys.orig_argv):
    sys.excepthook = _tell

# This file hides a sitecustomize of the machine's own, if there is one: run it too.
_spec = PathFinder.find_spec("sitecustomize", sys.path)
if _spec is not None and _spec.loader is not None:
    _spec.loader.exec_module(module_from_spec(_spec))
