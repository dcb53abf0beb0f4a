"""One cluster for all tests of this folder, and the session of this process in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.spark import cluster
from tests.spark.archives import exported, make_archive


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spark warns of pandas 3, which it is not asked for here."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas"))


@pytest.fixture(scope="session")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster of two workers."""
    if why := cluster.missing():
        pytest.skip(why)
    with cluster.running(tmp_path_factory.mktemp("cluster"), cores=2) as address:
        yield address


@pytest.fixture(scope="session")
def spark(master: str) -> Iterator[Any]:
    """A session in the cluster, whose time zone is not UTC."""
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        settings = {
            "spark.driver.extraJavaOptions": cluster.JAVA,
            "spark.executor.extraJavaOptions": cluster.JAVA,
            "spark.cores.max": "2",  # one of each worker: the others are for a second program
            "spark.executor.cores": "1",
            "spark.executor.memory": "512m",
            "spark.sql.session.timeZone": "America/New_York",
            "spark.sql.shuffle.partitions": "2",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }
        builder = SparkSession.builder.master(master)
        for name, value in settings.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
        yield session
        session.stop()


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Saved responses of one project."""
    return make_archive(tmp_path_factory.mktemp("spark") / "archive")


@pytest.fixture(scope="session")
def expected(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pa.Table]:
    """The tables of an export of them."""
    return exported(tmp_path_factory.mktemp("spark") / "target", archive)
