"""Receivers of the program's own, in the process where Spark runs them."""

from __future__ import annotations

import threading

import pytest

from dstreams import StreamingListener
from dstreams.errors import DStreamTypeError
from dstreams.receiver import Receiver
from tests.harness import Output

pytestmark = pytest.mark.engine


def test_receiver_stream(streaming, caplog):
    caplog.set_level("INFO", "dstreams")

    class Numbers(Receiver):  # made here, so that it travels as it is
        def __init__(self, numbers):
            super().__init__()
            self.numbers = numbers

        def onStart(self):
            threading.Thread(target=self.receive, daemon=True).start()

        def receive(self):
            self.store(iter(self.numbers))
            self.store("one")
            self.reportError("a hiccup", ValueError("bad"))
            self.stop("no more")

    events = []

    class Listener(StreamingListener):
        def onReceiverStarted(self, event):
            events.append(("started", event.receiverInfo().name()))

        def onReceiverError(self, event):
            events.append(("error", event.receiverInfo().lastErrorMessage()))

        def onReceiverStopped(self, event):
            events.append(("stopped", event.receiverInfo().lastErrorMessage()))

    ssc = streaming()
    ssc.addStreamingListener(Listener())
    stream = ssc.receiverStream(Numbers([1, 2, 3]))
    out = Output(stream.map(str))
    ssc.start()
    out.wait_for(lambda o: len(o.elements) == 4)
    ssc.stop(stopSparkContext=False)
    assert out.elements == ["1", "2", "3", "one"]
    assert events[:3] == [
        ("started", "receiverStream(Numbers)"), ("error", "a hiccup: ValueError: bad"), ("stopped", "no more"),
    ]  # fmt: skip
    assert "receiverStream(Numbers): a hiccup: ValueError: bad" in caplog.messages


def test_arguments(streaming):
    ssc = streaming()
    with pytest.raises(DStreamTypeError, match="receiver must be a Receiver, got int"):
        ssc.receiverStream(1)
    broken = Receiver()
    broken.lock = threading.Lock()
    with pytest.raises(DStreamTypeError, match="receiverStream: Receiver cannot be pickled"):
        ssc.receiverStream(broken)
    with pytest.raises(DStreamTypeError, match="socketStream: converter must be a function"):
        ssc.socketStream("localhost", 9999, None)
    with pytest.raises(DStreamTypeError, match="rawSocketStream: hostname must be a str"):
        ssc.rawSocketStream(None, 9999)
