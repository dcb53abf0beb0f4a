"""What every destination has after a load is the snapshot, cell by cell, as that system's own client returns it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import ftetl
from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.loading.load_source import LoadSource
from tests.loading.destinations.systems import LAKES, SYSTEMS, System, conform, postgres_system

USD = 10**9


def job(job_id: str, **fields: Any) -> dict[str, Any]:
    made = {"created_at": "2026-07-02T08:10:14Z", "updated_at": "2026-07-02T09:10:14.5Z"}
    return {"id": job_id, "status": "completed", "model": "acme/base", **made, **fields}


# NUL, the greatest amount, the first and the last year, numbers at their ends, a negative price, texts that break
# lines and quotes. The tables `stages` and some others have no rows of it.
HOSTILE: list[Any] = [
    job("ft-nul", model="a\0b", suffix="\0", events=[{"type": "odd", "message": "\0nul\0"}]),
    job("ft-price", total_price=10**18 - 1, token_count=2**63 - 1, n_epochs=0),
    job("ft-negative", total_price=-5, refund_amount=-(10**18 - 1), token_count=-3),
    job("ft-first", created_at="0001-01-02T00:00:00Z", updated_at="0001-01-02T00:00:00.000001Z"),
    job("ft-last", created_at="9999-12-31T23:59:59.999999Z", updated_at="9999-12-31T23:59:59.999999Z"),
    job("ft-digits", user_id="12345678901234567890", suffix="0123", model="1e5"),
    job("ft-emoji", model="acme/ünï 😀\u2028\x85\x1f", suffix="a\r\nb\n\\.\n\t'\"$$;--"),
    job("ft-real", learning_rate=1e-300, total_price=1),
    job("ft-real2", learning_rate=29.0, total_price=99 * 10**6 * USD + 1),
    job("ft-null", model=None, suffix=None, total_price=None, status="running"),
    *(7, "text", {"no": "id"}, "=cmd()\0"),
]


@pytest.fixture(params=[*SYSTEMS, "postgresql"])
def system(request: pytest.FixtureRequest) -> System:
    if request.param == "postgresql":
        return postgres_system(request.getfixturevalue("postgres_database"))
    if request.param in LAKES:
        pytest.importorskip(LAKES[request.param])
    return SYSTEMS[request.param]


def export(folder: Path, jobs: list[Any] | str, project: str, *, hour: int = 0) -> Path:
    """One more version of the target of a project; the target."""
    source: Path | str = "demo"
    if jobs != "demo":
        source = folder / "jobs.json"
        source.write_text(json.dumps({"data": jobs}), "utf-8")
    observed = None if jobs == "demo" else datetime(2026, 8, 1, hour, tzinfo=UTC)
    ftetl.export(folder / project, source=source, project=project, observed_at=observed, allow_shrink=True)
    return folder / project


NEWER = [job("ft-new"), job("ft-price", total_price=7, updated_at="2026-07-03T00:00:00Z"), *HOSTILE[2:-4]]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Targets by project; `hostile` has two versions, `smaller` is one of the same project with fewer rows."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "another").mkdir()
    smaller = export(folder / "another", HOSTILE[2:6], "hostile")
    export(folder, HOSTILE, "hostile")
    return {
        "demo": export(folder, "demo", "demo"),
        "hostile": export(folder, NEWER, "hostile", hour=1),
        "same": export(folder, HOSTILE[:3], "same jobs, it's another label"),
        "empty": export(folder, [], "empty"),
        "smaller": smaller,
    }


def loaded(target: Path, name: str, version: int | None = None) -> pa.Table:
    """The rows of a table as they are to be in a destination."""
    source = LoadSource(ftetl.open(target, version=version))
    parts = [*source.read(name)]
    return conform(pa.concat_tables(parts) if parts else schema(source.contract(name)).empty_table(), name)


def require_equal(system: System, address: str, *targets: Path) -> None:
    for name in tables():
        wanted = pa.concat_tables(loaded(target, name) for target in targets)
        assert conform(system.holds(wanted), name).equals(system.read(address, name)), name


def test_the_hostile_snapshot_is_hostile(exported: dict[str, Path]) -> None:
    snapshot = ftetl.open(exported["hostile"], version=1)
    jobs = {row["job_id"]: row for row in snapshot.arrow("jobs").to_pylist()}

    assert jobs["ft-nul"]["model"] == "a\0b"
    assert jobs["ft-price"]["total_price_nanousd"] == 10**18 - 1
    assert jobs["ft-negative"]["total_price_nanousd"] == -5
    assert (jobs["ft-first"]["created_at"].year, jobs["ft-last"]["created_at"].year) == (1, 9999)
    assert snapshot.rows["quarantine"] == 4
    assert snapshot.rows["stages"] == 0


# The order is a matter of the loader, that of SQL or that of lakehouses: by default one system of each takes both.
ORDERS = [
    pytest.param(name, order, marks=() if order == 1 or name in ("sqlite", "delta") else pytest.mark.slow)
    for name in (*SYSTEMS, "postgresql")
    for order in (1, -1)
]


@pytest.mark.parametrize(("system", "order"), ORDERS, indirect=["system"])
def test_the_rows_of_several_projects_are_equal_to_their_snapshots_in_either_order(
    system: System, exported: dict[str, Path], tmp_path: Path, order: int
) -> None:
    targets = [exported[name] for name in ("demo", "hostile", "same", "empty")][::order]
    address = system.address(tmp_path)
    results = [ftetl.load(target, address) for target in targets]

    assert all(result.changed for result in results)
    assert [{n: c.inserted for n, c in r.tables.items()} for r in results] == [ftetl.open(t).rows for t in targets]
    require_equal(system, address, *targets)

    again = [ftetl.load(target, address) for target in targets]

    assert [(result.changed, result.changed_rows) for result in again] == [(False, 0)] * len(targets)
    require_equal(system, address, *targets)


def test_a_newer_version_inserts_updates_and_deletes(system: System, exported: dict[str, Path], tmp_path: Path) -> None:
    address, target = system.address(tmp_path), exported["hostile"]
    old, new = ftetl.open(target, version=1), ftetl.open(target)
    ftetl.load(exported["same"], address)
    ftetl.load(target, address, version=1)
    planned = ftetl.load(target, address, dry_run=True)
    result = ftetl.load(target, address)

    assert planned.tables == result.tables
    assert (planned.dry_run, planned.changed, result.changed) == (True, True, True)
    assert result.tables["jobs"].inserted == 1
    assert result.tables["jobs"].updated >= 1
    for name, counts in result.tables.items():
        assert counts.updated + counts.unchanged + counts.deleted == old.rows[name]
        assert counts.updated + counts.unchanged + counts.inserted == new.rows[name]
    require_equal(system, address, target, exported["same"])


def test_rows_that_vanished_from_the_snapshot_vanish(system: System, exported: dict[str, Path], tmp_path: Path) -> None:
    address = system.address(tmp_path)
    ftetl.load(exported["hostile"], address)
    result = ftetl.load(exported["smaller"], address, replace=True)

    assert result.tables["quarantine"].deleted == 4
    assert result.tables["jobs"].deleted > 0
    require_equal(system, address, exported["smaller"])


def test_a_dry_run_changes_nothing(system: System, exported: dict[str, Path], tmp_path: Path) -> None:
    target, address = exported["hostile"], system.address(tmp_path)
    result = ftetl.load(target, address, dry_run=True)

    assert {name: counts.inserted for name, counts in result.tables.items()} == ftetl.open(target).rows
    assert ftetl.load(target, address).tables == result.tables
