"""Names of the old engine's insides that programs reach for, and the public way to do the same."""

from __future__ import annotations

from typing import Any, NoReturn

from dstreams.errors import DStreamTypeError

__all__ = ["GIVE_RDDS", "KAFKA_PACKAGE", "Inside", "lacking"]

KAFKA_PACKAGE = "org.apache.spark:spark-sql-kafka-0-10_2.13"
"""Maven coordinates, without the version, of the connector that is there in the place of the old engine's."""

GIVE_RDDS = "give RDDs to a stream with ssc.queueStream(...), or records with ssc.receiverStream(...)"
_ADVICE = {
    ("DStream", "_jdstream"): "transform(f) and foreachRDD(f) give the RDD of each batch, and rdd._jrdd is the JVM's",
    ("DStream", "_jrdd_deserializer"): "the RDDs that transform(f) and foreachRDD(f) give have one each",
    ("StreamingContext", "_jssc"): f"{GIVE_RDDS}; stop(), remember() and checkpoint() are methods of ssc",
    ("StreamingContext", "_jvm"): "ssc.sparkContext._jvm is the JVM",
    ("StreamingContext", "_jduration"): "the interval is the one that the program has given",
}


class Inside:
    """Stands for something inside the old engine, so that a program which imports it starts.

    Parameters
    ----------
    name : str
        Its name.
    instead : str
        The public way.
    """

    def __init__(self, name: str, instead: str) -> None:
        self._name = name
        self._instead = instead

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse to be used."""
        raise DStreamTypeError(
            f"{self._name}: it wraps a function for the JVM's DStreams, and there are none. Instead: {self._instead}"
        )


def lacking(owner: str, name: str) -> str:
    """Text of the ``AttributeError`` for a name that is not there.

    Parameters
    ----------
    owner : str
        The class.
    name : str
        The name.
    """
    text = f"{owner!r} has no attribute {name!r}"
    advice = _ADVICE.get((owner, name))
    return text if advice is None else f"{text}: there is no DStream of the JVM behind it. Instead: {advice}"
