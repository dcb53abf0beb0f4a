"""The derived tables from run to run: they follow from the other tables, however these came about."""

from __future__ import annotations

import json
import tarfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import ftetl
from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.pipeline.export import rebuild
from ftetl.run_report import Report
from ftetl.snapshot.table_reader import TableReader

DERIVED = ("stages", "focus_costs")
DATA = Path(__file__).parents[2] / "data"
LIST = DATA / "golden" / "charges.json"
JOBS: list[dict[str, Any]] = json.loads(LIST.read_text())["data"]


def export(target: Path, jobs: list[dict[str, Any]], on: int = 1, **settings: Any) -> Report:
    source = target.parent / f"{target.name}-{on}.json"
    source.write_text(json.dumps({"data": jobs}))
    return ftetl.export(target, source=source, observed_at=f"2026-10-{on:02}T00:00:00Z", **settings)


def table_bytes(target: Path, *names: str) -> dict[str, bytes]:
    return {name: (target / "current" / f"{name}.parquet").read_bytes() for name in names or DERIVED}


def test_nothing_new_changes_nothing(tmp_path: Path) -> None:
    export(tmp_path / "t", JOBS, formats=("csv",))
    again = export(tmp_path / "t", JOBS[::-1], 2, formats=("csv",))
    assert (again.changed, again.anomalies) == (False, {"refund_exceeds_price": 1})


def test_copied_rows_and_kept_events_give_what_a_whole_run_gives(tmp_path: Path) -> None:
    export(tmp_path / "whole", JOBS)
    export(tmp_path / "parts", JOBS[5:])
    bare = [{k: v for k, v in job.items() if k != "events"} for job in JOBS]
    export(tmp_path / "parts", JOBS[:5], 2, events="auto", allow_shrink=True)
    export(tmp_path / "parts", bare, 3, events="none")
    parts, whole = (ftetl.open(tmp_path / name).arrow("focus_costs") for name in ("parts", "whole"))

    assert table_bytes(tmp_path / "parts", "stages") == table_bytes(tmp_path / "whole", "stages")
    assert parts.drop_columns("x_FirstSeenAt").equals(whole.drop_columns("x_FirstSeenAt"))
    assert {*whole["x_FirstSeenAt"].to_pylist()} == {datetime(2026, 10, 1, tzinfo=UTC)}
    late = {job["id"] for job in JOBS[:5]}
    assert [(row["ResourceId"] in late) + 1 for row in parts.to_pylist()] == [
        row["x_FirstSeenAt"].day for row in parts.to_pylist()
    ]


def test_an_amount_keeps_the_time_at_which_it_was_first_seen(tmp_path: Path) -> None:
    """A price that comes, changes, is refunded in a later month, and is read from the list alone again."""
    job = {"id": "ft-1", "status": "running", "model": "m", "created_at": "2026-10-01T00:00:00Z", "events": []}
    states = [
        {"total_price": 0},
        {"total_price": 4},
        {"total_price": 5, "status": "completed"},
        {"total_price": 5, "status": "completed", "refund_amount": 2},
        {"total_price": 5, "status": "completed"},
    ]
    for number, state in enumerate(states, 1):
        export(tmp_path / "t", [job | state | {"updated_at": f"2026-10-{number:02}T00:00:00Z"}], number)
    costs = ftetl.open(tmp_path / "t").arrow("focus_costs")

    assert [(row["x_ChargeKind"], row["x_FirstSeenAt"].day) for row in costs.to_pylist()] == [("job", 2), ("refund", 4)]


def test_an_anomaly_lasts_as_long_as_its_value(tmp_path: Path) -> None:
    export(tmp_path / "t", JOBS)
    later = "2026-09-01T00:00:00Z"
    mended = [
        job | {"total_price": 4_000_000_000, "updated_at": later} if job["id"] == "ft-10" else job for job in JOBS
    ]
    report = export(tmp_path / "t", mended, 2)
    assert (report.anomalies, report.rows["focus_costs"]) == ({}, 9 + 1)
    timeless = {"id": "ft-11", "total_price": 5, "refund_amount": 6}
    unknown = {"id": "ft-13", "refund_amount": 6}
    report = export(tmp_path / "t", [*mended, timeless, unknown], 3)
    assert report.anomalies == {"charge_without_time": 1, "refund_exceeds_price": 1}
    assert export(tmp_path / "t", mended, 4, events="none").anomalies == report.anomalies  # gone, but its row is there


def test_a_charge_of_the_last_month_of_9999_has_no_end(tmp_path: Path) -> None:
    times = {"created_at": "9999-12-31T23:00:00Z", "updated_at": "9999-12-31T23:59:59Z"}
    usual = {"created_at": "2026-03-01T10:00:00Z", "updated_at": "2026-03-01T12:00:00Z"}
    common = {"status": "completed", "total_price": 4_000_000_000, "events": []}
    jobs = [{"id": "ft-1"} | common | times, {"id": "ft-2"} | common | usual]
    report = export(tmp_path / "t", jobs, formats=("csv",))
    snapshot = ftetl.open(tmp_path / "t")
    ends = ("ChargePeriodEnd", "BillingPeriodEnd")

    assert [tuple(row[name] for name in ends) for row in snapshot.arrow("focus_costs").to_pylist()] == [
        (datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)),
        (None, None),
    ]
    assert report.anomalies == {"charge_end_out_of_range": 1, "in_future": 2}
    (found,) = [r for r in snapshot.arrow("anomalies").to_pylist() if r["kind"] == "charge_end_out_of_range"]
    assert found | {"rows": 1} == {
        "project": "default",
        "job_id": "ft-1",
        "path": "updated_at",
        "kind": "charge_end_out_of_range",
        "raw": '"9999-12-31T23:59:59.000000Z"',
        "rows": 1,
    }
    for name in tables():
        snapshot.arrow(name).to_pylist()  # Python's own times end with the year 9999
        assert b"10000-01" not in (snapshot.folder / f"{name}.csv").read_bytes()


def test_a_price_that_no_row_can_hold_is_an_anomaly(tmp_path: Path) -> None:
    jobs = [
        {"id": f"ft-{n}", "created_at": "2026-03-01T10:00:00Z", "total_price": price}
        for n, price in enumerate((10**18 - 1, 10**18, 2**63 - 1))
    ]
    report = export(tmp_path / "t", jobs)

    assert ftetl.open(tmp_path / "t").arrow("focus_costs")["BilledCost"].to_pylist() == [Decimal("999999999.999999999")]
    assert report.anomalies == {"charge_too_large": 2, "out_of_range": 2}


def test_a_target_from_before_goes_on_with_the_types_of_today(tmp_path: Path) -> None:
    """Its costs have 20 digits, its quantities 28."""
    with tarfile.open(DATA / "targets" / "before_18_digits.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    target = tmp_path / "target"
    old = TableReader(ftetl.open(target).folder, exact=True).read_table("focus_costs")
    before = ftetl.open(target).arrow("focus_costs")
    report = export(target, JOBS)
    after = ftetl.open(target).arrow("focus_costs")

    assert old.schema.field("BilledCost").type == pa.decimal128(20, 9)
    assert old.schema.field("ConsumedQuantity").type == pa.decimal128(28, 9)
    assert (report.version, report.changed) == (2, True)
    assert before.drop_columns("x_FirstSeenAt").equals(after.drop_columns("x_FirstSeenAt"))
    assert {*before["x_FirstSeenAt"].to_pylist()} == {None}
    assert {*after["x_FirstSeenAt"].to_pylist()} == {datetime(2026, 10, 1, tzinfo=UTC)}
    assert after.schema.equals(schema(tables()["focus_costs"]))
    assert ftetl.open(target, version=1).arrow("focus_costs").equals(before)
    assert old.to_pylist() == after.drop_columns("x_FirstSeenAt").to_pylist()
    assert not export(target, JOBS, 2).changed


def test_another_account_gives_another_version_without_an_error(tmp_path: Path) -> None:
    first = export(tmp_path / "t", JOBS, project="search")
    named = {"billing_account": "org-1", "billing_account_name": "Example Ltd"}
    second = export(tmp_path / "t", JOBS, 2, project="search", **named)
    assert (first.version, second.version, second.changed) == (1, 2, True)
    costs = ftetl.open(tmp_path / "t").focus_costs
    columns = ["BillingAccountId", "BillingAccountName", "SubAccountId", "SubAccountName"]
    assert costs[columns].drop_duplicates().to_numpy().tolist() == [["org-1", "Example Ltd", "search", "search"]]
    assert not export(tmp_path / "t", JOBS, 3, project="search", **named).changed


@pytest.mark.parametrize(
    ("settings", "account", "warned"),
    [({}, "default", 1), ({"project": "search"}, "search", 0), ({"billing_account": "org"}, "org", 0)],
)
def test_a_run_without_an_account_has_a_warning(tmp_path: Path, settings: Any, account: str, warned: int) -> None:
    report = export(tmp_path / "t", JOBS, **settings)
    assert len([line for line in report.warnings if "--billing-account" in line]) == warned
    assert {*ftetl.open(tmp_path / "t").focus_costs.BillingAccountId} == {account}
    assert not [line for line in export(tmp_path / "no", JOBS[6:9]).warnings if "--billing-account" in line]


def test_failed_jobs_tell_whether_prices_are_net(tmp_path: Path) -> None:
    report = export(tmp_path / "t", JOBS)
    assert report.refunds == {"gross": 1, "net": 0}
    assert not [line for line in report.warnings if "net of refunds" in line]
    net = {"id": "ft-12", "status": "user_error", "total_price": 0, "refund_amount": 4}
    report = export(tmp_path / "t", [*JOBS, net], 2)
    assert report.refunds == {"gross": 1, "net": 1}
    assert len([line for line in report.warnings if "net of refunds" in line]) == 1


def test_a_rebuild_gives_the_same_tables(tmp_path: Path) -> None:
    export(tmp_path / "t", JOBS[:4], billing_account="org-1")
    export(tmp_path / "t", JOBS, 2, billing_account="org-2")
    before = table_bytes(tmp_path / "t")
    report = rebuild(tmp_path / "t")
    assert (report.changed, table_bytes(tmp_path / "t"), report.refunds) == (False, before, {"gross": 1, "net": 0})


def test_a_snapshot_of_an_older_ftetl_gets_them_with_the_next_run(tmp_path: Path) -> None:
    export(tmp_path / "whole", JOBS, project="p")
    before = {n: t for n, t in tables().items() if n not in DERIVED}
    export(tmp_path / "t", JOBS, project="p")
    manifest = tmp_path / "t" / "_ftetl" / "manifests"
    drop(tmp_path / "t", manifest, before)
    report = export(tmp_path / "t", JOBS, 2, project="p")
    assert report.changed
    assert table_bytes(tmp_path / "t") == table_bytes(tmp_path / "whole")


def drop(target: Path, manifests: Path, left: dict[str, Any]) -> None:
    """Make the newest snapshot one that has only these tables."""
    from ftetl.store import manifest

    newest = manifest.newest_manifest(target, [])
    assert newest is not None
    files = tuple(f for f in newest.files if f.name.split(".")[0] in {*left, "listed"})
    facts = dict(newest.facts)
    facts["contracts"] = {n: facts["contracts"][n] for n in left}
    old = manifest.Manifest(newest.version, newest.run_id, newest.base, newest.committed_at, files, facts)
    for name in DERIVED:
        (manifest.snapshot_folder(target, newest) / f"{name}.parquet").unlink()
    (file,) = manifests.glob("*.json")
    file.write_bytes(manifest.encode_manifest(old))
