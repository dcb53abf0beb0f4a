"""A load that cannot be done says why in one line, with its exit code, and leaves the destination as it was."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

import ftetl
from ftetl.contract import tables
from ftetl.errors import ConfigError, FtetlError, StorageError, TargetError, TryLaterError
from ftetl.loading.destinations import sqlite as sqlite_destination
from ftetl.loading.load_file import destination_file
from tests.loading.destinations.systems import SYSTEMS
from tests.loading.destinations.test_round_trip import HOSTILE, export, require_equal

FILES = ("duckdb", "sqlite")  # destinations that are one file with tables in it
TABLE = {"duckdb": '"{}"."ftetl"."jobs"', "sqlite": '"jobs"'}


@pytest.fixture(params=FILES)
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def file(scheme: str, tmp_path: Path) -> Path:
    return tmp_path / f"d.{scheme}"


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    export(folder, HOSTILE[1:5], "hostile")
    return export(folder, HOSTILE[2:], "hostile", hour=1)


@contextmanager
def connected(scheme: str, file: Path) -> Iterator[Callable[[str], list[Any]]]:
    """A function that runs SQL in a file by the system's own client, without us."""
    if scheme == "duckdb":
        with duckdb.connect(file) as connection:
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{file.stem}"."ftetl"')
            connection.execute(f'USE "{file.stem}"."ftetl"')
            yield lambda sql: connection.execute(sql).fetchall()
    else:
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            yield lambda sql: connection.execute(sql).fetchall()


def run(scheme: str, file: Path, *statements: str) -> list[Any]:
    with connected(scheme, file) as ask:
        return [ask(statement) for statement in statements][-1]


def refused(kind: type[FtetlError], target: Path, address: str, **options: Any) -> FtetlError:
    with pytest.raises(kind) as error:
        ftetl.load(target, address, **options)
    assert "\n" not in str(error.value)
    assert error.value.next
    return error.value


def address(scheme: str, file: Path) -> str:
    return f"{scheme}:{file}"


class TestFile:
    def test_its_folder_has_to_be_there(self, two_versions: Path, scheme: str, tmp_path: Path) -> None:
        error = refused(TargetError, two_versions, address(scheme, tmp_path / "none" / "x.db"))

        assert (error.code, error.what) == ("FTETL-L08", f"the folder {tmp_path / 'none'} is not there")

    @pytest.mark.parametrize("name", ["memory.db", "temp.db", ":memory:", "md:x", "a b?'\".db", "ftetl.db"])
    def test_its_name_has_no_meaning(
        self, two_versions: Path, scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        result = ftetl.load(two_versions, f"{scheme}:{name}")

        assert result.destination == f"{scheme}:{name}"
        assert (result.changed, ftetl.load(two_versions, f"{scheme}:{name}").changed) == (True, False)
        assert [path.name for path in tmp_path.iterdir()] == [name]

    @pytest.mark.parametrize("slashes", ["//", "///", "////"])
    def test_the_url_of_another_tool_is_refused(self, two_versions: Path, scheme: str, slashes: str) -> None:
        error = refused(ConfigError, two_versions, f"{scheme}:{slashes}jobs.db")

        assert (error.code, f"`{scheme}:FILE`" in error.next) == ("FTETL-L01", True)

    def test_a_folder_is_none(self, two_versions: Path, scheme: str, tmp_path: Path) -> None:
        error = refused(TargetError, two_versions, address(scheme, tmp_path))

        assert error.what == f"{tmp_path} is not a regular file"

    @pytest.mark.parametrize("folder", ["current", "_ftetl"])
    def test_a_folder_of_the_target_is_none(self, two_versions: Path, scheme: str, folder: str) -> None:
        before = sorted(two_versions.rglob("*"))
        error = refused(TargetError, two_versions, address(scheme, two_versions / folder / "jobs.db"))

        assert (error.code, "that only ftetl writes to" in error.what) == ("FTETL-L08", True)
        assert sorted(two_versions.rglob("*")) == before

    def test_the_database_of_another_system_stays(self, two_versions: Path, scheme: str, file: Path) -> None:
        ftetl.load(two_versions, address({"duckdb": "sqlite", "sqlite": "duckdb"}[scheme], file))
        before = file.read_bytes()
        error = refused(TargetError, two_versions, address(scheme, file))

        assert error.code == "FTETL-L08"
        assert file.read_bytes() == before

    def test_nothing_behind_the_scheme(self, two_versions: Path, scheme: str) -> None:
        error = refused(ConfigError, two_versions, f"{scheme}:")

        assert (error.code, error.next) == ("FTETL-L01", f"write {scheme}:FILE")

    def test_another_kind_of_file_stays(self, two_versions: Path, scheme: str, file: Path) -> None:
        file.write_text("id,name\n" * 1000)
        error = refused(TargetError, two_versions, address(scheme, file))

        assert error.code == "FTETL-L08"
        assert str(file) in error.what
        assert file.read_text() == "id,name\n" * 1000

    def test_a_new_one_is_private_and_one_that_fails_leaves_nothing(
        self, two_versions: Path, scheme: str, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("ftetl.loading.sql_loader._Load._record", lambda _: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                ftetl.load(two_versions, address(scheme, file))
        assert [*file.parent.iterdir()] == []

        ftetl.load(two_versions, address(scheme, file))

        assert [path.name for path in file.parent.iterdir()] == [file.name]
        assert file.stat().st_mode & 0o777 == 0o600

    def test_one_that_another_program_holds_is_for_later(
        self, two_versions: Path, scheme: str, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_destination, "_BUSY_SECONDS", 0.1)
        hold = {
            "duckdb": "import duckdb; held = duckdb.connect(sys.argv[1]); held.execute('CREATE TABLE t (a INT)')",
            "sqlite": "import sqlite3; held = sqlite3.connect(sys.argv[1]); held.execute('BEGIN EXCLUSIVE')",
        }
        code = f"import sys; {hold[scheme]}; print('held', flush=True); sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-c", code, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            error = refused(TryLaterError, two_versions, address(scheme, file))
            holder.communicate()

        assert error.code == "FTETL-L09"
        assert ftetl.load(two_versions, address(scheme, file)).changed
        assert run(scheme, file, "SELECT count(*) FROM jobs") != [(0,)]

    @pytest.mark.parametrize("full", [False, True], ids=["read-only", "full"])
    def test_its_disk_is_read_only_or_full(self, two_versions: Path, scheme: str, tmp_path: Path, full: bool) -> None:
        folder, mounted = tmp_path / "m", ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(tmp_path / "m")]
        folder.mkdir()
        if not shutil.which("mount") or subprocess.run(mounted, capture_output=True, check=False).returncode:
            pytest.skip("no file system can be mounted here")
        file = folder / f"d.{scheme}"
        try:
            run(scheme, file, "CREATE TABLE theirs (a INT)", "INSERT INTO theirs VALUES (7)")
            before = file.read_bytes()
            if full:
                (folder / "filler").write_bytes(bytes(os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize))
            else:
                subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
            error = refused(StorageError if full else TargetError, two_versions, address(scheme, file))
            assert error.code == ("FTETL-S01" if full else "FTETL-L08"), str(error)
            assert full or file.read_bytes() == before
            if full:
                (folder / "filler").unlink()
                assert run(scheme, file, "SELECT a FROM theirs") == [(7,)]
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)


class TestTables:
    @pytest.mark.parametrize(
        "statement",
        [
            "CREATE TABLE jobs (a INT)",
            "CREATE TABLE Jobs (job_id TEXT)",
            "CREATE VIEW jobs AS SELECT 1 AS a",
            "CREATE TABLE _ftetl_loads (a INT)",
        ],
    )
    def test_that_ftetl_did_not_make_are_refused(
        self, two_versions: Path, scheme: str, file: Path, statement: str
    ) -> None:
        run(scheme, file, statement)
        before = run(scheme, file, "SELECT * FROM " + statement.split()[2])
        error = refused(TargetError, two_versions, address(scheme, file))

        assert error.code == "FTETL-L05"
        assert run(scheme, file, "SELECT * FROM " + statement.split()[2]) == before
        assert not ftetl_tables(scheme, file) - {statement.split()[2]}

    def test_of_others_stay_beside_ours(self, two_versions: Path, scheme: str, file: Path) -> None:
        run(scheme, file, "CREATE TABLE theirs (a INT)", "INSERT INTO theirs VALUES (7)")
        ftetl.load(two_versions, address(scheme, file))

        assert run(scheme, file, "SELECT a FROM theirs") == [(7,)]
        assert ftetl_tables(scheme, file) == {*tables(), "_ftetl_loads", "theirs"}

    def test_of_an_older_contract_get_the_columns_that_they_lack(
        self, two_versions: Path, scheme: str, file: Path
    ) -> None:
        ftetl.load(two_versions, address(scheme, file), version=1)
        run(scheme, file, "ALTER TABLE jobs DROP COLUMN suffix", "DROP TABLE events")
        ftetl.load(two_versions, address(scheme, file))

        require_equal(SYSTEMS[scheme], address(scheme, file), two_versions)
        assert not ftetl.load(two_versions, address(scheme, file)).changed

    def test_with_a_column_of_another_type_are_refused_with_what_mends_them(
        self, two_versions: Path, scheme: str, file: Path
    ) -> None:
        ftetl.load(two_versions, address(scheme, file), version=1)
        run(scheme, file, "ALTER TABLE jobs DROP COLUMN n_epochs", "ALTER TABLE jobs ADD COLUMN n_epochs VARCHAR(9)")
        before = run(scheme, file, "SELECT * FROM jobs ORDER BY job_id")
        error = refused(ConfigError, two_versions, address(scheme, file))

        assert error.code == "FTETL-L06"
        assert run(scheme, file, "SELECT * FROM jobs ORDER BY job_id") == before
        mend = error.next.split("`")[1]
        run(scheme, file, mend)
        ftetl.load(two_versions, address(scheme, file))
        require_equal(SYSTEMS[scheme], address(scheme, file), two_versions)

    def test_with_rows_that_somebody_changed_are_mended(self, two_versions: Path, scheme: str, file: Path) -> None:
        ftetl.load(two_versions, address(scheme, file))
        run(
            scheme,
            file,
            "UPDATE jobs SET model = NULL WHERE job_id = 'ft-digits'",
            "DELETE FROM jobs WHERE job_id = 'ft-emoji'",
            "UPDATE jobs SET job_id = 'ft-theirs' WHERE job_id = 'ft-null'",
        )
        counts = ftetl.load(two_versions, address(scheme, file)).tables["jobs"]

        assert (counts.inserted, counts.updated, counts.deleted) == (2, 1, 1)
        require_equal(SYSTEMS[scheme], address(scheme, file), two_versions)


def ftetl_tables(scheme: str, file: Path) -> set[str]:
    if scheme == "duckdb":
        sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'ftetl'"
    else:
        sql = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
    return {name for (name,) in run(scheme, file, sql)}


class TestVersions:
    def test_an_older_one_is_refused(self, two_versions: Path, scheme: str, file: Path) -> None:
        ftetl.load(two_versions, address(scheme, file))
        error = refused(ConfigError, two_versions, address(scheme, file), version=1)

        assert error.code == "FTETL-L03"
        assert ftetl.load(two_versions, address(scheme, file), version=1, replace=True).changed
        assert ftetl.load(two_versions, address(scheme, file)).changed

    @pytest.mark.parametrize(
        ("version", "job_id"),
        [(1, "ft-digits"), (2, "ft-digits"), (2, "ft-stranger")],
        ids=["the same number", "a greater one", "a greater one, and no common row"],
    )
    def test_that_of_another_target_with_the_same_label_is_refused(
        self, two_versions: Path, scheme: str, file: Path, tmp_path: Path, version: int, job_id: str
    ) -> None:
        other = export(tmp_path, [{**HOSTILE[5], "id": job_id}], "hostile")
        ftetl.load(other, address(scheme, file))
        error = refused(ConfigError, two_versions, address(scheme, file), version=version)

        assert error.code == "FTETL-L04"
        assert "from another target" in error.what
        require_equal(SYSTEMS[scheme], address(scheme, file), other)

        ftetl.load(two_versions, address(scheme, file), version=version, replace=True)
        rows = ftetl.open(two_versions, version=version).rows
        read = SYSTEMS[scheme].read
        assert {name: len(read(address(scheme, file), name)) for name in rows} == rows


class TestSource:
    def test_a_damaged_file_is_not_loaded(self, two_versions: Path, scheme: str, file: Path, tmp_path: Path) -> None:
        shutil.copytree(two_versions, tmp_path / "t", symlinks=True)
        damaged = next((tmp_path / "t" / "snapshots").glob("*/jobs.parquet"))
        for path in (tmp_path / "t" / "snapshots").glob("*/jobs.parquet"):
            data = bytearray(path.read_bytes())
            data[len(data) // 3] ^= 1
            path.unlink()
            path.write_bytes(data)
        error = refused(StorageError, tmp_path / "t", address(scheme, file))

        assert (error.code, damaged.name in error.what, file.exists()) == ("FTETL-S13", True, False)

    def test_no_target(self, scheme: str, file: Path, tmp_path: Path) -> None:
        assert refused(TargetError, tmp_path / "none", address(scheme, file)).code == "FTETL-T01"

    def test_a_folder_whose_name_has_wildcards_is_loaded_as_it_is(
        self, two_versions: Path, scheme: str, file: Path, tmp_path: Path
    ) -> None:
        odd = tmp_path / "a*[b]?'{c}"
        shutil.copytree(two_versions, odd, symlinks=True)
        ftetl.load(odd, address(scheme, file))

        require_equal(SYSTEMS[scheme], address(scheme, file), two_versions)


def test_a_library_that_is_missing_is_said_with_its_extra(
    two_versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    error = refused(ConfigError, two_versions, f"duckdb:{tmp_path / 'x.db'}")

    assert (error.code, error.next) == ("FTETL-L02", "install it with `pip install 'ftetl[duckdb]'`")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(("name", "notes"), [("ftetl.db", 1), ("FTETL.db", 1), ("jobs.db", 0)])
def test_a_duckdb_file_that_is_called_like_the_schema_is_told(
    two_versions: Path, tmp_path: Path, name: str, notes: int
) -> None:
    result = ftetl.load(two_versions, f"duckdb:{tmp_path / name}")

    assert len(result.notes) == notes
    with duckdb.connect(tmp_path / name) as connection:
        if notes:
            with pytest.raises(duckdb.Error, match=r"(?i)ambiguous"):
                connection.execute("SELECT count(*) FROM ftetl.jobs")
        else:
            connection.execute("SELECT count(*) FROM ftetl.jobs")


@pytest.mark.parametrize("schema", ["", "a b", 'a"b', "1a", "a" * 64, "a;"])
def test_a_schema_has_a_plain_name(two_versions: Path, tmp_path: Path, schema: str) -> None:
    assert refused(ConfigError, two_versions, f"duckdb:{tmp_path / 'x.db'}", schema=schema).code == "FTETL-L07"
    assert not (tmp_path / "x.db").exists()


def test_a_new_file_that_another_program_has_made_and_locked_meanwhile_stays(tmp_path: Path) -> None:
    file = tmp_path / "jobs.db"

    def load_too_late() -> None:
        with destination_file(file, dry_run=False):
            file.write_bytes(b"what another load has written")
            raise TryLaterError("L09", "another program has it open", next="load again")

    with pytest.raises(TryLaterError):
        load_too_late()

    assert file.read_bytes() == b"what another load has written"
