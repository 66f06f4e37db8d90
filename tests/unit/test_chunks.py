from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
import pytest
from pyspark.serializers import AutoBatchedSerializer, CPickleSerializer

from dstreams._plan.chunks import read_chunks, write_chunk
from dstreams._plan.worker import ChunkWriter, Router, StageFunction

RECORDS = [None, 1, 2.5, "ü\U0001f600", b"\x00\xff", (1, "a"), [1, [2]], {"k": {3}}, float("inf"), 10**40]


def sizes(batches: list[pa.RecordBatch]) -> list[int]:
    """Number of records in each batch."""
    return [len(list(read_chunks(iter([batch])))) for batch in batches]


def test_records_survive_the_round_trip() -> None:
    assert list(read_chunks(ChunkWriter()(RECORDS))) == RECORDS


def test_no_records_give_no_batch() -> None:
    assert list(ChunkWriter()([])) == []
    assert list(Router(2, hash)([])) == []
    assert list(read_chunks(iter(()))) == []


def test_an_empty_batch_and_an_empty_chunk_have_no_records() -> None:
    empty = pa.RecordBatch.from_arrays([pa.array([], pa.binary())], names=["chunk"])
    nothing = pa.RecordBatch.from_arrays([pa.array([write_chunk([])], pa.binary())], names=["chunk"])
    assert list(read_chunks(iter([empty, nothing]))) == []


def test_chunks_are_read_from_the_last_column_in_order() -> None:
    batch = pa.RecordBatch.from_arrays(
        [pa.array([7, 8], pa.int32()), pa.array([write_chunk([1, 2]), write_chunk([3])], pa.binary())],
        names=["part", "chunk"],
    )
    assert list(read_chunks(iter([batch, batch]))) == [1, 2, 3, 1, 2, 3]


def test_chunks_are_what_pysparks_serializer_writes() -> None:
    serializer = AutoBatchedSerializer(CPickleSerializer())
    assert pickle.loads(write_chunk([1, "a"])) == [1, "a"]
    assert serializer.serializer.loads(write_chunk([1, "a"])) == [1, "a"]


def test_one_chunk_in_each_batch_of_growing_size() -> None:
    batches = list(ChunkWriter()(range(64 + 256 + 1024 + 5)))
    assert [batch.num_rows for batch in batches] == [1, 1, 1, 1]
    assert sizes(batches) == [64, 256, 1024, 5]


def test_big_records_make_the_chunks_small_again() -> None:
    # Different objects: pickle writes the same one only once.
    assert sizes(list(ChunkWriter()(bytes(100_000) for _ in range(64 + 16 + 4 + 4)))) == [64, 16, 4, 4]
    assert sizes(list(ChunkWriter()(bytes(2_000_000) for _ in range(64 + 16 + 4 + 2)))) == [64, 16, 4, 1, 1]


def test_records_of_middling_size_keep_the_chunk_size() -> None:
    assert sizes(list(ChunkWriter()(bytes(8_000) for _ in range(256)))) == [64, 64, 64, 64]


def test_writing_is_lazy() -> None:
    def records() -> Iterator[int]:
        yield from range(64)
        raise AssertionError("nobody asked for the 65th record")

    assert next(ChunkWriter()(records())).num_rows == 1


class Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("no way")

    def __repr__(self) -> str:
        return "<Unpicklable thing>"


@pytest.mark.parametrize("encode", [ChunkWriter(), Router(2, None)])
def test_the_error_names_the_record_that_cannot_be_pickled(encode: Any) -> None:
    with pytest.raises(pickle.PicklingError, match="cannot be pickled") as caught:
        list(encode([1, Unpicklable(), 2]))
    text = str(caught.value)
    assert "a record of the stream cannot be pickled: <Unpicklable thing> (no way)" in text
    assert "plain data" in text


def test_the_error_does_not_print_a_whole_record() -> None:
    with pytest.raises(pickle.PicklingError) as caught:
        write_chunk([["x" * 10_000, threading.Lock()]])
    assert len(str(caught.value)) < 1000


def routed(batches: Iterator[pa.RecordBatch]) -> dict[int, list[Any]]:
    """Records of each target partition."""
    found: dict[int, list[Any]] = {}
    for batch in batches:
        for part, chunk in zip(*batch.columns, strict=True):
            found.setdefault(part.as_py(), []).extend(pickle.loads(chunk.as_py()))
    return found


def test_router_sends_pairs_by_key() -> None:
    pairs = [(k, f"v{k}") for k in (0, 1, 2, 3, 4, -1)]
    found = routed(Router(3, lambda key: key)(pairs))
    assert found == {0: [(0, "v0"), (3, "v3")], 1: [(1, "v1"), (4, "v4")], 2: [(2, "v2"), (-1, "v-1")]}


def test_router_deals_out_evenly_without_a_route() -> None:
    found = routed(Router(3, None)(range(8)))
    assert found == {0: [0, 3, 6], 1: [1, 4, 7], 2: [2, 5]}


def test_router_gives_many_records_in_several_batches() -> None:
    batches = list(Router(2, lambda key: key)((n, n) for n in range(6000)))
    assert sizes(batches) == [1000, 4000, 1000]
    assert sorted(n for part in routed(iter(batches)).values() for n, _ in part) == list(range(6000))


def test_router_takes_fewer_big_records_at_a_time() -> None:
    batches = list(Router(1, lambda key: 0)((n, bytes(20_000)) for n in range(1300)))
    assert sizes(batches) == [1000, 250, 50]


def test_router_gives_no_chunk_for_a_partition_without_records() -> None:
    (batch,) = Router(100, lambda key: key)([(7, "a")])
    assert batch.to_pydict()["part"] == [7]


@pytest.mark.parametrize("record", [5, "abc", (1,), (1, 2, 3), None, []])
def test_a_record_that_is_no_pair_is_named(record: Any) -> None:
    with pytest.raises(TypeError) as caught:
        list(Router(2, hash)([(1, 2), record]))
    assert str(caught.value) == f"a keyed operation needs (key, value) pairs, but got the record {record!r}"


def test_lists_of_two_are_pairs_too() -> None:
    assert routed(Router(1, hash)([[1, 2]])) == {0: [(1, 2)]}


def test_an_error_of_the_route_is_the_users_own() -> None:
    with pytest.raises(ZeroDivisionError):
        list(Router(2, lambda key: 1 // 0)([(1, 2)]))


def test_schemas_match_what_is_written() -> None:
    (chunk,) = ChunkWriter()([1])
    (part,) = Router(1, None)([1])
    assert chunk.schema == pa.schema([("chunk", pa.binary())])
    assert part.schema == pa.schema([("part", pa.int32()), ("chunk", pa.binary())])
    assert (ChunkWriter.schema, Router.schema) == ("chunk binary", "part int, chunk binary")


def test_stage_applies_functions_in_order() -> None:
    stage = StageFunction(
        read_chunks,
        (lambda records: (n + 1 for n in records), lambda records: [n * 10 for n in records]),
        ChunkWriter(),
    )
    assert list(read_chunks(stage(ChunkWriter()([1, 2, 3])))) == [20, 30, 40]


def test_stage_reads_its_input_to_the_end() -> None:
    read: list[int] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for n in range(4):
            read.append(n)
            yield from ChunkWriter()([n])

    stage = StageFunction(read_chunks, (lambda records: islice(records, 1),), ChunkWriter())
    assert list(read_chunks(stage(batches()))) == [0]
    assert read == [0, 1, 2, 3]


def test_stage_calls_its_functions_once_for_a_partition_without_records() -> None:
    stage = StageFunction(read_chunks, (lambda records: [sum(1 for _ in records)],), ChunkWriter())
    assert list(read_chunks(stage(iter(())))) == [0]
