"""Names of the JVM are looked up once."""

from __future__ import annotations

from typing import Any

from dstreams._spark.jvm import java_in


class View:
    """Counts what it is asked, as the JVM would be."""

    def __init__(self, name: str, asked: list[str]) -> None:
        self._name = name
        self._asked = asked

    def __getattr__(self, name: str) -> Any:
        full = f"{self._name}.{name}".lstrip(".")
        self._asked.append(full)
        return View(full, self._asked)


def test_each_jvm_is_asked_once() -> None:
    asked: list[str] = []
    views: list[Any] = [View("", asked), View("", asked)]
    found = java_in(views[0], "java.util.List")
    assert asked == ["java", "java.util", "java.util.List"]
    assert java_in(views[0], "java.util.List") is found and len(asked) == 3
    assert java_in(views[1], "java.util.List") is not found and len(asked) == 6
