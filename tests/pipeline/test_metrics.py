"""The metrics of the last run, read as Prometheus reads them."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import ftetl
from ftetl.errors import DataError, FtetlError, TryLaterError
from ftetl.pipeline import metrics
from ftetl.run_report import Drift, Report
from ftetl.store.target import Target

AT = datetime(2026, 7, 2, 8, 10, 14, 250000, UTC)
REPORT = Report(
    target="t",
    source="api",
    project="default",
    run_id="r",
    version=7,
    changed=True,
    rows={"jobs": 3, "events": 5},
    new=1,
    changed_jobs=2,
    vanished=4,
    quarantined=6,
    anomalies={"wrong_type": 8},
    details={"here": 9, "failed": 10},
    drift=Drift(unreadable={"total_price": 12}, missing={"updated_at": 13}),
    requests=11,
    seconds=1.5,
    exit_code=3,
)

Samples = dict[tuple[str, str], float]


def samples(text: str, project: str = "default") -> Samples:
    """By name and the label besides the project."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("project") == project
            (other,) = labels.values() or [""]
            assert (sample.name, other) not in found
            found[sample.name, other] = sample.value
    return found


@pytest.fixture
def answer(tmp_path: Path) -> Path:
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"data": [{"id": "ft-1", "n_evals": "x"}, 7]}))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ftetl.prom"


def test_every_number_of_a_run_is_there() -> None:
    assert samples(metrics.metrics_text(REPORT, AT, 12.0)) == {
        ("ftetl_last_run_timestamp_seconds", ""): AT.timestamp(),
        ("ftetl_last_success_timestamp_seconds", ""): 12,
        ("ftetl_exit_code", ""): 3,
        ("ftetl_run_seconds", ""): 1.5,
        ("ftetl_requests", ""): 11,
        ("ftetl_rows", "jobs"): 3,
        ("ftetl_rows", "events"): 5,
        ("ftetl_jobs", "new"): 1,
        ("ftetl_jobs", "changed"): 2,
        ("ftetl_jobs", "vanished"): 4,
        ("ftetl_quarantined", ""): 6,
        ("ftetl_anomalies", "wrong_type"): 8,
        ("ftetl_details", "here"): 9,
        ("ftetl_details", "failed"): 10,
        ("ftetl_unreadable_jobs", "total_price"): 12,
        ("ftetl_missing_jobs", "updated_at"): 13,
    }


def test_every_family_is_announced_once() -> None:
    lines = metrics.metrics_text(REPORT, AT, 0.0).splitlines()
    for word in ("HELP", "TYPE"):
        names = [line.split()[2] for line in lines if line.startswith(f"# {word} ")]
        assert len(names) == len({*names}) == 13


@pytest.mark.parametrize("project", ["search", 'a"b', "a\\b", "a\\nb", "Übung 東京", "a{b}=,c #"])
def test_every_label_comes_back_as_it_was(tmp_path: Path, answer: Path, file: Path, project: str) -> None:
    for _ in range(2):  # the second finds the first one's
        ftetl.export(tmp_path / "t", source=answer, project=project, metrics_file=file)
        assert samples(file.read_text("utf-8"), project)["ftetl_rows", "jobs"] == 1
    with pytest.raises(DataError):
        ftetl.export(tmp_path / "t", source="nowhere.json", project=project, metrics_file=file)
    assert samples(file.read_text("utf-8"), project)["ftetl_last_success_timestamp_seconds", ""] > 0


def test_a_line_break_in_a_label_breaks_no_line() -> None:
    """No project has one, but nothing here relies on that."""
    report = Report("t", "api", "a\nb", "r", 1, changed=True, rows={})
    assert samples(metrics.metrics_text(report, AT, 0.0), "a\nb")["ftetl_exit_code", ""] == 0


def _missing_file(target: Path, answer: Path, file: Path) -> None:
    ftetl.export(target, source="nowhere.json", metrics_file=file)


def _bad_answer(target: Path, answer: Path, file: Path) -> None:
    answer.write_text("{}")
    ftetl.export(target, source=answer, metrics_file=file)


def _locked(target: Path, answer: Path, file: Path) -> None:
    with Target(target):
        ftetl.export(target, source=answer, metrics_file=file)


def test_a_run_that_is_refused_for_drift_says_so_and_where(tmp_path: Path, answer: Path, file: Path) -> None:
    answer.write_text(json.dumps({"data": [{"id": f"ft-{n}", "status": {"state": "completed"}} for n in range(5)]}))
    with pytest.raises(DataError):
        ftetl.export(tmp_path / "t", source=answer, metrics_file=file)
    found = samples(file.read_text())
    assert found["ftetl_exit_code", ""] == 65
    assert found["ftetl_failure", "FTETL-R51"] == 1
    assert found["ftetl_unreadable_jobs", "status"] == 5


@pytest.mark.parametrize("fail", [_missing_file, _bad_answer, _locked])
def test_a_run_that_fails_keeps_the_last_success(
    tmp_path: Path, answer: Path, file: Path, fail: Callable[[Path, Path, Path], None]
) -> None:
    ftetl.export(tmp_path / "t", source=answer, metrics_file=file)
    before = samples(file.read_text())
    with pytest.raises(FtetlError) as caught:
        fail(tmp_path / "t", answer, file)
    after = samples(file.read_text())

    assert before["ftetl_exit_code", ""] == 3
    assert after["ftetl_exit_code", ""] == caught.value.exit.code
    success, run = ("ftetl_last_success_timestamp_seconds", ""), ("ftetl_last_run_timestamp_seconds", "")
    assert after[success] == before[success] == before[run] <= after[run]
    assert not [name for name, _ in after if name == "ftetl_rows"]


@pytest.mark.parametrize("there", [None, b"", b"\xff", b'ftetl_last_success_timestamp_seconds{project="default"} x\n'])
def test_without_a_success_it_is_never(tmp_path: Path, file: Path, there: bytes | None) -> None:
    if there is not None:
        file.write_bytes(there)
    with pytest.raises(FtetlError):
        ftetl.export(tmp_path / "t", source="nowhere.json", metrics_file=file)

    assert samples(file.read_text())["ftetl_last_success_timestamp_seconds", ""] == 0


def test_another_projects_success_is_not_taken_over(tmp_path: Path, answer: Path, file: Path) -> None:
    ftetl.export(tmp_path / "t", source=answer, metrics_file=file)
    with pytest.raises(FtetlError):
        ftetl.export(tmp_path / "u", source="nowhere.json", project="b", metrics_file=file)

    assert samples(file.read_text(), "b")["ftetl_last_success_timestamp_seconds", ""] == 0


def test_everybody_may_read_it_whatever_the_mask(tmp_path: Path, file: Path) -> None:
    before = os.umask(0o077)
    try:
        metrics.write_metrics(file, REPORT)
    finally:
        os.umask(before)

    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["ftetl.prom"]


def test_it_is_replaced_and_never_written_into(file: Path) -> None:
    metrics.write_metrics(file, REPORT)
    with file.open() as reader:
        metrics.write_metrics(file, REPORT)
        assert file.stat().st_ino != os.fstat(reader.fileno()).st_ino
        assert samples(reader.read())


@pytest.mark.parametrize("name", ["missing/ftetl.prom", "list.json/ftetl.prom", "folder"])
def test_a_file_that_cannot_be_written_costs_no_run(
    tmp_path: Path, answer: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "folder").mkdir()
    report = ftetl.export(tmp_path / "t", source=answer, metrics_file=tmp_path / name)
    assert [w for w in report.warnings if str(tmp_path / name) in w]
    assert report.exit_code == 3

    with Target(tmp_path / "t"), pytest.raises(TryLaterError):
        ftetl.export(tmp_path / "t", source=answer, metrics_file=tmp_path / name)
    assert str(tmp_path / name) in caplog.text
    assert not list(tmp_path.rglob(".ftetl-*"))
