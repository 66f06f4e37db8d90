"""docs/compatibility.md is what the code says, and what it names exists."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NoReturn

import pyspark
import pytest

from dstreams._compatibility import CHANGE, TABLE, Fact

ROOT = Path(__file__).resolve().parent.parent.parent
TOOL = ROOT / "tools" / "compatibility.py"


@pytest.fixture(scope="module")
def tool() -> Iterator[Any]:
    """The tool as a module."""
    sys.path.insert(0, str(TOOL.parent))
    try:
        yield importlib.import_module("compatibility")
    finally:
        sys.path.remove(str(TOOL.parent))


@pytest.mark.old_engine
def test_all_tests_and_subjects_exist(tool: Any) -> None:
    assert tool.problems() == []
    assert len(tool.BEHAVIOURS) > 100


@pytest.mark.old_engine
def test_what_is_wrong_is_said(tool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    good = tool.BEHAVIOURS[0]
    wrong = [
        good._replace(id="a", tests=("tests/unit/test_util.py::test_nothing",)),
        good._replace(id="b", tests=("tests/unit/test_util.py::test_directory_of_a_batch[no such case]",)),
        good._replace(id="c", tests=()),
        good._replace(id="d", see="no such subject"),
        good._replace(id="e"),
        good._replace(id="e"),
    ]
    monkeypatch.setattr(tool, "BEHAVIOURS", wrong)
    facts = {"DStream": Fact("DStream", CHANGE, see="no such subject"), "utf8_decoder": None}
    monkeypatch.setattr(tool, "TABLE", {name: fact for name, fact in (TABLE | facts).items() if fact is not None})
    assert tool.problems() == [
        "DStream: dstreams/_compatibility.py says 'change' of it, and it is supported",
        "utf8_decoder: dstreams/_compatibility.py says nothing of it",
        "e: there are 2 of it",
        "DStream: docs/differences.md has no row for 'no such subject'",
        "a: there is no test tests/unit/test_util.py::test_nothing",
        "b: there is no test tests/unit/test_util.py::test_directory_of_a_batch[no such case]",
        "c: no test",
        "d: docs/differences.md has no row for 'no such subject'",
    ]


@pytest.mark.old_engine
def test_every_public_name_of_pyspark_is_classified(tool: Any) -> None:
    listed = {module: {row.name for row in rows} for module, rows in tool.pyspark_names().items()}
    assert list(listed) == [f"pyspark.streaming.{module}" for module in tool.MODULES]
    import pyspark.streaming

    exported = set(pyspark.streaming.__all__)
    for name, found in listed.items():
        module = importlib.import_module(name)
        public = {*getattr(module, "__all__", ()), *(n for n, item in vars(module).items() if defined(item, module))}
        assert public <= found, name
        exported -= found
        for cls in (item for item in vars(module).values() if isinstance(item, type) and defined(item, module)):
            members = {f"{cls.__name__}.{member}" for member in vars(cls) if not member.startswith("_")}
            assert members <= found
    assert not exported
    rows = [row for rows in tool.pyspark_names().values() for row in rows]
    assert {row.status for row in rows} <= {tool.SUPPORTED, tool.DIFFERS, tool.NOT}
    assert all(row.since for row in rows if row.status != tool.NOT)


def defined(item: object, module: ModuleType) -> bool:
    return isinstance(item, (type, FunctionType)) and item.__module__ == module.__name__ and item.__name__[0] != "_"


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        (["a", "b=1"], ["a"], "without `b`"),
        (["a"], ["a", "b=1", "**more"], "also takes `b=1`, `**more`"),
        (["a", "b=1"], ["a", "b=2"], "here `b=2`"),
        (["a", "b"], ["b", "a"], "parameters in another order"),
    ],
)
def test_differences_of_signatures(tool: Any, theirs: list[str], ours: list[str], said: str) -> None:
    assert tool.differing(theirs, ours) == said


def refuse() -> NoReturn:
    raise NotImplementedError


def test_a_name_counts_when_it_can_be_used(tool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = ModuleType("dstreams.refusing")
    refusing.create = refuse  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dstreams.refusing", refusing)
    assert tool.exists("dstreams.refusing.create")[0] == tool.NOT, "it is there, and refuses"
    kafka = [name for title, names in tool.removed_names().items() if "Kafka" in title for name in names]
    built = ModuleType("dstreams.kafka")
    built.OffsetRange = type("OffsetRange", (), {"__init__": lambda self, topic, partition, fromOffset: None})  # type: ignore[attr-defined]
    built.Broker = type("Broker", (), {"__init__": lambda self, host, port: None})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dstreams.kafka", built)
    again = {name.name: name for title, names in tool.removed_names().items() if "Kafka" in title for name in names}
    assert again["Broker"].status == tool.SUPPORTED
    assert (again["OffsetRange"].status, again["OffsetRange"].note) == (tool.DIFFERS, "without `untilOffset`")
    assert (again["TopicAndPartition"].status, again["TopicAndPartition"].note) == (tool.NOT, "planned")
    assert [name.name for name in kafka] == list(again)


@pytest.mark.old_engine
@pytest.mark.skipif(not pyspark.__version__.startswith("4.3."), reason="the file is about PySpark 4.3")
def test_the_file_is_up_to_date(tool: Any) -> None:
    done = subprocess.run(
        [sys.executable, str(TOOL), "--check"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert tool.TARGET.read_text("utf-8") == tool.page()
