"""The vendor's own SDK reads the demo API as it reads the real one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

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


def test_it_is_told_whose_the_key_is() -> None:
    with demo.serve() as own, open_client(own, own.key) as sdk:
        me = sdk.whoami()

    assert isinstance(me, WhoamiProjectAPIKey)
    assert (me.organization.id, me.organization.name) == ("org-demo-0001", "Example Organization")
    assert (me.project.id, me.project.name, me.project.slug) == ("proj-demo-0001", "Example Project", "example-project")
    assert own.requests == [("GET", "/v3/whoami")]


def test_a_wrong_key_is_its_authentication_error(server: demo.Server) -> None:
    with open_client(server, "wrong") as sdk, pytest.raises(together.AuthenticationError) as caught:
        sdk.fine_tuning.list()

    assert "invalid_api_key" in str(caught.value.body)


def test_an_unknown_id_is_its_not_found_error(sdk: together.Together) -> None:
    with pytest.raises(together.NotFoundError):
        sdk.fine_tuning.retrieve("ft-unknown")
