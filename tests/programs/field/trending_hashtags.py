import sys

from pyspark import SparkConf, SparkContext
from pyspark.streaming import StreamingContext

conf = SparkConf()
conf.setAppName("TwitterStreamApp")
sc = SparkContext(conf=conf)
ssc = StreamingContext(sc, 2)
ssc.checkpoint("checkpoint_TwitterApp")
tweets = ssc.socketTextStream(sys.argv[1], int(sys.argv[2])).window(20)
hashtags = tweets.flatMap(lambda text: text.split(" ")).filter(lambda word: word.startswith("#")).map(str.lower)
counts = hashtags.countByValueAndWindow(20, 2)
ranked = counts.transform(lambda rdd: rdd.sortBy(lambda x: x[1], ascending=False))
ranked.pprint(10)
hashtags.countByWindow(20, 2).pprint()
ssc.start()
ssc.awaitTermination()
