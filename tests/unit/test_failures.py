from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import pyspark
import pytest
from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PythonException

import dstreams
from dstreams import DStreamError
from dstreams._run.failures import as_user_error
from dstreams.errors import BatchError

WHERE = "foreachRDD at app.py:7 of batch 2024-01-01 00:00:01"
PYSPARK = pyspark.__path__[0]
DSTREAMS = dstreams.__path__[0]


class JavaException:
    """Stand-in for the exception object of the JVM."""

    _target_id = "o1"
    _gateway_client = None

    def __init__(self, text: str) -> None:
        self.text = text

    def toString(self) -> str:
        return self.text


class JavaError(Py4JJavaError):
    """A Py4JJavaError that has its text without a JVM."""

    def __init__(self, text: str) -> None:
        Exception.__init__(self, text)
        self.text = text
        self.java_exception = JavaException(text.splitlines()[0] if text else "")

    def __str__(self) -> str:
        return f"An error occurred while calling o99.collect.\n: {self.text}"


def spark_text(last: str, user_frame: bool = True) -> str:
    """What Spark says when a task fails with a Python exception."""
    mine = (
        '  File "/home/me/app.py", line 12, in parse\n    return int(line)\n           ^^^^^^^^^\n'
        if user_frame
        else ""
    )
    return (
        "org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 3.0 failed 1 times, most "
        "recent failure: Lost task 0.0 in stage 3.0 (TID 6) (localhost executor driver): "
        "org.apache.spark.api.python.PythonException: Traceback (most recent call last):\n"
        f'  File "{PYSPARK}/worker.py", line 2071, in main\n    process()\n    ~~~~~~~^^\n'
        f'  File "{DSTREAMS}/_plan/chunks.py", line 160, in __call__\n    yield from self.encode(records)\n'
        f"{mine}"
        f"{last}\n"
        "\n"
        "\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.read(PythonRunner.scala:581)\n"
        "\tat java.base/java.lang.Thread.run(Thread.java:840)\n"
        "\n"
        "Driver stacktrace:\n"
        "\tat org.apache.spark.scheduler.DAGScheduler.failJobAndIndependentStages(DAGScheduler.scala:3122)\n"
        "Caused by: org.apache.spark.api.python.PythonException: Traceback (most recent call last):\n"
        f'  File "{PYSPARK}/worker.py", line 2071, in main\n    process()\n    ~~~~~~~^^\n'
        f"{mine}"
        f"{last}\n"
        "\n"
        "\tat org.apache.spark.scheduler.Task.run(Task.scala:147)\n"
        "\t... 1 more\n"
    )


def python_exception(text: str) -> PythonException:
    return PythonException(text)


@pytest.fixture
def custom_module() -> Iterator[types.ModuleType]:
    module = types.ModuleType("custom_errors_of_a_program")
    source = """
class Simple(Exception): pass
class Code(Exception):
    def __init__(self, code, reason):
        super().__init__(code, reason)
class Listed(ValueError):
    def __init__(self, problems):
        self.problems = problems
        super().__init__("; ".join(problems))
class Named(LookupError):
    def __init__(self, *, key):
        self.key = key
    def __str__(self):
        return f"no {self.key}"
class Outer:
    class Inner(ValueError): pass
NotAClass = 5
class NoException: pass
"""
    exec(source, module.__dict__)
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


@pytest.mark.parametrize(
    "error", [ValueError("mine"), KeyError("k"), SystemExit(3), KeyboardInterrupt(), DStreamError("x")]
)
def test_an_exception_of_the_drivers_python_is_returned_as_it_is(error: BaseException) -> None:
    assert as_user_error(error, WHERE) is error


@pytest.mark.parametrize("make", [JavaError, python_exception])
def test_a_builtin_exception_is_made_again(make: Any) -> None:
    error = as_user_error(make(spark_text("ValueError: invalid literal for int() with base 10: 'x'")), WHERE)
    assert type(error) is ValueError
    assert str(error) == "invalid literal for int() with base 10: 'x'"


def test_its_cause_has_the_operation_and_the_short_traceback() -> None:
    error = as_user_error(JavaError(spark_text("ZeroDivisionError: division by zero")), WHERE)
    assert type(error) is ZeroDivisionError
    cause = error.__cause__
    assert isinstance(cause, BatchError)
    assert str(cause) == (
        f"{WHERE} failed in a worker:\n"
        "Traceback (most recent call last):\n"
        '  File "/home/me/app.py", line 12, in parse\n'
        "    return int(line)\n"
        "           ^^^^^^^^^\n"
        "ZeroDivisionError: division by zero"
    )


def test_frames_are_kept_if_there_are_none_of_the_program() -> None:
    error = as_user_error(JavaError(spark_text("TypeError: odd", user_frame=False)), WHERE)
    assert "worker.py" in str(error.__cause__)


def test_an_exception_without_a_message() -> None:
    error = as_user_error(JavaError(spark_text("AssertionError")), WHERE)
    assert type(error) is AssertionError
    assert str(error) == ""


@pytest.mark.parametrize(
    "message",
    [
        "first line\nsecond line",
        "first\n  indented: with colon\nlast",
        "a\n\nb",
        "ends with a colon:",
        "key: value: more",
    ],
)
def test_the_whole_message_is_kept(message: str) -> None:
    error = as_user_error(JavaError(spark_text(f"RuntimeError: {message}")), WHERE)
    assert type(error) is RuntimeError
    assert str(error) == message


def test_an_exception_raised_from_another_one_is_the_last() -> None:
    last = (
        "KeyError: 'first'\n"
        "\n"
        "During handling of the above exception, another exception occurred:\n"
        "\n"
        "Traceback (most recent call last):\n"
        '  File "/home/me/app.py", line 14, in parse\n'
        "    raise LookupError('second')\n"
        "LookupError: second"
    )
    error = as_user_error(JavaError(spark_text(last)), WHERE)
    assert type(error) is LookupError
    assert str(error) == "second"


def test_a_class_of_an_imported_module_is_found(custom_module: types.ModuleType) -> None:
    error = as_user_error(JavaError(spark_text(f"{custom_module.__name__}.Simple: it broke")), WHERE)
    assert type(error) is custom_module.Simple
    assert error.args == ("it broke",)
    assert isinstance(error.__cause__, BatchError)


@pytest.mark.parametrize("name", ["Code", "Listed", "Named"])
def test_an_exception_keeps_its_class_and_text_whatever_its_constructor_takes(custom_module: Any, name: str) -> None:
    error = as_user_error(JavaError(spark_text(f"custom_errors_of_a_program.{name}: it broke")), WHERE)
    assert isinstance(error, getattr(custom_module, name))
    assert (type(error).__name__, str(error)) == (name, "it broke")
    assert isinstance(error.__cause__, BatchError)


def test_a_key_error_has_its_text_once() -> None:
    error = as_user_error(JavaError(spark_text("KeyError: 'k'")), WHERE)
    assert isinstance(error, KeyError)
    assert str(error) == "'k'"


class _Cause:
    """A chain of Java's exceptions."""

    def __init__(self, *texts: str) -> None:
        self.text, *self.rest = texts

    def getCause(self) -> _Cause | None:
        return _Cause(*self.rest) if self.rest else None

    def getMessage(self) -> str:
        return self.text

    def toString(self) -> str:
        return self.text

    __str__ = toString


def test_the_root_cause_is_told() -> None:
    error = JavaError("[CANNOT_COMMIT] no stack")
    error.java_exception = _Cause("[CANNOT_COMMIT] Cannot perform commit", "wrapped", "No space left on device\nmore")
    text = str(as_user_error(error, WHERE))
    assert text.endswith("(in the end: No space left on device)")
    assert "CANNOT_COMMIT" in text


@pytest.mark.parametrize(
    "name",
    [
        "custom_errors_of_a_program.Missing",
        "custom_errors_of_a_program.NotAClass",
        "custom_errors_of_a_program.NoException",
        "module_that_nobody_imported.Error",
        "NoBuiltin",
        "print",
        "SystemExit",
        "KeyboardInterrupt",
    ],
)
@pytest.mark.usefixtures("custom_module")
def test_otherwise_it_is_a_batch_error_with_the_text(name: str) -> None:
    error = as_user_error(JavaError(spark_text(f"{name}: it broke")), WHERE)
    assert type(error) is BatchError
    assert isinstance(error, RuntimeError)
    assert str(error).startswith(f"{WHERE} failed in a worker:\nTraceback (most recent call last):\n")
    assert str(error).endswith(f"{name}: it broke")


def test_the_jvms_stack_is_left_out() -> None:
    for last in ("ValueError: x", "NoBuiltin: x"):
        error = as_user_error(JavaError(spark_text(last)), WHERE)
        text = f"{error}\n{error.__cause__}"
        assert "\tat " not in text
        assert "scala" not in text


def test_an_error_of_the_jvm_itself_is_its_first_line() -> None:
    text = "org.apache.hadoop.mapred.InvalidInputException: Input path does not exist: file:/nowhere"
    original = JavaError(f"{text}\n\tat org.apache.Foo(Foo.java:1)")
    error = as_user_error(original, WHERE)
    assert type(error) is BatchError
    assert str(error) == f"{WHERE} failed: {text}"
    assert error.__cause__ is original


def test_an_error_of_the_connection_to_the_jvm() -> None:
    error = as_user_error(Py4JError("Answer from Java side is empty"), WHERE)
    assert type(error) is BatchError
    assert str(error) == f"{WHERE} failed: Answer from Java side is empty"


def test_an_error_without_text_still_says_what_it_is() -> None:
    error = as_user_error(Py4JError(""), WHERE)
    assert str(error) == f"{WHERE} failed: Py4JError"
