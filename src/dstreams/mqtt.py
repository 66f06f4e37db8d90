"""Messages of an MQTT broker, as ``pyspark.streaming.mqtt`` of Spark 1.4 to 1.6 had them. Needs ``dstreams[mqtt]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pyspark import StorageLevel

from dstreams.errors import DStreamStateError, DStreamTypeError, DStreamValueError
from dstreams.receiver import Receiver

if TYPE_CHECKING:
    from dstreams.context import StreamingContext
    from dstreams.dstream import DStream

__all__ = ["MQTTUtils"]

_PORTS = {"tcp": 1883, "mqtt": 1883, "ssl": 8883, "tls": 8883, "mqtts": 8883, "ws": 80, "wss": 443}
_SECURE = ("ssl", "tls", "mqtts", "wss")


class MQTTUtils:
    """Streams of MQTT topics."""

    @staticmethod
    def createStream(
        ssc: StreamingContext,
        brokerUrl: str,
        topic: str,
        storageLevel: StorageLevel = StorageLevel.MEMORY_AND_DISK_2,
        *,
        username: str | None = None,
        password: str | None = None,
    ) -> DStream[str]:
        """Read the messages of a topic.

        Parameters
        ----------
        ssc : StreamingContext
            The context.
        brokerUrl : str
            Address of the broker, such as ``tcp://host:1883``; ``ssl://`` for TLS, ``ws://`` and ``wss://`` for
            WebSockets.
        topic : str
            Name of the topic, or a filter with ``+`` and ``#``.
        storageLevel : pyspark.StorageLevel
            Accepted for compatibility.
        username, password : str, optional
            What the broker asks for; the old API had no way to give it.

        Returns
        -------
        DStream[str]
            The messages, decoded as UTF-8; invalid bytes become U+FFFD.

        Raises
        ------
        DStreamStateError
            If the client, the package ``paho-mqtt``, is not installed.
        DStreamTypeError, DStreamValueError
            If an argument cannot be meant.

        Notes
        -----
        Subscribes with quality of service 1. A message is acknowledged when it is in the write-ahead log, if the
        program has a checkpoint directory. Connects again 2 s after a connection ended.
        """
        op = "MQTTUtils.createStream"
        for name, value in (("brokerUrl", brokerUrl), ("topic", topic)):
            if not isinstance(value, str) or not value:
                raise DStreamTypeError(f"{op}: {name} must be a str, got {value!r}")
        parts = urlsplit(brokerUrl)
        try:
            port = parts.port or _PORTS[parts.scheme]
        except (KeyError, ValueError):
            port = 0
        if not parts.hostname or not port:
            raise DStreamValueError(f"{op}: brokerUrl must be an address such as tcp://host:1883, got {brokerUrl!r}")
        try:
            import paho.mqtt.client  # noqa: F401
        except ImportError:
            raise DStreamStateError(
                f"{op}: the MQTT client is not installed. Install it beside the driver: pip install 'dstreams[mqtt]'"
            ) from None
        receiver = MQTTReceiver(parts.scheme, parts.hostname, port, topic, (username, password))
        return ssc.receiverStream(receiver)


class MQTTReceiver(Receiver[str]):
    """Client of a broker.

    Parameters
    ----------
    scheme, host : str
        How and where to connect.
    port : int
        Port of the broker.
    topic : str
        What to subscribe to.
    login : tuple of str or None
        Name and password.
    """

    def __init__(self, scheme: str, host: str, port: int, topic: str, login: tuple[str | None, str | None]) -> None:
        super().__init__()
        self._scheme = scheme
        self._address = (host, port)
        self._topic = topic
        self._login = login

    def __str__(self) -> str:
        host, port = self._address
        return f"MQTT {self._scheme}://{host}:{port}, {self._topic}"

    def onStart(self) -> None:
        """Connect; messages come in a thread of the client."""
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        transport: Any = "websockets" if self._scheme in ("ws", "wss") else "tcp"
        client = Client(CallbackAPIVersion.VERSION2, transport=transport, manual_ack=True)
        if self._login[0] is not None:
            client.username_pw_set(*self._login)
        if self._scheme in _SECURE:
            client.tls_set()
        client.on_connect = self._connected
        client.on_message = self._message
        client.on_disconnect = self._disconnected
        client.connect(*self._address)
        self._client = client
        client.loop_start()

    def onStop(self) -> None:
        """Say goodbye to the broker."""
        client = self.__dict__.pop("_client", None)
        if client is not None:
            client.on_disconnect = None
            client.disconnect()
            client.loop_stop()

    def _connected(self, client: Any, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if reason.is_failure:
            client.on_disconnect = None  # the client would try again at once
            self.restart(f"{self._address[0]}:{self._address[1]} refuses the connection: {reason}")
        else:
            client.subscribe(self._topic, qos=1)

    def _message(self, client: Any, _: Any, message: Any) -> None:
        self.store([message.payload.decode("utf-8", "replace")])
        client.ack(message.mid, message.qos)

    def _disconnected(self, client: Any, _: Any, __: Any, reason: Any, ___: Any) -> None:
        client.on_disconnect = None
        self.restart(f"the connection to {self._address[0]}:{self._address[1]} ended: {reason}")
