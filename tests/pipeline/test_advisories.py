"""Warnings of a run that went well are in its report."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl import demo
from ftetl.errors import DataError
from ftetl.pipeline import advisories
from tests.demo.generator import generate_jobs


def saved(folder: Path, answer: Any) -> Path:
    file = folder / "answer.json"
    file.write_text(json.dumps(answer))
    return file


def test_files_of_a_folder_that_were_not_read_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    (folder / "deeper").mkdir(parents=True)
    saved(folder, [{"id": "a"}])
    (folder / "b.json.bz2").write_bytes(b"")

    report = ftetl.export(tmp_path / "target", source=folder)

    assert [line for line in report.warnings if "were not read: b.json.bz2, deeper" in line]


def test_a_response_from_the_future_is_a_warning(tmp_path: Path) -> None:
    moment = datetime.now(UTC) + timedelta(days=400)

    report = ftetl.export(tmp_path / "target", source=saved(tmp_path, [{"id": "a"}]), observed_at=moment)

    assert [line for line in report.warnings if "observed in the future" in line]


def test_a_version_that_lost_its_csv_is_a_warning(tmp_path: Path) -> None:
    source = saved(tmp_path, [{"id": "a"}])
    assert not ftetl.export(tmp_path / "target", source=source, formats=("csv",)).warnings

    assert not ftetl.export(tmp_path / "target", source=source).warnings  # the target remembers its formats
    report = ftetl.export(tmp_path / "target", source=source, formats=("parquet",))

    assert report.warnings == ("from this version on there are no csv files; --format csv writes them again",)


def test_a_csv_with_more_rows_than_a_sheet_is_a_warning_and_not_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advisories, "SHEET_ROWS", 4)
    source = saved(tmp_path, [{"id": "a"}, {"id": "b"}, {"id": "c"}])
    assert not ftetl.export(tmp_path / "target", source=source, formats=("csv",)).warnings
    source = saved(tmp_path, [{"id": name} for name in "abcd"])

    assert not ftetl.export(tmp_path / "parquet", source=source).warnings
    report = ftetl.export(tmp_path / "target", source=source, formats=("csv",))

    assert report.warnings == tuple(
        f"{name}.csv has 4 rows, of which a spreadsheet shows 3; read the Parquet file"
        for name in ("job_history", "jobs")
    )
    assert len((tmp_path / "target" / "current" / "jobs.csv").read_bytes().splitlines()) == 5


@pytest.mark.parametrize(("gone", "code"), [(True, 3), (False, 0)])
def test_details_that_are_all_unknown_are_no_deletions(tmp_path: Path, gone: bool, code: int) -> None:
    def fail(path: str) -> int | None:
        return 404 if gone and path.count("/") > 2 else None

    with demo.serve(generate_jobs(count=15), fail=fail) as server:
        report = ftetl.export(
            tmp_path / "target", base_url=server.url, environ={"TOGETHER_API_KEY": server.key}, project="x"
        )

    assert report.exit_code == code
    assert bool([line for line in report.warnings if "404" in line]) is gone


@pytest.mark.parametrize(
    "answer",
    [
        {"data": [], "links": {"next": "/v1/fine-tunes?after=1"}},
        {"pagination": {"has_more": True}, "data": []},
    ],
)
def test_a_page_of_several_is_refused_wherever_it_says_so(tmp_path: Path, answer: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="one page of several"):
        ftetl.export(tmp_path / "target", source=saved(tmp_path, answer))


def test_what_a_service_said_instead_is_kept_for_a_look(tmp_path: Path) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Odd(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"error":{"message":"odd"},"wandb_key":"secret-value"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Odd) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with pytest.raises(DataError):
                ftetl.export(
                    tmp_path / "target",
                    base_url=f"http://127.0.0.1:{server.server_port}",
                    environ={"TOGETHER_API_KEY": "a-key-of-the-tests"},
                    deadline=20,
                )
        finally:
            server.shutdown()
            thread.join()

    (evidence,) = (tmp_path / "target" / "_ftetl" / "failed").glob("*/*")
    assert b'"message":"odd"' in evidence.read_bytes()
    assert b"secret-value" not in evidence.read_bytes()


@pytest.mark.parametrize(("counts", "told"), [([100, 100], True), ([99, 100], False), ([101, 101], False)])
def test_a_round_number_of_jobs_twice_in_a_row_is_a_warning(tmp_path: Path, counts: list[int], told: bool) -> None:
    for day, count in enumerate(counts):
        report = ftetl.export(
            tmp_path / "target",
            source=saved(tmp_path, {"data": [{"id": f"ft-{day + n}"} for n in range(count)]}),
            observed_at=datetime(2026, 7, 1 + day, tzinfo=UTC),
        )

    assert any(f"exactly {counts[-1]} jobs" in line for line in report.warnings) is told


def test_a_run_that_read_no_whole_list_says_nothing_of_round_numbers(tmp_path: Path) -> None:
    listed = {"data": [{"id": f"ft-{n}"} for n in range(100)]}
    ftetl.export(tmp_path / "target", source=saved(tmp_path, listed), observed_at=datetime(2026, 7, 1, tzinfo=UTC))

    report = ftetl.export(tmp_path / "target", source=saved(tmp_path, {"id": "ft-new"}))

    assert not [line for line in report.warnings if "exactly" in line]


@pytest.mark.parametrize(
    ("settings", "told"),
    [({}, [0, 1, 0]), ({"project": "search"}, [0, 0, 0]), ({"billing_account": "org-1"}, [0, 0, 0])],
)
def test_a_missing_billing_account_is_a_warning_once_with_the_first_charges(
    tmp_path: Path, settings: dict[str, str], told: list[int]
) -> None:
    found = []
    for day, price in enumerate((0, 5, 7)):
        job = {"id": f"ft-{day}", "total_price": price, "created_at": "2026-07-02T08:10:14Z"}
        observed = datetime(2026, 7, 3 + day, tzinfo=UTC)
        report = ftetl.export(tmp_path / "target", source=saved(tmp_path, job), observed_at=observed, **settings)
        found.append(sum("--billing-account" in line for line in report.warnings))

    assert found == told


def test_another_billing_account_than_before_is_a_warning(tmp_path: Path) -> None:
    job = saved(tmp_path, {"id": "ft-1", "total_price": 5, "created_at": "2026-07-02T08:10:14Z"})
    target = tmp_path / "target"

    ftetl.export(target, source=job, billing_account="org-1")
    same = ftetl.export(target, source=job, billing_account="org-1")
    forgotten = ftetl.export(target, source=job, project="default")

    assert (same.changed, same.warnings) == (False, ())
    assert [line for line in forgotten.warnings if "billing account" in line] == [
        "the billing account in focus_costs was 'org-1' and is now 'default', in all rows"
    ]
