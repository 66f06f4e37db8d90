"""What a program finds that imports ``pyspark.streaming.mqtt`` (Spark 1.4 to 1.6)."""

raise ModuleNotFoundError(
    "pyspark.streaming.mqtt: MQTT is a receiver of the program's own. Copy the class MQTTReceiver from dstreams' "
    "examples/mqtt_receiver.py, and write ssc.receiverStream(MQTTReceiver(brokerUrl, topic, client_id=...)) in the place of "
    "MQTTUtils.createStream(ssc, brokerUrl, topic).",
    name="pyspark.streaming.mqtt",
)
