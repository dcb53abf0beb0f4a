"""Which details are asked for, counted at the server, and what a run that died leaves for the next one."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl import demo
from ftetl.demo import Server
from ftetl.errors import DataError, FtetlError
from ftetl.extract.archive import Archive
from ftetl.extract.details import fingerprints
from ftetl.extract.details.cache import PACKED_FROM, DetailCache
from ftetl.pipeline import export as pipeline_export
from ftetl.run_report import Report
from ftetl.store.target import Target

Job = dict[str, Any]
LIST = "/v1/fine-tunes"
FILES = "/v1/files"
WHOAMI = ("/v3/whoami", "/v1/whoami")
CREATED = "2026-07-01T00:00:00Z"
RUN = """
import sys, ftetl
from ftetl.extract.details import cache
cache.PACKED_FROM = int(sys.argv[4])
ftetl.export(sys.argv[1], base_url=sys.argv[2], concurrency=4, observed_at=sys.argv[3])
"""


def day(number: int, hour: int = 0) -> datetime:
    return datetime(2026, 7, number, hour, tzinfo=UTC)


def job(number: int, *, ended: int | None = 2, **more: Any) -> Job:
    """A job that ended on this day of July, or one that still runs."""
    updated = f"2026-07-{ended or 2:02}T00:00:00Z"
    events = [{"type": "JOB_START", "created_at": CREATED}]
    events += [{"type": "JOB_COMPLETE", "created_at": updated}] * (ended is not None)
    status = "running" if ended is None else "completed"
    found = {"id": f"ft-{number:02}", "status": status, "created_at": CREATED, "updated_at": updated}
    return found | {"param_count": number, "events": events} | more


def export(server: Server, target: Path, on: datetime, **settings: Any) -> Report:
    server.requests.clear()
    environ = {"TOGETHER_API_KEY": server.key}
    return ftetl.export(target, base_url=server.url, environ=environ, observed_at=on, **settings)


def asked(server: Server) -> set[str]:
    """The jobs whose detail was asked for; the list and the files were asked for once, and nothing twice."""
    counts = Counter(path for _, path in server.requests)
    assert [counts.pop(path) for path in (LIST, FILES, *WHOAMI)] == [1, 1, 1, 1]
    assert set(counts.values()) <= {1}
    return {path.removeprefix(f"{LIST}/") for path in counts}


def files(target: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (target / "current").iterdir()}


def rows(target: Path, table: str = "jobs") -> dict[str, Job]:
    return {row["job_id"]: row for row in ftetl.open(target).arrow(table).to_pylist()}


def kept(target: Path) -> list[Path]:
    return sorted((target / "_ftetl" / "details").iterdir())


@pytest.fixture
def server() -> Iterator[Server]:
    with demo.serve(jobs=[job(n) for n in range(12)]) as running:
        yield running


class TestRequests:
    @pytest.mark.parametrize(
        ("hour", "late"), [(0, set()), (12, {"ft-00"}), (23, {"ft-00"})], ids=["3 days", "less", "much less"]
    )
    def test_an_unchanged_run_asks_for_what_is_not_settled(
        self, server: Server, tmp_path: Path, hour: int, late: set[str]
    ) -> None:
        ended = f"2026-07-10T{hour:02}:00:00Z"
        first = job(0, updated_at=ended, events=[{"type": "JOB_COMPLETE", "created_at": ended}])
        server.jobs = [first, job(1, ended=None), *(job(n) for n in range(2, 10)), job(10, ended=12)]
        report = export(server, tmp_path / "t", day(13))
        assert len(asked(server)) == report.requests - 4 == 11
        before = files(tmp_path / "t")
        again = export(server, tmp_path / "t", day(13))
        assert asked(server) == late | {"ft-01", "ft-10"}
        assert (again.changed, again.received) == (False, 11 + len(late) + 2)
        assert files(tmp_path / "t") == before

    def test_one_changed_job_is_one_detail_more(self, server: Server, tmp_path: Path) -> None:
        export(server, tmp_path / "t", day(20))
        server.jobs = [*server.jobs[:5], job(5, token_count=9), *server.jobs[6:]]
        report = export(server, tmp_path / "t", day(21))
        assert asked(server) == {"ft-05"}
        assert (report.changed_jobs, report.new) == (1, 0)
        export(server, tmp_path / "t", day(22))
        assert asked(server) == set()

    @pytest.mark.parametrize("events", ["list", "none"])
    def test_without_details_none_is_asked_for_and_none_is_forgotten(
        self, server: Server, tmp_path: Path, events: str
    ) -> None:
        export(server, tmp_path / "t", day(20))
        before = files(tmp_path / "t")
        report = export(server, tmp_path / "t", day(21), events=events)
        assert asked(server) == set()
        assert not report.changed
        server.jobs = [*server.jobs[:5], job(5, token_count=9), *server.jobs[6:]]
        export(server, tmp_path / "t", day(22), events=events)
        assert asked(server) == set()
        export(server, tmp_path / "t", day(23))
        assert asked(server) == {"ft-05"}
        assert files(tmp_path / "t").keys() == before.keys()

    def test_another_order_asks_for_nothing(self, server: Server, tmp_path: Path) -> None:
        export(server, tmp_path / "t", day(20))
        before = files(tmp_path / "t")
        data = json.loads(server.list_body)["data"]
        server.list_body = json.dumps({"data": [dict(reversed(i.items())) for i in reversed(data)]}, indent=1).encode()
        assert not export(server, tmp_path / "t", day(21)).changed
        assert asked(server) == set()
        assert files(tmp_path / "t") == before

    def test_a_job_listed_twice_is_never_confirmed(self, server: Server, tmp_path: Path) -> None:
        data = json.loads(server.list_body)["data"]
        server.list_body = json.dumps({"data": [*data, data[0]]}).encode()
        for at in (20, 21):
            report = export(server, tmp_path / "t", day(at))
            assert data[0]["id"] in asked(server)
            assert report.anomalies == {"duplicate_identical": 1}
        assert not report.changed

    @pytest.mark.usefixtures("quick_retries")
    @pytest.mark.parametrize(("status", "state", "code"), [(404, "unknown", 0), (500, "unknown", 3)])
    def test_a_detail_that_did_not_come_is_asked_for_again(
        self, server: Server, tmp_path: Path, status: int, state: str, code: int
    ) -> None:
        for at in (20, 21):
            server.fail = lambda path: status if path.endswith("ft-03") else None
            report = export(server, tmp_path / "t", day(at))
            assert report.exit_code == code
            assert {"ft-03"} <= {path.rpartition("/")[2] for _, path in server.requests}
            assert rows(tmp_path / "t")["ft-03"]["events_state"] == state
            assert report.anomalies == ({"deleted_meanwhile": 1} if status == 404 else {})
        server.fail = lambda _: None
        assert export(server, tmp_path / "t", day(22)).exit_code == 0
        assert asked(server) == {"ft-03"}
        assert rows(tmp_path / "t")["ft-03"]["events_state"] == "detail"

    def test_what_came_before_the_deadline_is_committed(self, server: Server, tmp_path: Path) -> None:
        over, sent = threading.Event(), itertools.count()

        def hang(path: str) -> None:
            if "/fine-tunes/" in path and next(sent) >= 4:
                over.wait(60)

        server.fail = hang
        try:
            report = export(server, tmp_path / "t", day(20), deadline=3.0, concurrency=2)
        finally:
            over.set()
        server.fail = lambda _: None
        assert report.exit_code == 3
        assert report.details == {"failed": 8, "here": 4}
        had = {i for i, row in rows(tmp_path / "t").items() if row["events_state"] == "detail"}
        assert len(had) == report.details["here"]
        assert export(server, tmp_path / "t", day(20)).exit_code == 0
        assert asked(server) == rows(tmp_path / "t").keys() - had


class TestConfirmed:
    def test_the_rows_of_unchanged_jobs_stay_as_they_are(self, server: Server, tmp_path: Path) -> None:
        export(server, tmp_path / "t", day(20))
        before = {table: rows(tmp_path / "t", table) for table in ("jobs", "events", "job_history")}
        server.jobs = [job(0, token_count=3), *server.jobs[1:]]
        report = export(server, tmp_path / "t", day(21))
        assert (report.changed_jobs, report.vanished) == (1, 0)
        for table, old in before.items():
            new = rows(tmp_path / "t", table)
            assert {i for i in old if old[i] != new[i]} <= {"ft-00"}
        assert all(row["present"] for row in rows(tmp_path / "t").values())

    def test_a_job_that_was_gone_and_comes_back_unchanged_is_present(self, server: Server, tmp_path: Path) -> None:
        everything = list(server.jobs)
        export(server, tmp_path / "t", day(20))
        old = rows(tmp_path / "t")
        server.jobs = everything[1:]
        assert export(server, tmp_path / "t", day(21)).vanished == 1
        assert [i for i, row in rows(tmp_path / "t").items() if not row["present"]] == ["ft-00"]
        server.jobs = everything
        report = export(server, tmp_path / "t", day(22))
        assert asked(server) == set()
        assert (report.changed_jobs, report.vanished) == (1, 0)
        assert rows(tmp_path / "t") == {**old, "ft-00": old["ft-00"] | {"last_changed_at": day(22)}}

    def test_a_job_that_comes_back_in_a_list_of_the_same_instant_is_present(
        self, server: Server, tmp_path: Path
    ) -> None:
        everything = list(server.jobs)
        export(server, tmp_path / "t", day(20))
        server.jobs = everything[1:]
        export(server, tmp_path / "t", day(21))
        server.jobs = everything
        export(server, tmp_path / "t", day(21))
        assert all(row["present"] for row in rows(tmp_path / "t").values())

    def test_a_saved_list_of_an_earlier_day_takes_nothing_back(self, server: Server, tmp_path: Path) -> None:
        export(server, tmp_path / "t", day(21))
        before = rows(tmp_path / "t")
        (tmp_path / "saved.json").write_text(json.dumps({"data": server.jobs[:6]}))
        ftetl.export(tmp_path / "t", source=tmp_path / "saved.json", observed_at=day(20))
        assert rows(tmp_path / "t") == before

    def test_a_job_is_asked_about_once_more_after_its_refund_where_runs_are_rare(
        self, server: Server, tmp_path: Path
    ) -> None:
        listed = {"ft-00": server.jobs[0]}
        server.jobs = [server.jobs[0]]
        export(server, tmp_path / "t", day(2, 1))  # an hour after it ended
        server.jobs = [listed["ft-00"] | {"refund_amount": 7}]  # which only a detail has
        for on, jobs in ((12, {"ft-00"}), (13, set()), (22, set())):
            export(server, tmp_path / "t", day(on))
            assert asked(server) == jobs, on
        assert rows(tmp_path / "t")["ft-00"]["refund_amount_nanousd"] == 7

    def test_a_run_without_details_does_not_count_as_having_asked(self, server: Server, tmp_path: Path) -> None:
        server.jobs = [server.jobs[0]]
        export(server, tmp_path / "t", day(2, 1))
        export(server, tmp_path / "t", day(11), events="list")
        export(server, tmp_path / "t", day(12))
        assert asked(server) == {"ft-00"}
        export(server, tmp_path / "t", day(13))
        assert asked(server) == set()

    def test_a_saved_answer_takes_its_jobs_out_of_the_memory(self, server: Server, tmp_path: Path) -> None:
        export(server, tmp_path / "t", day(20))
        known = fingerprints.read_fingerprints(tmp_path / "t" / "current")
        assert len(known) == 12
        (tmp_path / "saved.ndjson").write_text(json.dumps(job(3, token_count=4)) + "\n" + json.dumps(job(99)))
        ftetl.export(tmp_path / "t", source=tmp_path / "saved.ndjson", observed_at=day(21))
        assert fingerprints.read_fingerprints(tmp_path / "t" / "current") == {
            i: d for i, d in known.items() if i != "ft-03"
        }
        server.jobs = [*server.jobs, job(99)]
        export(server, tmp_path / "t", day(22))
        assert asked(server) == {"ft-03", "ft-99"}

    def test_the_drift_report_does_not_miss_what_confirmed_rows_tell(self, server: Server, tmp_path: Path) -> None:
        first = export(server, tmp_path / "t", day(20))
        assert export(server, tmp_path / "t", day(21)).drift == first.drift


class TestResume:
    """A run that is killed in the middle of its details, and the one after it."""

    JOBS = 40

    @pytest.fixture
    def killed(self, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Server, Path, list[str]]]:
        """A server, a target that a run was killed over, and the jobs that it had answered for."""
        with demo.serve(jobs=[job(n, ended=2 if n % 3 else None) for n in range(self.JOBS)], latency=0.04) as server:
            environ = {**os.environ, "TOGETHER_API_KEY": server.key, "PYTHONPATH": str(Path(ftetl.__file__).parents[1])}
            words = [sys.executable, "-c", RUN, str(tmp_path / "t"), server.url, day(20).isoformat()]
            words.append(str(getattr(request, "param", PACKED_FROM)))
            run = subprocess.Popen(words, env=environ)
            try:
                end = time.monotonic() + 60
                while len(server.requests) < self.JOBS // 2 and run.poll() is None and time.monotonic() < end:
                    time.sleep(0.005)
            finally:
                run.send_signal(signal.SIGKILL)
                run.wait()
            server.latency = 0.0
            assert not (tmp_path / "t" / "current").exists()
            answered = [path.rpartition("/")[2] for _, path in server.requests if path not in {LIST, *WHOAMI}]
            assert self.JOBS // 3 <= len(answered) < self.JOBS
            yield server, tmp_path / "t", answered

    @pytest.mark.parametrize("killed", [PACKED_FROM, 1], indirect=True, ids=["files", "pack"])
    def test_no_detail_that_was_kept_is_asked_for_twice_and_the_tables_are_the_same(
        self, killed: tuple[Server, Path, list[str]], tmp_path: Path
    ) -> None:
        server, target, answered = killed
        lines = b"".join(path.read_bytes() for path in kept(target)).splitlines()
        had = {json.loads(line)["job_id"] for line in lines}
        report = export(server, target, day(20))
        again = asked(server)
        assert not again & had
        assert len(again & set(answered)) <= 3 * 4  # under way, come, or taken and not yet kept, when it died
        assert len(again | had) == self.JOBS
        assert report.details == {"here": self.JOBS}
        export(server, tmp_path / "other", day(20))
        assert files(target) == files(tmp_path / "other")
        assert kept(target) == []
        assert not list((target / "_ftetl").rglob(".tmp-*"))
        assert not pipeline_export.rebuild(target).changed

    def test_a_kept_detail_counts_only_while_its_list_item_is_the_same(
        self, killed: tuple[Server, Path, list[str]], tmp_path: Path
    ) -> None:
        server, target, _ = killed
        had = json.loads(kept(target)[0].read_bytes().splitlines()[0])["job_id"]
        server.jobs = [j | {"token_count": 8} if j["id"] == had else j for j in server.jobs]
        export(server, target, day(20))
        assert had in asked(server)
        assert rows(target)[had]["token_count"] == 8
        export(server, tmp_path / "other", day(20))
        assert files(target) == files(tmp_path / "other")

    @pytest.mark.parametrize("killed", [1], indirect=True)
    def test_a_pack_that_lost_its_end_costs_the_requests_of_its_end(
        self, killed: tuple[Server, Path, list[str]], tmp_path: Path
    ) -> None:
        server, target, _ = killed
        (path,) = kept(target)
        entries = [json.loads(line) for line in path.read_bytes().splitlines()]
        (pack,) = (target / "_ftetl" / "archive").glob("details-*.zst")
        pack.write_bytes(pack.read_bytes()[:-1])
        assert export(server, target, day(20)).exit_code == 0
        again = asked(server)
        assert entries[-1]["job_id"] in again
        assert entries[0]["job_id"] not in again
        export(server, tmp_path / "other", day(20))
        assert files(target) == files(tmp_path / "other")
        assert not pipeline_export.rebuild(target).changed

    def test_damage_to_what_was_kept_costs_a_request_each(
        self, killed: tuple[Server, Path, list[str]], tmp_path: Path
    ) -> None:
        server, target, _ = killed
        (path,) = kept(target)
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"\xff\n[]\n{}\n" + b"".join(lines)[:-20])
        entries = [json.loads(line) for line in lines]
        archive = target / "_ftetl" / "archive"
        (archive / f"{entries[0]['sha256']}.zst").unlink()
        (archive / f"{entries[1]['sha256']}.zst").write_bytes(b"torn")
        assert export(server, target, day(20)).exit_code == 0
        again = asked(server)
        assert {entries[at]["job_id"] for at in (0, 1, -1)} <= again
        assert not {e["job_id"] for e in entries[2:-1]} & again
        export(server, tmp_path / "other", day(20))
        assert files(target) == files(tmp_path / "other")
        assert not pipeline_export.rebuild(target).changed

    def test_runs_that_ask_for_no_details_leave_what_was_kept(
        self, killed: tuple[Server, Path, list[str]], tmp_path: Path
    ) -> None:
        server, target, _ = killed
        had = {json.loads(line)["job_id"] for line in kept(target)[0].read_bytes().splitlines()}
        (tmp_path / "saved.ndjson").write_text(json.dumps(job(99)))
        ftetl.export(target, source=tmp_path / "saved.ndjson", observed_at=day(19))
        export(server, target, day(20), events="none")
        export(server, target, day(21))
        assert not asked(server) & had
        assert kept(target) == []

    def test_a_run_that_died_behind_its_commit_leaves_nothing_that_counts(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.jobs = [job(1, ended=None)]
        with monkeypatch.context() as patch:
            patch.setattr(DetailCache, "clear", lambda _: None)
            export(server, tmp_path / "t", day(20))
        assert len(kept(tmp_path / "t")) == 1
        export(server, tmp_path / "t", day(21))
        assert asked(server) == {"ft-01"}
        assert kept(tmp_path / "t") == []

    def test_a_run_that_a_guard_refused_paid_for_its_details(self, server: Server, tmp_path: Path) -> None:
        export(server, tmp_path / "t", day(20))
        before = files(tmp_path / "t")
        server.jobs = [job(50), job(51)]
        with pytest.raises(DataError):
            export(server, tmp_path / "t", day(21))
        assert asked(server) == {"ft-50", "ft-51"}
        assert files(tmp_path / "t") == before
        report = export(server, tmp_path / "t", day(21), allow_shrink=True, allow_account_change=True)
        assert asked(server) == set()
        assert (report.new, report.vanished, report.details) == (2, 12, {"here": 2})

    def test_a_key_that_is_refused_meanwhile_loses_nothing_that_came(self, server: Server, tmp_path: Path) -> None:
        server.fail = lambda path: 401 if path.endswith("ft-00") else None  # the list has the newest job first
        with pytest.raises(FtetlError):
            export(server, tmp_path / "t", day(20), concurrency=1)
        had = {path.rpartition("/")[2] for _, path in server.requests} - {"ft-00", "fine-tunes", "whoami"}
        server.fail = lambda _: None
        export(server, tmp_path / "t", day(20))
        assert len(asked(server) & had) <= 2


def test_no_secret_reaches_the_archive(tmp_path: Path) -> None:
    secret = "canary-of-a-token"
    with demo.serve(jobs=[job(1, wandb_key=secret, hf_api_token=secret)]) as server:
        data = json.loads(server.list_body)["data"]
        server.list_body = json.dumps({"data": [data[0] | {"wandb_key": secret}]}).encode()
        export(server, tmp_path / "t", day(20))
        export(server, tmp_path / "t", day(21))
        assert asked(server) == set()
    with Target(tmp_path / "t") as target, Archive(target) as opened:
        names = [p.stem for p in (tmp_path / "t" / "_ftetl" / "archive").glob("*.zst")]
        bodies = [opened.read_body(name) for name in names]
    assert len(bodies) == 2
    assert not any(secret.encode() in body for body in bodies)
    assert not pipeline_export.rebuild(tmp_path / "t").changed
