import sys

from pyspark import SparkContext
from pyspark.mllib.clustering import StreamingKMeans
from pyspark.mllib.linalg import Vectors
from pyspark.streaming import StreamingContext

sc = SparkContext(appName="KMeans")
ssc = StreamingContext(sc, 1)
training = ssc.textFileStream(sys.argv[1]).map(lambda line: Vectors.dense([float(x) for x in line.split(" ")]))
model = StreamingKMeans(k=2, decayFactor=1.0).setInitialCenters([[0.0, 0.0], [10.0, 10.0]], [1.0, 1.0])
model.trainOn(training)
model.predictOnValues(training.map(lambda point: (str(point), point))).pprint()
ssc.start()
ssc.awaitTermination()
