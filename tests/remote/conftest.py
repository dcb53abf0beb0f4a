"""What the tests of this folder share: the S3 server, a bucket for each test, and two answers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ftetl
from tests.faults.targets import FIRST, SECOND

pytest.importorskip("obstore", reason="the extra `s3` is not installed")
pytest.importorskip("moto.server", reason="the S3 server of the tests is not installed")

from tests.remote.store_server import KEYS, StoreServer


@pytest.fixture(scope="session")
def server_of_all() -> Iterator[StoreServer]:
    server = StoreServer()
    yield server
    server.close()


@pytest.fixture
def server(
    server_of_all: StoreServer, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> StoreServer:
    """The server, and an environment that leads to it; temporary folders are under that of the test."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": server_of_all.endpoint}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("copies")))
    server_of_all.begin()
    return server_of_all


@pytest.fixture
def bucket(server: StoreServer) -> str:
    return server.bucket()


@pytest.fixture(scope="session")
def made(server_of_all: StoreServer, answers: list[Path]) -> dict[str, bytes]:
    """The objects of a target with the first answer."""
    bucket = server_of_all.bucket()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": server_of_all.endpoint}.items():
            patch.setenv(name, value)
        ftetl.export(f"s3://{bucket}/some/prefix", source=answers[0], quarantine="ok")
    return server_of_all.objects(bucket)


@pytest.fixture
def exported(server: StoreServer, bucket: str, address: str, made: dict[str, bytes]) -> str:
    """A target with the first answer."""
    server.fill(bucket, made)
    return address


@pytest.fixture
def address(bucket: str) -> str:
    return f"s3://{bucket}/some/prefix"


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two saved responses, the later of which has changed."""
    folder = tmp_path_factory.mktemp("answers")
    return [write_answer(folder / f"{day}.json", jobs, day) for day, jobs in enumerate((FIRST, SECOND))]


def write_answer(file: Path, jobs: list[Any], day: int) -> Path:
    """A saved response with these jobs, of that day."""
    file.write_text(json.dumps({"data": jobs}), "utf-8")
    os.utime(file, (day * 86400, day * 86400))
    return file
