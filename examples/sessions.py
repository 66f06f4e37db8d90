"""Arbitrary state with a timeout: visits of a site, each of which ends when nothing came for 3 s.

python examples/sessions.py
"""

import tempfile

from pyspark import SparkContext

from dstreams import StateSpec, StreamingContext


def visit(user, page, state):
    """Called for each click, and once more when a user has been idle for too long."""
    if state.isTimingOut():
        return f"{user} left after {' > '.join(state.get())}"
    pages = [*state.getOption(), page] if state.exists() else [page]
    state.update(pages)
    return f"{user} is on {page}"


sc = SparkContext("local[2]", "sessions")
sc.setLogLevel("ERROR")
ssc = StreamingContext(sc, 1)
ssc.checkpoint(tempfile.mkdtemp())

clicks = ssc.queueStream([[("ann", "home")], [("ann", "cart"), ("ben", "home")], [("ben", "help")], [], [], [], []])
clicks.mapWithState(StateSpec.function(visit).timeout(3)).pprint()

ssc.start()
ssc.awaitTerminationOrTimeout(20)
ssc.stop(stopGraceFully=True)
