"""`--load` loads the newest version after an export; if only that fails, the version stands and the run is partial."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

import ftetl
from ftetl.cli.commands import export as export_command
from ftetl.cli.main import cli
from ftetl.errors import ConfigError
from ftetl.pipeline.export import rebuild

LIST = '{"data": [{"id": "ft-1", "status": "completed", "created_at": "2026-07-02T08:10:14Z"}]}'


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    (tmp_path / "list.json").write_text(LIST)
    return tmp_path / "list.json"


def jobs_in(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        found: int = connection.execute("SELECT count(*) FROM jobs").fetchone()[0]
        return found


def test_the_newest_version_is_loaded(tmp_path: Path, saved: Path) -> None:
    file = tmp_path / "jobs.sqlite"
    report = ftetl.export(tmp_path / "t", source=saved, load=f"sqlite:{file}")

    assert report.loaded is not None
    assert (report.exit_code, report.loaded.version, report.loaded.tables["jobs"].inserted) == (0, 1, 1)
    assert jobs_in(file) == 1
    assert "loaded into sqlite:" in export_command._outcome(report)


def test_a_run_in_which_nothing_changed_loads_what_the_destination_lacks(tmp_path: Path, saved: Path) -> None:
    ftetl.export(tmp_path / "t", source=saved)
    report = ftetl.export(tmp_path / "t", source=saved, load=f"sqlite:{tmp_path / 'jobs.sqlite'}")

    assert not report.changed
    assert jobs_in(tmp_path / "jobs.sqlite") == 1


def test_a_rebuild_loads_too(tmp_path: Path, saved: Path) -> None:
    ftetl.export(tmp_path / "t", source=saved)
    rebuild(tmp_path / "t", load=f"sqlite:{tmp_path / 'jobs.sqlite'}")

    assert jobs_in(tmp_path / "jobs.sqlite") == 1


def test_a_load_that_fails_makes_the_run_partial_and_says_so(tmp_path: Path, saved: Path) -> None:
    address = f"sqlite:{tmp_path / 'missing' / 'jobs.sqlite'}"
    done = CliRunner().invoke(cli, ["export", str(tmp_path / "t"), "--from", str(saved), "--load", address, "--json"])
    report = json.loads(done.stdout)

    assert (done.return_value, report["exit_code"], report["version"], report["loaded"]["version"]) == (None, 3, 1, 0)
    assert report["warnings"] == [
        f"version 1 is committed, but not loaded into {address}: "
        f"the folder {tmp_path / 'missing'} is not there; make it, or correct the address"
    ]
    assert ftetl.open(tmp_path / "t").version == 1
    assert json.loads(next((tmp_path / "t/_ftetl/runs").iterdir()).read_bytes())["loaded"]["version"] == 0


@pytest.mark.parametrize("address", ["oracle:x", "jobs.sqlite", "sqlite:", "://user:hunter2@host"])
def test_an_unknown_destination_is_refused_before_anything_is_exported(
    tmp_path: Path, saved: Path, address: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        ftetl.export(tmp_path / "t", source=saved, load=address)

    assert refused.value.code == "FTETL-L01"
    assert "hunter2" not in str(refused.value)
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("address", ["postgresql:me:k4nari@h/db", "iceberg:postgresql+psycopg:/me:k4nari@h/db"])
def test_no_password_of_a_malformed_address_is_stored(tmp_path: Path, saved: Path, address: str) -> None:
    report = ftetl.export(tmp_path / "t", source=saved, load=address)
    (record,) = (tmp_path / "t" / "_ftetl" / "runs").iterdir()

    assert report.exit_code == 3
    assert "k4nari" not in repr(report) + record.read_text()
