"""The data file of the demo: it holds what the generator makes, in bytes that name no moment and no machine."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from ftetl import demo
from tests.demo import generator
from tests.demo.generator import __main__ as command
from tests.demo.generator import data_file

HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"  # no name, no time, no operating system


def test_the_package_ships_what_the_generator_makes() -> None:
    shipped = demo.load_jobs()

    assert json.dumps(shipped) == json.dumps(generator.generate_jobs())
    assert len(shipped) == generator.COUNT == 360
    # Not the compressed bytes: they depend on the zlib of the Python that wrote them.
    assert gzip.decompress(data_file.PATH.read_bytes()) == data_file.demo_json()


def test_the_file_names_neither_a_file_nor_a_time_nor_a_system() -> None:
    assert data_file.PATH.read_bytes().startswith(HEADER)


def test_every_call_returns_jobs_of_its_own() -> None:
    first = demo.load_jobs()
    first[0]["events"].clear()

    assert demo.load_jobs()[0]["events"]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(command, "PATH", tmp_path / "jobs.json.gz")
    return tmp_path / "jobs.json.gz"


@pytest.mark.parametrize("before", [None, b"", gzip.compress(b"[]")], ids=["no file", "empty", "other jobs"])
def test_the_command_writes_the_file(path: Path, before: bytes | None) -> None:
    if before is not None:
        path.write_bytes(before)
    command.main()

    assert path.read_bytes().startswith(HEADER)
    assert gzip.decompress(path.read_bytes()) == data_file.demo_json()
