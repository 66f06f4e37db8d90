"""What is measured: the program, its data, and the plain loop that no engine can beat.

The word count of all engines is made of the same three functions, so that they do the same work per word.
"""

from __future__ import annotations

import operator
import os
import random
import time
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

VOCABULARY = 10_000
WORDS_PER_LINE = 10
SEED = 20_240_501


def split(line):
    return line.split(" ")


def pair(word):
    return (word, 1)


def value_of(record):
    return record[1]


add = operator.add


def word_count(lines):
    """Build the word count on a DStream of lines, of either DStream engine."""
    return lines.flatMap(split).map(pair).reduceByKey(add)


def add_up(values, total):
    """Update function of ``updateStateByKey``."""
    return sum(values, total or 0)


def count_up(key, value, state):
    """Mapping function of ``mapWithState``."""
    total = (state.getOption() or 0) + value
    state.update(total)
    return (key, total)


def running_word_count(lines):
    """Build the word count over all batches on a DStream of lines, of either DStream engine."""
    return lines.flatMap(split).map(pair).updateStateByKey(add_up)


def keep_state(kind, stream, slots, interval):
    """Build a program with state on a DStream of records, of either DStream engine."""
    if kind == "update":
        return stream.updateStateByKey(add_up)
    if kind == "map":
        from dstreams import StateSpec  # the old engine's Python has none

        return stream.mapWithState(StateSpec.function(count_up))
    if kind == "reduce-window":
        return stream.reduceByKeyAndWindow(add, operator.sub, slots * interval, interval)
    if kind == "window":
        return stream.window(slots * interval, interval)
    raise ValueError(kind)


def queue_batches(kind, keys, touched, slots, fill, batches, seed):
    """Make the records of so many batches, and the number of records that the program gives for each.

    Parameters
    ----------
    kind : str
        As in `Workload`; ``window`` gets lines, all others pairs.
    keys : int
        Keys of the state, all of which are in the first `fill` batches.
    touched : int
        Records of a later batch; pairs have different keys, drawn from all.
    slots : int
        Batches in a window.
    fill : int
        Batches with all keys.
    batches : int
        How many there are after those.
    seed : int
        Of what is drawn.

    Returns
    -------
    list of list, list of int
    """
    rng = random.Random(seed)
    if kind == "window":
        drawn, weights = vocabulary(rng), word_weights()
        few = [drawn_lines(rng, drawn, weights, touched * WORDS_PER_LINE) for _ in range(4)]
        made = [few[i % len(few)] for i in range(fill + batches)]
        return made, [touched * min(i + 1, slots) for i in range(len(made))]
    bounds = [i * keys // fill for i in range(fill + 1)]
    made = [[(key, 1) for key in range(low, high)] for low, high in pairwise(bounds)]
    made += [[(key, 1) for key in rng.sample(range(keys), touched)] for _ in range(batches)]
    known = bounds[1:] + [keys] * batches
    return made, list(map(len, made)) if kind == "map" else known


def loop(lines):
    """Count words with the same functions and no engine."""
    counts = {}
    for line in lines:
        for word in split(line):
            key, value = pair(word)
            counts[key] = add(counts[key], value) if key in counts else value
    return counts


def timed_loop(path):
    """Return the seconds that the loop takes for a file, and the number of different words in it."""
    start = time.perf_counter()
    with open(path, encoding="utf-8") as file:
        different = len(loop(line.rstrip("\n") for line in file))
    return time.perf_counter() - start, different


def write_words(path: Path, words: int, seed: int) -> None:
    """Write a text file of so many words, whose frequencies follow Zipf's law; the same seed, the same file."""
    rng = random.Random(seed)
    known, weights = vocabulary(rng), word_weights()
    unfinished = path.with_name(path.name + ".tmp")
    with open(unfinished, "w", encoding="utf-8") as file:
        for start in range(0, words, 1_000_000):
            for line in drawn_lines(rng, known, weights, min(1_000_000, words - start)):
                file.write(line + "\n")
    os.rename(unfinished, path)


def vocabulary(rng):
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [f"{''.join(rng.choices(letters, k=rng.randint(2, 7)))}{i}" for i in range(VOCABULARY)]


def word_weights():
    """Zipf's law, added up."""
    return list(accumulate(1 / rank for rank in range(1, VOCABULARY + 1)))


def drawn_lines(rng, known, weights, words):
    """Lines of ten words each."""
    drawn = rng.choices(known, cum_weights=weights, k=words)
    return [" ".join(drawn[i : i + WORDS_PER_LINE]) for i in range(0, len(drawn), WORDS_PER_LINE)]


@dataclass(frozen=True)
class Workload:
    """One thing to measure.

    Attributes
    ----------
    key : str
        Name, unique.
    title : str
        What it is, for the table.
    kind : str
        ``words`` (files with words, counted by the output), ``empty`` (no data, pprint), ``empty-state`` (the same
        with state) or ``memory``. From a queue, counted by the output: ``update`` (``updateStateByKey``), ``map``
        (``mapWithState``), ``reduce-window`` (``reduceByKeyAndWindow`` with an inverse), ``window``, and
        ``memory-state`` (``updateStateByKey``, with the memory it takes). ``restart``: from the start of the
        SparkContext to the end of the first batch, after a kill. ``kafka``: words of `touched` records of 200 bytes a
        batch, from a topic with four partitions.
    words : int
        Words per batch.
    interval : float
        Batch interval in seconds; with words longer than any batch takes, so that no batch waits for another.
    warm_up, measured : int
        Batches per process that are not counted, and that are.
    turns : tuple of tuple of str
        Rounds; in each of them these engines run, one after the other. ``small`` is dstreams with `few_keys`.
    keys, few_keys : int
        Keys of state.
    touched : int
        Records of a batch; different keys where there are keys.
    slots : int
        Batches in a window.
    fill : int
        Batches at the start that bring all keys; neither they nor the next `warm_up` are counted.
    """

    key: str
    title: str
    kind: str
    words: int
    interval: float
    warm_up: int
    measured: int
    turns: tuple[tuple[str, ...], ...]
    keys: int = 0
    few_keys: int = 0
    touched: int = 0
    slots: int = 0
    fill: int = 1


PAIR = ("dstreams", "handwritten")
ALL = ("legacy", "dstreams", "handwritten")
BOTH = ("legacy", "dstreams")


def update(keys, interval, warm_up, measured, turns):
    name = f"{keys // 1000}k" if keys < 1_000_000 else f"{keys // 1_000_000}M"
    title = f"updateStateByKey, {name} keys, 10k a batch"
    return Workload(f"update-{name.lower()}", title, "update", 0, interval, warm_up, measured, turns,
                    keys=keys, touched=10_000)  # fmt: skip


def reduce_window(slots, warm_up, measured, turns):
    title = f"reduceByKeyAndWindow with inverse, {slots} slots, 100k keys, 10k a batch"
    return Workload("reduce-window", title, "reduce-window", 0, 0.5, slots + warm_up, measured, turns,
                    keys=100_000, touched=10_000, slots=slots)  # fmt: skip


def window(slots, warm_up, measured, turns):
    title = f"window of {slots} slots, count, 20k lines a batch"
    return Workload("window", title, "window", 0, 0.5, slots + warm_up, measured, turns, touched=20_000, slots=slots)


def map_state(measured, turns):
    title = "mapWithState, 1M keys, 1k a batch"
    return Workload("map-1m", title, "map", 0, 0.5, 4, measured, turns,
                    keys=1_000_000, few_keys=10_000, touched=1_000)  # fmt: skip


def restart(keys, turns):
    name = f"{keys // 1000}k" if keys < 1_000_000 else f"{keys // 1_000_000}M"
    title = f"restart after SIGKILL, {name} keys of state"
    return Workload(f"restart-{name.lower()}", title, "restart", 0, 1, 0, 1, turns, keys=keys)


def kafka(records, warm_up, measured, turns):
    title = f"Kafka, 4 partitions, word count, {records // 1000}k records of 200 bytes a batch"
    return Workload("kafka", title, "kafka", 0, 0.5, warm_up, measured, turns, touched=records)


QUICK = [
    Workload("words-1m", "word count, 1M words a batch", "words", 1_000_000, 2, 2, 4, (ALL,)),
    Workload("empty", "empty batch, word count with pprint", "empty", 0, 0.5, 6, 12, (BOTH,)),
    Workload("empty-state", "empty batch, running word count with pprint", "empty-state", 0, 0.5, 8, 10, (BOTH,)),
    update(10_000, 0.5, 8, 10, (BOTH,)),
    update(100_000, 0.5, 5, 8, (BOTH,)),
    reduce_window(10, 2, 6, (BOTH,)),
    window(10, 2, 6, (BOTH,)),
    restart(100_000, (BOTH,)),
    kafka(100_000, 2, 6, (PAIR,)),
]
FULL = [
    Workload("words-1m", "word count, 1M words a batch", "words", 1_000_000, 4, 4, 10, (ALL,) * 3),
    Workload("words-10m", "word count, 10M words a batch", "words", 10_000_000, 15, 2, 4, (ALL,) * 2),
    Workload("words-10", "word count, 10 words a batch", "words", 10, 1, 10, 20, (ALL,) * 3),
    Workload("empty", "empty batch, word count with pprint", "empty", 0, 1, 10, 30, (BOTH,) * 3),
    Workload("empty-state", "empty batch, running word count with pprint", "empty-state", 0, 1, 10, 30, (BOTH,) * 3),
    update(10_000, 0.5, 15, 20, (ALL,) * 3),
    update(100_000, 1, 10, 20, (ALL,) * 3),
    update(1_000_000, 4, 2, 7, (BOTH,) * 2),
    map_state(20, (("dstreams", "small"),) * 3),
    reduce_window(60, 5, 15, (BOTH,) * 3),
    window(30, 5, 15, (BOTH,) * 3),
    restart(1_000_000, (BOTH,) * 2),
    kafka(200_000, 3, 10, (PAIR,) * 3),
    Workload("memory", "memory over 500 batches", "memory", 100, 0.1, 0, 500, (("dstreams",),)),
    Workload("memory-3m", "updateStateByKey, 3M keys, 10k a batch", "memory-state", 0, 0.5, 4, 50, (("dstreams",),),
             keys=3_000_000, touched=10_000, fill=6),
]  # fmt: skip
