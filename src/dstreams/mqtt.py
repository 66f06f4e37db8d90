"""What a program finds that imports ``pyspark.streaming.mqtt`` (Spark 1.4 to 1.6)."""

from dstreams._compatibility import TABLE

_fact = TABLE["pyspark.streaming.mqtt"]
raise ModuleNotFoundError(f"{_fact.name}: {_fact.sentence}.", name=_fact.name)
