"""The streaming algorithms of `pyspark.mllib`, as PySpark's examples use them: each batch changes a model."""

from __future__ import annotations

import json
import sys
import threading

from pyspark import SparkConf, SparkContext
from pyspark.mllib.clustering import StreamingKMeans
from pyspark.mllib.linalg import Vectors
from pyspark.mllib.regression import LabeledPoint, StreamingLinearRegressionWithSGD
from pyspark.streaming import StreamingContext

BATCHES = 4
conf = SparkConf().setMaster("local[2]").setAppName("models").set("spark.ui.enabled", "false")
conf.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1").set("spark.log.level", "ERROR")
sc = SparkContext(conf=conf)
ssc = StreamingContext(sc, 2)

points = [[Vectors.dense([x + n]) for x in (0.0, 0.1, 9.0, 9.1)] for n in range(BATCHES)]
clusters = StreamingKMeans(k=2, decayFactor=0.5).setInitialCenters([[1.0], [8.0]], [1.0, 1.0])
clusters.trainOn(ssc.queueStream([sc.parallelize(batch, 2) for batch in points]))
labelled = [[(f"p{n}{i}", point) for i, point in enumerate(batch)] for n, batch in enumerate(points)]
predicted = clusters.predictOnValues(ssc.queueStream([sc.parallelize(batch, 2) for batch in labelled]))

lines = [[LabeledPoint(2.0 * x, [x]) for x in (1.0, 2.0, 3.0)]] * BATCHES
regression = StreamingLinearRegressionWithSGD(stepSize=0.1, numIterations=20)
regression.setInitialWeights([0.0])
fitted = regression.predictOnValues(
    ssc.queueStream([sc.parallelize(b, 2) for b in lines]).map(lambda p: (p.label, p.features))
)
regression.trainOn(ssc.queueStream([sc.parallelize(batch, 2) for batch in lines]))

found = []
done = threading.Event()


def look(kind, last):
    def collect(rdd):
        rows = sorted((str(key), round(float(value), 6)) for key, value in rdd.collect())
        if rows:
            found.append((kind, rows, [round(float(c[0]), 6) for c in clusters.latestModel().centers]))
        if last and len(found) >= 2 * BATCHES:
            done.set()

    return collect


predicted.foreachRDD(look("clusters", False))
fitted.foreachRDD(look("regression", True))
ssc.start()
done.wait(200)
ssc.stop(True, False)
with open(sys.argv[1], "w") as file:
    json.dump(found[: 2 * BATCHES], file)
