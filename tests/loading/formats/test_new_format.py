"""A new format is one file: a module put beside the others is offered, written, published and verified."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import ftetl
from ftetl.contract import tables
from ftetl.errors import StorageError
from ftetl.loading import formats
from ftetl.validate.verify import verify_snapshot

JSON_LINES = """
import json
from ftetl.loading.formats import require_schema

class Lines:
    def __init__(self, sink, schema):
        self.sink, self.schema = sink, schema
    def write(self, table):
        require_schema(table, self.schema)
        for row in table.to_pylist():
            self.sink.write(json.dumps(row, default=str).encode() + b"\\n")
    def close(self):
        pass

def writer(sink, schema, *, metadata, raw=False):
    return Lines(sink, schema)
"""
COMMAND = "import sys; from ftetl.loading import formats; formats.__path__.append(sys.argv.pop(1)); "
COMMAND += "from ftetl.cli.main import main; main()"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one more format."""
    (tmp_path / "formats").mkdir()
    (tmp_path / "formats" / "jsonl.py").write_text(JSON_LINES)
    return tmp_path / "formats"


@pytest.fixture
def _installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, "ftetl.loading.formats.jsonl", raising=False)
    formats.names.cache_clear()
    yield
    formats.names.cache_clear()
    del sys.modules["ftetl.loading.formats.jsonl"]


@pytest.mark.usefixtures("_installed")
def test_the_library_writes_publishes_and_verifies_it(tmp_path: Path) -> None:
    target, shared = tmp_path / "t", tmp_path / "shared"
    report = ftetl.export(target, source="demo", formats=("jsonl",), publish=shared)

    assert formats.names() == ("parquet", "csv", "jsonl")
    for name in tables():
        lines = (target / "current" / f"{name}.jsonl").read_bytes()
        rows = pq.read_table(target / "current" / f"{name}.parquet").to_pylist()
        assert [json.loads(line) for line in lines.splitlines()] == json.loads(json.dumps(rows, default=str))
        assert (shared / f"{name}.jsonl").read_bytes() == lines
    assert f"{next(iter(tables()))}.jsonl" in report.files
    assert verify_snapshot(target).is_intact
    assert b"{model}.jsonl" in (target / "current" / "contract.odcs.yaml").read_bytes()
    assert not ftetl.export(target, source="demo", formats=("jsonl",), publish=shared).changed


@pytest.mark.usefixtures("_installed")
def test_its_files_can_be_made_again_from_parquet(tmp_path: Path) -> None:
    target = tmp_path / "t"
    ftetl.export(target, source="demo", formats=("jsonl",))
    (target / "current" / "jobs.jsonl").write_bytes(b"damaged")
    again = ftetl.export(target, source="demo", formats=("jsonl",))

    assert (again.version, verify_snapshot(target).is_intact) == (2, True)
    (target / "current" / "jobs.parquet").write_bytes(b"damaged")
    with pytest.raises(StorageError, match="is damaged and cannot be updated"):
        ftetl.export(target, source="demo", formats=("jsonl",))


def test_the_command_line_offers_and_writes_it(folder: Path, tmp_path: Path) -> None:
    def run(*words: object) -> str:
        command = [sys.executable, "-c", COMMAND, folder, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert "[parquet|csv|jsonl]" in run("export", "--help")
    run("export", tmp_path / "t", "--from", "demo", "--format", "jsonl")
    assert (tmp_path / "t" / "current" / "jobs.jsonl").read_bytes().count(b"\n") == 360
