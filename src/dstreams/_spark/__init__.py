"""What is used of Spark and PySpark that is not public: each name in one place, each tested.

A leaf: it knows Spark, and nothing of DStreams. Nothing outside names a private attribute of PySpark's objects, a
module of PySpark's that is not documented, or a class of Spark's (``tests/engine/test_spark_insides.py``).
"""
