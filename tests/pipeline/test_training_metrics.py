"""The table `training_metrics` over real HTTP: what is asked, how often, and what a failure costs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl import analysis, demo
from ftetl.config.limits import FAILED_DETAILS
from ftetl.demo import Server
from ftetl.pipeline.export import rebuild
from ftetl.run_report import Report
from ftetl.validate.verify import verify_snapshot

AT = "2026-07-02T00:00:00Z"
STATUSES = ("completed", "running", "pending", "error")
NANOSECONDS = 1779196193564587001


def job(number: int, status: str = "completed", **more: Any) -> dict[str, Any]:
    found = {"id": f"ft-{number:02}", "status": status, "created_at": AT, "updated_at": AT}
    return found | {"events": [{"type": "JOB_START", "created_at": AT}]} | more


def entry(step: int, loss: float, kind: str = "train") -> dict[str, Any]:
    return {"timestamp": NANOSECONDS + step, f"{kind}/global_step": step, f"{kind}/loss": loss}


JOBS = [job(number, status) for number, status in enumerate(STATUSES, 1)]
METRICS = {"ft-01": [entry(1, 2.5), entry(2, 2.0), entry(2, 2.25, "eval")], "ft-02": [entry(1, 3.0)], "ft-04": []}


@pytest.fixture
def server() -> Iterator[Server]:
    with demo.serve(JOBS) as running:
        running.metrics = dict(METRICS)
        yield running


class Exports:
    """Runs into one target, a day apart."""

    def __init__(self, server: Server, target: Path) -> None:
        self.server, self.target, self._day = server, target, 10

    def __call__(self, **settings: Any) -> Report:
        self._day += 1
        self.server.requests.clear()
        environ = {"TOGETHER_API_KEY": self.server.key}
        settings = {"observed_at": datetime(2026, 7, self._day, tzinfo=UTC), "metrics": "auto", **settings}
        return ftetl.export(self.target, base_url=self.server.url, environ=environ, files="none", **settings)

    def asked(self) -> list[str]:
        found = (re.fullmatch(r"/v1/fine-tunes/(.*)/metrics", path) for _, path in self.server.requests)
        return sorted(match[1] for match in found if match)

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        return [tuple(row[c] for c in columns) for row in ftetl.open(self.target).arrow(table).to_pylist()]


@pytest.fixture
def runs(server: Server, tmp_path: Path) -> Exports:
    return Exports(server, tmp_path / "target")


ROWS = [
    ("ft-01", 0, 1, "train/loss", 2.5, NANOSECONDS + 1),
    ("ft-01", 1, 2, "train/loss", 2.0, NANOSECONDS + 2),
    ("ft-01", 2, 2, "eval/loss", 2.25, NANOSECONDS + 2),
    ("ft-02", 0, 1, "train/loss", 3.0, NANOSECONDS + 1),
]
SHOWN = ("job_id", "position", "step", "name", "value", "logged_at_ns")


def test_by_default_no_metrics_are_asked_for(runs: Exports) -> None:
    report = runs(metrics="none")
    assert (report.exit_code, report.endpoints, runs.asked()) == (0, {}, [])
    assert runs.rows("training_metrics", *SHOWN) == []


def test_metrics_of_started_jobs_become_rows(runs: Exports) -> None:
    report = runs()
    assert (report.exit_code, report.warnings) == (0, ())
    assert report.endpoints == {"training_metrics": {"here": 3}}
    assert runs.asked() == ["ft-01", "ft-02", "ft-04"]
    assert runs.rows("training_metrics", *SHOWN) == ROWS
    assert verify_snapshot(runs.target).is_intact


def test_finished_jobs_are_asked_for_once_and_running_ones_in_each_run(runs: Exports, server: Server) -> None:
    first = runs()
    second, asked = runs(), runs.asked()
    assert (first.changed, second.changed, asked) == (True, False, ["ft-02"])

    server.metrics = METRICS | {"ft-02": [entry(1, 3.0), entry(2, 1.5)]}
    server.jobs = [job(1), job(2), *JOBS[2:]]
    third, asked_third = runs(), runs.asked()
    fourth, asked_fourth = runs(), runs.asked()

    assert (third.changed, asked_third) == (True, ["ft-02"])
    assert (fourth.changed, asked_fourth) == (False, [])
    assert runs.rows("training_metrics", "job_id", "value")[-2:] == [("ft-02", 3.0), ("ft-02", 1.5)]


def test_a_run_without_the_option_keeps_the_rows_and_what_is_known_for_good(runs: Exports, server: Server) -> None:
    runs()
    server.jobs = [*JOBS, job(5)]
    runs(metrics="none")
    runs()
    assert runs.asked() == ["ft-02", "ft-05"]
    assert runs.rows("training_metrics", *SHOWN) == ROWS


def test_a_run_that_did_not_commit_is_asked_again(runs: Exports, server: Server) -> None:
    server.jobs = [*JOBS, {"id": ""}]
    with pytest.raises(ftetl.errors.DataError):
        runs(quarantine="fail")
    assert runs.asked() == ["ft-01", "ft-02", "ft-04"]
    server.jobs = JOBS
    runs()
    assert runs.asked() == ["ft-01", "ft-02", "ft-04"]
    assert runs.rows("training_metrics", *SHOWN) == ROWS


def test_after_a_run_that_was_killed_between_its_requests_all_are_asked_again(
    runs: Exports, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, started = server.response, []

    def kill(path: str, key: str | None) -> tuple[int, bytes]:
        if path.endswith("ft-02/metrics"):
            started[0].kill()
            started[0].wait()
        return answer(path, key)

    monkeypatch.setattr(server, "response", kill)
    options = ["--base-url", server.url, "--metrics", "auto", "--files", "none", "--concurrency", "1"]
    command = [sys.executable, "-m", "ftetl", "export", str(runs.target), *options]
    started.append(subprocess.Popen(command, env={**os.environ, "TOGETHER_API_KEY": server.key}))
    assert started[0].wait() == -signal.SIGKILL
    assert "ft-02" in runs.asked()
    assert not list(runs.target.glob("snapshots/*/jobs.parquet"))

    monkeypatch.undo()
    assert runs().exit_code == 0
    assert runs.asked() == ["ft-01", "ft-02", "ft-04"]
    assert runs.rows("training_metrics", *SHOWN) == ROWS


def test_a_job_without_metrics_is_asked_for_once_where_others_have_some(runs: Exports, server: Server) -> None:
    server.fail = lambda path: 404 if path.endswith("ft-01/metrics") else None
    first = runs()
    second, asked = runs(), runs.asked()
    assert (first.exit_code, first.warnings) == (second.exit_code, second.warnings) == (0, ())
    assert first.endpoints == {"training_metrics": {"gone": 1, "here": 2}}
    assert asked == ["ft-02"]
    assert runs.rows("training_metrics", "job_id") == [("ft-02",)]


def test_a_service_without_the_endpoint_is_told_once_a_run_and_asked_again(runs: Exports, server: Server) -> None:
    server.fail = lambda path: 404 if path.endswith("/metrics") else None
    first = runs()
    assert (first.exit_code, first.endpoints) == (0, {"training_metrics": {"gone": 3}})
    assert first.warnings == (
        "the service has no training metrics (404) of any of 3 jobs; without --metrics nothing is asked",
    )
    server.fail = lambda _: None
    runs()
    assert runs.asked() == ["ft-01", "ft-02", "ft-04"]
    assert runs.rows("training_metrics", *SHOWN) == ROWS


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_failure_costs_the_metrics_of_its_job_and_is_asked_again(runs: Exports, server: Server, status: int) -> None:
    server.fail = lambda path: status if path.endswith("ft-01/metrics") else None
    report = runs()
    assert (report.exit_code, report.rows["jobs"]) == (3, 4)
    assert report.endpoints == {"training_metrics": {"failed": 1, "here": 2}}
    assert re.match(r"1 of the requests for training_metrics failed \(.*HTTP \d+.*\); the next", report.warnings[0])
    server.fail = lambda _: None
    again = runs()
    assert (again.exit_code, runs.asked()) == (0, ["ft-01", "ft-02"])
    assert runs.rows("training_metrics", *SHOWN) == ROWS


def test_where_the_first_requests_all_fail_no_more_are_sent(runs: Exports, server: Server) -> None:
    server.jobs = [job(number) for number in range(1, 91)]
    server.fail = lambda path: 403 if path.endswith("/metrics") else None
    report = runs(concurrency=2)
    assert (report.exit_code, report.rows["jobs"]) == (3, 90)
    assert report.endpoints == {"training_metrics": {"failed": 90}}
    assert FAILED_DETAILS <= len(runs.asked()) < 2 * FAILED_DETAILS
    assert report.warnings[0].startswith("90 of the requests for training_metrics failed")


@pytest.mark.parametrize("body", [b'{"metrics":[{"train/loss":1}', b'{"data":[]}', b"[1]"])
def test_a_response_that_is_not_usable_keeps_the_rows_and_is_asked_again(
    runs: Exports, server: Server, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    runs()
    answer = server.response
    broken = lambda path, key: (200, body) if path.endswith("/metrics") else answer(path, key)  # noqa: E731
    monkeypatch.setattr(server, "response", broken)
    report = runs()
    assert (report.exit_code, report.endpoints) == (3, {"training_metrics": {"failed": 1}})
    assert runs.rows("training_metrics", *SHOWN) == ROWS
    monkeypatch.undo()
    assert (runs().exit_code, runs.asked()) == (0, ["ft-02"])


def test_odd_values_and_entries_are_told_and_cost_nothing_else(
    runs: Exports, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = server.response
    body = b'{"metrics":[{"train/loss":NaN},{"train/loss":NaN},7,{"train/loss":0.5,"timestamp":5}]}'
    odd = lambda path, key: (200, body) if path.endswith("ft-01/metrics") else answer(path, key)  # noqa: E731
    monkeypatch.setattr(server, "response", odd)
    report = runs()
    assert (report.exit_code, report.quarantined, report.rows["training_metrics"]) == (3, 1, 4)
    assert runs.rows("quarantine", "rule", "source", "raw", "job_id", "position") == [
        ("not_an_object", "GET /fine-tunes/ft-01/metrics", "7", "ft-01", 2)
    ]
    assert runs.rows("endpoint_anomalies", "table_name", "group_id", "path", "kind", "raw", "rows") == [
        ("training_metrics", "ft-01", "metrics.timestamp", "out_of_range", "5", 1),
        ("training_metrics", "ft-01", "metrics.train/loss", "not_finite", "NaN", 2),
    ]
    assert runs.rows("training_metrics", "value", "raw")[:3] == [(None, "NaN"), (None, "NaN"), (0.5, None)]
    assert verify_snapshot(runs.target).is_intact
    assert runs().exit_code == 0


def test_a_rebuild_makes_the_same_rows_again(runs: Exports, server: Server) -> None:
    runs()
    server.metrics = METRICS | {"ft-02": [entry(1, 3.0), entry(2, 1.5)]}
    runs()
    before = ftetl.open(runs.target).arrow("training_metrics")
    report = rebuild(runs.target)
    assert (report.rebuilt, report.changed) == (2, False)
    assert ftetl.open(runs.target).arrow("training_metrics").equals(before)
    runs()
    assert runs.asked() == ["ft-02"]


@pytest.mark.parametrize("pii", ["hash", "drop"])
def test_metrics_hold_no_personal_data(runs: Exports, pii: str, tmp_path: Path) -> None:
    key = tmp_path / "pseudonyms"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    report = runs(pii=pii, **({"pii_key_file": key} if pii == "hash" else {}))
    assert report.exit_code == 0
    assert runs.rows("training_metrics", *SHOWN) == ROWS


def test_saved_responses_have_no_metrics_and_say_so(tmp_path: Path) -> None:
    (tmp_path / "jobs.json").write_text(json.dumps({"data": JOBS}), "utf-8")
    report = ftetl.export(tmp_path / "target", source=tmp_path / "jobs.json", metrics="auto")
    assert report.warnings[0] == "saved responses have no training metrics; --metrics auto asks the API for them"


def test_without_the_endpoint_every_other_table_is_as_with_it(tmp_path: Path, server: Server) -> None:
    with_metrics, without = Exports(server, tmp_path / "a"), Exports(server, tmp_path / "b")
    with_metrics()
    server.metrics = None
    without()
    for name in ("jobs", "events", "stages", "focus_costs", "job_history", "anomalies", "quarantine"):
        files = [target / "current" / f"{name}.parquet" for target in (with_metrics.target, without.target)]
        assert files[0].read_bytes() == files[1].read_bytes(), name


def test_the_demo_has_curves_and_final_losses(tmp_path: Path) -> None:
    with demo.serve(demo.load_jobs()[-40:]) as server:
        server.add_endpoints()
        Exports(server, tmp_path / "target")()
    snapshot = ftetl.open(tmp_path / "target")
    curves = analysis.learning_curves(snapshot, "train/loss")
    assert {*curves.name} == {"train/loss"}
    assert curves.groupby("job_id").step.is_monotonic_increasing.all()
    quality = analysis.cost_and_quality(snapshot)
    assert quality.job_id.is_unique
    assert quality.eval_loss.notna().sum() >= 3
