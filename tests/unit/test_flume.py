"""Flume with a real agent: the receiver as a query would start it."""

from __future__ import annotations

import socket
import struct
import sys

import pytest

from dstreams._sources.receiver import Settings
from dstreams.errors import DStreamStateError, DStreamTypeError, DStreamValueError, UnsupportedDStreamOperation
from dstreams.flume import FlumeUtils
from dstreams.flume.streams import FlumeReceiver
from tests.flume_agent import Agent
from tests.unit.receivers import custom, taken, until


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def receiver(port, compressed=False):
    return custom(FlumeReceiver("127.0.0.1", port, compressed), Settings(0.1, 0.01))


def bodies(reader):
    return [body.decode() for _, body in taken(reader)]


@pytest.mark.parametrize("compression", [pytest.param("none", marks=pytest.mark.slow), "deflate"])
def test_events_of_an_agent(run, tmp_path, port, compression):
    """They arrive in their order, each once; what comes while nobody listens waits in the agent."""
    (tmp_path / "agent").mkdir()
    with Agent(tmp_path / "agent", port, compression) as agent:
        agent.send("early")  # the agent tries until somebody listens
        reader, _ = run(receiver(port, compression == "deflate"), tmp_path / "ahead")
        assert reader.name == f"receiverStream(Flume on 127.0.0.1:{port})"
        lines = [f"line {i}" for i in range(500)] + ["x" * 100_000, "last"]
        agent.send(*lines)
        until(lambda: bodies(reader)[-1:] == ["last"], 60)
        assert bodies(reader) == ["early", *lines]
        assert taken(reader)[0][0]["origin"] == "test"
        reader.stop()
        agent.send("while nobody listens")
        again, _ = run(receiver(port, compression == "deflate"), tmp_path / "ahead")
        until(lambda: bodies(again)[-1:] == ["while nobody listens"], 60)
        assert bodies(again) == ["early", *lines, "while nobody listens"]


def test_strangers_and_a_port_that_is_taken(run, port, capfd):
    with socket.create_server(("127.0.0.1", port)):
        reader, status = run(receiver(port))
        until(lambda: any("Address already in use" in text for text in status.texts("error")))
    until(lambda: status.texts("started"))
    for greeting in (b"GET / HTTP/1.1\r\n\r\n", struct.pack(">iii", 1, 1, -5), struct.pack(">iii", 1, 1, 4) + b"abcd"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as stranger:
            stranger.sendall(greeting)
            stranger.shutdown(socket.SHUT_WR)
            while stranger.recv(1000):
                pass
    assert taken(reader) == []
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((None, 1), DStreamTypeError, "hostname must be a str"),
        (("h", "1"), DStreamTypeError, "port must be an int"),
        (("h", 0), DStreamValueError, "port must be between 1 and 65535"),
    ],
)
def test_arguments(arguments, error, text):
    with pytest.raises(error, match=text):
        FlumeUtils.createStream(None, *arguments)


def test_what_is_refused(monkeypatch):
    with pytest.raises(DStreamTypeError, match="bodyDecoder must be a function"):
        FlumeUtils.createStream(None, "h", 1, bodyDecoder=1)
    with pytest.raises(UnsupportedDStreamOperation, match=r"createPollingStream: .*Avro sink with FlumeUtils"):
        FlumeUtils.createPollingStream(None, [("h", 1)])
    monkeypatch.setitem(sys.modules, "avro.ipc", None)
    with pytest.raises(DStreamStateError, match=r"pip install 'dstreams\[flume\]'"):
        FlumeUtils.createStream(None, "h", 1)


def test_stream_of_headers_and_bodies():
    class Events:
        def map(self, function):
            self.function = function
            return self

        def _keeping(self, events):
            assert events is self
            return self.function

    class Context:
        def receiverStream(self, receiver):
            assert str(receiver) == "Flume on h:1"
            return Events()

    function = FlumeUtils.createStream(Context(), "h", 1, bodyDecoder=len)
    assert function(({"a": "b"}, b"xyz")) == ({"a": "b"}, 3)
