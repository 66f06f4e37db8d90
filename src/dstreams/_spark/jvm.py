"""The JVM of a SparkContext: its classes, found once, and calls from it."""

from __future__ import annotations

from functools import cache, reduce
from typing import TYPE_CHECKING, Any

from pyspark.java_gateway import ensure_callback_server_started

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject, JVMView
    from pyspark import SparkContext

__all__ = ["accept_calls", "any_class", "java", "java_in", "jvm_of", "jvm_reason"]


def jvm_of(sc: SparkContext) -> JVMView:
    """The JVM, for names that are looked up at each use."""
    assert sc._jvm is not None
    return sc._jvm


def java(sc: SparkContext, name: str) -> Any:
    """Class, static method or Scala object (``X$.MODULE$``) with this full name."""
    return java_in(jvm_of(sc), name)


@cache
def java_in(jvm: JVMView, name: str) -> Any:
    """The same of a JVM that may have no SparkContext yet.

    ``jvm.org.apache...`` asks the JVM at each dot, which looks through all jars for a class of that name before it
    says that ``org`` is a package: 3 to 4 ms, several times in each batch.
    """
    return reduce(getattr, name.split("."), jvm)


def any_class(sc: SparkContext) -> JavaObject:
    """Scala's ``ClassTag`` of any object."""
    return java(sc, "scala.reflect.ClassTag.Object")()


def accept_calls(sc: SparkContext) -> None:
    """Let the JVM call objects of this process."""
    ensure_callback_server_started(sc._gateway)


def jvm_reason(error: Exception) -> str:
    """First line of what the JVM says about a failed call, without the stack."""
    text = str(getattr(error, "java_exception", error)).strip()
    return text.splitlines()[0] if text else type(error).__name__
