"""The messages of an MQTT broker: a receiver of one's own that loses none. Copy the class into your program.

pip install paho-mqtt; python examples/mqtt_receiver.py tcp://host:1883 sensors/+

PySpark had this until 1.6: MQTTUtils.createStream(ssc, brokerUrl, topic) becomes
ssc.receiverStream(MQTTReceiver(brokerUrl, topic)).
"""

import sys
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from pyspark import SparkContext

from dstreams import StreamingContext
from dstreams.receiver import Receiver

PORTS = {"tcp": 1883, "mqtt": 1883, "ssl": 8883, "tls": 8883, "mqtts": 8883, "ws": 80, "wss": 443}


class MQTTReceiver(Receiver):
    """Subscribes to a topic with quality of service 1; a message is acknowledged when it is stored.

    With a checkpoint directory, stored means in the write-ahead log. After a connection has ended, dstreams starts the
    receiver again.
    """

    def __init__(self, url, topic, username=None, password=None):
        super().__init__()
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError(f"the broker must be an address such as tcp://host:1883, got {url!r}")
        self.scheme, self.host, self.port = parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme]
        self.topic, self.username, self.password = topic, username, password

    def __str__(self):
        return f"MQTT {self.scheme}://{self.host}:{self.port}, {self.topic}"

    def onStart(self):
        transport = "websockets" if self.scheme in ("ws", "wss") else "tcp"
        client = Client(CallbackAPIVersion.VERSION2, transport=transport, manual_ack=True)
        if self.username is not None:
            client.username_pw_set(self.username, self.password)
        if self.scheme in ("ssl", "tls", "mqtts", "wss"):
            client.tls_set()
        client.on_connect = self.connected
        client.on_message = self.message
        client.on_disconnect = self.disconnected
        client.connect(self.host, self.port)
        self.client = client
        client.loop_start()

    def onStop(self):
        client = self.__dict__.pop("client", None)
        if client is not None:
            client.on_disconnect = None
            client.disconnect()
            client.loop_stop()

    def connected(self, client, _userdata, _flags, reason, _properties):
        if reason.is_failure:
            client.on_disconnect = None  # the client would try again at once
            self.restart(f"{self.host}:{self.port} refuses the connection: {reason}")
        else:
            client.subscribe(self.topic, qos=1)

    def message(self, client, _userdata, message):
        self.store([message.payload.decode("utf-8", "replace")])  # a list: returns when it is stored
        client.ack(message.mid, message.qos)

    def disconnected(self, client, _userdata, _flags, reason, _properties):
        client.on_disconnect = None
        self.restart(f"the connection to {self.host}:{self.port} ended: {reason}")


if __name__ == "__main__":
    sc = SparkContext("local[2]", "MQTT")
    sc.setLogLevel("ERROR")
    ssc = StreamingContext(sc, 1)
    ssc.receiverStream(MQTTReceiver(*sys.argv[1:])).pprint()
    ssc.start()
    ssc.awaitTermination()
