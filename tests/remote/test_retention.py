"""What is removed from an object store: expired versions and what only they name, never what a kept version needs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import obstore
import pytest

import ftetl
from ftetl.clock import now
from ftetl.remote import push
from ftetl.validate.verify import verify_snapshot
from tests.faults.targets import FIRST
from tests.remote.conftest import write_answer
from tests.remote.store_server import StoreServer, refused

Version = Callable[[int], ftetl.Report]


@pytest.fixture
def export(address: str, tmp_path: Path) -> Version:
    """Commits the version of a day, in which one job is new: other tables stay as they are."""

    def export(day: int) -> ftetl.Report:
        jobs = [*FIRST[:3], *({**FIRST[0], "id": f"ft-new-{new}"} for new in range(day))]
        return ftetl.export(address, source=write_answer(tmp_path / "answer.json", jobs, day), keep=2)

    return export


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is in the store is ten days old."""
    monkeypatch.setattr(push, "now", lambda: now() + timedelta(days=10))


def kept(server: StoreServer, bucket: str, folder: str) -> set[str]:
    return {key.removeprefix("some/prefix/") for key in server.objects(bucket) if f"/{folder}/" in key}


def test_versions_of_today_stay(server: StoreServer, bucket: str, export: Version) -> None:
    for day in range(4):
        export(day)

    assert len(kept(server, bucket, "manifests")) == 4


@pytest.mark.usefixtures("later")
def test_expired_versions_go_and_what_the_others_need_stays(
    server: StoreServer, bucket: str, address: str, export: Version
) -> None:
    reports = [export(day) for day in range(4)]

    manifests = kept(server, bucket, "manifests")
    assert sorted(int(name[-25:-5]) for name in manifests) == [3, 4]
    assert f"snapshots/{reports[0].run_id}/quarantine.parquet" in kept(server, bucket, "snapshots")  # never changed
    for gone in reports[:2]:
        assert f"snapshots/{gone.run_id}/jobs.parquet" not in kept(server, bucket, "snapshots")
    assert verify_snapshot(address).damage == ()
    assert ftetl.open(address, version=3).jobs.shape[0] == 5
    assert ftetl.open(address, version=3).quarantine.shape[0] == 0
    assert export(5).version == 5  # found by the hint, though version 1 is gone


def test_an_object_that_no_version_names_goes_after_a_day_and_not_before(
    server: StoreServer, bucket: str, export: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan = "some/prefix/snapshots/20200101T000000Z-00000000/jobs.parquet"
    export(0)
    obstore.put(server.store(bucket), orphan, b"x")
    for hours, is_there in ((0, True), (23, True), (25, False)):
        monkeypatch.setattr(push, "now", lambda hours=hours: now() + timedelta(hours=hours))
        export(hours + 1)
        assert (orphan in server.objects(bucket)) is is_there


@pytest.mark.usefixtures("later")
def test_a_store_that_keeps_everything_is_a_warning(server: StoreServer, bucket: str, export: Version) -> None:
    server.begin(lambda r, forward: refused(403, "AccessDenied") if r.method in ("DELETE", "POST") else forward(r))

    reports = [export(day) for day in range(3)]

    assert [(report.version, report.exit_code) for report in reports] == [(1, 0), (2, 0), (3, 0)]
    assert [line for line in reports[2].warnings if "s3:DeleteObject" in line]
    assert len(kept(server, bucket, "manifests")) == 3


@pytest.mark.usefixtures("later")
def test_nothing_goes_while_a_manifest_is_damaged(server: StoreServer, bucket: str, export: Version) -> None:
    """It does not tell which objects it needs."""
    for day in range(2):
        export(day)
    second = next(key for key in server.objects(bucket) if "/manifests/" in key and key.endswith("2.json"))
    obstore.put(server.store(bucket), second, b"{}")
    before = kept(server, bucket, "snapshots")

    export(2)

    assert before <= kept(server, bucket, "snapshots")


@pytest.mark.usefixtures("later")
def test_nothing_goes_while_the_hint_is_behind(server: StoreServer, bucket: str, export: Version) -> None:
    """The newest version is found from the hint forward, so no version after it may be missing."""
    server.begin(lambda r, forward: refused(412, "No") if r.method == "PUT" and "latest" in r.key else forward(r))

    reports = [export(day) for day in range(4)]

    assert [report.version for report in reports] == [1, 2, 3, 4]
    assert len(kept(server, bucket, "manifests")) == 4


def test_records_and_evidence_are_few(
    server: StoreServer, bucket: str, export: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftetl.pipeline.run_log.MAX_RECORDS", 3)

    reports = [export(day) for day in range(5)]

    names = kept(server, bucket, "runs")
    assert len(names) == 4  # that of the run itself is written after the others are counted
    assert f"_ftetl/runs/{reports[-1].run_id}.json" in names
