"""The receiver of examples/mqtt_receiver.py on a real broker, as a query would start it."""

from __future__ import annotations

from itertools import count
from threading import Event

import pytest
from examples.mqtt_receiver import MQTTReceiver

from dstreams._sources.receiver import Settings
from tests.mqtt_broker import PASSWORD, USER, Mosquitto
from tests.unit.receivers import custom, taken, until


@pytest.fixture
def broker(tmp_path):
    with Mosquitto(tmp_path) as running:
        yield running


def receiver(broker, topic, *login, **named):
    return custom(MQTTReceiver(broker.url, topic, *login, **named), Settings(0.1, 0.01))


def test_messages(broker, run, tmp_path):
    reader, status = run(receiver(broker, "sensors/+"), tmp_path / "ahead")
    until(lambda: _listens(broker, reader, "sensors/probe"))
    broker.publish("sensors/1", "ü", b"\xff", "")
    broker.publish("other", "no")
    broker.publish("sensors/2", "last")
    until(lambda: taken(reader)[-1:] == ["last"])
    assert [text for text in taken(reader) if not text.startswith("probe")] == ["ü", "\ufffd", "", "last"]
    until(lambda: status.said == [("started", "started")])
    assert reader.name == f"receiverStream(MQTT {broker.url}, sensors/+)"
    count = len(taken(reader))
    reader.stop()
    again, _ = run(receiver(broker, "sensors/+"), tmp_path / "ahead")
    assert len(taken(again)) == count, "what was received is in the write-ahead log"


def test_the_broker_keeps_what_was_not_stored(broker, run, monkeypatch):
    """What comes while nobody is there, and what was delivered to a program that crashed before it was stored."""
    reader, _ = run(receiver(broker, "t", client_id="me"))
    until(lambda: _listens(broker, reader, "t"))
    reader.stop()
    delivered = Event()
    with monkeypatch.context() as crash:
        crash.setattr(MQTTReceiver, "take", lambda *_: delivered.set())
        deaf, _ = run(receiver(broker, "t", client_id="me"))
        broker.publish("t", "delivered")
        until(delivered.is_set)
        assert taken(deaf) == []
        deaf.stop()
    broker.publish("t", "meanwhile")
    again, _ = run(receiver(broker, "t", client_id="me"))
    until(lambda: taken(again)[-2:] == ["delivered", "meanwhile"])


def test_broker_that_goes_and_comes_back(broker, run):
    reader, status = run(receiver(broker, "t"))
    until(lambda: _listens(broker, reader, "t"))
    broker.stop()
    until(lambda: any(text.startswith(f"the connection to {broker.url} ended") for text in status.texts("error")))
    broker.start()
    until(lambda: _listens(broker, reader, "t"))


def test_broker_that_comes_later(broker, run):
    broker.stop()
    reader, status = run(receiver(broker, "t"))
    until(lambda: any("refused" in text for text in status.texts("error")))
    broker.start()
    until(lambda: _listens(broker, reader, "t"))


def test_password(tmp_path, run):
    with Mosquitto(tmp_path, closed=True) as broker:
        wrong, status = run(receiver(broker, "t", USER, "wrong"))
        until(lambda: any("refuses the connection" in text for text in status.texts("error")))
        assert "wrong" not in repr(status.said)
        right, _ = run(receiver(broker, "t", USER, PASSWORD))
        until(lambda: _listens(broker, right, "t"))
        assert taken(wrong) == []


def _listens(broker, reader, topic):
    """Whether a message comes through: nobody says when a subscription holds."""
    word = f"probe {next(_numbers)}"
    broker.publish(topic, word)
    return word in taken(reader)


_numbers = count()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("tcp://h:1", ("h", 1)), ("tcp://h", ("h", 1883)), ("ssl://h", ("h", 8883)), ("wss://h/mqtt", ("h", 443)),
        ("mqtt://[::1]:9", ("::1", 9)),
    ],
)  # fmt: skip
def test_addresses(url, address):
    assert MQTTReceiver(url, "t").address == address


@pytest.mark.parametrize("url", ["h:1883", "http://h", "tcp://:1883"])
def test_what_is_no_address(url):
    with pytest.raises(ValueError, match="an address such as tcp://host:1883"):
        MQTTReceiver(url, "t")
