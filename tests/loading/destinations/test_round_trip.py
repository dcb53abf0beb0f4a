"""What every destination has after a load is the snapshot, cell by cell, as that system's own client returns it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import ftetl
from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.loading.load_source import LoadSource
from tests.loading.destinations.systems import SYSTEMS, System, conform

USD = 10**9
Export = Callable[..., Path]


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


@pytest.fixture(params=SYSTEMS)
def system(request: pytest.FixtureRequest) -> System:
    return SYSTEMS[request.param]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """Exports jobs into the target of a project, one version a call; returns the target."""

    def exported(jobs: list[Any], project: str = "hostile", *, hour: int = 0) -> Path:
        source = tmp_path / "jobs.json"
        source.write_text(json.dumps({"data": jobs}), "utf-8")
        moment = datetime(2026, 8, 1, hour, tzinfo=UTC)
        ftetl.export(tmp_path / project, source=source, project=project, observed_at=moment, allow_shrink=True)
        return tmp_path / project

    return exported


def loaded(target: Path, name: str) -> pa.Table:
    """The rows of a table as they are to be in a destination."""
    source = LoadSource(ftetl.open(target))
    parts = [*source.read(name)]
    return conform(pa.concat_tables(parts) if parts else schema(source.contract(name)).empty_table(), name)


def require_equal(system: System, address: str, *targets: Path) -> None:
    for name in tables():
        wanted = pa.concat_tables(loaded(target, name) for target in targets)
        assert conform(wanted, name).equals(system.read(address, name)), name


def test_the_hostile_snapshot_is_hostile(export: Export) -> None:
    snapshot = ftetl.open(export(HOSTILE))
    jobs = {row["job_id"]: row for row in snapshot.arrow("jobs").to_pylist()}

    assert jobs["ft-nul"]["model"] == "a\0b"
    assert jobs["ft-price"]["total_price_nanousd"] == 10**18 - 1
    assert jobs["ft-negative"]["total_price_nanousd"] == -5
    assert (jobs["ft-first"]["created_at"].year, jobs["ft-last"]["created_at"].year) == (1, 9999)
    assert snapshot.rows["quarantine"] == 4
    assert snapshot.rows["stages"] == 0


@pytest.mark.parametrize("order", [1, -1])
def test_the_rows_of_several_projects_are_equal_to_their_snapshots_in_either_order(
    system: System, export: Export, tmp_path: Path, order: int
) -> None:
    demo = tmp_path / "demo"
    ftetl.export(demo, source="demo", project="demo")
    targets = [demo, export(HOSTILE), export(HOSTILE[:3], "the same jobs"), export([], "empty")][::order]
    address = system.address(tmp_path)
    results = [ftetl.load(target, address) for target in targets]

    assert all(result.changed for result in results)
    assert [{n: c.inserted for n, c in r.tables.items()} for r in results] == [ftetl.open(t).rows for t in targets]
    require_equal(system, address, *targets)

    again = [ftetl.load(target, address) for target in targets]

    assert [(result.changed, result.changed_rows) for result in again] == [(False, 0)] * len(targets)
    require_equal(system, address, *targets)


def test_a_newer_version_inserts_updates_and_deletes(system: System, export: Export, tmp_path: Path) -> None:
    address = system.address(tmp_path)
    other = export(HOSTILE, "other")
    target = export(HOSTILE)
    for each in (other, target):
        ftetl.load(each, address)
    export([job("ft-new"), job("ft-price", total_price=7, updated_at="2026-07-03T00:00:00Z"), *HOSTILE[2:-4]], hour=1)
    planned = ftetl.load(target, address, dry_run=True)
    require_equal_counts = ftetl.open(target, version=1).rows
    result = ftetl.load(target, address)

    assert planned.tables == result.tables
    assert (planned.dry_run, planned.changed, result.changed) == (True, True, True)
    assert result.tables["jobs"].inserted == 1
    assert result.tables["jobs"].updated >= 1
    assert result.tables["jobs"].unchanged + result.tables["jobs"].updated == require_equal_counts["jobs"]
    require_equal(system, address, target, other)


def test_rows_that_vanished_from_the_snapshot_vanish(system: System, export: Export, tmp_path: Path) -> None:
    address = system.address(tmp_path)
    ftetl.load(export(HOSTILE), address)
    smaller = tmp_path / "again" / "hostile"
    smaller.parent.mkdir()
    source = tmp_path / "jobs.json"
    source.write_text(json.dumps({"data": HOSTILE[2:6]}), "utf-8")
    ftetl.export(smaller, source=source, project="hostile")
    result = ftetl.load(smaller, address, replace=True)

    assert result.tables["quarantine"].deleted == 4
    assert result.tables["jobs"].deleted == 6
    require_equal(system, address, smaller)


def test_a_dry_run_changes_nothing(system: System, export: Export, tmp_path: Path) -> None:
    target, address = export(HOSTILE), system.address(tmp_path)
    result = ftetl.load(target, address, dry_run=True)

    assert {name: counts.inserted for name, counts in result.tables.items()} == ftetl.open(target).rows
    assert ftetl.load(target, address).tables == result.tables
