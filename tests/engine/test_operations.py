import pytest
from tests.harness import *
pytestmark = pytest.mark.engine
import time
def test_x(streaming):
    ssc = streaming()
    q = ssc.queueStream([[1,2,3],[]])
    t=time.time()
    streams = {f"m{i}": q.map(lambda x, i=i: (x, i)).reduceByKey(lambda a,b: a+b) for i in range(20)}
    r = run_table(ssc, streams, q, 4)
    print(time.time()-t)
    print(r[0]["m3"], r[1]["m3"], r[2]["m3"])
@pytest.mark.parametrize("n", [40])
def test_y(streaming, n):
    ssc = streaming()
    q = ssc.queueStream([[1,2,3],[]])
    t=time.time()
    streams = {f"m{i}": q.map(lambda x, i=i: (x, i)) for i in range(n)}
    r = run_table(ssc, streams, q, 4)
    print(n, time.time()-t)
    t=time.time()
