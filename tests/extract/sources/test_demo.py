"""The demo as a source: fetched like the real API, and every response dated with the day of the demo."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from ftetl import demo
from ftetl.clock import Deadline
from ftetl.extract.outcome import Outcome
from ftetl.extract.source import Source, SourceStats
from ftetl.extract.sources.demo import DemoSource
from ftetl.extract.together_api.transport import RequestLimits
from ftetl.raw.response import Response
from tests.demo.generator import generate_jobs


@pytest.fixture
def source() -> Iterator[DemoSource]:
    demo_source = DemoSource(jobs=generate_jobs(count=40))
    yield demo_source
    demo_source.close()


def test_without_jobs_it_has_those_of_the_data_file() -> None:
    source = DemoSource()
    try:
        [listing] = source.responses()
        listed = {job["id"] for job in json.loads(body_of(listing))["data"]}
    finally:
        source.close()

    assert listed == {job["id"] for job in demo.load_jobs()}


def body_of(response: Response | None) -> bytes:
    assert response is not None
    return response.blob.read(0, response.blob.size)


def all_bodies(source: Source) -> dict[str, bytes]:
    """The bytes of all responses of a run by their names, the details of all listed jobs included."""
    [listing] = source.responses()
    ids = [job["id"] for job in json.loads(body_of(listing))["data"]]
    return {listing.name: body_of(listing)} | {d.job_id: body_of(d.response) for d in source.details(ids)}


def test_it_returns_the_whole_list_and_every_detail(source: DemoSource) -> None:
    jobs = {job["id"]: job for job in generate_jobs(count=40)}
    bodies = all_bodies(source)
    listing = json.loads(bodies.pop("GET /fine-tunes"))

    assert {job["id"] for job in listing["data"]} == set(jobs)
    assert {job_id: json.loads(body) for job_id, body in bodies.items()} == jobs


def test_it_counts_its_requests_and_their_bytes(source: DemoSource) -> None:
    assert source.stats == SourceStats()
    all_bodies(source)

    assert source.stats.requests == 41
    assert source.stats.bytes_read > 10_000
    assert source.notes == ()


def test_every_response_is_dated_with_the_day_of_the_demo(source: DemoSource) -> None:
    [listing] = source.responses()
    [detail] = source.details([generate_jobs(count=40)[0]["id"]])

    assert listing.observed_at == demo.OBSERVED_AT
    assert detail.response is not None
    assert (detail.outcome, detail.response.observed_at) == (Outcome.HERE, demo.OBSERVED_AT)
    assert (listing.whole, listing.detail, detail.response.whole, detail.response.detail) == (True, False, False, True)


def test_two_runs_give_the_same_bytes(source: DemoSource) -> None:
    other = DemoSource(jobs=generate_jobs(count=40))
    try:
        assert all_bodies(other) == all_bodies(source)
    finally:
        other.close()


def test_an_unknown_job_is_gone(source: DemoSource) -> None:
    [detail] = source.details(["ft-unknown"])

    assert (detail.job_id, detail.outcome, detail.response) == ("ft-unknown", Outcome.GONE, None)


def test_at_the_deadline_the_details_are_failed() -> None:
    source = DemoSource(jobs=generate_jobs(count=9), limits=RequestLimits(Deadline(0)))
    try:
        outcomes = [detail.outcome for detail in source.details([job["id"] for job in generate_jobs(count=9)])]
    finally:
        source.close()

    assert outcomes == [Outcome.FAILED] * 9


def test_it_is_a_service_of_its_own(source: DemoSource) -> None:
    assert source.service == "demo"


def test_no_thread_stays_and_it_can_be_closed_twice() -> None:
    before = set(threading.enumerate())
    source = DemoSource(jobs=generate_jobs(count=9))
    all_bodies(source)
    source.close()
    source.close()

    assert {thread for thread in threading.enumerate() if thread.name == "ftetl-demo"} <= before


def test_a_proxy_or_a_key_in_the_environment_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("TOGETHER_API_KEY", "not the key of the demo")
    source = DemoSource(jobs=generate_jobs(count=9))
    try:
        assert len(all_bodies(source)) == 10
    finally:
        source.close()
