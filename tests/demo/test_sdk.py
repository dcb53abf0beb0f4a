"""The vendor's own SDK reads the demo API as it reads the real one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Literal

import pytest
import together
from together.types import WhoamiProjectAPIKey

from ftetl import demo

JOBS = demo.load_jobs()


@pytest.fixture(scope="module")
def server() -> Iterator[demo.Server]:
    with demo.serve(JOBS) as running:
        yield running


def open_client(server: demo.Server, key: str) -> together.Together:
    # Since 3.0 the SDK adds /v1 itself.
    return together.Together(api_key=key, base_url=server.url.removesuffix("/v1"), max_retries=0)


@pytest.fixture
def sdk(server: demo.Server) -> Iterator[together.Together]:
    with open_client(server, server.key) as sdk:
        yield sdk


def test_it_lists_all_jobs_without_events(sdk: together.Together) -> None:
    listed = sdk.fine_tuning.list().data

    assert sorted(job.id for job in listed) == sorted(job["id"] for job in JOBS)
    assert {job.status for job in listed} == {job["status"] for job in JOBS}
    assert all(isinstance(job.created_at, datetime) for job in listed)
    assert not any(job.events for job in listed)


@pytest.mark.parametrize("job", JOBS[:: len(JOBS) // 12], ids=lambda job: job["id"])
def test_it_retrieves_a_job_with_its_events(sdk: together.Together, job: dict[str, object]) -> None:
    retrieved = sdk.fine_tuning.retrieve(str(job["id"]))

    assert (retrieved.id, retrieved.status, retrieved.total_price) == (job["id"], job["status"], job["total_price"])
    assert [event.model_dump(exclude_unset=True, by_alias=True) for event in retrieved.events or []] == job["events"]


@pytest.mark.parametrize("job", JOBS[:: len(JOBS) // 5], ids=lambda job: job["id"])
def test_it_lists_the_events_of_a_job(sdk: together.Together, job: dict[str, object]) -> None:
    events = sdk.fine_tuning.list_events(str(job["id"])).data

    assert [event.model_dump(exclude_unset=True, by_alias=True) for event in events] == job["events"]


@pytest.fixture(scope="module")
def whole() -> Iterator[demo.Server]:
    """The demo with all its endpoints and both its accounts."""
    with demo.serve() as running:
        yield running


@pytest.mark.parametrize(
    ("key", "organization", "project"),
    [
        (
            demo.DEFAULT_KEY,
            ("org-demo-0001", "Example Organization"),
            ("proj-demo-0001", "Example Project", "example-project"),
        ),
        (
            demo.SECOND_KEY,
            ("org-demo-1001", "Second Example Organization"),
            ("proj-demo-1001", "Second Example Project", "second-example-project"),
        ),
    ],
)
def test_it_is_told_whose_the_key_is(
    whole: demo.Server, key: str, organization: tuple[str, ...], project: tuple[str, ...]
) -> None:
    with open_client(whole, key) as sdk:
        me = sdk.whoami()

    assert isinstance(me, WhoamiProjectAPIKey)
    assert (me.organization.id, me.organization.name) == organization
    assert (me.project.id, me.project.name, me.project.slug) == project
    assert whole.requests[-1] == ("GET", "/v3/whoami")


def test_it_lists_the_files(whole: demo.Server) -> None:
    with open_client(whole, whole.key) as sdk:
        listed = sdk.files.list().data

    # Its type of a file has `file_type` beside the wire's `FileType`.
    assert [file.model_dump(exclude_unset=True, exclude={"file_type"}) for file in listed] == whole.files
    assert {file.validation_report.nlines for file in listed if file.validation_report} - {None}


@pytest.mark.parametrize(("granularity", "limit"), [("day", 1000), ("day", 4), ("hour", 25)])
def test_it_reads_the_bill_of_a_month_page_by_page(
    whole: demo.Server, granularity: Literal["day", "hour"], limit: int
) -> None:
    assert whole.billing is not None
    expected = [window for window in whole.billing[granularity] if window["date"].startswith("2026-04")]
    before = len(whole.requests)
    with open_client(whole, whole.key) as sdk:
        first = sdk.organization.usage.costs.list(month="2026-04", granularity=granularity, limit=limit)
        windows = list(first)

    assert [window.model_dump(exclude_unset=True, include={"date", "line_items"}) for window in windows] == [
        {"date": window["date"], "line_items": window["line_items"]} for window in expected
    ]
    assert [window.start_time for window in windows] == [datetime.fromisoformat(w["start_time"]) for w in expected]
    assert len(whole.requests) - before == -(-len(expected) // limit)


def test_an_organization_without_the_bill_is_its_not_found_error(whole: demo.Server) -> None:
    with open_client(whole, demo.SECOND_KEY) as sdk, pytest.raises(together.NotFoundError, match="not enabled"):
        sdk.organization.usage.costs.list(month="2026-04")


@pytest.mark.parametrize("job", JOBS[:: len(JOBS) // 12], ids=lambda job: job["id"])
def test_it_reads_metrics_as_floats_and_checkpoints(whole: demo.Server, job: dict[str, object]) -> None:
    assert whole.metrics is not None
    assert whole.checkpoints is not None
    entries, job_id = whole.metrics[str(job["id"])], str(job["id"])
    with open_client(whole, whole.key) as sdk:
        metrics = sdk.fine_tuning.list_metrics(job_id).metrics
        checkpoints = sdk.fine_tuning.list_checkpoints(job_id).data

    # Its type of every value is float, which holds no time in nanoseconds exactly.
    assert metrics == (None if entries is None else [{k: float(v) for k, v in entry.items()} for entry in entries])
    assert [checkpoint.model_dump(exclude_unset=True) for checkpoint in checkpoints] == whole.checkpoints[job_id]


def test_it_reads_the_metrics_of_some_steps(whole: demo.Server) -> None:
    job_id = next(job["id"] for job in JOBS if job.get("early_stopped"))
    with open_client(whole, whole.key) as sdk:
        metrics = sdk.fine_tuning.list_metrics(job_id, global_step_from=3, global_step_to=4, resolution=1).metrics

    assert [entry["train/global_step"] for entry in metrics or []] == [3]


@pytest.mark.parametrize("tzinfo", [UTC, None], ids=["with an offset", "without"])
def test_it_reads_the_metrics_of_some_time(whole: demo.Server, tzinfo: tzinfo | None) -> None:
    assert whole.metrics is not None
    job_id = next(job["id"] for job in JOBS if job.get("early_stopped"))
    entries = whole.metrics[job_id] or []
    middle = datetime(2026, 2, 23, 12, 41, 40, 500_000, tzinfo)
    expected = [e for e in entries if e["timestamp"] <= int(middle.replace(tzinfo=UTC).timestamp() * 1000) * 10**6]
    with open_client(whole, whole.key) as sdk:
        metrics = sdk.fine_tuning.list_metrics(job_id, logged_at_to=middle).metrics

    assert 0 < len(expected) < len(entries)
    assert [entry["timestamp"] for entry in metrics or []] == [float(entry["timestamp"]) for entry in expected]


def test_a_wrong_key_is_its_authentication_error(server: demo.Server) -> None:
    with open_client(server, "wrong") as sdk, pytest.raises(together.AuthenticationError) as caught:
        sdk.fine_tuning.list()

    assert "invalid_api_key" in str(caught.value.body)


def test_an_unknown_id_is_its_not_found_error(sdk: together.Together) -> None:
    with pytest.raises(together.NotFoundError):
        sdk.fine_tuning.retrieve("ft-unknown")
