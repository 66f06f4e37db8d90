"""Kinesis on moto's server: the reader as a query would ask it, and what is told when something is wrong."""

from __future__ import annotations

import json
import pickle
import re
import threading
import uuid
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto.server import ThreadedMotoServer
from pyspark import cloudpickle

from dstreams._sources.start import FRESH, Start
from dstreams.errors import DStreamStateError, DStreamTypeError, DStreamValueError
from dstreams.kinesis import InitialPositionInStream, KinesisUtils
from dstreams.kinesis import _source as kinesis
from dstreams.kinesis._source import Account, KinesisDecoder, KinesisReader, KinesisSource
from tests.unit.receivers import Status, decoded, partitions, until


@pytest.fixture(scope="module")
def endpoint():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


class Stream:
    """A stream of its own."""

    def __init__(self, endpoint: str, shards: int) -> None:
        self.name = f"s-{uuid.uuid4().hex[:8]}"
        self.account = Account(self.name, endpoint, "us-east-1", "id", "key")
        self.client = self.account.client()
        self.client.create_stream(StreamName=self.name, ShardCount=shards)

    def send(self, *texts: str) -> None:
        for text in texts:
            self.client.put_record(StreamName=self.name, Data=text.encode(), PartitionKey=text)

    def shards(self) -> list[str]:
        return sorted(kinesis.shards_of(self.client, self.name))


@pytest.fixture
def stream(endpoint):
    return lambda shards=1: Stream(endpoint, shards)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(kinesis, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(kinesis, "IDLE_SECONDS", 0.01)


@pytest.fixture
def opened():
    """Give a function that opens a reader at positions; it ends with the test."""
    readers = []

    def make(account: Account, positions: dict[str, str]) -> tuple[KinesisReader, Status]:
        status = Status()
        reader = KinesisReader("KinesisUtils.createStream(s)", account, positions, status.report, 2)
        reader.open()
        readers.append(reader)
        return reader, status

    yield make
    for reader in readers:
        reader.stop()


def batch(reader: KinesisReader, start: dict[str, Any] | None, end: dict[str, Any]) -> list[list[str]]:
    """Records of each partition."""
    return [[data.decode() for data in decoded(part)] for part in partitions(reader.batch(start, end))]


def flat(parts: list[list[str]]) -> list[str]:
    return sorted(text for part in parts for text in part)


def first_offset(reader: KinesisReader) -> dict[str, Any]:
    """Offset of the first batch of a program, which is where the second one begins."""
    return reader.latest(None)


def latest(reader: KinesisReader) -> dict[str, Any]:
    """Offset up to which there is data."""
    return reader.latest(first_offset(reader))


def test_batches_and_a_batch_that_is_run_again(stream, opened):
    source = stream(2)
    texts = [f"r{i}" for i in range(20)]
    source.send(*texts)
    reader, status = opened(source.account, dict.fromkeys(source.shards(), ""))
    begin = first_offset(reader)
    until(lambda: len(flat(batch(reader, begin, latest(reader)))) == 20)
    end = latest(reader)
    assert (len(batch(reader, begin, end)), reader.records) == (1, 20), "few records are one partition"
    assert (batch(reader, end, end), reader.records) == ([], 0)
    source.send("later")
    until(lambda: latest(reader) != end)
    assert flat(batch(reader, begin, end)) == sorted(texts), "a batch ends where it ended"
    reader.commit(end)
    later = latest(reader)
    assert flat(batch(reader, end, later)) == ["later"]
    assert status.said == [("started", "reading 2 shard(s)")]
    reader.stop()

    again, _ = opened(source.account, later["shards"])  # after a kill before the last batch was committed
    assert flat(batch(again, end, later)) == ["later"]
    assert flat(batch(again, begin, end)) == sorted(texts)
    source.send("new")
    until(lambda: again.latest(later) != later)
    assert flat(batch(again, later, again.latest(later))) == ["new"]
    lost = {"shards": {**later["shards"], source.shards()[0]: "9" * 60}}
    third, _ = opened(source.account, lost["shards"])
    with pytest.raises(RuntimeError, match=r"does not have the records of shardId-\d+ up to 9+ any more"):
        third.batch(later, lost)


@pytest.mark.parametrize("position", ["", "@1000"])
def test_the_first_batch_says_where_the_stream_began(stream, opened, position):
    """It may have to be run again, by a process that cannot know that; so it has no records."""
    source = stream(1)
    (shard,) = source.shards()
    source.send("a", "b")
    reader, _ = opened(source.account, {shard: position})
    until(lambda: reader.latest({"shards": {shard: position}}) != {"shards": {shard: position}})
    first = reader.latest(None)
    assert first == {"shards": {shard: position}}
    assert reader.batch(None, first) is None
    second = reader.latest(first)
    assert flat(batch(reader, first, second)) == ["a", "b"]
    reader.stop()

    again, _ = opened(source.account, first["shards"])  # after a kill before the first batch was committed
    assert again.batch(None, first) is None
    until(lambda: again.latest(first) == second)
    assert flat(batch(again, first, second)) == ["a", "b"]


def test_a_large_batch_is_cut_for_all_cores(stream, opened, monkeypatch):
    monkeypatch.setattr("dstreams._sources.receiver.PARTITION_RECORDS", 10)
    source = stream(2)
    texts = [f"r{i}" for i in range(20)]
    source.send(*texts)
    reader, _ = opened(source.account, dict.fromkeys(source.shards(), ""))
    begin = first_offset(reader)
    until(lambda: len(flat(batch(reader, begin, latest(reader)))) == 20)
    parts = batch(reader, begin, latest(reader))
    assert len(parts) == 2 and all(parts), "the records of each shard are one block at least"
    assert flat(parts) == sorted(texts)


class Resharded:
    """A stream whose shards are closed and followed by others, which moto does not do as Kinesis does.

    A shard that is closed gives its last records without an iterator for more.
    """

    def __init__(self) -> None:
        self.parents: dict[str, list[str]] = {"0": []}
        self.records: dict[str, list[bytes]] = {"0": []}
        self.closed: set[str] = set()

    def client(self) -> Resharded:
        return self

    def list_shards(self, **asked: Any) -> dict[str, Any]:
        """Two pages."""
        names = sorted(self.parents)
        page = names[1:] if "NextToken" in asked else names[:1]
        shards = [
            {"ShardId": name, **dict(zip(("ParentShardId", "AdjacentParentShardId"), self.parents[name], strict=False))}
            for name in page
        ]
        return {"Shards": shards, **({} if "NextToken" in asked or len(names) == 1 else {"NextToken": "more"})}

    def get_shard_iterator(self, ShardId: str, ShardIteratorType: str, **asked: Any) -> dict[str, str]:
        number = int(asked.get("StartingSequenceNumber", 0))
        return {"ShardIterator": f"{ShardId}:{number}"}

    def get_records(self, ShardIterator: str, Limit: int) -> dict[str, Any]:
        shard, _, number = ShardIterator.partition(":")
        new = self.records[shard][int(number) :]
        last = int(number) + len(new)
        records = [{"SequenceNumber": str(int(number) + 1 + i), "Data": data} for i, data in enumerate(new)]
        more = {} if shard in self.closed else {"NextShardIterator": f"{shard}:{last}"}
        return {"Records": records, "MillisBehindLatest": 0, **more}


@pytest.fixture
def resharded(monkeypatch):
    made = Resharded()
    monkeypatch.setattr(Account, "client", lambda self: made)
    return made


def test_resharding(resharded, opened):
    """Shards are read after those that they were made of, from their beginning; also by a process that comes later."""
    account = Account("s", None, "r")
    resharded.records["0"] += [b"a", b"b"]
    reader, _ = opened(account, {"0": ""})
    begin = first_offset(reader)
    until(lambda: latest(reader) == {"shards": {"0": "2"}})
    resharded.parents |= {"1": ["0"], "2": ["0"], "3": ["1", "2"]}
    resharded.records |= {"1": [b"d"], "2": [b"e"], "3": [b"f"]}
    resharded.records["0"] += [b"c"]
    resharded.closed |= {"0", "1"}
    until(lambda: latest(reader) == {"shards": {"0": "3!", "1": "1!", "2": "1"}})
    end = latest(reader)
    assert flat(batch(reader, begin, end)) == ["a", "b", "c", "d", "e"]
    reader.commit(end)
    reader.stop()

    again, status = opened(account, end["shards"])
    assert status.said == [("started", "reading 1 shard(s)")]
    resharded.closed.add("2")
    until(lambda: again.latest(end)["shards"].get("3") == "1")
    last = again.latest(end)
    assert flat(batch(again, end, last)) == ["f"]
    again.commit(last)
    del resharded.parents["0"], resharded.parents["1"]  # their records are older than the stream keeps
    resharded.parents |= {"4": ["3"]}
    resharded.records["4"] = []
    resharded.closed.add("3")
    until(lambda: again.latest(last)["shards"] == {"2": "1!", "3": "1!", "4": ""})


def test_a_batch_in_which_a_shard_has_only_ended_can_be_run_again(resharded, opened):
    resharded.records["0"] += [b"a"]
    account = Account("s", None, "r")
    reader, _ = opened(account, {"0": ""})
    until(lambda: latest(reader) == {"shards": {"0": "1"}})
    before = latest(reader)
    resharded.closed.add("0")
    until(lambda: latest(reader) == {"shards": {"0": "1!"}})
    end = latest(reader)
    reader.commit(before)
    assert batch(reader, before, end) == []
    reader.stop()
    again, _ = opened(account, end["shards"])  # after a kill before that batch was committed
    assert batch(again, before, end) == []


def test_too_much_waiting_holds_the_reader_back(stream, opened, monkeypatch):
    monkeypatch.setattr(kinesis, "MAX_WAITING_BYTES", 3)
    source = stream(1)
    source.send("aaaa")
    (shard,) = source.shards()
    reader, status = opened(source.account, {shard: ""})
    until(lambda: status.texts("waiting"))
    end = latest(reader)
    source.send("bbbb")
    assert latest(reader) == end
    reader.commit(end)
    until(lambda: latest(reader) != end)
    assert flat(batch(reader, end, latest(reader))) == ["bbbb"]


def test_errors_on_the_way_are_told_and_tried_again(stream, opened):
    source = stream(1)
    (shard,) = source.shards()
    reader, status = opened(source.account, {shard: ""})
    good = reader._client

    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise OSError("the network is away")

    reader._client = Broken()
    until(lambda: status.texts("error"))
    assert status.texts("error") == [f"{shard}: the network is away; trying again every 0.01 s"]
    reader._client = good
    source.send("x")
    until(lambda: flat(batch(reader, first_offset(reader), latest(reader))) == ["x"])


# ---------------------------------------------------------------------- where it begins


def positions(account: Account, latest: bool, start: Start = FRESH) -> dict[str, str]:
    """Where the reader of a source would begin."""
    source: Any = KinesisSource(account, latest, bytes.decode, 2)
    return source.reader(start, None)._first


def test_where_a_stream_begins(stream):
    source = stream(1)
    (parent,) = source.shards()
    source.client.split_shard(StreamName=source.name, ShardToSplit=parent, NewStartingHashKey=str(2**127))
    assert positions(source.account, latest=False) == {parent: ""}, "its children come later"
    latest = positions(source.account, latest=True)
    assert sorted(latest) == source.shards() and all(text.startswith("@") for text in latest.values())
    known = Start({"shards": {parent: "17"}})
    assert positions(Account("none", "http://127.0.0.1:1", "r"), True, known) == {parent: "17"}


def test_latest_reads_what_comes_after(stream, opened):
    source = stream(1)
    begin = positions(source.account, latest=True)
    reader, _ = opened(source.account, begin)
    source.send("news")
    until(lambda: flat(batch(reader, first_offset(reader), latest(reader))) == ["news"])


def test_source_and_decoder():
    source = cloudpickle.loads(cloudpickle.dumps(KinesisSource(Account("s", "e", "r", "id", "hush"), True, len, 2)))
    assert (source.describe(), source.announce(None)) == (
        "KinesisUtils.createStream(s)", "KinesisUtils.createStream(s): in r",
    )  # fmt: skip
    assert "hush" not in repr(source._account)
    assert isinstance(source.decode, KinesisDecoder)
    assert decoded([pickle.dumps([b"ab", b"c"])], source.decode) == [2, 1]


# ---------------------------------------------------------------------- what is told


class _Refusing(BaseHTTPRequestHandler):
    """Answers as AWS does to credentials that have expired."""

    def do_POST(self) -> None:
        body = json.dumps({"__type": "ExpiredTokenException", "message": "The security token is expired"}).encode()
        self.send_response(400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def expired():
    """An account whose credentials have expired."""
    with HTTPServer(("127.0.0.1", 0), _Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield Account("s", f"http://127.0.0.1:{server.server_port}", "us-east-1", "id", "hunter2")
        server.shutdown()
        thread.join()


def test_what_is_wrong_is_told_at_the_start(monkeypatch, endpoint, expired):
    with pytest.raises(DStreamStateError, match="there is no stream 'absent' in us-east-1"):
        positions(Account("absent", endpoint, "us-east-1", "id", "key"), True)
    with pytest.raises(DStreamStateError, match=r"nobody answers at http://127\.0\.0\.1:1"):
        positions(Account("s", "http://127.0.0.1:1", "us-east-1", "id", "key"), True)
    with pytest.raises(DStreamStateError, match=r"refuses the credentials \(ExpiredTokenException") as raised:
        positions(expired, True)
    assert "hunter2" not in str(raised.value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(DStreamStateError, match="refuses the credentials"):
        positions(Account("s", endpoint, "us-east-1"), True)


class Unreachable:
    """A stream in a network that is away."""

    def __getattr__(self, name: str) -> Any:
        raise EndpointConnectionError(endpoint_url="http://kinesis")


def open_error(account: Account, positions: dict[str, str]) -> str:
    """What is told to a program that goes on from its checkpoint directory, for which Kinesis is not asked before."""
    reader = KinesisSource(account, True, len, 2).reader(Start({"shards": positions}), None)
    with pytest.raises(DStreamStateError) as raised:
        reader.open()
    reader.stop()  # as the query does, whose other inputs may have been opened
    until(lambda: not any(thread.is_alive() for thread in reader._threads.values()))
    text = str(raised.value)
    assert text.startswith("KinesisUtils.createStream(")
    assert raised.value.__suppress_context__, "its user has nothing of boto3's inside"
    return text


@pytest.mark.parametrize("positions", [{}, {"shardId-000000000000": "17"}, {"shardId-000000000000": "17!"}])
def test_what_is_wrong_is_told_when_a_program_goes_on(monkeypatch, endpoint, expired, positions):
    text = open_error(Account("absent", endpoint, "us-east-1", "id", "key"), positions)
    assert "there is no stream 'absent' in us-east-1" in text
    assert "Nothing was started. Make it first, or mend the name or the region." in text
    text = open_error(expired, positions)
    assert "refuses the credentials (ExpiredTokenException" in text
    assert "Nothing was started. Give others" in text
    assert "hunter2" not in text
    monkeypatch.setattr(Account, "client", lambda self: Unreachable())
    text = open_error(Account("s", "http://kinesis", "r"), positions)
    assert "nobody answers at http://kinesis" in text
    assert "Nothing was started. See endpointUrl and the network." in text


def test_a_role_that_is_refused_when_a_program_goes_on(monkeypatch):
    def refuse(self: Account) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not authorized"}}, "AssumeRole")

    monkeypatch.setattr(Account, "client", refuse)
    text = open_error(Account("s", None, "r", role="arn"), {"0": "17"})
    assert "Kinesis at r refuses the credentials (AccessDenied" in text
    assert "or a role" in text


def test_role(endpoint, monkeypatch):
    """A role is assumed, and again when the keys that STS has given are about to expire."""
    asked = []

    class STS:
        def assume_role(self, **given: Any) -> Any:
            asked.append(given)
            until = datetime.now(timezone.utc) + timedelta(minutes=60 if len(asked) > 2 else 2)
            key = f"KEY{len(asked)}"
            return {
                "Credentials": {
                    "AccessKeyId": key, "SecretAccessKey": "B", "SessionToken": f"of {key}", "Expiration": until,
                }
            }  # fmt: skip

    made = boto3.client
    monkeypatch.setattr(boto3, "client", lambda service, **given: STS() if service == "sts" else made(service, **given))
    client = Account("s", endpoint, "us-east-1", "id", "key", "arn", "session", "external").client()
    sent = []
    client.meta.events.register("before-send.kinesis", lambda request, **_: sent.append(dict(request.headers)))
    for _ in range(4):
        client.list_streams()
    assert asked == [{"RoleArn": "arn", "RoleSessionName": "session", "ExternalId": "external"}] * 3
    keys = [re.search("KEY.", str(headers["Authorization"]))[0] for headers in sent]
    assert keys == ["KEY3"] * 4, "those of before are about to expire"
    assert "of KEY3" in str(sent[-1]["X-Amz-Security-Token"])


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"streamName": ""}, DStreamTypeError, "streamName must be a str"),
        ({"regionName": 1}, DStreamTypeError, "regionName must be a str"),
        ({"endpointUrl": 1}, DStreamTypeError, "endpointUrl must be a str"),
        ({"initialPositionInStream": 7}, DStreamValueError, "LATEST or TRIM_HORIZON, got 7"),
        ({"checkpointInterval": -1}, DStreamValueError, "checkpointInterval"),
        ({"awsAccessKeyId": "id"}, DStreamValueError, "both awsAccessKeyId and awsSecretKey"),
        ({"decoder": 1}, DStreamTypeError, "decoder must be a function"),
    ],
)
def test_arguments(change, error, text):
    given = {
        "kinesisAppName": "app", "streamName": "s", "endpointUrl": "http://h", "regionName": "r",
        "initialPositionInStream": InitialPositionInStream.LATEST, "checkpointInterval": 2, **change,
    }  # fmt: skip
    with pytest.raises(error, match=text):
        KinesisUtils.createStream(None, **given)


def test_client_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(DStreamStateError, match=r"pip install 'dstreams\[kinesis\]'"):
        KinesisUtils.createStream(None, "app", "s", "http://h", "r", InitialPositionInStream.LATEST, 2)
