"""Names of the old engine's insides that programs reach for, and the public way to do the same."""

from __future__ import annotations

__all__ = ["GIVE_RDDS", "lacking"]

GIVE_RDDS = "give RDDs to a stream with ssc.queueStream(...), or records with ssc.receiverStream(...)"
_ADVICE = {
    ("DStream", "_jdstream"): "transform(f) and foreachRDD(f) give the RDD of each batch, and rdd._jrdd is the JVM's",
    ("DStream", "_jrdd_deserializer"): "the RDDs that transform(f) and foreachRDD(f) give have one each",
    ("StreamingContext", "_jssc"): f"{GIVE_RDDS}; stop(), remember() and checkpoint() are methods of ssc",
    ("StreamingContext", "_jvm"): "ssc.sparkContext._jvm is the JVM",
    ("StreamingContext", "_jduration"): "the interval is the one that the program has given",
}


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
