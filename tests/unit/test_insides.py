"""Programs that reach into the old engine's insides are told the public way."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dstreams import DStream, StreamingContext
from dstreams.errors import DStreamTypeError


def bare(kind: type[Any]) -> Any:
    return kind.__new__(kind)


@pytest.mark.parametrize(
    ("kind", "name", "advice"),
    [
        (DStream, "_jdstream", r"rdd\._jrdd is the JVM's"),
        (DStream, "_jrdd_deserializer", "the RDDs"),
        (StreamingContext, "_jssc", r"ssc\.queueStream\(\.\.\.\), or records with ssc\.receiverStream"),
        (StreamingContext, "_jvm", r"ssc\.sparkContext\._jvm"),
    ],
)
def test_what_is_not_there(kind, name, advice):
    with pytest.raises(AttributeError, match=rf"'{kind.__name__}' has no attribute '{name}': .*Instead: .*{advice}"):
        getattr(bare(kind), name)
    assert not hasattr(bare(kind), name)


def test_any_other_name():
    with pytest.raises(AttributeError, match=r"^'DStream' has no attribute 'mpa'$"):
        _ = bare(DStream).mpa
    assert copy.copy(bare(DStream)).__dict__ == {}


def test_a_stream_of_the_jvm():
    """As public programs make one of a queue of the JVM."""
    with pytest.raises(DStreamTypeError, match=r"DStream: a stream of the JVM cannot be wrapped.*ssc\.queueStream"):
        DStream(object(), object(), object())
