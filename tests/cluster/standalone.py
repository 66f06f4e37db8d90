"""A real standalone cluster on the loopback interface: a master and workers, as processes of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyspark

from tests.java import quick_start
from tests.recovery.killer import processes

__all__ = ["Cluster", "executors", "free_port", "listens"]

SPARK_HOME = Path(pyspark.__file__).parent
_EXECUTOR = b"CoarseGrainedExecutorBackend"


class Cluster:
    """A master and some workers; a context manager that ends them.

    Parameters
    ----------
    folder : Path
        Where they keep their files.
    workers : int
        How many workers to start with.
    cores : int
        Cores of each worker.
    settings : dict of str to str
        Spark's settings of the daemons, such as ``spark.authenticate``.
    wrap : sequence of str
        Command in which each worker is started, such as ``unshare``.
    """

    def __init__(
        self,
        folder: Path,
        workers: int = 2,
        cores: int = 1,
        settings: Mapping[str, str] | None = None,
        wrap: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._number_of_workers = workers
        self._cores = cores
        self._wrap = list(wrap)
        self._settings = {
            # A restarted master finds its workers and programs again.
            "spark.deploy.recoveryMode": "FILESYSTEM",
            "spark.deploy.recoveryDirectory": str(folder / "recovery"),
            # A master that was restarted soon knows which workers are gone.
            "spark.worker.timeout": "10",
            # Executors that are killed again and again are not the program's fault here.
            "spark.deploy.maxExecutorRetries": "-1",
            **(settings or {}),
        }
        self._port = free_port()
        self.url = f"spark://127.0.0.1:{self._port}"
        self._master: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Cluster:
        (self._folder / "recovery").mkdir(parents=True)
        self.start_master()
        for _ in range(self._number_of_workers):
            self.start_worker()
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*self.workers, *([self._master] if self._master else [])]:
            end(process, signal.SIGKILL)

    # ------------------------------------------------------------------ parts

    def start_master(self) -> None:
        """Start the master, and wait until it listens."""
        arguments = ["--host", "127.0.0.1", "--port", str(self._port), "--webui-port", "0"]
        self._master = self._java("master", "org.apache.spark.deploy.master.Master", arguments)
        self._wait("master", lambda: listens(self._port))

    def restart_master(self) -> None:
        """Kill the master, and start it again."""
        assert self._master is not None
        end(self._master, signal.SIGKILL)
        self.start_master()

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start one more worker, and wait until the master has it."""
        name = f"worker-{len(list(self._folder.glob('worker-*.log'))) + 1}"
        arguments = ["--host", "127.0.0.1", "--webui-port", "0", "--cores", str(self._cores), "--memory", "3g"]
        arguments += ["--work-dir", str(self._folder / name), self.url]
        worker = self._java(name, "org.apache.spark.deploy.worker.Worker", arguments, self._wrap)
        self.workers.append(worker)
        self._wait(name, lambda: "Successfully registered" in self.log(name))
        return worker

    def stop_worker(self, worker: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
        """End a worker and its executors."""
        self.workers.remove(worker)
        end(worker, number)

    def log(self, name: str) -> str:
        """What a daemon has printed."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def executors(self) -> list[int]:
        """Process ids of all executors, in the order of their workers."""
        return [pid for worker in self.workers for pid in executors(worker.pid)]

    def executor_errors(self) -> str:
        """What all executors have printed."""
        return "\n".join(path.read_text(errors="replace") for path in self._folder.glob("worker-*/*/*/stderr"))

    # ------------------------------------------------------------------ programs

    def submit(
        self, *arguments: str, python: str = sys.executable, driver: str = sys.executable, **conf: str
    ) -> list[str]:
        """Command line that submits a program in client mode.

        Parameters
        ----------
        *arguments : str
            Options of ``spark-submit``, the program, and its arguments.
        python, driver : str
            Interpreters of the executors and of the driver.
        **conf : str
            Settings of Spark, with `__` for each dot.
        """
        settings = {
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.executor.memory": "1g",
            "spark.executor.extraJavaOptions": quick_start()["SPARK_SUBMIT_OPTS"],
            "spark.log.level": "WARN",
            "spark.pyspark.python": python,
            "spark.pyspark.driver.python": driver,
            **{name.replace("__", "."): value for name, value in conf.items()},
        }
        options = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
        return [str(SPARK_HOME / "bin" / "spark-submit"), "--master", self.url, *options, *arguments]

    # ------------------------------------------------------------------ processes

    def _java(self, name: str, main: str, arguments: list[str], wrap: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        options = [f"-D{key}={value}" for key, value in self._settings.items()]
        # A node knows nothing of the driver's settings.
        unset = {"PYTHONPATH", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", "SPARK_SUBMIT_OPTS"}
        environment = {key: value for key, value in os.environ.items() if key not in unset}
        environment |= {
            "SPARK_HOME": str(SPARK_HOME),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "512m",
            "SPARK_DAEMON_JAVA_OPTS": " ".join([*quick_start()["SPARK_SUBMIT_OPTS"].split(), *options]),
        }
        with (self._folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*wrap, str(SPARK_HOME / "bin" / "spark-class"), main, *arguments], cwd=self._folder, env=environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def _wait(self, name: str, condition, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{name} does not start:\n{self.log(name)[-3000:]}"
            time.sleep(0.05)


def end(process: subprocess.Popen[bytes], number: int) -> None:
    """End a daemon and everything that it has started."""
    children = processes(process.pid)
    process.send_signal(number)
    process.wait(60)
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def executors(session: int) -> list[int]:
    """Process ids of the executors of a worker."""
    found = []
    for pid in processes(session):
        try:
            if _EXECUTOR in Path(f"/proc/{pid}/cmdline").read_bytes() and pid != session:
                found.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
