"""The table `billing_usage` over real HTTP: which months are asked for, when again, and what a bad bill costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

import ftetl
from ftetl import analysis, demo
from ftetl.config import limits
from ftetl.demo import Server
from ftetl.demo.responses import WHOAMI
from ftetl.pipeline.export import rebuild
from ftetl.run_report import Report
from ftetl.validate.verify import verify_snapshot

BILL = "/v1/billing/usage"
NOT_SHOWN = "billing usage is not enabled for this organisation, or not shown to this API key"


def job(number: int, created_at: str | None, **more: Any) -> dict[str, Any]:
    found = {"id": f"ft-{number:02}", "status": "completed", "created_at": created_at, "updated_at": created_at}
    return found | {"events": [{"type": "JOB_COMPLETE", "created_at": created_at}]} | more


JOBS = [job(1, "2026-05-31T23:00:00Z", total_price=10**9), job(2, "2026-07-04T00:00:00Z", total_price=2 * 10**9)]


def window(day: str, *costs: str, product: str = "Fine-tuning") -> dict[str, Any]:
    start = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    times = {"start_time": f"{start:%Y-%m-%dT%H:%M:%SZ}", "end_time": f"{start + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"}
    return {"date": day, **times, "line_items": [{"product_name": product, "cost": cost} for cost in costs]}


@pytest.fixture
def server() -> Iterator[Server]:
    with demo.serve(JOBS, whoami=WHOAMI) as running:
        running.billing = {
            "day": [window("2026-05-31", "1.00"), window("2026-06-10"), window("2026-07-04", "2", "0.5")]
        }
        yield running


class Exports:
    """Runs into one target, on the days that are given."""

    def __init__(self, server: Server, target: Path) -> None:
        self.server, self.target = server, target

    def __call__(self, day: str = "2026-07-20", **settings: Any) -> Report:
        self.server.requests.clear()
        settings = {"billing": "auto", "files": "none", "observed_at": f"{day}T00:00:00Z", **settings}
        environ = {"TOGETHER_API_KEY": settings.pop("key", self.server.key)}
        return ftetl.export(self.target, base_url=self.server.url, environ=environ, **settings)

    def queries(self) -> list[dict[str, str]]:
        return [dict(parse_qsl(urlsplit(path).query)) for _, path in self.server.requests if path.startswith(BILL)]

    def months(self) -> list[str]:
        return sorted(query["month"] for query in self.queries())

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        return [tuple(row[c] for c in columns) for row in ftetl.open(self.target).arrow("billing_usage").to_pylist()]


@pytest.fixture
def runs(server: Server, tmp_path: Path) -> Exports:
    return Exports(server, tmp_path / "target")


def test_all_months_since_the_first_job_are_asked_for(runs: Exports) -> None:
    report = runs()

    assert (report.exit_code, report.endpoints) == (0, {"billing_usage": {"here": 3}})
    assert runs.months() == ["2026-05", "2026-06", "2026-07"]
    assert {tuple(query.items())[1:] for query in runs.queries()} == {
        (("granularity", "day"), ("limit", "1000"), ("organization_id", "org-demo-0001"))
    }
    assert runs.rows("billing_period", "window_position", "line_position", "cost", "organization_id") == [
        ("2026-05", 0, 0, Decimal(1), "org-demo-0001"),
        ("2026-07", 0, 0, Decimal(2), "org-demo-0001"),
        ("2026-07", 0, 1, Decimal("0.5"), "org-demo-0001"),
    ]
    assert verify_snapshot(runs.target).is_intact


def test_the_current_month_and_the_last_one_are_asked_for_again_and_those_before_are_not(runs: Exports) -> None:
    runs()
    again = runs()
    assert (again.changed, runs.months()) == (False, ["2026-06", "2026-07"])

    runs("2026-08-01")
    assert runs.months() == ["2026-06", "2026-07", "2026-08"]  # June was the last month, whose bill may still grow

    runs("2026-09-15")
    assert runs.months() == ["2026-07", "2026-08", "2026-09"]

    runs("2026-09-16")
    assert runs.months() == ["2026-08", "2026-09"]


def test_a_bill_that_changed_takes_the_place_of_its_month_alone(runs: Exports, server: Server) -> None:
    runs()
    server.billing = {"day": [window("2026-05-31", "9"), window("2026-07-04", "3"), window("2026-07-05", "4")]}
    report = runs("2026-07-21")

    assert report.changed
    assert runs.rows("billing_period", "cost", "observed_at") == [
        ("2026-05", Decimal(1), datetime(2026, 7, 20, tzinfo=UTC)),  # final
        ("2026-07", Decimal(3), datetime(2026, 7, 21, tzinfo=UTC)),
        ("2026-07", Decimal(4), datetime(2026, 7, 21, tzinfo=UTC)),
    ]


def test_by_default_no_bill_is_asked_for_and_a_stored_one_stays(runs: Exports) -> None:
    runs()
    report = runs(billing="none")

    assert (runs.queries(), report.changed, report.endpoints) == ([], False, {})
    assert len(runs.rows("cost")) == 3
    runs.target = runs.target.with_name("other")
    environ = {"TOGETHER_API_KEY": runs.server.key}
    ftetl.export(runs.target, base_url=runs.server.url, environ=environ)
    assert (runs.queries(), runs.rows("cost")) == ([], [])


def test_the_first_job_may_be_one_that_is_stored_only(runs: Exports, server: Server) -> None:
    runs(billing="none")
    server.jobs = JOBS[1:]
    runs(allow_shrink=True)

    assert runs.months() == ["2026-05", "2026-06", "2026-07"]


@pytest.mark.parametrize("jobs", [[], [job(1, None, status="running")], [job(1, "2027-01-01T00:00:00Z")]])
def test_without_a_past_job_no_bill_is_asked_for(runs: Exports, server: Server, jobs: list[dict[str, Any]]) -> None:
    server.jobs = jobs
    report = runs()

    assert (runs.queries(), report.exit_code) == ([], 0)
    assert "no bill was asked for: there is no job, or none that was created before now" in report.warnings


def test_a_job_of_an_impossible_year_does_not_ask_for_centuries(runs: Exports, server: Server) -> None:
    server.jobs = [job(1, "0202-07-04T00:00:00Z")]
    runs()

    assert (len(runs.months()), runs.months()[-1]) == (limits.MAX_BILLS, "2026-07")


@pytest.mark.parametrize("status", [404, 403])
def test_a_bill_that_is_not_shown_is_asked_for_once_and_said_once(runs: Exports, server: Server, status: int) -> None:
    server.fail = lambda path: status if path.startswith(BILL) else None
    report = runs()

    assert (report.exit_code, report.endpoints) == (0, {"billing_usage": {"gone": 3}})
    assert [line for line in report.warnings if "billing" in line] == [
        f"{NOT_SHOWN}; ask the vendor to enable it, or leave out --billing"
    ]
    assert (len(runs.queries()), runs.rows("cost"), report.rows["jobs"]) == (1, [], 2)

    server.fail = lambda _: None
    runs()
    assert runs.months() == ["2026-05", "2026-06", "2026-07"]


def test_a_service_that_cannot_show_a_bill_now_is_not_asked_for_every_month(runs: Exports, server: Server) -> None:
    server.fail = lambda path: 503 if path.startswith(BILL) else None
    report = runs()

    assert (report.exit_code, report.endpoints) == (3, {"billing_usage": {"failed": 3}})
    assert [line for line in report.warnings if "HTTP 503" in line]
    assert (runs.months(), report.rows["jobs"]) == (["2026-05"] * limits.OPTIONAL_REQUESTS, 2)


def test_the_demos_second_organisation_is_not_enabled(tmp_path: Path) -> None:
    with demo.serve(JOBS, whoami=WHOAMI) as server:
        server.second_key = demo.SECOND_KEY
        server.billing = {"day": []}
        runs = Exports(server, tmp_path / "target")
        report = runs(key=demo.SECOND_KEY)

    assert (report.exit_code, len(runs.queries())) == (0, 1)
    assert runs.queries()[0]["organization_id"] == "org-demo-1001"


Answer = Callable[[str, str | None], tuple[int, bytes]]


@pytest.fixture
def answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bytes], None]:
    """Makes the server answer one month with a body."""

    def set_body(month: str, body: bytes) -> None:
        usual = server.response

        def response(path: str, authorization: str | None) -> tuple[int, bytes]:
            is_month = path.startswith(f"{BILL}?month={month}&")
            return (200, body) if is_month else usual(path, authorization)

        monkeypatch.setattr(server, "response", response)

    return set_body


BAD_BILLS = {
    "2026-01": b'{"data":[{"date":"2026-01-31"}],"next_cursor":"c"}',
    "2026-02": b'{"data":[],"next_cursor":"c"}',
    "2026-03": b'{"data":[{"date":"2026-03-31"}',
    "2026-04": b'{"object":"list"}',
    "2026-06": b'{"data":[],"billing_period":"2026-05"}',
}
SAID = (
    "page 2 of the bill of 2026-01 repeats a window",
    "page 1 of the bill of 2026-02 names a next page but has no window",
    "ends in the middle",
    "GET /billing/usage of 2026-04 has no `data`",
)


def test_a_bill_that_is_not_usable_costs_its_month_only(
    runs: Exports, server: Server, answer: Callable[[str, bytes], None]
) -> None:
    server.jobs = [*JOBS, job(3, "2026-01-01T00:00:00Z")]
    for month, body in BAD_BILLS.items():
        answer(month, body)
    report = runs()

    assert (report.exit_code, report.endpoints) == (3, {"billing_usage": {"failed": 5, "here": 2}})
    (failed,) = (line for line in report.warnings if line.startswith("4 of the requests for billing_usage failed ("))
    assert [says for says in SAID if says not in failed] == []
    assert [line for line in report.warnings if "another month; the rows of billing_usage stay as they were" in line]
    assert (runs.rows("billing_period"), report.rows["jobs"]) == ([("2026-05",), *[("2026-07",)] * 2], 3)
    assert len(runs.queries()) <= 10  # two for the cursor that leads nowhere, and one again for each suspect body

    runs()
    assert {*BAD_BILLS} <= {*runs.months()}
    assert "2026-05" not in runs.months()


def test_pages_are_joined(runs: Exports, server: Server) -> None:
    server.billing = {"day": [window(f"2026-07-{day:02}", f"{day}.5") for day in range(1, 6)]}
    server.jobs = JOBS[1:]
    server.page_size = 2
    report = runs()

    assert [(q["month"], "after" in q) for q in runs.queries()] == [
        ("2026-07", False),
        ("2026-07", True),
        ("2026-07", True),
    ]
    assert runs.rows("window_position", "cost_text") == [(day - 1, f"{day}.5") for day in range(1, 6)]
    assert report.endpoints == {"billing_usage": {"here": 1}}


def test_what_is_broken_or_odd_in_a_bill_is_kept_and_told(runs: Exports, answer: Callable[[str, bytes], None]) -> None:
    items = b'{"cost":"1"},7,{"cost":"$2"},{"cost":1.25,"cost":1.5}'
    answer("2026-07", b'{"data":[{"date":"2026-07-01","line_items":[' + items + b"]}]}")
    report = runs(quarantine="keep")
    snapshot = ftetl.open(runs.target)

    assert (report.exit_code, report.quarantined) == (3, 2)
    assert [row["rule"] for row in snapshot.arrow("quarantine").to_pylist()] == ["not_an_object", "duplicate_keys"]
    (anomaly,) = snapshot.arrow("endpoint_anomalies").to_pylist()
    assert (anomaly["group_id"], anomaly["path"], anomaly["raw"]) == ("2026-07", "data.line_items.cost", '"$2"')
    assert runs.rows("billing_period", "line_position", "cost_text")[1:] == [("2026-07", 0, "1"), ("2026-07", 2, None)]
    again = runs("2026-07-21")
    what = "2 windows or line items of the bill of 2026-07 in quarantine: its sum lacks them"
    assert (again.exit_code, what in report.warnings, what in again.warnings) == (0, True, True)


def test_a_month_that_alone_has_no_bill_is_named(runs: Exports, server: Server) -> None:
    server.fail = lambda path: 404 if "month=2026-06" in path else None
    report = runs()

    assert report.endpoints == {"billing_usage": {"gone": 1, "here": 2}}
    assert [w for w in report.warnings if "none of 2026-06; the next run asks for it again" in w]


def test_a_month_whose_line_items_are_all_gone_is_named(runs: Exports, server: Server) -> None:
    runs()
    server.billing = {"day": [window("2026-05-31", "1.00")]}
    report = runs("2026-07-21")

    what = (
        "2 rows of billing_usage are gone, all of 2026-07: the newest response has none; the versions before have them"
    )
    assert (report.exit_code, report.changed, runs.rows("billing_period")) == (0, True, [("2026-05",)])
    assert what in report.warnings


def test_a_rebuild_makes_the_same_bills_again(runs: Exports, server: Server) -> None:
    runs()
    server.billing = {"day": [window("2026-07-04", "3")]}
    runs("2026-08-20")
    before = ftetl.open(runs.target).arrow("billing_usage")
    report = rebuild(runs.target)

    assert (report.rebuilt, report.changed, before.num_rows) == (2, False, 2)
    assert ftetl.open(runs.target).arrow("billing_usage").equals(before)
    runs("2026-08-21")
    assert runs.months() == ["2026-07", "2026-08"]


def test_the_deadline_ends_the_wait_for_a_bill(runs: Exports, server: Server) -> None:
    over = threading.Event()
    server.fail = lambda path: over.wait(60) and None if path.startswith(BILL) else None
    try:
        report = runs(deadline=3)
    finally:
        over.set()

    assert (report.exit_code, report.endpoints) == (3, {"billing_usage": {"failed": 3}})
    assert (report.rows["jobs"], report.rows["billing_usage"]) == (2, 0)
    assert any("failed (the deadline of 3 seconds passed" in line for line in report.warnings)


def test_a_run_that_is_killed_while_it_asks_leaves_the_target_as_it_was(runs: Exports, server: Server) -> None:
    runs("2026-06-01")
    before = runs.rows("billing_period", "cost")
    command = [sys.executable, "-m", "ftetl", "export", str(runs.target), "--billing", "auto", "--base-url", server.url]
    process = subprocess.Popen(command, env={**os.environ, "TOGETHER_API_KEY": server.key})

    def kill(path: str) -> None:
        if path.startswith(f"{BILL}?month=2026-07"):
            process.send_signal(signal.SIGKILL)
            process.wait()

    server.fail = kill  # type: ignore[assignment]
    assert process.wait(60) == -signal.SIGKILL
    assert (runs.rows("billing_period", "cost"), ftetl.open(runs.target).version) == (before, 1)

    server.fail = lambda _: None
    report = runs()
    assert (report.exit_code, runs.months()) == (0, ["2026-05", "2026-06", "2026-07"])
    assert len(runs.rows("cost")) == 3


def test_the_demos_bill_agrees_with_the_costs_but_for_what_is_not_billed(tmp_path: Path) -> None:
    ftetl.export(tmp_path / "target", source="demo", billing="auto")

    found = analysis.reconcile(ftetl.open(tmp_path / "target"))

    differing = found[found.difference_usd != 0]
    assert [str(month)[:7] for month in differing.month] == ["2026-09", "2026-11"]
    assert all(note.startswith("the bill has less") for note in differing.note)
    assert len(found) == 25
