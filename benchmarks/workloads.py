"""What is measured: the program, its data, and the plain loop that no engine can beat.

The word count of all engines is made of the same three functions, so that they do the same work per word.
"""

from __future__ import annotations

import operator
import os
import random
import time
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

VOCABULARY = 10_000
WORDS_PER_LINE = 10
SEED = 20_240_501


def split(line):
    return line.split(" ")


def pair(word):
    return (word, 1)


add = operator.add


def word_count(lines):
    """Build the word count on a DStream of lines, of either DStream engine."""
    return lines.flatMap(split).map(pair).reduceByKey(add)


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
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = [f"{''.join(rng.choices(letters, k=rng.randint(2, 7)))}{i}" for i in range(VOCABULARY)]
    weights = list(accumulate(1 / rank for rank in range(1, VOCABULARY + 1)))
    unfinished = path.with_name(path.name + ".tmp")
    with open(unfinished, "w", encoding="utf-8") as file:
        for start in range(0, words, 1_000_000):
            drawn = rng.choices(vocabulary, cum_weights=weights, k=min(1_000_000, words - start))
            for i in range(0, len(drawn), WORDS_PER_LINE):
                file.write(" ".join(drawn[i : i + WORDS_PER_LINE]) + "\n")
    os.rename(unfinished, path)


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
        ``words`` (files with words, counted by the output), ``empty`` (no data, pprint) or ``memory``.
    words : int
        Words per batch.
    interval : float
        Batch interval in seconds; longer than any batch takes, so that no batch waits for another.
    warm_up, measured : int
        Batches per process that are not counted, and that are.
    turns : tuple of tuple of str
        Rounds; in each of them these engines run, one after the other.
    """

    key: str
    title: str
    kind: str
    words: int
    interval: float
    warm_up: int
    measured: int
    turns: tuple[tuple[str, ...], ...]


ALL = ("legacy", "dstreams", "handwritten")
BOTH = ("legacy", "dstreams")

QUICK = [
    Workload("words-1m", "word count, 1M words a batch", "words", 1_000_000, 2, 2, 3, (ALL, BOTH)),
    Workload("empty", "empty batch, word count with pprint", "empty", 0, 0.5, 6, 12, (BOTH,)),
]
FULL = [
    Workload("words-1m", "word count, 1M words a batch", "words", 1_000_000, 4, 4, 10, (ALL,) * 3),
    Workload("words-10m", "word count, 10M words a batch", "words", 10_000_000, 15, 2, 4, (ALL,) * 2),
    Workload("words-10", "word count, 10 words a batch", "words", 10, 1, 10, 20, (ALL,) * 3),
    Workload("empty", "empty batch, word count with pprint", "empty", 0, 1, 10, 30, (BOTH,) * 3),
    Workload("memory", "memory over 500 batches", "memory", 100, 0.1, 0, 500, (("dstreams",),)),
]
