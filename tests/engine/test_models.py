"""Streaming algorithms of `pyspark.mllib`, which map with the model of the moment; each batch changes it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pyspark.mllib.clustering import StreamingKMeans, StreamingKMeansModel
from pyspark.mllib.linalg import Vectors
from pyspark.mllib.regression import LabeledPoint, LinearRegressionWithSGD, StreamingLinearRegressionWithSGD

pytestmark = pytest.mark.engine

BATCHES = 4


def rounded(values: Any) -> list[float]:
    return [round(float(value), 9) for value in values]


def test_streaming_kmeans(streaming, spark_context):
    """Predictions are by the model as it was when their batch began, as if each batch had been run by hand."""
    points = [[Vectors.dense([x + 2.0 * n]) for x in (0.0, 0.1, 4.0, 9.1)] for n in range(BATCHES)]
    centers, weights = [[1.0], [8.0]], [1.0, 1.0]
    by_hand = StreamingKMeansModel(centers, weights)
    expected = []
    for batch in points:
        expected.append([by_hand.predict(point) for point in batch])
        by_hand.update(spark_context.parallelize(batch, 2), 0.5, "batches")

    ssc = streaming()
    algorithm = StreamingKMeans(k=2, decayFactor=0.5, timeUnit="batches").setInitialCenters(centers, weights)
    stream = ssc.queueStream([spark_context.parallelize(batch, 2) for batch in points])
    algorithm.trainOn(stream)
    found: list[list[int]] = []
    done = threading.Event()

    def look(rdd: Any) -> None:
        found.append([label for _, label in rdd.collect()])
        if len(found) == BATCHES:
            done.set()

    algorithm.predictOnValues(stream.map(lambda point: ("p", point))).foreachRDD(look)
    ssc.start()
    assert done.wait(200)
    ssc.stop(stopSparkContext=False, stopGraceFully=True)
    assert found[:BATCHES] == expected
    assert expected[0] != expected[-1], "the model has followed the points"
    ours = [list(center) for center in algorithm.latestModel().centers]
    assert [rounded(center) for center in ours] == [rounded(center) for center in by_hand.centers]


def test_streaming_linear_regression(streaming, spark_context):
    points = [LabeledPoint(2.0 * x, [x]) for x in (1.0, 2.0, 3.0)]
    weights = Vectors.dense([0.0])
    expected = []
    for _ in range(BATCHES):
        expected.append(rounded(point.features.dot(weights) for point in points))
        weights = LinearRegressionWithSGD.train(
            spark_context.parallelize(points, 2), 20, 0.1, 1.0, initialWeights=weights
        ).weights

    ssc = streaming()
    algorithm = StreamingLinearRegressionWithSGD(stepSize=0.1, numIterations=20)
    algorithm.setInitialWeights([0.0])
    stream = ssc.queueStream([spark_context.parallelize(points, 2) for _ in range(BATCHES)])
    algorithm.trainOn(stream)
    found: list[list[float]] = []
    done = threading.Event()

    def look(rdd: Any) -> None:
        found.append(rounded(rdd.collect()))
        if len(found) == BATCHES:
            done.set()

    algorithm.predictOn(stream.map(lambda point: point.features)).foreachRDD(look)
    ssc.start()
    assert done.wait(200)
    ssc.stop(stopSparkContext=False)
    assert found[:BATCHES] == expected
    assert expected[0] == [0.0, 0.0, 0.0] != expected[1]
