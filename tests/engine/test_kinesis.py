"""Kinesis in a running program, on moto's server."""

from __future__ import annotations

import uuid

import pytest
from moto.server import ThreadedMotoServer

from dstreams.errors import DStreamStateError
from dstreams.kinesis import InitialPositionInStream, KinesisUtils
from dstreams.kinesis._source import Account
from tests.harness import Output

pytestmark = pytest.mark.engine


@pytest.fixture
def endpoint():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_stream(streaming, endpoint, caplog):
    name = f"s-{uuid.uuid4().hex[:8]}"
    client = Account(name, endpoint, "us-east-1", "id", "key").client()
    client.create_stream(StreamName=name, ShardCount=2)

    def send(*texts):
        for text in texts:
            client.put_record(StreamName=name, Data=text.encode(), PartitionKey=text)

    def create(ssc, stream, decoder=str):
        return KinesisUtils.createStream(
            ssc, "app", stream, endpoint, "us-east-1", InitialPositionInStream.TRIM_HORIZON, 2,
            awsAccessKeyId="id", awsSecretKey="hunter2", decoder=decoder,
        )  # fmt: skip

    ssc = streaming()
    create(ssc, "absent").pprint()
    with pytest.raises(DStreamStateError, match=r"KinesisUtils.createStream\(absent\): there is no stream"):
        ssc.start()
    texts = [f"r{i}" for i in range(20)]
    send(*texts)
    ssc = streaming()
    stream = create(ssc, name, lambda data: data.decode().upper())
    out = Output(stream)
    ssc.start()
    out.wait_for(lambda o: len(o.elements) == 20)
    send("later")
    out.wait_for(lambda o: "LATER" in o.elements)
    shown = ssc.explain()
    ssc.stop(stopSparkContext=False)
    assert sorted(out.elements[:20]) == sorted(text.upper() for text in texts)
    assert "hunter2" not in shown + caplog.text
