"""A standalone Spark cluster of our own on this machine: a master and workers, each a process of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_DEADLINE = 300.0  # seconds; a fault of ours would wait for ever
MEMORY = "1536m"  # of each worker, for the executors of two programs
# Spark's processes live for seconds: what is compiled well takes longer to compile than to run.
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def missing() -> str | None:
    """Why there can be no cluster here; None if there can."""
    if importlib.util.find_spec("pyspark") is None:
        return "pyspark is not installed here"
    if not os.environ.get("JAVA_HOME") and shutil.which("java") is None:
        return "Java is not installed here"
    return None


def home() -> Path:
    """Where Spark's own programs are."""
    return Path(str(importlib.util.find_spec("pyspark").origin)).parent  # type: ignore[union-attr]


def environment(folder: Path) -> dict[str, str]:
    """That of Spark's programs, whose temporary files are in the folder."""
    return {
        **os.environ,
        "SPARK_HOME": str(home()),
        "SPARK_LOCAL_DIRS": str(folder),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": JAVA,
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),  # also where ftetl is not installed
    }


@contextlib.contextmanager
def running(folder: Path, *, workers: int = 2, cores: int = 1) -> Iterator[str]:
    """A running cluster, whose logs and files are in the folder; its address."""
    port = _free_port()
    address = f"spark://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        place = ["--host", "127.0.0.1", "--webui-port", "0"]
        stack.enter_context(_program(folder, "master", "master.Master", *place, "--port", str(port)))
        _wait_for(port)
        for number in range(workers):
            size = ["--cores", str(cores), "--memory", MEMORY, "--work-dir", str(folder / f"work{number}")]
            stack.enter_context(_program(folder, f"worker{number}", "worker.Worker", *place, *size, address))
        _wait_for_workers(folder / "master.log", workers)
        yield address


@contextlib.contextmanager
def _program(folder: Path, name: str, kind: str, *arguments: str) -> Iterator[None]:
    command = [home() / "bin" / "spark-class", f"org.apache.spark.deploy.{kind}", *arguments]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment(folder), stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    end = time.monotonic() + _DEADLINE
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError("the master does not listen")


def _wait_for_workers(log: Path, count: int) -> None:
    end = time.monotonic() + _DEADLINE
    while time.monotonic() < end:
        if log.read_text("utf-8", "replace").count("Registering worker") >= count:
            return
        time.sleep(0.1)
    raise TimeoutError("the workers are not registered")
