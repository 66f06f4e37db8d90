"""Receivers of the program's own, in a running program."""

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

    class Numbers(Receiver):
        def __init__(self, numbers):
            super().__init__()
            self.numbers = numbers
            self.lock = threading.Lock()  # it is a part of the driver: nothing is pickled

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


def test_what_cannot_be_saved_is_refused_with_a_checkpoint_directory(streaming, tmp_path):
    class Locked(Receiver):
        def __init__(self):
            super().__init__()
            self.lock = threading.Lock()

    lock = threading.Lock()
    for define in (
        lambda ssc: ssc.receiverStream(Locked()),
        lambda ssc: ssc.socketStream("localhost", 1, lambda file: [lock]),
    ):
        ssc = streaming()
        ssc.checkpoint(str(tmp_path / "checkpoint"))
        define(ssc).pprint()
        with pytest.raises(
            DStreamTypeError, match=r"(receiver|socket)Stream at test_receivers\.py.*cannot be saved.*lock"
        ):
            ssc.start()


def test_arguments(streaming):
    ssc = streaming()
    with pytest.raises(DStreamTypeError, match="receiver must be a Receiver, got int"):
        ssc.receiverStream(1)
    with pytest.raises(DStreamTypeError, match="socketStream: converter must be a function"):
        ssc.socketStream("localhost", 9999, None)
    with pytest.raises(DStreamTypeError, match="socketStream: hostname must be a str"):
        ssc.socketStream(None, 9999, list)
    assert not hasattr(ssc, "rawSocketStream"), "Python never had it, and unpickling what comes runs it"
