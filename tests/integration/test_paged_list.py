"""A list that the service gives in pages: the same tables as in one response, or a failed run that changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl import demo
from ftetl.config.settings import Settings
from ftetl.errors import DataError, FtetlError, UnavailableError
from ftetl.extract.archive import Archive
from ftetl.pipeline import doctor
from ftetl.pipeline import export as pipeline_export
from ftetl.store.target import Target
from tests.demo.generator import generate_jobs

JOBS = generate_jobs(count=24)
NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
LIST = "/v1/fine-tunes"


def job(number: int) -> dict[str, Any]:
    at = f"2026-07-01T{number // 60:02}:{number % 60:02}:00Z"
    event = {"type": "JOB_COMPLETE", "created_at": at}
    return {"id": f"ft-{number:03}", "status": "completed", "created_at": at, "updated_at": at, "events": [event]}


@pytest.fixture
def server() -> Iterator[demo.Server]:
    with demo.serve(JOBS) as running:
        yield running


def export(server: demo.Server, target: Path, **settings: Any) -> ftetl.Report:
    environ = {"TOGETHER_API_KEY": server.key}
    return ftetl.export(target, **{"base_url": server.url, "environ": environ, "observed_at": NOW} | settings)


def lists(server: demo.Server) -> list[str]:
    """The requests for the list since the last call."""
    paths = [path for _, path in server.requests if path.partition("?")[0] == LIST]
    server.requests.clear()
    return paths


def tables(target: Path) -> dict[str, Any]:
    snapshot = ftetl.open(target)
    return {name: snapshot.arrow(name).to_pylist() for name in snapshot.tables}


def present(target: Path) -> set[str]:
    return {row["job_id"] for row in ftetl.open(target).arrow("jobs").to_pylist() if row["present"]}


@pytest.mark.parametrize(("size", "requests"), [(1, 24), (5, 5), (8, 3), (23, 2), (24, 1), (100, 1)])
def test_pages_give_the_tables_of_one_response(server: demo.Server, tmp_path: Path, size: int, requests: int) -> None:
    whole = export(server, tmp_path / "whole")
    assert lists(server) == [LIST]
    server.page_size = size

    report = export(server, tmp_path / "paged")

    assert tables(tmp_path / "paged") == tables(tmp_path / "whole")
    assert (report.exit_code, report.received, report.rows) == (0, whole.received, whole.rows)
    assert (report.requests, report.warnings) == (whole.requests + requests - 1, whole.warnings)
    ids = [job["id"] for job in reversed(JOBS)]
    cursors = [ids[at - 1] for at in range(size, 24, size)]
    assert lists(server) == [LIST, *(f"{LIST}?after={cursor}" for cursor in cursors)]
    again = export(server, tmp_path / "paged")
    assert (again.changed, len(lists(server))) == (False, requests)


@pytest.mark.parametrize("pii", ["keep", "drop"])
def test_the_archive_has_one_list_from_which_a_rebuild_makes_the_same_tables(
    server: demo.Server, tmp_path: Path, pii: str
) -> None:
    target = tmp_path / "t"
    server.page_size = 7
    export(server, target, pii=pii)
    server.jobs = JOBS[2:]
    assert export(server, target, pii=pii, observed_at=NOW.replace(hour=19)).vanished == 2
    with Target(target) as opened, Archive(opened) as archive:
        (*_, entry) = archive.entries()
        (listed,) = (answer for answer in entry["answers"] if answer["whole"])
        assert archive.read_body(listed["sha256"]).count(b'"id":') == 22
    before = {path.name: path.read_bytes() for path in (target / "current").iterdir()}

    assert not pipeline_export.rebuild(target).changed

    assert {path.name: path.read_bytes() for path in (target / "current").iterdir()} == before


@pytest.mark.parametrize(("status", "kind"), [(500, UnavailableError), (404, FtetlError), (400, FtetlError)])
def test_a_page_that_fails_fails_the_run(
    server: demo.Server, tmp_path: Path, status: int, kind: type[FtetlError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftetl.extract.together_api.retry.RetryPolicy._wait", lambda *_: True)
    target = tmp_path / "t"
    server.page_size = 10
    export(server, target)
    before = tables(target)
    server.jobs = [*JOBS, job(1)]
    server.requests.clear()
    second = f"{LIST}?after={JOBS[-9]['id']}"
    server.fail = lambda path: status if path == second else None

    with pytest.raises(kind):
        export(server, target)

    assert tables(target) == before
    assert lists(server) == [LIST, *[second] * (6 if status == 500 else 1)]
    server.fail = lambda _: None
    assert (export(server, target).new, len(lists(server))) == (1, 3)


def test_the_oldest_jobs_of_a_complete_set_of_pages_may_be_gone(server: demo.Server, tmp_path: Path) -> None:
    """In one response, 50 of 60 jobs without exactly the oldest look like a page."""
    jobs = [job(number) for number in range(60)]
    server.jobs = jobs
    export(server, tmp_path / "t")
    server.jobs = jobs[10:]
    with pytest.raises(DataError, match="looks like one page"):
        export(server, tmp_path / "t")
    server.page_size = 20

    options = {"base_url": server.url, "environ": {"TOGETHER_API_KEY": server.key}}
    findings = [*doctor.run_checks(Settings.from_options(tmp_path / "t", "api", options))]
    report = export(server, tmp_path / "t", observed_at=NOW.replace(hour=19))

    assert "failure" not in {finding.state for finding in findings}
    assert report.vanished == 10
    assert present(tmp_path / "t") == {job["id"] for job in jobs[10:]}


def test_a_list_in_pages_that_shrank_is_refused_like_any_other(server: demo.Server, tmp_path: Path) -> None:
    server.page_size = 5
    export(server, tmp_path / "t")
    server.jobs = JOBS[:11]

    with pytest.raises(DataError) as caught:
        export(server, tmp_path / "t")

    assert caught.value.code == "FTETL-R47"
    assert len(present(tmp_path / "t")) == 24
