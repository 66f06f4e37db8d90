"""Records of a Kinesis stream: one thread per shard in the driver, sequence numbers in the query's offset log.

Kinesis cannot say where a shard ends now; who wants to know must read it. So the shards are read where the offsets are
made, and the records travel to the tasks as those of receivers do. A batch that is run again
reads its sequence numbers once more: no write-ahead log is needed, as long as Kinesis keeps the records.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dstreams._plan.chunks import read_chunks
from dstreams._sources.blocks import pickled
from dstreams._sources.receiver import MAX_WAITING_BYTES, cut
from dstreams._sources.source import DriverSource
from dstreams._sources.start import Start
from dstreams._spark.rdd import Cut
from dstreams._spark.source import Offset, Reader
from dstreams.errors import DStreamStateError

if TYPE_CHECKING:
    from pyspark import SparkContext

__all__ = ["Account", "KinesisDecoder", "KinesisReader", "KinesisSource"]

RETRY_SECONDS = 2.0
IDLE_SECONDS = 0.25
"""Between two questions to a shard that has nothing new; Kinesis allows five in a second."""
STOP_SECONDS = 2.0
_BLOCK_RECORDS = 10_000

Positions = dict[str, str]
"""Where each shard is: a sequence number after which it goes on, ``@<ms>`` for a time, nothing for its beginning; with
``!`` at the end if the shard has been closed and read to its end."""


@dataclass(frozen=True)
class Account:
    """How to reach a stream.

    Attributes
    ----------
    stream, endpoint, region : str
        Name of the stream, and where it is.
    key_id, secret : str or None
        Access key; None for what boto3 finds in the environment.
    role, role_session, external_id : str or None
        Role to assume with STS.
    """

    stream: str
    endpoint: str | None
    region: str
    key_id: str | None = None
    secret: str | None = None
    role: str | None = None
    role_session: str | None = None
    external_id: str | None = None

    def __repr__(self) -> str:
        return f"Account({self.stream}, {self.region})"

    def client(self) -> Any:
        """Make a client of Kinesis; a role is assumed, and again before what STS gives expires."""
        import boto3

        keys = {"aws_access_key_id": self.key_id, "aws_secret_access_key": self.secret}
        if self.role is None:
            return boto3.client("kinesis", region_name=self.region, endpoint_url=self.endpoint, **keys)
        from botocore.credentials import RefreshableCredentials
        from botocore.session import get_session

        asked = {"RoleArn": self.role, "RoleSessionName": self.role_session or "dstreams"}
        asked |= {"ExternalId": self.external_id} if self.external_id else {}

        def assume() -> dict[str, str]:
            given = boto3.client("sts", region_name=self.region, **keys).assume_role(**asked)["Credentials"]
            return {
                "access_key": given["AccessKeyId"],
                "secret_key": given["SecretAccessKey"],
                "token": given["SessionToken"],
                "expiry_time": given["Expiration"].isoformat(),
            }

        credentials = RefreshableCredentials.create_from_metadata(assume(), assume, "sts-assume-role")
        session = get_session()
        session.register_component("credential_provider", SimpleNamespace(load_credentials=lambda: credentials))
        return session.create_client("kinesis", region_name=self.region, endpoint_url=self.endpoint)


def shards_of(client: Any, stream: str) -> dict[str, list[str]]:
    """Return the shards of a stream, each with the shards that it was made of."""
    found: dict[str, list[str]] = {}
    asked: dict[str, Any] = {"StreamName": stream}
    while asked:
        answer = client.list_shards(**asked)
        for shard in answer["Shards"]:
            parents = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
            found[shard["ShardId"]] = [parent for parent in parents if parent]
        asked = {"NextToken": answer["NextToken"]} if answer.get("NextToken") else {}
    return found


class _Shard:
    """What has been read of a shard and no batch has committed yet.

    Parameters
    ----------
    position : str
        Where the first record comes after.
    """

    def __init__(self, position: str) -> None:
        self.base = position
        self.end = position
        self.records: deque[tuple[int, bytes]] = deque()


class KinesisReader(Reader):
    """Reader of all shards.

    Parameters
    ----------
    name : str
        Name of the operation with the stream.
    account : Account
        How to reach the stream.
    positions : dict of str to str
        Where each shard begins, or where the query's offset log ends.
    report : callable
        ``(event, text)``: takes what happens, for the log and the listeners.
    parallelism : int
        Number of partitions of a large batch.
    """

    def __init__(
        self,
        name: str,
        account: Account,
        positions: Positions,
        report: Callable[[str, str], None],
        parallelism: int,
    ) -> None:
        self.name = name
        self.records = 0
        self._account = account
        self._report = report
        self._parallelism = parallelism
        self._first = positions
        self._stopped = threading.Event()
        self._lock = threading.Condition()
        self._waiting_bytes = 0
        self._said = ""
        self._shards: dict[str, _Shard] = {}
        self._threads: dict[str, threading.Thread] = {}

    def open(self) -> None:
        """Start to read.

        Raises
        ------
        DStreamStateError
            If Kinesis cannot be reached, or refuses the credentials; it says what to do.
        """
        try:
            self._open()
        except Exception as error:
            raise DStreamStateError(f"{self.name}: {_meaning(error, self._account)}") from None

    def _open(self) -> None:
        self._client = self._account.client()
        self._shards = {shard: _Shard(position) for shard, position in self._first.items()}
        for shard in self._first:
            self._begin(shard)
        self._find_new()
        self._say("started", f"reading {len(self._threads)} shard(s)")

    # ------------------------------------------------------------------ what Spark asks

    def latest(self, previous: Offset | None) -> Offset:
        """Sequence numbers of the last records of each shard.

        The first batch has no records: its offset says where the stream begins, which another process that has to run
        it again could not know.
        """
        if previous is None:
            return {"shards": dict(sorted(self._first.items()))}
        with self._lock:
            return {"shards": {shard: read.end for shard, read in sorted(self._shards.items())}}

    def batch(self, start: Offset | None, end: Offset) -> Cut | None:
        """What is new in each shard."""
        before = self._first if start is None else start["shards"]
        chunks: list[bytes] = []
        self.records = 0
        for shard, last in end["shards"].items():
            records = self._between(shard, before.get(shard, ""), last)
            self.records += len(records)
            chunks += [block.data for block in pickled(records)] if records else []
        return cut(chunks, self.records, self._parallelism)

    def commit(self, end: Offset) -> None:
        """Forget what has been processed."""
        with self._lock:
            for shard, position in end["shards"].items():
                read = self._shards.get(shard)
                last = _number(position)
                while read is not None and last is not None and read.records and read.records[0][0] <= last:
                    self._waiting_bytes -= len(read.records.popleft()[1])
                if read is not None:
                    read.base = position
            self._lock.notify_all()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        for thread in list(self._threads.values()):
            thread.join(STOP_SECONDS)

    def _say(self, event: str, text: str) -> None:
        """Report what happened, once as long as it stays the same."""
        if text != self._said:
            self._said = text
            self._report(event, text)

    # ------------------------------------------------------------------ reading

    def _between(self, shard: str, start: str, end: str) -> list[bytes]:
        first, last = _number(start), _number(end)
        if last is None or first == last:  # nothing has come, but the shard may have ended
            return []
        with self._lock:
            read = self._shards.get(shard)
            if read is not None and read.base == start:
                return [data for number, data in read.records if number <= last]
        # Of a run before this one: the batch is run again.
        found: list[bytes] = []
        iterator = self._iterator(shard, start)
        while iterator is not None:
            answer = self._client.get_records(ShardIterator=iterator, Limit=_BLOCK_RECORDS)
            for record in answer["Records"]:
                number = int(record["SequenceNumber"])
                if number > last:
                    return found
                if first is None or number > first:
                    found.append(record["Data"])
                if number == last:
                    return found
            if not answer["Records"] and answer.get("MillisBehindLatest", 0) == 0:
                break
            iterator = answer.get("NextShardIterator")
        raise RuntimeError(
            f"Kinesis does not have the records of {shard} up to {end} any more, of the batch that has to be run "
            "again: it keeps them for its retention period only, a day unless it was made longer"
        )

    def _iterator(self, shard: str, position: str) -> str:
        """Ask for an iterator."""
        asked: dict[str, Any] = {"StreamName": self._account.stream, "ShardId": shard}
        if (number := _number(position)) is not None:
            asked |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": str(number)}
        elif position.startswith("@"):
            moment = datetime.fromtimestamp(int(position.strip("@!")) / 1000, timezone.utc)
            asked |= {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": moment}
        else:
            asked["ShardIteratorType"] = "TRIM_HORIZON"
        return str(self._client.get_shard_iterator(**asked)["ShardIterator"])

    def _begin(self, shard: str) -> None:
        """Start the thread of a shard, unless it has been read to its end."""
        if not self._shards[shard].end.endswith("!"):
            thread = threading.Thread(target=self._read, args=(shard,), name=f"dstreams-{shard}", daemon=True)
            self._threads[shard] = thread
            thread.start()

    def _read(self, shard: str) -> None:
        read = self._shards[shard]
        iterator: str | None = None
        while not self._stopped.is_set():
            try:
                if iterator is None:
                    iterator = self._iterator(shard, read.end)
                answer = self._client.get_records(ShardIterator=iterator, Limit=_BLOCK_RECORDS)
            except Exception as error:
                iterator = None
                if "ExpiredIterator" not in type(error).__name__:
                    self._say("error", f"{shard}: {error}; trying again every {RETRY_SECONDS:g} s")
                    self._stopped.wait(RETRY_SECONDS)
                continue
            records = [(int(record["SequenceNumber"]), record["Data"]) for record in answer["Records"]]
            iterator = answer.get("NextShardIterator")
            with self._lock:
                read.records.extend(records)
                self._waiting_bytes += sum(len(data) for _, data in records)
                if records:
                    read.end = str(records[-1][0])
                if iterator is None:  # split or merged, and read to its end
                    read.end += "!"
                while self._waiting_bytes > MAX_WAITING_BYTES and not self._stopped.is_set():
                    self._say("waiting", f"{MAX_WAITING_BYTES >> 20} MiB wait for a batch, reading no more until then")
                    self._lock.wait(1)
            if iterator is None:
                self._find_new_again()
                return
            if not records:
                self._stopped.wait(IDLE_SECONDS)

    def _find_new_again(self) -> None:
        while not self._stopped.is_set():
            try:
                self._find_new()
                return
            except Exception as error:
                self._say("error", f"{error}; trying again every {RETRY_SECONDS:g} s")
                self._stopped.wait(RETRY_SECONDS)

    def _find_new(self) -> None:
        """Begin shards whose parents have been read to their end; forget those that Kinesis has forgotten."""
        listed = shards_of(self._client, self._account.stream)
        with self._lock:
            for shard in [shard for shard, read in self._shards.items() if read.end.endswith("!")]:
                if shard not in listed and not self._shards[shard].records:
                    del self._shards[shard]
            done = {shard for shard, read in self._shards.items() if read.end.endswith("!")}
            for shard, parents in listed.items():
                if shard not in self._shards and all(up in done or up not in listed for up in parents):
                    self._shards[shard] = _Shard("")
                    self._begin(shard)


def _number(position: str) -> int | None:
    """Sequence number of a position, if it is one."""
    text = position.rstrip("!")
    return int(text) if text and not text.startswith("@") else None


class KinesisDecoder:
    """Chunks of bytes to what the program gets.

    Parameters
    ----------
    decoder : callable
        Bytes to anything.
    """

    def __init__(self, decoder: Callable[[bytes | None], Any]) -> None:
        self._decoder = decoder

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Any]:
        """Yield the records."""
        return map(self._decoder, read_chunks(batches))


class KinesisSource(DriverSource):
    """Records of a Kinesis stream.

    Parameters
    ----------
    account : Account
        How to reach it.
    latest : bool
        Whether a first start begins with what comes from then on; else with what Kinesis still has.
    decoder : callable
        Bytes to anything.
    parallelism : int
        Number of partitions of a large batch.
    """

    def __init__(
        self, account: Account, latest: bool, decoder: Callable[[bytes | None], Any], parallelism: int
    ) -> None:
        self.decode = KinesisDecoder(decoder)
        self._account = account
        self._latest = latest
        self._parallelism = parallelism

    def describe(self) -> str:
        """Name of the operation with the stream."""
        return f"KinesisUtils.createStream({self._account.stream})"

    def announce(self, sc: SparkContext) -> str | None:
        """Say where it is."""
        return f"{self.describe()}: in {self._account.region}"

    def reader(self, start: Start, sc: SparkContext) -> KinesisReader:
        """Make what reads the shards.

        A first start asks Kinesis, so that a stream that does not exist, or credentials that are wrong, are told before
        anything runs.
        """
        if start.position is not None:
            positions = start.position["shards"]
        else:
            try:
                client = self._account.client()
                listed = shards_of(client, self._account.stream)
                described = client.describe_stream_summary(StreamName=self._account.stream)
            except Exception as error:
                raise DStreamStateError(f"{self.describe()}: {_meaning(error, self._account)}") from None
            now = parsedate_to_datetime(described["ResponseMetadata"]["HTTPHeaders"]["date"])
            begin = f"@{round(now.timestamp() * 1000)}" if self._latest else ""
            # A shard that was made of others is begun when those have been read, unless they are gone.
            first = [shard for shard, parents in listed.items() if not any(parent in listed for parent in parents)]
            positions = dict.fromkeys(listed if self._latest else first, begin)
        return KinesisReader(self.describe(), self._account, positions, start.report, self._parallelism)


def _meaning(error: Exception, account: Account) -> str:
    """What an exception of boto3 means, and what to do; without secrets, which boto3 does not show."""
    code = getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__)
    where = account.endpoint or account.region
    if code == "ResourceNotFoundException":
        return (
            f"there is no stream {account.stream!r} in {account.region} ({where}). Nothing was started. Make it first, "
            "or mend the name or the region."
        )
    if any(word in code for word in ("Token", "Credentials", "UnrecognizedClient", "Signature", "AccessDenied")):
        return (
            f"Kinesis at {where} refuses the credentials ({code}: {error}). Nothing was started. Give others "
            "(awsAccessKeyId and awsSecretKey, the environment, or a role), or get new ones where they have expired."
        )
    if "Connection" in code or "Timeout" in code:
        return f"nobody answers at {where} ({error}). Nothing was started. See endpointUrl and the network."
    return f"Kinesis at {where} answered {code}: {error}"
