"""The pages of docs/how-to name every operation, and their code is what is in the examples."""

from __future__ import annotations

from pathlib import Path

from dstreams import DStream, StreamingContext
from dstreams.dstream import MapWithStateDStream
from tests.guides import operations

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
