"""The endpoints of the demo API beside `/fine-tunes`, over HTTP: what each holds, refuses, and when it is not there."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from ftetl import demo
from ftetl.demo.responses import SECOND_WHOAMI, WHOAMI

BILL = "/v1/billing/usage"
JOBS = demo.load_jobs()
JOB = next(job["id"] for job in JOBS if job.get("early_stopped"))
METRICS, CHECKPOINTS = (f"/v1/fine-tunes/{JOB}/{name}" for name in ("metrics", "checkpoints"))


@pytest.fixture(scope="module")
def server() -> Iterator[demo.Server]:
    with demo.serve() as running:
        yield running


@pytest.fixture
def own() -> Iterator[demo.Server]:
    with demo.serve() as running:
        yield running


def get(server: demo.Server, path: str, key: str = demo.DEFAULT_KEY) -> tuple[int, Any]:
    parts = urlsplit(server.url)
    with closing(http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)) as connection:
        connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def pages(server: demo.Server, query: str) -> list[dict[str, Any]]:
    """All pages of the bill, by their cursors."""
    found = [get(server, f"{BILL}?{query}")[1]]
    while found[-1]["next_cursor"] is not None:
        assert len(found) < 800
        found.append(get(server, f"{BILL}?{query}&after={quote(found[-1]['next_cursor'])}")[1])
    return found


@pytest.mark.parametrize("path", ["/v1/files", BILL, METRICS, CHECKPOINTS])
def test_an_endpoint_is_there_with_the_jobs_of_the_demo_only(server: demo.Server, path: str) -> None:
    assert get(server, path)[0] == 200
    with demo.serve(JOBS) as other:
        assert get(other, path)[0] == 404
        other.add_endpoints()

        assert get(other, path) == get(server, path)


@pytest.mark.parametrize(
    ("attribute", "path"),
    [("files", "/v1/files"), ("billing", BILL), ("metrics", METRICS), ("checkpoints", CHECKPOINTS)],
)
def test_an_endpoint_that_is_set_to_none_is_404_and_the_others_stay(
    own: demo.Server, attribute: str, path: str
) -> None:
    setattr(own, attribute, None)
    statuses = {other: get(own, other)[0] for other in ("/v1/files", BILL, METRICS, CHECKPOINTS, "/v1/fine-tunes")}

    assert statuses == {other: 404 if other == path else 200 for other in statuses}


def test_what_is_set_is_served(own: demo.Server) -> None:
    own.files = [{"id": "file-1"}]
    own.metrics = {JOB: [{"timestamp": 2**60 + 1, "train/loss": 1}]}
    own.checkpoints = {JOB: [{"step": 3}]}
    own.billing = {"day": [{"date": "2026-02-03", "start_time": "s", "end_time": "e", "line_items": []}]}
    other = next(job["id"] for job in JOBS if job["id"] != JOB)

    assert get(own, "/v1/files") == (200, {"data": [{"id": "file-1"}]})
    assert get(own, METRICS) == (200, {"metrics": [{"timestamp": 2**60 + 1, "train/loss": 1}]})
    assert get(own, f"/v1/fine-tunes/{other}/metrics") == (200, {"metrics": None})
    assert get(own, CHECKPOINTS) == (200, {"data": [{"step": 3}]})
    assert get(own, f"/v1/fine-tunes/{other}/checkpoints") == (200, {"data": []})
    assert get(own, f"{BILL}?month=2026-02")[1]["data"] == own.billing["day"]
    assert get(own, f"{BILL}?month=2026-02&granularity=hour")[1]["data"] == []


@pytest.mark.parametrize("path", ["/v1/fine-tunes/ft-unknown/metrics", "/v1/fine-tunes/ft-unknown/checkpoints"])
def test_an_unknown_job_is_404(server: demo.Server, path: str) -> None:
    assert get(server, path)[0] == 404


def test_the_bill_is_a_report_of_one_month(server: demo.Server) -> None:
    status, report = get(server, f"{BILL}?month=2026-04&organization_id={WHOAMI['organization']['id']}")

    assert status == 200
    assert {name: report[name] for name in report if name != "data"} == {
        "object": "list",
        "organization_id": "org-demo-0001",
        "billing_period": "2026-04",
        "currency": "USD",
        "earliest_window_start": "2026-04-01T00:00:00Z",
        "latest_window_end": "2026-05-01T00:00:00Z",
        "next_cursor": None,
    }
    assert [window["date"] for window in report["data"]] == [f"2026-04-{day:02}" for day in range(1, 31)]


def test_a_month_without_usage_has_no_windows_and_no_ends(server: demo.Server) -> None:
    report = get(server, f"{BILL}?month=2023-01")[1]

    assert (report["data"], report["next_cursor"]) == ([], None)
    assert (report["earliest_window_start"], report["latest_window_end"]) == (None, None)


def test_the_running_month_is_the_default_and_ends_with_yesterday(server: demo.Server) -> None:
    report = get(server, BILL)[1]

    assert (report["billing_period"], report["latest_window_end"]) == ("2026-11", "2026-11-20T00:00:00Z")
    assert get(server, f"{BILL}?granularity=hour")[1]["latest_window_end"] == "2026-11-20T18:00:00Z"


@pytest.mark.parametrize("granularity", ["day", "hour"])
@pytest.mark.parametrize("limit", [1, 7, 30, 1000])
def test_pages_are_the_whole_month(server: demo.Server, granularity: str, limit: int) -> None:
    query = f"month=2026-04&granularity={granularity}"
    whole = get(server, f"{BILL}?{query}")[1]
    found = pages(server, f"{query}&limit={limit}")

    assert [window for page in found for window in page["data"]] == whole["data"]
    assert {len(page["data"]) for page in found[:-1]} <= {limit}
    assert all(page | {"data": 0, "next_cursor": 0} == whole | {"data": 0, "next_cursor": 0} for page in found)


def test_the_server_may_send_smaller_pages_than_asked_for(own: demo.Server) -> None:
    own.page_size = 8

    assert [len(page["data"]) for page in pages(own, "month=2026-04&limit=1000")] == [8, 8, 8, 6]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("month=2026-13", 400),
        ("month=2026-4", 400),
        ("month=April", 400),
        ("granularity=week", 400),
        ("limit=0", 400),
        ("limit=1001", 400),
        ("limit=many", 400),
        ("after=unknown", 400),
        ("after=eA==", 400),
        ("after=MjAyNi0wNC9kYXkvMQ==&month=2026-05", 400),  # the cursor of another month
        ("organization_id=org-other", 403),
    ],
)
def test_a_query_that_the_bill_does_not_take_is_refused(server: demo.Server, query: str, status: int) -> None:
    found, body = get(server, f"{BILL}?{query}")

    assert (found, set(body["error"])) == (status, {"message", "type", "param", "code"})


def test_the_second_account_has_an_owner_of_its_own_and_no_bill(server: demo.Server) -> None:
    assert get(server, "/v3/whoami", demo.SECOND_KEY) == (200, dict(SECOND_WHOAMI))
    assert get(server, "/v1/whoami", demo.SECOND_KEY)[1]["organization_id"] == "org-demo-1001"
    status, body = get(server, f"{BILL}?month=2026-04", demo.SECOND_KEY)

    assert (status, body["error"]["message"]) == (404, "Billing usage is not enabled for this organization.")
    for path in ("/v1/fine-tunes", "/v1/files", METRICS, CHECKPOINTS):
        assert get(server, path, demo.SECOND_KEY) == get(server, path)


def test_with_other_jobs_there_is_no_second_account() -> None:
    with demo.serve(JOBS) as other:
        assert get(other, "/v1/fine-tunes", demo.SECOND_KEY)[0] == 401


@pytest.mark.parametrize("path", ["/v1/files", BILL, METRICS, CHECKPOINTS])
def test_without_the_key_nothing_is_said(server: demo.Server, path: str) -> None:
    assert get(server, path, "wrong")[0] == 401


def steps(entries: list[dict[str, Any]], kind: str) -> list[int]:
    return [entry[f"{kind}/global_step"] for entry in entries if f"{kind}/global_step" in entry]


def test_metrics_are_asked_for_by_steps_and_times_and_number(server: demo.Server) -> None:
    whole = get(server, METRICS)[1]["metrics"]
    middle = get(server, f"{METRICS}?global_step_from=5&global_step_to=10")[1]["metrics"]
    early = get(server, f"{METRICS}?logged_at_to=2026-02-23T12:41:40Z")[1]["metrics"]
    late = get(server, f"{METRICS}?logged_at_from=2026-02-23T12:41:40Z")[1]["metrics"]
    few = get(server, f"{METRICS}?resolution=4")[1]["metrics"]

    assert steps(middle, "train") == [5, 6, 7, 8, 9, 10]
    assert early
    assert late
    assert early + late == whole
    assert (len(steps(few, "train")), steps(few, "eval")) == (4, steps(whole, "eval"))
    assert few == [entry for entry in whole if entry in few]


@pytest.mark.parametrize("query", ["global_step_from=x", "logged_at_to=yesterday", "resolution=1.5"])
def test_a_query_that_metrics_do_not_take_is_refused(server: demo.Server, query: str) -> None:
    assert get(server, f"{METRICS}?{query}")[0] == 400


def test_metrics_keep_every_digit_of_their_times(server: demo.Server) -> None:
    times = [entry["timestamp"] for entry in get(server, METRICS)[1]["metrics"]]

    assert times == sorted(times)
    assert min(times) > 2**53
    assert any(int(float(time)) != time for time in times)
