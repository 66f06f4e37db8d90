"""Made-up programs: well-typed graphs of operations over queues, as text that runs on either engine.

A program is text, so that one that gives different results is shown as something that can be run. Functions are such
that neither the order of records nor their partition matters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

__all__ = ["BATCHES", "INTERVAL", "MadeUp", "compare", "programs"]

INTERVAL = 0.5
"""Batch interval in seconds."""
BATCHES = 7
DEPTH = 6
"""Operations one after the other."""
OUTPUTS = 3
JOINS = 2
"""In one program; with more its records would multiply without end."""
_NAME = re.compile(r"\bs\d+\b")
ADD = "lambda a, b: a + b"
SUBTRACT = "lambda a, b: a - b"


@dataclass(frozen=True)
class _Stream:
    """A stream of a program: numbers, words or pairs of a key and a number; its slide interval in batches."""

    name: str
    kind: str
    slide: int = 1
    depth: int = 0


@dataclass
class MadeUp:
    """A program.

    Attributes
    ----------
    lines : list of str
        Its definitions, one stream per line.
    outputs : list of str
        Streams to look at.
    """

    lines: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)

    def build(self, ssc: Any) -> tuple[dict[str, Any], Any]:
        """Define it on a context of either engine; returns its outputs by name, and a stream that is always due."""
        names: dict[str, Any] = {"ssc": ssc}
        exec("\n".join(self.lines), names)
        return {name: names[name] for name in self.outputs}, ssc.queueStream([[]])

    def prune(self) -> None:
        """Leave out the streams that no output needs."""
        needed = set(self.outputs)
        for line in reversed(self.lines):
            name, text = line.split(" = ", 1)
            if name in needed:
                needed.update(_NAME.findall(text))
        self.lines = [line for line in self.lines if line.split(" = ", 1)[0] in needed]

    def __str__(self) -> str:
        return "\n".join(
            [
                "from pyspark import SparkContext",
                "from pyspark.streaming import StreamingContext  # or: from dstreams import StreamingContext",
                "",
                'sc = SparkContext("local[2]")',
                'sc.setCheckpointDir("/tmp/made-up")',
                f"ssc = StreamingContext(sc, {INTERVAL})",
                *self.lines,
                *(f"{name}.pprint(100)" for name in self.outputs),
                "ssc.start()",
                f"ssc.awaitTermination({BATCHES * INTERVAL + 3})",
                "ssc.stop()",
            ]
        )

    def __repr__(self) -> str:
        return f"\n\n{self}\n"


# What an operation makes of a stream {s}, or of two, {s} and {t}; {w} and {v} are a window and its slide in seconds.
_OPERATIONS: dict[str, list[tuple[str, str, str]]] = {
    "number": [
        ("map", "number", "{s}.map(lambda n: n + 1)"),
        ("map", "pair", "{s}.map(lambda n: (n % 3, n))"),
        ("map", "word", "{s}.map(str)"),
        ("filter", "number", "{s}.filter(lambda n: n % 2 == 0)"),
        ("flatMap", "number", "{s}.flatMap(lambda n: [n, -n])"),
        ("mapPartitions", "number", "{s}.mapPartitions(lambda part: (2 * n for n in part))"),
        ("reduce", "number", "{s}.reduce(" + ADD + ")"),
        ("reduceByWindow", "number", "{s}.reduceByWindow(" + ADD + ", None, {w}, {v})"),
        ("reduceByWindow", "number", "{s}.reduceByWindow(" + ADD + ", " + SUBTRACT + ", {w}, {v})"),
    ],
    "word": [
        ("map", "number", "{s}.map(len)"),
        ("map", "pair", "{s}.map(lambda word: (word, 1))"),
        ("flatMap", "word", "{s}.flatMap(str.split)"),
        ("filter", "word", "{s}.filter(lambda word: len(word) != 1)"),
    ],
    "pair": [
        ("map", "number", "{s}.map(lambda kv: kv[1])"),
        ("map", "pair", "{s}.map(lambda kv: (kv[1], 1))"),
        ("filter", "pair", "{s}.filter(lambda kv: kv[0] is not None)"),
        ("mapValues", "pair", "{s}.mapValues(lambda v: v + 1)"),
        ("flatMapValues", "pair", "{s}.flatMapValues(lambda v: [v, 1])"),
        ("partitionBy", "pair", "{s}.partitionBy(3)"),
        ("reduceByKey", "pair", "{s}.reduceByKey(" + ADD + ")"),
        ("reduceByKey", "pair", "{s}.reduceByKey(" + ADD + ", 3)"),
        ("groupByKey", "pair", "{s}.groupByKey().mapValues(sum)"),
        ("combineByKey", "pair", "{s}.combineByKey(lambda v: [v], lambda c, v: c + [v], " + ADD + ").mapValues(max)"),
        ("updateStateByKey", "pair", "{s}.updateStateByKey(lambda new, old: sum(new) + (old or 0))"),
        ("updateStateByKey", "pair", "{s}.updateStateByKey(lambda new, old: sum(new) or None)"),
        ("updateStateByKey", "pair", "{s}.updateStateByKey(lambda new, old: len(new) + (old or 0), 3, [(None, 7)])"),
        ("reduceByKeyAndWindow", "pair", "{s}.reduceByKeyAndWindow(" + ADD + ", None, {w}, {v})"),
        ("reduceByKeyAndWindow", "pair", "{s}.reduceByKeyAndWindow(" + ADD + ", " + SUBTRACT + ", {w}, {v})"),
        ("reduceByKeyAndWindow", "pair",
         "{s}.reduceByKeyAndWindow(" + ADD + ", " + SUBTRACT + ", {w}, {v}, filterFunc=lambda kv: kv[1] > 0)"),
        ("groupByKeyAndWindow", "pair", "{s}.groupByKeyAndWindow({w}, {v}).mapValues(len)"),
        ("join", "pair", "{s}.join({t}).mapValues(sum)"),
        ("leftOuterJoin", "pair", "{s}.leftOuterJoin({t}).mapValues(lambda ab: ab[0] - (ab[1] or 0))"),
        ("rightOuterJoin", "pair", "{s}.rightOuterJoin({t}).mapValues(lambda ab: (ab[0] or 0) - ab[1])"),
        ("fullOuterJoin", "pair", "{s}.fullOuterJoin({t}).mapValues(lambda ab: (ab[0] or 0) - (ab[1] or 0))"),
        ("cogroup", "pair", "{s}.cogroup({t}).mapValues(lambda ab: sum(ab[0]) - sum(ab[1]))"),
        ("transformWith", "pair", "{s}.transformWith(lambda a, b: a.subtractByKey(b), {t})"),
    ],
}  # fmt: skip
_ANY = [
    ("count", "number", "{s}.count()"),
    ("countByValue", "pair", "{s}.countByValue()"),
    ("countByWindow", "number", "{s}.countByWindow({w}, {v})"),
    ("countByValueAndWindow", "pair", "{s}.countByValueAndWindow({w}, {v})"),
    ("window", "", "{s}.window({w}, {v})"),
    ("union", "", "{s}.union({t})"),
    ("repartition", "", "{s}.repartition(3)"),
    ("cache", "", "{s}.cache()"),
    ("transform", "", "{s}.transform(lambda rdd: rdd.distinct())"),
    ("transform", "", "{s}.transform(lambda time, rdd: rdd.filter(lambda record: record))"),
]

_NUMBERS = st.integers(-5, 9)
_KEYS = st.sampled_from(["a", "a", "a", "b", "ü", "", None, 1, 2, ("t", 1), 2.5])
_RECORDS = {
    "number": _NUMBERS,
    "word": st.sampled_from(["to be or not", "a", "ü ß", "", "日本 a a", "b"]),
    "pair": st.tuples(_KEYS, _NUMBERS),
}


@st.composite
def programs(draw: st.DrawFn, operations: Collection[str] = (), kinds: Collection[str] = ("number", "word", "pair")):
    """Programs of up to six operations one after the other, with branches and up to three outputs.

    Parameters
    ----------
    draw : callable
        Given by hypothesis.
    operations : collection of str
        Names of the operations that may be in them; all of them if it is empty.
    kinds : collection of str
        What their sources may have: numbers, words, pairs.
    """
    program = MadeUp()
    streams: list[_Stream] = []
    for kind in draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=2)):
        queue = draw(st.lists(st.lists(_RECORDS[kind], max_size=5), min_size=1, max_size=5))
        streams.append(_Stream(f"s{len(streams)}", kind))
        program.lines.append(f"{streams[-1].name} = ssc.queueStream({queue!r})")
    joins = 0
    for _ in range(draw(st.integers(1, 8))):
        stream = draw(st.sampled_from([stream for stream in streams if stream.depth < DEPTH]))
        possible = [
            (name, kind or stream.kind, text)
            for name, kind, text in _OPERATIONS[stream.kind] + _ANY
            if (not operations or name in operations) and not ("{t}" in text and joins >= JOINS)
        ]
        name, kind, text = draw(st.sampled_from(possible))
        slide, other, values = stream.slide, stream, {"s": stream.name}
        if "{t}" in text:
            joins += 1
            # The old engine fails where a union's left side has no RDD; its streams must slide alike.
            partners = [t for t in streams if t.kind == stream.kind and (name != "union" or t.slide == stream.slide)]
            other = draw(st.sampled_from(partners))
            values["t"] = other.name
        if "{w}" in text:
            slide = stream.slide * draw(st.sampled_from([1, 1, 2]))
            values["w"] = str(stream.slide * draw(st.sampled_from([1, 2, 3, 5])) * INTERVAL)
            values["v"] = str(slide * INTERVAL)
        depth = max(stream.depth, other.depth) + 1
        if depth > DEPTH:
            continue
        streams.append(_Stream(f"s{len(streams)}", kind, slide, depth))
        program.lines.append(f"{streams[-1].name} = {text.format(**values)}")
    # The last one first: what shrinks keeps that.
    names = [stream.name for stream in reversed(streams)]
    program.outputs = draw(st.lists(st.sampled_from(names), min_size=1, max_size=OUTPUTS, unique=True))
    program.prune()
    return program


Run = Callable[[MadeUp], "list[dict[str, list[Any] | None]]"]


def compare(program: MadeUp, theirs: Run, ours: Run) -> None:
    """Run a program in two ways; an AssertionError shows it with the first batch that differs.

    Parameters
    ----------
    program : MadeUp
        The program.
    theirs, ours : callable
        Return for each batch the records of each output, in an order that can be compared; None where it had no RDD.
    """
    for number, (expected, found) in enumerate(zip(theirs(program), ours(program), strict=True), 1):
        for name in program.outputs:
            old, new = expected[name], found[name]
            assert old == new, f"batch {number} of {name}: expected {old}, found {new}, in the program\n\n{program}\n"
