"""The StatefulProcessors of docs/how-to/leave.md, with the tester that Spark has for them since 4.3."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import Row

from tests.guides import blocks

TwsTester = pytest.importorskip("pyspark.sql.streaming.tws_tester").TwsTester
LEAVE = Path(__file__).parents[2] / "docs" / "how-to" / "leave.md"


def test_state_with_a_timer() -> None:
    names: dict[str, object] = {"__name__": "guide"}
    for wanted in ("class Update", "class Visits"):
        exec(next(block for block in blocks(LEAVE, "python") if wanted in block), names)
    visits = TwsTester(names["Visits"](), timeMode="ProcessingTime")  # type: ignore[operator]
    visits.setProcessingTime(1_000)
    assert visits.test("ann", [Row(page="home"), Row(page="cart")]) == []
    visits.setProcessingTime(20_000)
    assert visits.test("ann", [Row(page="help")]) == []
    assert visits.setProcessingTime(49_000) == []  # the first timer is gone
    assert visits.setProcessingTime(50_000) == [Row(user="ann", pages=["home", "cart", "help"])]
    assert visits.peekListState("pages", "ann") == []


def test_update_function_that_forgets() -> None:
    names: dict[str, object] = {"__name__": "guide"}
    exec(next(block for block in blocks(LEAVE, "python") if "class Update" in block), names)
    update = TwsTester(names["Update"](lambda new, old: None if 0 in new else sum(new)))  # type: ignore[operator]
    assert update.test("a", [Row(n=1), Row(n=2)]) == [Row(word="a", state=3)]
    assert update.test("a", [Row(n=0)]) == []
    assert update.peekValueState("state", "a") is None


def test_state_that_is_carried_over() -> None:
    names: dict[str, object] = {"__name__": "guide"}
    exec(next(block for block in blocks(LEAVE, "python") if "class Carried" in block), names)
    carried = TwsTester(names["Carried"](names["total"]), initialStateRow=[("a", Row(state=100))])  # type: ignore[operator]
    assert carried.test("a", [Row(n=1)]) == [Row(word="a", state=101)]
    assert carried.test("b", [Row(n=1)]) == [Row(word="b", state=1)]
