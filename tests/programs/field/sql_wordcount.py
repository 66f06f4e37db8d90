import sys

from pyspark import SparkContext
from pyspark.sql import Row, SparkSession
from pyspark.streaming import StreamingContext


def get_session(spark_conf):
    if "session" not in globals():
        globals()["session"] = SparkSession.builder.config(conf=spark_conf).getOrCreate()
    return globals()["session"]


def process(time, rdd):
    print("========= %s =========" % str(time))
    try:
        spark = get_session(rdd.context.getConf())
        frame = spark.createDataFrame(rdd.map(lambda w: Row(word=w)))
        frame.createOrReplaceTempView("words")
        spark.sql("select word, count(*) as total from words group by word").show()
    except ValueError:
        pass  # an empty RDD has no schema


if __name__ == "__main__":
    ssc = StreamingContext(SparkContext(appName="SqlWordCount"), 1)
    words = ssc.socketTextStream(sys.argv[1], int(sys.argv[2])).flatMap(lambda line: line.split(" "))
    words.foreachRDD(process)
    ssc.start()
    ssc.awaitTermination()
