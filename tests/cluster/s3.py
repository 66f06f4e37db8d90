"""An object store with the interface of S3: moto's server, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.cluster.remote import RemotePath
from tests.cluster.standalone import free_port, listens
from tests.kafka_broker import JARS

__all__ = ["S3", "S3Path"]

_BUCKET = "jobs"
_SERVER = """
import sys
from moto.server import main
from werkzeug.serving import WSGIRequestHandler

# Both http.server and werkzeug answer "Expect: 100-continue": once too often for a client.
WSGIRequestHandler.handle_expect_100 = lambda self: True
main(sys.argv[1:])
"""


class S3:
    """One store with one bucket; a context manager that ends it.

    Parameters
    ----------
    folder : Path
        Where its log goes. Objects are in its memory.

    Attributes
    ----------
    uri : str
        Of the bucket, without a slash at the end.
    client : object
        A client of boto3.
    options : list of str
        What ``spark-submit`` has to be told to reach it.
    """

    uri = f"s3a://{_BUCKET}"

    def __init__(self, folder: Path) -> None:
        assert any((JARS / "s3").glob("*.jar")), "the jars of S3's client are not there: run `make jars`"
        self._folder = folder
        self._port = free_port()
        endpoint = f"http://127.0.0.1:{self._port}"
        self.client: Any = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="id", aws_secret_access_key="key",
            config=Config(s3={"addressing_style": "path"}, max_pool_connections=20),
        )  # fmt: skip
        settings = {
            "fs.s3a.endpoint": endpoint,
            "fs.s3a.endpoint.region": "us-east-1",
            "fs.s3a.path.style.access": "true",
            "fs.s3a.connection.ssl.enabled": "false",
            "fs.s3a.aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
            "fs.s3a.access.key": "id",
            "fs.s3a.secret.key": "key",
        }
        self.options = ["--jars", ",".join(map(str, (JARS / "s3").glob("*.jar")))]
        for key, value in settings.items():
            self.options += ["--conf", f"spark.hadoop.{key}={value}"]

    def __enter__(self) -> S3:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "s3.log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVER, "-H", "127.0.0.1", "-p", str(self._port)],
                stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while not listens(self._port):
            assert time.monotonic() < deadline, (self._folder / "s3.log").read_text()[-3000:]
            time.sleep(0.05)
        self.client.create_bucket(Bucket=_BUCKET)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def make_folder(self, folder: str) -> None:
        """Make the mark of an empty folder."""
        self.client.put_object(Bucket=_BUCKET, Key=f"{self.key(folder)}/")

    def put(self, file: Path, folder: str) -> None:
        """Copy a local file to a folder."""
        self.client.put_object(Bucket=_BUCKET, Key=self.key(f"{folder}/{file.name}"), Body=file.read_bytes())

    def key(self, uri: str) -> str:
        """Key of the object that a URI names."""
        return uri.removeprefix(f"{self.uri}/")

    def listed(self, prefix: str, delimiter: str = "") -> Iterator[dict[str, Any]]:
        """Pages of what begins with a prefix."""
        pages = self.client.get_paginator("list_objects_v2")
        yield from pages.paginate(Bucket=_BUCKET, Prefix=prefix, Delimiter=delimiter)

    def read(self, key: str) -> bytes:
        """All bytes of an object."""
        try:
            return bytes(self.client.get_object(Bucket=_BUCKET, Key=key)["Body"].read())
        except ClientError as error:
            raise FileNotFoundError(key) from error


class S3Path(RemotePath):
    """A name in the store."""

    def __init__(self, s3: S3, uri: str) -> None:
        super().__init__(uri)
        self._s3 = s3
        self._key = s3.key(uri)

    def exists(self) -> bool:
        return any(
            found["Key"] == self._key or found["Key"].startswith(f"{self._key}/")
            for page in self._s3.listed(self._key)
            for found in page.get("Contents", [])
        )

    def read_bytes(self) -> bytes:
        return self._s3.read(self._key)

    def _of(self, uri: str) -> S3Path:
        return S3Path(self._s3, uri)

    def _names(self) -> list[str]:
        prefix = f"{self._key}/"
        found = []
        for page in self._s3.listed(prefix, "/"):
            found += [each["Key"] for each in page.get("Contents", [])]
            found += [each["Prefix"].rstrip("/") for each in page.get("CommonPrefixes", [])]
        return [key.removeprefix(prefix) for key in found if key != prefix]

    def _files(self) -> Iterator[str]:
        for page in self._s3.listed(f"{self._key}/"):
            for found in page.get("Contents", []):
                if not found["Key"].endswith("/"):  # a mark for an empty folder
                    yield f"{self._s3.uri}/{found['Key']}"
