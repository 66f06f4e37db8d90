"""Classes of the JVM, found once."""

from __future__ import annotations

from functools import cache, reduce
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from py4j.java_gateway import JVMView

__all__ = ["java"]


@cache
def java(jvm: JVMView | None, name: str) -> Any:
    """Class, static method or Scala object (``X$.MODULE$``) with this full name.

    ``jvm.org.apache...`` asks the JVM at each dot, which looks through all jars for a class of that name before it
    says that ``org`` is a package: 3 to 4 ms, several times in each batch.
    """
    assert jvm is not None
    return reduce(getattr, name.split("."), jvm)
