"""The table `files` and the columns that `jobs` takes from it, over real HTTP: requests, failures, rebuild."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl import demo
from ftetl.demo import Server
from ftetl.pipeline.export import rebuild
from ftetl.run_report import Report
from ftetl.validate.verify import verify_snapshot

AT = "2026-07-02T00:00:00Z"
FILE_COLUMNS = ("training_file_name", "training_file_bytes", "training_file_lines", "validation_file_name")
TRAIN = {"id": "file-t", "filename": "train.jsonl", "bytes": 20, "validation_report": {"valid": True, "nlines": 2}}
CHECK = {"id": "file-v", "filename": "check.jsonl", "bytes": 7}
FILES = "/v1/files"


def job(number: int, **more: Any) -> dict[str, Any]:
    found = {"id": f"ft-{number:02}", "status": "completed", "created_at": AT, "updated_at": AT}
    return found | {"events": [{"type": "JOB_COMPLETE", "created_at": AT}]} | more


JOBS = [job(1, training_file="file-t", validation_file="file-v"), job(2, training_file="file-gone"), job(3)]


@pytest.fixture
def server() -> Iterator[Server]:
    with demo.serve(JOBS) as running:
        running.files = [TRAIN, CHECK]
        yield running


class Exports:
    """Runs into one target, a day apart."""

    def __init__(self, server: Server, target: Path) -> None:
        self.server, self.target, self._day = server, target, 10

    def __call__(self, **settings: Any) -> Report:
        self._day += 1
        self.server.requests.clear()
        environ = {"TOGETHER_API_KEY": self.server.key}
        settings = {"observed_at": datetime(2026, 7, self._day, tzinfo=UTC), **settings}
        return ftetl.export(self.target, base_url=self.server.url, environ=environ, **settings)

    def asked(self) -> list[str]:
        return [path for _, path in self.server.requests if path == FILES]

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        return [tuple(row[c] for c in columns) for row in ftetl.open(self.target).arrow(table).to_pylist()]


@pytest.fixture
def runs(server: Server, tmp_path: Path) -> Exports:
    return Exports(server, tmp_path / "target")


def test_jobs_tell_the_names_and_sizes_of_their_files(runs: Exports) -> None:
    report = runs()

    assert (report.exit_code, report.warnings, report.endpoints) == (0, (), {"files": {"here": 1}})
    assert runs.rows("jobs", *FILE_COLUMNS) == [("train.jsonl", 20, 2, "check.jsonl"), (None,) * 4, (None,) * 4]
    assert runs.rows("files", "file_id", "present") == [("file-t", True), ("file-v", True)]
    assert verify_snapshot(runs.target).is_intact


def test_each_run_sends_one_request_and_the_same_files_change_nothing(runs: Exports) -> None:
    first, asked_first = runs(), runs.asked()
    second, asked_second = runs(), runs.asked()

    assert (asked_first, asked_second) == ([FILES], [FILES])
    assert (first.changed, second.changed) == (True, False)


def test_with_none_no_request_is_sent_and_known_files_stay(runs: Exports) -> None:
    runs()
    report = runs(files="none")

    assert (runs.asked(), report.changed, report.endpoints) == ([], False, {})
    assert len(runs.rows("files", "file_id")) == 2


def test_a_deleted_file_is_missing_and_its_jobs_still_name_it(runs: Exports, server: Server) -> None:
    runs()
    server.files = [CHECK]
    report = runs()

    assert report.changed
    assert runs.rows("files", "file_id", "present") == [("file-t", False), ("file-v", True)]
    assert runs.rows("jobs", *FILE_COLUMNS)[0] == ("train.jsonl", 20, 2, "check.jsonl")


@pytest.mark.parametrize("body", [b'{"data": []}', b'{"data": null}', b"[]"])
def test_an_empty_list_after_files_is_a_warning_once(
    runs: Exports, server: Server, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    runs()
    answer = server.response
    monkeypatch.setattr(server, "response", lambda path, key: (200, body) if path == FILES else answer(path, key))

    what = "the list of files is empty: 2 rows became `present` = false"
    assert [what in runs().warnings, what in runs().warnings] == [True, False]
    assert runs.rows("files", "file_id", "present") == [("file-t", False), ("file-v", False)]


def test_a_file_that_comes_later_is_told_of_stored_jobs_too(runs: Exports, server: Server) -> None:
    runs()
    server.files = [TRAIN, CHECK, {"id": "file-gone", "filename": "old.csv"}]
    report = runs()

    assert (report.changed, report.new, report.changed_jobs) == (True, 0, 0)
    assert runs.rows("jobs", "training_file_name") == [("train.jsonl",), ("old.csv",), (None,)]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 410, 501])
def test_a_service_that_does_not_show_files_costs_nothing(runs: Exports, server: Server, status: int) -> None:
    runs()
    server.fail = lambda path: status if path == FILES else None
    report = runs()

    assert (report.exit_code, report.warnings, report.changed) == (0, (), False)
    assert (report.endpoints, len(runs.asked())) == ({"files": {"gone": 1}}, 1)
    assert runs.rows("jobs", *FILE_COLUMNS)[0] == ("train.jsonl", 20, 2, "check.jsonl")


def test_files_that_cannot_be_fetched_now_make_the_run_partial_and_keep_what_is_known(
    runs: Exports, server: Server
) -> None:
    runs()
    server.fail = lambda path: 503 if path == FILES else None
    server.jobs = [*JOBS, job(4, training_file="file-t")]
    report = runs()

    assert (report.exit_code, report.new, report.endpoints) == (3, 1, {"files": {"failed": 1}})
    assert re.fullmatch(r"1 of the requests for files failed \(.*HTTP 503.*\); the next run .*", report.warnings[0])
    assert runs.rows("jobs", "training_file_name") == [("train.jsonl",), (None,), (None,), ("train.jsonl",)]


@pytest.mark.parametrize(
    "body", [b'{"data":[{"id":"file-t"},', b'{"data":[],"has_more":true}', b'{"files":[]}', b"[[]"]
)
def test_a_response_that_is_not_usable_is_told_and_keeps_what_is_known(
    runs: Exports, server: Server, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    runs()
    answer = server.response
    monkeypatch.setattr(server, "response", lambda path, key: (200, body) if path == FILES else answer(path, key))
    report = runs()

    assert (report.exit_code, report.changed, report.endpoints) == (3, False, {"files": {"failed": 1}})
    assert report.warnings[0].startswith("GET /files")
    assert len(runs.rows("files", "file_id")) == 2


def test_an_odd_file_is_quarantined_and_costs_no_job_and_no_other_file(runs: Exports, server: Server) -> None:
    server.files = [TRAIN, {"filename": "no id"}, {**CHECK, "bytes": "7"}]  # type: ignore[list-item]
    report = runs()

    assert (report.exit_code, report.quarantined, report.rows["jobs"], report.rows["files"]) == (3, 1, 3, 2)
    assert runs.rows("quarantine", "rule", "source", "raw") == [("no_id", "GET /files", '{"filename":"no id"}')]
    assert runs.rows("endpoint_anomalies", "table_name", "group_id", "path", "kind", "raw", "rows") == [
        ("files", "file-v", "bytes", "wrong_type", '"7"', 1)
    ]


def test_without_the_endpoint_every_other_cell_is_as_with_it(tmp_path: Path, server: Server) -> None:
    with_files, without = Exports(server, tmp_path / "a"), Exports(server, tmp_path / "b")
    with_files()
    server.files = None
    without()

    for table in ("jobs", "events", "stages", "focus_costs", "job_history", "anomalies", "quarantine"):
        a, b = ftetl.open(with_files.target).arrow(table), ftetl.open(without.target).arrow(table)
        columns = [name for name in a.column_names if name not in FILE_COLUMNS]
        assert a.select(columns).equals(b.select(columns))
    assert without.rows("jobs", *FILE_COLUMNS) == [(None,) * 4] * 3


def test_a_rebuild_makes_the_same_files_again(runs: Exports, server: Server) -> None:
    runs()
    server.files = [{**TRAIN, "bytes": 21}]
    runs()
    before = ftetl.open(runs.target).arrow("files")
    report = rebuild(runs.target)

    assert (report.rebuilt, report.changed) == (2, False)
    assert ftetl.open(runs.target).arrow("files").equals(before)
    assert runs.rows("files", "file_id", "bytes", "present") == [("file-t", 21, True), ("file-v", 7, False)]


@pytest.mark.parametrize("pii", ["hash", "drop"])
def test_names_of_files_are_personal_data(runs: Exports, pii: str, tmp_path: Path) -> None:
    key = tmp_path / "pseudonyms"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    runs(pii=pii, **({"pii_key_file": key} if pii == "hash" else {}))

    names = [name for (name,) in runs.rows("files", "filename")]
    assert all(name is None if pii == "drop" else name not in (None, "train.jsonl", "check.jsonl") for name in names)
    assert runs.rows("jobs", "training_file_name")[0] == (names[0],)
    written = b"".join(path.read_bytes() for path in runs.target.rglob("*") if path.is_file())
    assert b"train.jsonl" not in written


def test_a_secret_in_a_file_is_masked(runs: Exports, server: Server) -> None:
    server.files = [{**TRAIN, "hf_api_token": "hf_abcdefghijklmnopqrstuvwxyz012345"}]
    report = runs()

    assert runs.rows("files", "extra") == [('{"hf_api_token":"***"}',)]
    assert sum(report.masked.values()) == 1


def test_the_report_of_the_command_is_json_with_the_outcomes(runs: Exports) -> None:
    assert json.loads(json.dumps(runs().as_dict()))["endpoints"] == {"files": {"here": 1}}
