"""Every run leaves a record, however it ended."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl.clock import parse_iso
from ftetl.errors import ConfigError, DataError, FtetlError, SoftwareError, StorageError, TargetError, TryLaterError
from ftetl.pipeline import export, run_log
from ftetl.pipeline import run as pipeline_run
from ftetl.store.target import Target

DAY = "2026-07-02T08:10:14Z"
FACTS = {
    *("run_id", "started_at", "seconds", "source", "project", "version", "changed", "exit_code", "exit", "code"),
    *("requests", "bytes_read", "received", "new", "changed_jobs", "vanished", "rows", "quarantined", "anomalies"),
    *("refunds", "details", "drift", "warnings", "message"),
}


@pytest.fixture
def answer(tmp_path: Path) -> Path:
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"data": [{"id": "ft-1", "status": "pending"}, {"id": "ft-2", "new": 1}, 7]}))
    return path


@pytest.fixture
def target(tmp_path: Path, answer: Path) -> Path:
    """A target in which one run was."""
    ftetl.export(tmp_path / "t", source=answer, observed_at=DAY)
    return tmp_path / "t"


def files(target: Path) -> list[Path]:
    return sorted((target / "_ftetl" / "runs").iterdir())


def read(target: Path) -> list[ftetl.Report]:
    damaged: list[str] = []
    found = run_log.read_records(target, damaged)
    assert damaged == []
    return found


class TestEveryRun:
    def test_is_recorded_with_all_its_facts(self, target: Path) -> None:
        (file,) = files(target)
        record = json.loads(file.read_text())

        assert record.keys() >= FACTS
        assert (record["received"], record["new"], record["quarantined"], record["message"]) == (3, 2, 1, "")
        assert (record["exit"], record["drift"]["unknown"]) == ("PARTIAL", {"new": 1})
        assert file.stem == record["run_id"]
        assert file.stat().st_mode & 0o777 == 0o600

    def test_is_read_back_as_the_report_that_it_gave(self, tmp_path: Path, answer: Path) -> None:
        first = ftetl.export(tmp_path / "t", source=answer, observed_at=DAY)
        second = ftetl.export(tmp_path / "t", source=answer, observed_at=DAY)

        assert read(tmp_path / "t") == [first, second]
        assert parse_iso(first.started_at) < parse_iso(second.started_at)

    def test_that_fails_is_recorded_with_its_reason(self, target: Path, tmp_path: Path) -> None:
        page = tmp_path / "page.json"
        page.write_bytes(b'{"a": 1}')
        with pytest.raises(FtetlError) as caught:
            ftetl.export(target, source=page, project="default")
        last = read(target)[-1]

        assert json.loads(files(target)[-1].read_text()).keys() >= FACTS
        assert (last.exit, last.code, last.message) == (caught.value.exit, caught.value.code, str(caught.value))
        assert (last.changed, last.version, last.rows) == (False, 1, {})

    def test_that_meets_an_internal_error_is_recorded_without_its_text(
        self, target: Path, answer: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def surprise(*_: Any) -> None:
            raise ZeroDivisionError("canary")

        monkeypatch.setattr(pipeline_run.Run, "_load", surprise)
        with pytest.raises(SoftwareError, match="ZeroDivisionError in"):
            ftetl.export(target, source=answer)

        assert (read(target)[-1].exit_code, read(target)[-1].code) == (70, "FTETL-B01")
        assert "canary" not in files(target)[-1].read_text()

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_that_is_stopped_is_recorded(
        self, target: Path, answer: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
    ) -> None:
        def stopped(*_: Any) -> None:
            raise error

        monkeypatch.setattr(pipeline_run.Run, "_load", stopped)
        with pytest.raises(error):
            ftetl.export(target, source=answer)

        assert [run.exit.name for run in read(target)] == ["PARTIAL", "SIGINT"]

    def test_that_is_stopped_after_the_commit_has_committed(
        self, target: Path, answer: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stopped(*_: Any) -> None:
            raise KeyboardInterrupt

        answer.write_text('{"data": [{"id": "ft-3"}]}')
        monkeypatch.setattr(pipeline_run, "make_report", stopped)
        with pytest.raises(KeyboardInterrupt):
            ftetl.export(target, source=answer, allow_account_change=True, allow_shrink=True)
        last = read(target)[-1]

        assert (last.exit.name, last.changed, last.version) == ("OK", True, 2)
        assert last.rows["jobs"] == 3

    def test_keeps_its_error_where_the_record_cannot_be_written(
        self, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: Any) -> None:
            raise StorageError("S01", "the disk is full")

        monkeypatch.setattr(Target, "write_run_record", full)
        (tmp_path / "page.json").write_bytes(b'{"a": 1}')
        with pytest.raises(DataError, match=r"page\.json"):
            ftetl.export(target, source=tmp_path / "page.json")

    def test_that_never_had_the_target_leaves_none_there(self, target: Path, answer: Path) -> None:
        with Target(target), pytest.raises(TryLaterError):
            ftetl.export(target, source=answer)

        assert len(files(target)) == 1


class TestRebuild:
    def test_is_a_run_too(self, target: Path) -> None:
        report = export.rebuild(target)

        assert (report.changed, report.rebuilt, report.version) == (False, 1, 1)
        assert read(target)[-1] == report
        assert (report.source, report.project, report.rows["jobs"]) == ("archive", "default", 2)

    def test_that_fails_is_recorded_with_the_project_of_the_target(self, tmp_path: Path, answer: Path) -> None:
        ftetl.export(tmp_path / "t", source=answer, project="search")
        answer.unlink()
        with pytest.raises(DataError, match="is gone"):
            export.rebuild(tmp_path / "t")

        assert [(run.project, run.exit_code) for run in read(tmp_path / "t")] == [("search", 3), ("search", 65)]

    @pytest.mark.parametrize("is_there", [True, False])
    def test_makes_no_target(self, tmp_path: Path, is_there: bool) -> None:
        if is_there:
            (tmp_path / "none").mkdir()
        with pytest.raises(TargetError, match="not a target"):
            export.rebuild(tmp_path / "none")

        assert [*tmp_path.rglob("*")] == ([tmp_path / "none"] if is_there else [])

    def test_does_not_run_on_windows(self, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "platform", "win32")
        with pytest.raises(ConfigError, match="Linux and macOS only"):
            export.rebuild(target)


def told(run_id: str, **more: Any) -> dict[str, Any]:
    report = ftetl.Report("t", "api", "default", run_id, 1, changed=True, rows={}, started_at=f"{DAY[:-1]}.000000Z")
    return report.as_dict() | more


class TestReading:
    def test_puts_them_in_the_order_in_which_they_began(self, target: Path) -> None:
        names = ["20200101T000000Z-00000001", "20300101T000000Z-00000002"]  # clocks may have been set
        for name, start in zip(names, ["2031-01-01T00:00:00.000000Z", "2021-01-01T00:00:00.000000Z"], strict=True):
            (target / "_ftetl" / "runs" / f"{name}.json").write_text(json.dumps(told(name, started_at=start)))
        own = files(target)[1].stem

        assert [run.run_id for run in read(target)] == [names[1], own, names[0]]

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(b"{", id="half of it"),
            pytest.param(b"\xff\xfe", id="no text"),
            pytest.param(b"[]", id="no object"),
            pytest.param(b"{}", id="no facts"),
            pytest.param(b"[" * 200_000, id="deep"),
            pytest.param(json.dumps(told("x")).encode(), id="of another run"),
            pytest.param(json.dumps(told("20200101T000000Z-00000001", rows=[])).encode(), id="of another kind"),
            pytest.param(json.dumps(told("20200101T000000Z-00000001", exit_code=1)).encode(), id="an unknown exit"),
            pytest.param(json.dumps(told("20200101T000000Z-00000001", started_at="now")).encode(), id="no time"),
        ],
    )
    def test_skips_damaged_records_and_reports_them(self, target: Path, text: bytes) -> None:
        (target / "_ftetl" / "runs" / "20200101T000000Z-00000001.json").write_bytes(text)
        damaged: list[str] = []

        assert len(run_log.read_records(target, damaged)) == 1
        assert damaged == ["_ftetl/runs/20200101T000000Z-00000001.json is not a valid run record"]

    def test_takes_what_is_not_its_own_for_nothing(self, target: Path) -> None:
        for name in ("notes.txt", "20200101T000000Z-00000001.json.bak", ".json"):
            (target / "_ftetl" / "runs" / name).touch()

        assert len(read(target)) == 1

    def test_needs_no_lock(self, target: Path) -> None:
        with Target(target):
            assert len(read(target)) == 1

    def test_of_a_target_without_runs_gives_none(self, tmp_path: Path) -> None:
        Target(tmp_path / "t").close()
        assert read(tmp_path / "t") == []
        (tmp_path / "t" / "_ftetl" / "runs").rmdir()
        assert read(tmp_path / "t") == []

    @pytest.mark.parametrize("kind", ["missing", "folder", "file"])
    def test_refuses_what_is_no_target(self, tmp_path: Path, kind: str) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()
        with pytest.raises(TargetError, match="not a target"):
            run_log.read_records(tmp_path / kind, [])


def test_the_newest_are_kept(target: Path, answer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log, "MAX_RECORDS", 3)
    runs = target / "_ftetl" / "runs"
    for number in range(5):  # the names do not tell the age
        file = runs / f"20300101T000000Z-{9 - number:08x}.json"
        file.touch()
        os.utime(file, (number, number))
    (runs / "notes.txt").touch()
    first = read_one(runs)
    ftetl.export(target, source=answer, observed_at=DAY)

    kept = {file.name for file in runs.iterdir()}
    assert len(kept) == 4
    assert kept > {"notes.txt", "20300101T000000Z-00000005.json", first}


def read_one(runs: Path) -> str:
    return next(file.name for file in runs.iterdir() if file.suffix == ".json" and file.stat().st_size)
