"""Lakehouse tables: one commit for each table that changed, loads that were stopped, tables of others."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog, load_catalog

import ftetl
from ftetl.contract import Column, Table, tables
from ftetl.errors import ConfigError, FtetlError, StorageError, TargetError, TryLaterError
from ftetl.loading import delta_lake, iceberg_lake
from ftetl.loading.load_record import LOADS
from ftetl.loading.load_source import LoadSource
from tests.loading.destinations.systems import SYSTEMS, System, conform
from tests.loading.destinations.test_round_trip import HOSTILE, export, job, loaded
from tests.postgres import Database

WRITES = ("create", "add_columns", "replace", "append")  # of a `lake_loader.Lake`


@dataclass(frozen=True)
class Kind:
    """One kind of lakehouse: its implementation, and what other programs do to a table of it."""

    implementation: type
    commits: Callable[[str, str], int]  # of a table
    delete: Callable[[str, str, str], None]  # rows of a table, by a condition
    make_table: Callable[[str, str, pa.Table], None]


def delta_table(address: str, name: str) -> Any:
    return deltalake.DeltaTable(f"{address.partition(':')[2]}/{name}")


def make_delta_table(address: str, name: str, rows: pa.Table) -> None:
    deltalake.write_deltalake(f"{address.partition(':')[2]}/{name}", rows)


@contextmanager
def iceberg_catalog(address: str) -> Iterator[Catalog]:
    folder = Path(address.partition(":")[2])
    folder.mkdir(exist_ok=True)
    catalog = load_catalog("ftetl", type="sql", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")
    yield catalog
    catalog.close()


def iceberg_snapshots(address: str, name: str) -> int:
    with iceberg_catalog(address) as catalog:
        return len({change.snapshot_id for change in catalog.load_table(("ftetl", name)).history()})


def delete_from_iceberg(address: str, name: str, where: str) -> None:
    with iceberg_catalog(address) as catalog:
        catalog.load_table(("ftetl", name)).delete(where)


def make_iceberg_table(address: str, name: str, rows: pa.Table) -> None:
    with iceberg_catalog(address) as catalog:
        catalog.create_namespace("ftetl")
        catalog.create_table(("ftetl", name), rows.schema)


KINDS = {
    "delta": Kind(
        delta_lake._DeltaLake,
        lambda address, name: int(delta_table(address, name).version()),
        lambda address, name, where: delta_table(address, name).delete(where),
        make_delta_table,
    ),
    "iceberg": Kind(
        iceberg_lake._IcebergLake,
        iceberg_snapshots,
        delete_from_iceberg,
        make_iceberg_table,
    ),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def system(kind: Kind) -> System:
    return SYSTEMS[next(name for name in KINDS if KINDS[name] is kind)]


@pytest.fixture
def address(system: System, tmp_path: Path) -> str:
    return system.address(tmp_path)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target with two versions, not to be changed; both have the same quarantine."""
    folder = tmp_path_factory.mktemp("two")
    export(folder, HOSTILE, "acme")
    return export(folder, [job("ft-new"), *HOSTILE[1:-1]], "acme", hour=1)


def commits(kind: Kind, address: str) -> dict[str, int]:
    return {name: kind.commits(address, name) for name in (*tables(), LOADS)}


def require_equal(system: System, address: str, target: Path, version: int | None = None) -> None:
    for name in tables():
        assert system.read(address, name).equals(loaded(target, name, version)), name


def test_only_tables_that_changed_get_a_commit(kind: Kind, system: System, address: str, target: Path) -> None:
    ftetl.load(target, address, version=1)
    first = commits(kind, address)

    assert not ftetl.load(target, address, version=1).changed
    assert commits(kind, address) == first

    result = ftetl.load(target, address)
    second = commits(kind, address)

    require_equal(system, address, target)
    assert {name for name in first if second[name] != first[name]} == {
        LOADS,
        *(name for name, counts in result.tables.items() if counts.changed),
    }
    assert second["quarantine"] == first["quarantine"]
    assert result.tables["quarantine"].unchanged == 4


class Stopped(BaseException):
    """The process is no more."""


def stop_at(patch: pytest.MonkeyPatch, kind: Kind, number: int) -> list[str]:
    """Stop at this write, counted from 0. The writes that were begun."""
    begun: list[str] = []

    def stopping(name: str, real: Callable[..., None]) -> Callable[..., None]:
        def write(*arguments: Any) -> None:
            begun.append(name)
            if len(begun) > number:
                raise Stopped
            real(*arguments)

        return write

    for name in WRITES:
        patch.setattr(kind.implementation, name, stopping(name, getattr(kind.implementation, name)))
    return begun


def test_a_load_that_is_stopped_at_any_write_is_completed_by_the_next(tmp_path: Path, target: Path) -> None:
    kind, system = KINDS["delta"], SYSTEMS["delta"]  # the order of the writes is the same for all
    number, stopped = 0, True
    while stopped:
        folder = tmp_path / str(number)
        folder.mkdir()
        address = system.address(folder)
        stopped = False
        for version in (1, 2):
            with pytest.MonkeyPatch.context() as patch:
                begun = stop_at(patch, kind, number)
                try:
                    ftetl.load(target, address, version=version)
                except Stopped:
                    stopped = True
            before = commits(kind, address) if LOADS in begun or version == 2 else {}
            again = ftetl.load(target, address, version=version)

            assert again.changed == (len(begun) > number)
            require_equal(system, address, target, version)
            assert sum(commits(kind, address).values()) - sum(before.values()) <= 20
        number += 4
    assert number > 10


def test_a_killed_load_is_completed_by_the_next(kind: Kind, system: System, address: str, target: Path) -> None:
    script = (
        "import os, sys, ftetl\n"
        f"from {kind.implementation.__module__} import {kind.implementation.__name__} as lake\n"
        f"lake.append = lambda *_: os.kill(os.getpid(), {signal.SIGKILL:d})\n"
        "ftetl.load(*sys.argv[1:])\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(target), address], check=False)

    assert done.returncode == -signal.SIGKILL
    before = commits(kind, address)
    again = ftetl.load(target, address)

    assert (again.changed, again.changed_rows) == (True, 0)
    assert {name for name, number in commits(kind, address).items() if number != before[name]} == {LOADS}
    require_equal(system, address, target)
    assert not ftetl.load(target, address).changed


LIMITED = """
import resource, signal, sys, ftetl
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    ftetl.load(*sys.argv[1:3])
except ftetl.errors.FtetlError as error:
    print(error.code, error.exit.name, error)
"""


def test_a_load_that_found_no_room_is_completed_by_the_next(
    kind: Kind, system: System, address: str, target: Path
) -> None:
    command = [sys.executable, "-c", LIMITED, str(target), address, "30000"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)

    assert re.fullmatch(r"FTETL-D03 IOERR cannot write to .*lake: error EFBIG; run again\n", done.stdout)
    assert ftetl.load(target, address).changed
    require_equal(system, address, target)


def test_rows_that_another_program_deleted_come_back(kind: Kind, system: System, address: str, target: Path) -> None:
    ftetl.load(target, address)
    kind.delete(address, "jobs", "job_id = 'ft-new'")
    result = ftetl.load(target, address)

    assert result.tables["jobs"].inserted == 1
    require_equal(system, address, target)


def older_contract(patch: pytest.MonkeyPatch, change: Callable[[Column], Column | None]) -> None:
    """Let the contract of `jobs` have other columns."""
    contract = LoadSource.contract

    def changed(source: LoadSource, name: str) -> Table:
        table = contract(source, name)
        if name != "jobs":
            return table
        columns = tuple(found for column in table.columns if (found := change(column)))
        return replace(table, columns=columns, fingerprint="older")

    patch.setattr(LoadSource, "contract", changed)


def test_a_column_that_a_contract_learned_is_added(
    kind: Kind, system: System, address: str, target: Path, tmp_path: Path
) -> None:
    other = export(tmp_path, HOSTILE[:2], "other")
    with pytest.MonkeyPatch.context() as patch:
        older_contract(patch, lambda column: None if column.name == "model" else column)
        for each in (target, other):
            ftetl.load(each, address)
    result = ftetl.load(target, address)

    assert result.tables["jobs"].updated == 11
    models = system.read(address, "jobs").to_pylist()
    assert {row["model"] for row in models if row["project"] == "other"} == {None}

    ftetl.load(other, address)

    assert "a\0b" in system.read(address, "jobs")["model"].to_pylist()


def test_a_column_that_a_contract_lost_stays_and_is_null(
    kind: Kind, system: System, address: str, target: Path
) -> None:
    ftetl.load(target, address, version=1)
    with pytest.MonkeyPatch.context() as patch:
        older_contract(patch, lambda column: None if column.name == "model" else column)
        read = LoadSource.read

        def read_without(source: LoadSource, name: str) -> Iterator[pa.Table]:
            yield from (part.drop_columns(["model"]) if name == "jobs" else part for part in read(source, name))

        patch.setattr(LoadSource, "read", read_without)
        ftetl.load(target, address)

    assert system.read(address, "jobs")["model"].null_count == 11


def test_a_column_of_another_type_is_refused_and_nothing_is_written(kind: Kind, address: str, target: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        older_contract(patch, lambda column: replace(column, type="number") if column.name == "n_epochs" else column)
        ftetl.load(target, address, version=1)
    before = commits(kind, address)

    with pytest.raises(ConfigError, match="the column 'n_epochs' of jobs has type double and should have int64") as no:
        ftetl.load(target, address)

    assert no.value.code == "FTETL-L06"
    assert commits(kind, address) == before


def test_an_older_version_is_refused_unless_it_is_asked_for(
    kind: Kind, system: System, address: str, target: Path
) -> None:
    ftetl.load(target, address)
    before = commits(kind, address)

    with pytest.raises(ConfigError, match="which is newer than version 1"):
        ftetl.load(target, address, version=1)
    assert commits(kind, address) == before

    assert ftetl.load(target, address, version=1, replace=True).changed
    require_equal(system, address, target, 1)


def test_of_two_loads_at_once_one_fails_and_says_what_to_do(
    kind: Kind, system: System, address: str, target: Path
) -> None:
    ftetl.load(target, address, version=1)
    with pytest.MonkeyPatch.context() as patch:
        replaced = kind.implementation.replace

        def overtaken(lake: Any, name: str, project: str, rows: Any, mark: str) -> None:
            replaced(lake, name, project, rows, mark)
            patch.setattr(kind.implementation, "replace", replaced)
            ftetl.load(target, address, version=1, replace=True)

        patch.setattr(kind.implementation, "replace", overtaken)
        with pytest.raises(TryLaterError, match="another load of project 'acme' wrote to jobs meanwhile; load again"):
            ftetl.load(target, address)

    ftetl.load(target, address)

    require_equal(system, address, target)


def test_what_is_not_ours_is_refused(kind: Kind, address: str, target: Path) -> None:
    kind.make_table(address, "jobs", pa.table({"project": ["a"]}))

    with pytest.raises(TargetError) as refused:
        ftetl.load(target, address)

    assert refused.value.code == "FTETL-L05"
    assert kind.commits(address, "jobs") == 0


FOLDERS = {
    "file": (lambda folder: folder.write_text("x"), "L08", "lake is not a folder"),
    "dangling": (lambda folder: folder.symlink_to(folder.parent / "no" / "x"), "L08", "the folder .*no is not there"),
    "full": (lambda folder: (folder / "mine").mkdir(parents=True), "L05", "lake is not empty, and "),
    "missing": (lambda folder: folder.parent.rmdir(), "L08", "the folder .* is not there; make it, or correct the"),
}


@pytest.mark.parametrize("case", FOLDERS)
@pytest.mark.parametrize("scheme", KINDS)
def test_a_folder_that_is_not_ours_stays(target: Path, tmp_path: Path, scheme: str, case: str) -> None:
    prepare, code, message = FOLDERS[case]
    folder = tmp_path / "made" / "lake"
    folder.parent.mkdir()
    prepare(folder)
    before = sorted(tmp_path.rglob("*"))

    for dry_run in (True, False):
        with pytest.raises(TargetError, match=message) as refused:
            ftetl.load(target, f"{scheme}:{folder}", dry_run=dry_run)

        assert refused.value.code == f"FTETL-{code}"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dry_run_makes_nothing(kind: Kind, address: str, target: Path, tmp_path: Path) -> None:
    result = ftetl.load(target, address, dry_run=True)

    assert {name: counts.inserted for name, counts in result.tables.items()} == ftetl.open(target).rows
    assert [*tmp_path.iterdir()] == []


def test_an_address_on_the_web_is_not_a_folder(target: Path) -> None:
    with pytest.raises(ConfigError, match="s3:// is not supported"):
        ftetl.load(target, "delta:s3://bucket/lake")


def test_a_damaged_delta_log_is_one_clear_error(target: Path, tmp_path: Path) -> None:
    ftetl.load(target, f"delta:{tmp_path / 'lake'}")
    (tmp_path / "lake" / "jobs" / "_delta_log" / f"{0:020}.json").write_text("{bad")

    with pytest.raises(
        StorageError, match=r"deltalake cannot load into .*lake \(DeltaError\); look at the tables"
    ) as no:
        ftetl.load(target, f"delta:{tmp_path / 'lake'}")

    assert (no.value.code, str(no.value).count("\n")) == ("FTETL-L10", 0)


def test_names_of_folders_and_projects_may_have_any_character(system: System, tmp_path: Path) -> None:
    folder = tmp_path / "a b;c:d 'é' {e}"
    folder.mkdir()
    target = export(folder, HOSTILE[:2], "é'; --=%2F\\ 😀")
    address = system.address(folder)

    assert ftetl.load(target, address).changed
    assert not ftetl.load(target, address).changed
    require_equal(system, address, target)


@pytest.mark.parametrize(
    ("scheme", "characters"), [("delta", "#?%[]\\^|\n\x1f"), ("iceberg", "#?\n\x1f")], ids=["delta", "iceberg"]
)
def test_folders_that_the_library_cannot_use_are_refused(
    target: Path, tmp_path: Path, scheme: str, characters: str
) -> None:
    for character in characters:
        with pytest.raises(TargetError, match=r"(deltalake|pyiceberg) cannot use") as refused:
            ftetl.load(target, f"{scheme}:{tmp_path}/q{character}41z")

        assert refused.value.code == "FTETL-L08"
    assert [*tmp_path.iterdir()] == []


def test_an_iceberg_catalog_may_be_any_database_with_the_tables_elsewhere(target: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / "tables"
    address = f"iceberg:sqlite:///{tmp_path}/mine.db?warehouse={warehouse}&name=prod"
    planned = ftetl.load(target, address, dry_run=True)

    assert [*tmp_path.iterdir()] == []

    result = ftetl.load(target, address, schema="finance")
    again = ftetl.load(target, address, schema="finance", dry_run=True)
    catalog = load_catalog("prod", type="sql", uri=f"sqlite:///{tmp_path}/mine.db")
    rows = catalog.load_table(("finance", "jobs")).scan().to_arrow()
    catalog.close()

    assert (planned.tables, again.changed) == (result.tables, False)
    assert conform(rows, "jobs").equals(loaded(target, "jobs"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.db", "tables"]
    assert "?" not in result.destination


@pytest.mark.parametrize(
    ("address", "code", "message"),
    [
        ("sqlite:////x/catalog.db", "L22", "the address of the Iceberg catalog has no warehouse; write iceberg:FOLDER"),
        ("nonsense://x?warehouse=/w", "L22", "the address of the Iceberg catalog is no database; write iceberg:FOLDER"),
        ("postgresql://me:secret@h/db?warehouse=/w", "L31", "the address holds a password, which others"),
        ("postgresql://h/db?password=secret&warehouse=/w", "L31", "the address holds a password, which others"),
        (
            "postgresql+psycopg:/me:secret@h/db?warehouse=/w",
            "L22",
            "the address of the Iceberg catalog is no folder, and",
        ),
        ("postgresql:me:secret@h/db", "L22", "the address of the Iceberg catalog is no folder, and has no `//`"),
        ("sqlite:////no/such/catalog.db?warehouse=/tmp", "L08", "the folder /no/such is not there"),
        ("sqlite:////tmp/catalog.db?warehouse=/no/such/folder", "L08", "the folder /no/such is not there"),
    ],
)
def test_an_address_of_an_iceberg_catalog_that_is_wrong_is_refused(
    target: Path, address: str, code: str, message: str
) -> None:
    with pytest.raises(FtetlError, match=message) as refused:
        ftetl.load(target, f"iceberg:{address}")

    assert refused.value.code == f"FTETL-{code}"
    assert "secret" not in str(refused.value)


def test_an_iceberg_catalog_may_be_in_postgresql(target: Path, tmp_path: Path, postgres_database: Database) -> None:
    url = postgres_database.url.replace("postgresql:", "postgresql+psycopg:")
    address = f"iceberg:{url}&warehouse={tmp_path / 'lake'}"

    assert ftetl.load(target, address, dry_run=True).changed
    assert postgres_database.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [("0",)]
    assert ftetl.load(target, address).changed
    assert not ftetl.load(target, address).changed

    with pytest.raises(StorageError, match=r'the catalog.s database does not answer: .*database "nope" does not exist'):
        ftetl.load(target, address.replace(postgres_database.name, "nope"))


def test_a_damaged_iceberg_catalog_is_one_clear_error(target: Path, tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "catalog.db").write_bytes(b"no database" * 1000)

    with pytest.raises(StorageError, match=r"pyiceberg cannot load into iceberg:.*lake") as refused:
        ftetl.load(target, f"iceberg:{tmp_path / 'lake'}")

    assert (refused.value.code, str(refused.value).count("\n")) == ("FTETL-L10", 0)


def test_missing_metadata_of_an_iceberg_table_is_one_clear_error(target: Path, tmp_path: Path) -> None:
    ftetl.load(target, f"iceberg:{tmp_path / 'lake'}")
    for file in (tmp_path / "lake" / "ftetl" / "jobs" / "metadata").iterdir():
        file.unlink()

    with pytest.raises(FtetlError) as refused:
        ftetl.load(target, f"iceberg:{tmp_path / 'lake'}")

    assert refused.value.code in ("FTETL-D01", "FTETL-L10")
    assert str(refused.value).count("\n") == 0
