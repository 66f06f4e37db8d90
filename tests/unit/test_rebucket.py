"""State taken apart and put together for another number of partitions."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dstreams._plan.bucket import Bucket
from dstreams._plan.chunks import write_chunk
from dstreams._plan.rebucket import Slots, join, read_slots, split
from dstreams._plan.steps.keyed import KeyedState
from dstreams._spark.rdd import portable_hash
from tests.unit.simulation import MemoryPages

KEYS = st.one_of(
    st.integers(-50, 50), st.text(max_size=3), st.none(), st.tuples(st.integers(0, 3), st.text(max_size=1))
)


def made(values: dict[Any, Any], batches: dict[int, list[Any]], state: str, header: Any = None) -> Slots:
    """A bucket as steps leave it."""
    pages = MemoryPages()
    bucket = Bucket(pages, 4)
    for time_ms, records in batches.items():
        data = pickle.dumps([write_chunk(records)]) if state == "Window" else write_chunk(records)
        bucket.add(time_ms, data, len(records))
    keyed = KeyedState(bucket)
    keyed.values.update(values)
    keyed.save(list(values), [])
    bucket.header = header
    bucket.close()
    return {slot: data for (_, slot), data in pages.slots.items()}


def repartitioned(old: list[Slots], partitions: int, state: str, route=portable_hash) -> list[Slots]:
    parts: list[list] = [[] for _ in range(partitions)]
    for slots in old:
        for number, content in split(state, slots, partitions, route):
            parts[number].append(pickle.loads(pickle.dumps(content)))
    return [join(state, contents) for contents in parts]


@given(st.dictionaries(KEYS, st.integers()), st.integers(1, 4), st.integers(1, 6))
def test_values_by_key(values, before, after):
    old = [
        made({key: value for key, value in values.items() if portable_hash(key) % before == part}, {}, "Update")
        for part in range(before)
    ]
    new = [read_slots("Update", slots) for slots in repartitioned(old, after, "Update")]
    assert {key: value for content in new for key, value in content.values} == values
    assert all(portable_hash(key) % after == part for part, content in enumerate(new) for key, _ in content.values)


@pytest.mark.parametrize("state", ["Window", "ReducedWindow"])
@given(
    batches=st.dictionaries(st.integers(0, 5), st.lists(st.tuples(KEYS, st.integers())), max_size=4),
    after=st.integers(1, 5),
)
def test_records_by_batch(state, batches, after):
    batches = {time: records for time, records in batches.items() if records}
    new = [read_slots(state, slots) for slots in repartitioned([made({}, batches, state)], after, state)]
    for time, records in batches.items():
        found = [record for content in new for record in content.batches.get(time, [])]
        assert sorted(found, key=repr) == sorted(records, key=repr)
    assert sum(map(len, new)) == sum(map(len, batches.values()))
    assert all(
        portable_hash(key) % after == part
        for part, content in enumerate(new) for records in content.batches.values() for key, _ in records
    )  # fmt: skip


def test_records_that_were_dealt_out():
    """Without keys they are dealt out again, evenly."""
    new = [
        read_slots("Window", slots)
        for slots in repartitioned([made({}, {7: list("abcdef")}, "Window")], 3, "Window", None)
    ]
    assert [len(content.batches[7]) for content in new] == [2, 2, 2]


def test_states_of_mapWithState_stay_in_order_of_their_last_use():
    """Which is by what those that time out are found."""
    old = [made({part + 2 * i: (f"state {i}", 100 * i + part) for i in range(5)}, {}, "MapState") for part in (0, 1)]
    (new,) = repartitioned(old, 1, "MapState")
    used = [used_ms for _, (_, used_ms) in read_slots("MapState", new).values]
    assert used == sorted(used) and len(used) == 10


def test_the_header_goes_to_every_bucket_that_has_anything():
    """The time of the last result of a reduced window; a bucket that had nothing then has none."""
    old = [made({"a": 1}, {1000: [("a", 1)]}, "ReducedWindow", header=1000), made({}, {}, "ReducedWindow")]
    new = [read_slots("ReducedWindow", slots) for slots in repartitioned(old, 3, "ReducedWindow")]
    assert {(bool(len(content)), content.header) for content in new} == {(True, 1000), (False, None)}
