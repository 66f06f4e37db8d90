"""How to test a program: `pytest examples/test_order_totals.py`.

`stream_test` comes with dstreams; it runs the program as it is, but gives it the records itself. No socket is opened,
the checkpoint directory is a temporary one, and no test waits for the clock.
"""

from pathlib import Path

PROGRAM = Path(__file__).with_name("order_totals.py")
ARGUMENTS = ["orders.example", "9999", "hdfs:///jobs/order-totals"]


def test_totals_go_on(stream_test):
    run = stream_test(PROGRAM, args=ARGUMENTS)
    run.batch(["alice,12", "bob,3", "no order"]).expect([("alice", 12), ("bob", 3)])
    run.batch(["alice,1"]).expect([("alice", 13), ("bob", 3)])
    run.advance(seconds=10)[-1].expect([("alice", 13), ("bob", 3)])


def test_a_crash_counts_nothing_twice(stream_test):
    run = stream_test(PROGRAM, args=ARGUMENTS)
    run.batch(["alice,12"])
    before = run.crash(["alice,1"])  # in the middle of this batch: the output has run, nothing is committed
    again = run.restart()
    assert again.time == before.time
    again.expect([("alice", 13)])
    run.batch(["alice,1"]).expect([("alice", 14)])
