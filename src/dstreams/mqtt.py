"""What a program finds that imports ``pyspark.streaming.mqtt`` (Spark 1.4 to 1.6)."""

raise ModuleNotFoundError(
    "pyspark.streaming.mqtt: MQTT is a receiver of the program's own. Copy the class MQTTReceiver from dstreams' "
    "examples/mqtt_receiver.py, and write ssc.receiverStream(MQTTReceiver(brokerUrl, topic)) in the place of "
    "MQTTUtils.createStream(ssc, brokerUrl, topic). With a client_id, the broker keeps what comes meanwhile.",
    name="pyspark.streaming.mqtt",
)
