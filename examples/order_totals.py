"""Totals per customer, with state that survives the driver: a program as one would run it in production.

    python -m dstreams examples/order_totals.py localhost 9999 /tmp/order-totals

reads lines such as `alice,12` from a TCP server. Tests of it are in examples/test_order_totals.py.
"""

import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext


def parse(line):
    customer, _, amount = line.partition(",")
    return (customer, int(amount)) if amount.strip().isdigit() else None


def add(amounts, total):
    return sum(amounts) + (total or 0)


def create(host, port):
    sc = SparkContext.getOrCreate()
    ssc = StreamingContext(sc, 5)
    orders = ssc.socketTextStream(host, port).map(parse).filter(lambda order: order is not None)
    orders.updateStateByKey(add).pprint()
    return ssc


if __name__ == "__main__":
    host, port, directory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    ssc = StreamingContext.getOrCreate(directory, lambda: create(host, port))
    ssc.start()
    ssc.awaitTermination()
