"""Made-up programs: well-typed graphs of operations over queues, as text that runs on either engine.

A program is text, so that one that gives different results is shown as something that can be run. Functions are such
that neither the order of records nor their partition matters. Programs do what those of the field do: between two
batches they change a global and bind a broadcast variable anew, their records, keys and states are instances of their
own classes, and they write into a database.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
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
_CHANGING = re.compile(r"\b(factor|table)\b")
ADD = "lambda a, b: a + b"
SUBTRACT = "lambda a, b: a - b"


_SCRIPT = '''
import sqlite3
from collections import defaultdict, namedtuple
from contextlib import closing
from dataclasses import dataclass
from enum import Enum

Point = namedtuple("Point", "x y")
Color = Enum("Color", "RED GREEN")


@dataclass(frozen=True)
class Total:
    n: int
    color: Color = Color.RED


def tally(new, old):
    found = old or defaultdict(lambda: 0)
    for number in new:
        found[number % 3] += 1
    return found


factor = 1
table = sc.broadcast({"n": 1})


def change(rdd):
    """Between two batches."""
    global factor, table
    factor += 1
    table.unpersist()
    table = rdd.context.broadcast({"n": factor * 10})


def save(stream):
    """Write the records of a stream."""
    def write(time, rdd):
        with closing(sqlite3.connect(database)) as db, db:
            db.execute("create table if not exists records (stream, time, record)")
            rows = [(stream, time.timestamp(), repr(record)) for record in rdd.collect()]
            db.executemany("insert into records values (?, ?, ?)", rows)
    return write
'''
"""What all programs begin with."""


@dataclass(frozen=True)
class _Stream:
    """A stream of a program: numbers, words, pairs of a key and a number, or things; its slide interval in batches."""

    name: str
    kind: str
    slide: int = 1
    depth: int = 0
    changing: bool = False


@dataclass
class MadeUp:
    """A program.

    Attributes
    ----------
    lines : list of str
        Its definitions, one stream per line.
    outputs : list of str
        Streams to look at.
    saved : list of str
        Streams that the program itself writes into a database.
    """

    lines: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    saved: list[str] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        """Whether the driver changes what functions look at."""
        return any(_CHANGING.search(line) for line in self.lines)

    def build(self, ssc: Any, database: Path) -> tuple[dict[str, Any], Any]:
        """Define it on a context of either engine; returns its outputs by name, and a stream that is always due."""
        names: dict[str, Any] = {"__name__": "__main__", "ssc": ssc, "sc": ssc.sparkContext, "database": str(database)}
        exec("\n".join([_SCRIPT, *self.lines]), names)
        pulse = ssc.queueStream([[]])
        for name in self.saved:
            names[name].foreachRDD(names["save"](name))
        if self.saved:
            pulse.transform(lambda rdd: rdd.context.parallelize([0], 1)).foreachRDD(names["save"](""))
        if self.changes:
            pulse.foreachRDD(names["change"])
        return {name: names[name] for name in self.outputs}, pulse

    def written(self, database: Path, batches: int) -> Counter[tuple[int, str, str]]:
        """What it has written in its first batches: number of the batch, stream, and record."""
        if not self.saved:
            return Counter()
        with closing(sqlite3.connect(database)) as db:
            rows = db.execute("select time, stream, record from records").fetchall()
        times = sorted({time for time, stream, _ in rows if not stream})[:batches]
        return Counter((times.index(time), stream, record) for time, stream, record in rows if time in times)

    def prune(self) -> None:
        """Leave out the streams that no output needs."""
        needed = {*self.outputs, *self.saved}
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
                'database = "/tmp/made-up.db"',
                _SCRIPT,
                *self.lines,
                *(f"{name}.pprint(100)" for name in self.outputs),
                *(f"{name}.foreachRDD(save({name!r}))" for name in self.saved),
                *(["ssc.queueStream([[]]).foreachRDD(change)"] if self.changes else []),
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
        ("a global", "number", "{s}.map(lambda n: n * factor)"),
        ("a broadcast variable", "number", "{s}.map(lambda n: n + table.value['n'])"),
        ("a class", "thing", "{s}.map(lambda n: Total(n, Color(n % 2 + 1)))"),
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
        ("a global", "pair", "{s}.mapValues(lambda v: v - factor)"),
        ("a broadcast variable", "pair", "{s}.filter(lambda kv: kv[1] != table.value['n'])"),
        ("a class", "pair", "{s}.map(lambda kv: (Point(str(kv[0]), 0), kv[1]))"),
        ("a class", "pair",
         "{s}.mapValues(Total).groupByKey().mapValues(lambda found: sum(total.n for total in found))"),
        ("a global", "pair", "{s}.updateStateByKey(lambda new, old: sum(new) * factor + (old or 0))"),
        ("a class", "pair",
         "{s}.updateStateByKey(lambda new, old: Total(sum(new) + (old.n if old else 0))).mapValues(lambda t: t.n)"),
        ("a class", "pair", "{s}.updateStateByKey(tally).mapValues(lambda found: sum(found.values()))"),
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
    "thing": [
        ("map", "number", "{s}.map(lambda thing: thing.n)"),
        ("map", "pair", "{s}.map(lambda thing: (thing, thing.n))"),
        ("filter", "thing", "{s}.filter(lambda thing: thing.color is Color.RED)"),
        ("reduceByWindow", "thing", "{s}.reduceByWindow(lambda a, b: Total(a.n + b.n), None, {w}, {v})"),
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
def programs(
    draw: st.DrawFn,
    operations: Collection[str] = (),
    kinds: Collection[str] = ("number", "word", "pair"),
    changing: bool = True,
):
    """Programs of up to six operations one after the other, with branches and up to three outputs.

    Parameters
    ----------
    draw : callable
        Given by hypothesis.
    operations : collection of str
        Names of the operations that may be in them; all of them if it is empty.
    kinds : collection of str
        What their sources may have: numbers, words, pairs.
    changing : bool
        Whether functions may look at what the driver changes.
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
            if changing or not _CHANGING.search(text)
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
            # The old engine makes the batches between two slides when the window is due, with the functions of then.
            slide = stream.slide * (1 if stream.changing else draw(st.sampled_from([1, 1, 2])))
            # A window shorter than its slide does not ask for the batches between; the old engine then leaves the
            # elements of a queue where they are.
            values["w"] = str(max(slide, stream.slide * draw(st.sampled_from([1, 2, 3, 5]))) * INTERVAL)
            values["v"] = str(slide * INTERVAL)
        depth = max(stream.depth, other.depth) + 1
        if depth > DEPTH:
            continue
        changes = stream.changing or other.changing or bool(_CHANGING.search(text))
        streams.append(_Stream(f"s{len(streams)}", kind, slide, depth, changes))
        program.lines.append(f"{streams[-1].name} = {text.format(**values)}")
    # The last one first: what shrinks keeps that.
    names = [stream.name for stream in reversed(streams)]
    program.outputs = draw(st.lists(st.sampled_from(names), min_size=1, max_size=OUTPUTS, unique=True))
    program.saved = draw(st.lists(st.sampled_from(names), max_size=1)) if not operations else []
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
        for name in expected:
            old, new = expected[name], found[name]
            assert old == new, f"batch {number} of {name}: expected {old}, found {new}, in the program\n\n{program}\n"
