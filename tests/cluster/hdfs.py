"""A small HDFS in a JVM of its own: a namenode and datanodes that can be stopped and started again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyspark
from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway
from py4j.protocol import Py4JJavaError

from tests.cluster.remote import RemotePath
from tests.kafka_broker import JARS

__all__ = ["Hdfs", "HdfsPath"]

_SPARK_JARS = Path(pyspark.__file__).parent / "jars"


class Hdfs:
    """One namenode and some datanodes; a context manager that ends them.

    Parameters
    ----------
    folder : Path
        Where it keeps its blocks.
    datanodes : int
        How many there are; each file is on so many of them.
    capacity : int, optional
        Bytes that each datanode may hold.

    Attributes
    ----------
    uri : str
        Of its root, without the last slash.
    """

    def __init__(self, folder: Path, datanodes: int = 2, capacity: int | None = None) -> None:
        assert any((JARS / "hdfs").glob("*.jar")), "the jars of HDFS are not there: run `make jars`"
        self._folder = folder
        self._datanodes = datanodes
        self._capacity = capacity
        self._stopped: Any = None

    def __enter__(self) -> Hdfs:
        self._folder.mkdir(parents=True, exist_ok=True)
        jars = [str(JARS / "hdfs" / "*"), str(_SPARK_JARS / "*")]
        java = shutil.which("java", path=os.path.join(os.environ.get("JAVA_HOME", "/usr"), "bin")) or "java"
        self._log = (self._folder / "hdfs.log").open("w")
        port, token = launch_gateway(
            classpath=os.pathsep.join(jars), javaopts=["-Xmx512m", "-XX:TieredStopAtLevel=1"], die_on_exit=True,
            java_path=java, redirect_stdout=self._log, redirect_stderr=self._log, enable_auth=True,
        )  # fmt: skip
        self._gateway = JavaGateway(
            gateway_parameters=GatewayParameters(port=port, auth_token=token, auto_convert=True)
        )
        self.jvm = jvm = self._gateway.jvm
        conf = jvm.org.apache.hadoop.conf.Configuration()
        settings = {
            "hdfs.minidfs.basedir": str(self._folder / "blocks"),
            "dfs.replication": str(self._datanodes),
            # Datanodes that were stopped are soon known to be gone, and those that are left do.
            "dfs.namenode.heartbeat.recheck-interval": "500",
            "dfs.heartbeat.interval": "1",
            "dfs.client.retry.policy.enabled": "true",  # the tests look while the namenode restarts
            "dfs.client.block.write.replace-datanode-on-failure.policy": "NEVER",
            "dfs.permissions.superusergroup": "nobody",
        }
        for key, value in settings.items():
            conf.set(key, value)
        builder = getattr(jvm.org.apache.hadoop.hdfs, "MiniDFSCluster$Builder")(conf).numDataNodes(self._datanodes)
        if self._capacity is not None:
            capacities = self._gateway.new_array(jvm.long, self._datanodes)
            for i in range(self._datanodes):
                capacities[i] = self._capacity
            builder = builder.simulatedCapacities(capacities)
        self._cluster = builder.build()
        self._cluster.waitActive()
        self.fs = self._cluster.getFileSystem()
        self.uri = f"hdfs://127.0.0.1:{self._cluster.getNameNodePort()}"
        return self

    def __exit__(self, *_: object) -> None:
        self._gateway.shutdown()
        self._log.close()

    # ------------------------------------------------------------------ parts

    def stop_datanode(self) -> None:
        """Stop one datanode."""
        self._stopped = self._cluster.stopDataNode(0)

    def start_datanode(self) -> None:
        """Start it again."""
        assert self._cluster.restartDataNode(self._stopped, True)
        self._cluster.waitActive()

    def restart_namenode(self) -> None:
        """Stop the namenode, and start it again."""
        self._cluster.restartNameNode(0)
        self._cluster.waitActive()

    # ------------------------------------------------------------------ files

    def path(self, name: str) -> Any:
        """Hadoop's path of a name."""
        return self.jvm.org.apache.hadoop.fs.Path(name)

    def make_folder(self, folder: str) -> None:
        """Make a folder."""
        self.fs.mkdirs(self.path(folder))

    def put(self, file: Path, folder: str) -> None:
        """Copy a local file so that it appears in a folder as a whole."""
        beside = self.path(f"/unfinished-{file.name}")
        self.fs.copyFromLocalFile(self.path(str(file)), beside)
        assert self.fs.rename(beside, self.path(f"{folder}/{file.name}"))

    def fetch(self, folder: str, to: Path) -> None:
        """Copy a folder to a local one."""
        self.fs.copyToLocalFile(False, self.path(folder), self.path(str(to)), True)


class HdfsPath(RemotePath):
    """A path of HDFS."""

    def __init__(self, hdfs: Hdfs, uri: str) -> None:
        super().__init__(uri)
        self._hdfs = hdfs
        self._path = hdfs.path(uri)

    def exists(self) -> bool:
        return bool(self._hdfs.fs.exists(self._path))

    def read_bytes(self) -> bytes:
        try:
            stream = self._hdfs.fs.open(self._path)
        except Py4JJavaError as error:
            raise FileNotFoundError(str(error.java_exception)) from None
        try:
            return bytes(stream.readAllBytes())
        finally:
            stream.close()

    def _of(self, uri: str) -> HdfsPath:
        return HdfsPath(self._hdfs, uri)

    def _names(self) -> list[str]:
        return [str(status.getPath().getName()) for status in self._hdfs.fs.listStatus(self._path)]

    def _files(self) -> Iterator[str]:
        if self.exists():
            found = self._hdfs.fs.listFiles(self._path, True)
            while found.hasNext():
                yield str(found.next().getPath().toString())
