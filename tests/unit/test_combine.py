"""Combining by key, in memory and with PySpark's merger when there is too little of it."""

from __future__ import annotations

import operator
from collections import Counter

import pytest
from pyspark.serializers import CPickleSerializer

from dstreams._spark import combine
from dstreams._spark.combine import Combiner


def lists(memory):
    """Combiner of values to lists."""
    return Combiner(
        lambda value: [value], lambda found, value: [*found, value], operator.add, memory, CPickleSerializer()
    )


@pytest.mark.parametrize("memory", [0, 10_000])
def test_values_and_combiners(memory, monkeypatch):
    """The same with plenty of memory and with none, where PySpark's merger takes over after the first block."""
    monkeypatch.setattr(combine, "_BLOCK_RECORDS", 7)
    records = [(n % 5 if n % 3 else None, n) for n in range(100)]
    local = dict(lists(memory).values(iter(records)))
    assert Counter({key: len(values) for key, values in local.items()}) == Counter(key for key, _ in records)
    assert local[None] == [n for n in range(100) if n % 3 == 0]
    halves = [*lists(memory).values(records[:50]), *lists(memory).values(records[50:])]
    assert {key: sorted(values) for key, values in lists(memory).combiners(halves)} == local


@pytest.mark.parametrize("memory", [0, 10_000])
def test_no_records(memory):
    assert list(lists(memory).values([])) == list(lists(memory).combiners(iter([]))) == []


def test_the_merger_takes_over_once(monkeypatch):
    """It gets what has been combined and all that is left, and is asked no more often than once a block."""
    monkeypatch.setattr(combine, "_BLOCK_RECORDS", 10)
    asked = []
    monkeypatch.setattr(combine, "get_used_memory", lambda: asked.append(1) or (0 if len(asked) < 3 else 10_000))
    found = dict(lists(100).values((n % 2, n) for n in range(95)))
    assert len(asked) == 3 and {key: len(values) for key, values in found.items()} == {0: 48, 1: 47}


@pytest.mark.parametrize("memory", [0, 10_000])
def test_stop_iteration_in_a_function_is_an_error(memory):
    def stop(value):
        raise StopIteration

    def stage():
        yield from Combiner(stop, operator.add, operator.add, memory, CPickleSerializer()).values([(1, 2)])

    with pytest.raises(RuntimeError, match="StopIteration"):
        list(stage())
