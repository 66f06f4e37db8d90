"""The pages of docs/how-to name every operation, and their code is what is in the examples."""

from __future__ import annotations

from pathlib import Path

import pyspark
import pytest
from pyspark.sql import Row

from dstreams import DStream, StreamingContext
from dstreams.dstream import MapWithStateDStream
from tests.guides import blocks, operations

ROOT = Path(__file__).parents[2]
LEAVE = ROOT / "docs" / "how-to" / "leave.md"


def public(cls: type) -> set[str]:
    return {name for name in vars(cls) if not name.startswith("_")}


def test_every_operation_has_native_code_or_none() -> None:
    wanted = public(DStream) | public(MapWithStateDStream) | {f"ssc.{name}" for name in public(StreamingContext)}
    listed = {name for operation in operations(LEAVE) for name in operation.names}
    assert wanted <= listed
    others = ("StreamingContext(", "KafkaUtils.", "KinesisUtils.", "FlumeUtils.")
    assert {name for name in listed - wanted if not name.startswith(others)} == set()


def test_code_of_the_steps_is_in_the_steps() -> None:
    """Each block of the section is found in the program of its step, as it is but for the indentation."""
    text = LEAVE.read_text("utf-8")
    text = text[text.index("### Step 1") : text.index("## Every operation")]
    found = 0
    for number, section in enumerate(text.split("### Step ")[1:], 1):
        program = lines(ROOT.joinpath("examples", "leave", f"step_{number}.py").read_text("utf-8"))
        page = LEAVE.with_name("section")
        for block in section.split("```python\n")[1:]:
            code = lines(block.partition("```")[0])
            assert any(program[at : at + len(code)] == code for at in range(len(program))), (page, number, block)
            found += 1
    assert found >= 7


def lines(code: str) -> list[str]:
    return [line.strip() for line in code.strip().splitlines()]


@pytest.mark.skipif(pyspark.__version__ < "4.3", reason="Spark's tester of StatefulProcessors came with 4.3")
def test_state_with_a_timer() -> None:
    from pyspark.sql.streaming.tws_tester import TwsTester

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
