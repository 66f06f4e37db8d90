"""What is said of nodes that lack something."""

from __future__ import annotations

import pytest

from dstreams._run.nodes import _problem, missing
from dstreams._version import __version__


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ModuleNotFoundError: No module named 'pyarrow'", "no package pyarrow"),
        ("ModuleNotFoundError: No module named 'google'", "no package protobuf"),
        ("ModuleNotFoundError: No module named 'google.protobuf.message'", "no package protobuf"),
        ("ModuleNotFoundError: No module named 'dstreams'", "no package dstreams"),
        ("ModuleNotFoundError: No module named 'dstreams._run.nodes'", "no package dstreams"),
        (
            "[PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.9 than that in driver: 3.11, PySpark",
            "the executors run Python 3.9 and this program 3.",
        ),
        (
            "[PYTHON_VERSION_MISMATCH] Python in worker has different version (3, 9) than that in driver 3.11, PySpark",
            "the executors run Python 3.9 and this program 3.",
        ),
        ('java.io.IOException: Cannot run program "python3.11": error=2', "no Python interpreter python3.11"),
    ],
)
def test_what_an_executor_lacks(text, said):
    found = missing(f"Job aborted: Traceback ...\n{text}\n  at org.apache.spark")
    assert found is not None and said in found and "docs/deploy.md" in found


@pytest.mark.parametrize(
    "text",
    [
        "ModuleNotFoundError: No module named 'google.cloud'",
        "ModuleNotFoundError: No module named 'dstreams.nonsense'",
        "ModuleNotFoundError: No module named 'mylib'",
        "ValueError: pyarrow",
    ],
)
def test_mistakes_of_the_program_are_its_own(text):
    assert missing(text) is None


@pytest.mark.parametrize(
    ("version", "lacks", "sees", "said"),
    [
        (__version__, None, True, None),
        ("0.0.1", None, True, f"the executor on node1 has dstreams 0.0.1 and this program {__version__}"),
        (__version__, "No module named 'pyarrow'", True, "on node1, the executors' Python has no package pyarrow"),
        (__version__, "libarrow.so: cannot open shared object", True, "on node1, libarrow.so: cannot open"),
        (__version__, None, False, "the directory file:/c is on the driver's disk, and the executor on node1"),
    ],
)
def test_answers_of_nodes(version, lacks, sees, said):
    found = _problem("node1", version, lacks, sees, "file:/c")
    assert found is None if said is None else said in str(found)
