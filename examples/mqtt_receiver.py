"""MQTT, which `pyspark.streaming.mqtt` had until Spark 1.6: a receiver to copy. Needs paho-mqtt.

python examples/mqtt_receiver.py tcp://host:1883 'sensors/+' /tmp/mqtt    # stop it, send something, and start it again
"""

import sys
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from pyspark import SparkContext

from dstreams import StreamingContext
from dstreams.receiver import Receiver

WAYS = {
    # Port, transport, and whether there is TLS.
    "tcp": (1883, "tcp", False),
    "mqtt": (1883, "tcp", False),
    "ssl": (8883, "tcp", True),
    "mqtts": (8883, "tcp", True),
    "ws": (80, "websockets", False),
    "wss": (443, "websockets", True),
}


class MQTTReceiver(Receiver):
    """Acknowledges a message when it is stored: in a program with a checkpoint directory, in the write-ahead log.

    With a client id, which no other client may have, the broker keeps what comes while the program is down, and sends
    again what was not acknowledged.
    """

    def __init__(self, url, topic, username=None, password=None, client_id=""):
        super().__init__()
        parts = urlsplit(url)
        if parts.scheme not in WAYS or not parts.hostname:
            raise ValueError(f"the broker must be an address such as tcp://host:1883, got {url!r}")
        port, self.transport, self.tls = WAYS[parts.scheme]
        self.address = parts.hostname, parts.port or port
        self.url, self.topic, self.login, self.client_id = url, topic, (username, password), client_id

    def __str__(self):
        return f"MQTT {self.url}, {self.topic}"

    def onStart(self):
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            self.client_id,
            clean_session=not self.client_id,
            transport=self.transport,
            manual_ack=True,
        )
        self.client.username_pw_set(*self.login)
        if self.tls:
            self.client.tls_set()
        self.client.on_connect = self.connected
        self.client.on_message = self.take
        self.client.on_disconnect = self.disconnected
        self.client.reconnect_delay_set(max_delay=2)
        self.client.connect(*self.address)  # if nobody answers, the receiver is started again 2 s later
        self.client.loop_start()  # a thread, which also connects again

    def onStop(self):
        self.client.disconnect()
        self.client.loop_stop()

    def connected(self, client, userdata, flags, reason, properties):
        if reason.is_failure:
            self.reportError(f"{self.url} refuses the connection: {reason}")
        else:
            client.subscribe(self.topic, qos=1)

    def take(self, client, userdata, message):
        self.store([message.payload.decode("utf-8", "replace")])  # a list: its records are in the log on return
        client.ack(message.mid, message.qos)

    def disconnected(self, client, userdata, flags, reason, properties):
        if reason.is_failure:
            self.reportError(f"the connection to {self.url} ended: {reason}")


if __name__ == "__main__":
    url, topic, directory = sys.argv[1:4]

    def program():
        sc = SparkContext("local[2]", "MQTT")
        sc.setLogLevel("ERROR")
        ssc = StreamingContext(sc, 1)
        ssc.checkpoint(directory)
        ssc.receiverStream(MQTTReceiver(url, topic, client_id="mqtt_receiver.py")).pprint()
        return ssc

    ssc = StreamingContext.getOrCreate(directory, program)
    ssc.start()
    ssc.awaitTerminationOrTimeout(15)
    ssc.stop(stopGraceFully=True)
