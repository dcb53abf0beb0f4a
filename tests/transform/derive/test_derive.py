"""The derived tables from run to run: they follow from the other tables, however these came about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl.contract import tables
from ftetl.pipeline.export import rebuild
from ftetl.run_report import Report

DERIVED = ("stages", "focus_costs")
LIST = Path(__file__).parents[2] / "data" / "golden" / "charges.json"
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
    assert table_bytes(tmp_path / "parts") == table_bytes(tmp_path / "whole")


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
