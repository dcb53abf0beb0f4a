"""The job that took a restarted one's place: by message, else by guess, also for rows that were stored before."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ftetl
from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.transform.decode import decoder
from ftetl.transform.derive.restart_links import RestartLinks

AT = "2026-05-01T10:00:00Z"
OLD, NEW, OTHER = "ft-a1b20001-0001", "ft-a1b20009-0009", "ft-a1b20005-0005"


def event(kind: str = "JOB_RESTARTED", message: str | None = "again", at: str = AT) -> dict[str, Any]:
    return {"type": kind, "created_at": at, "message": message}


def job(job_id: str, *events: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": job_id, "created_at": "2026-05-01T11:00:00Z", "model": "m", "events": list(events), **more}


def linked(folder: Path, *jobs: dict[str, Any], day: int = 2) -> dict[str, tuple[str | None, str | None]]:
    (folder / "answer.json").write_text(json.dumps({"data": list(jobs)}))
    moment = datetime(2026, 6, day, tzinfo=UTC)
    ftetl.export(folder / "t", source=folder / "answer.json", observed_at=moment, allow_shrink=True)
    found = ftetl.open(folder / "t").arrow("jobs").select(["job_id", "restarted_as", "restart_link"]).to_pylist()
    return {row["job_id"]: (row["restarted_as"], row["restart_link"]) for row in found}


def test_the_job_that_a_message_names_is_the_link(root: Path, tmp_path: Path) -> None:
    ftetl.export(
        tmp_path / "t", source=root / "tests/data/cases/G_restart_names_job.json", observed_at=datetime.now(UTC)
    )
    found = ftetl.open(tmp_path / "t").arrow("jobs").select(["job_id", "restarted_as", "restart_link"]).to_pylist()
    assert [tuple(row.values()) for row in found] == [(OLD, NEW, "message"), (NEW, None, None)]


MESSAGES = {
    "the new one": ([event(message=f"Job restarted as {NEW}")], (NEW, "message")),
    "both": ([event(message=f"Job {OLD} was restarted as '{NEW}'.")], (NEW, "message")),
    "only itself": ([event(message=f"Job {OLD} restarted")], (OTHER, "guess")),
    "the refund": ([event(), event("REFUND", f"refunded, see {NEW}")], (NEW, "message")),
    "restart before refund": ([event(message=f"as {NEW}"), event("REFUND", f"for {OTHER}")], (NEW, "message")),
    "the newest restart": ([event(message=f"as {OTHER}"), event(message=f"as {NEW}")], (NEW, "message")),
    "one that no list has": ([event(message="as ft-0badc0de-77f1-4a")], (OTHER, "guess")),
    "one of full form that no list has": ([event(message="as ft-0badc0de-77f1")], ("ft-0badc0de-77f1", "message")),
    "a word": ([event(message="the ft-tuning service restarted my-ft-a1b20009-0009")], (OTHER, "guess")),
    "none": ([event(message=None)], (OTHER, "guess")),
    "no restart": ([event("REFUND", f"see {NEW}")], (None, None)),
}


@pytest.mark.parametrize(("events", "expected"), MESSAGES.values(), ids=MESSAGES.keys())
def test_a_message_comes_before_the_guess(
    tmp_path: Path, events: list[dict[str, Any]], expected: tuple[str | None, str | None]
) -> None:
    found = linked(tmp_path, job(OLD, *events), job(OTHER), job(NEW, suffix="another"))
    assert found == {OLD: expected, OTHER: (None, None), NEW: (None, None)}


GUESSES = {
    "the first like it": ([("ft-b", {}), ("ft-c", {})], "ft-b"),
    "at the same instant": ([("ft-b", {"created_at": AT})], "ft-b"),
    "not an earlier one": ([("ft-b", {"created_at": "2026-05-01T09:59:59Z"})], None),
    "not another model": ([("ft-b", {"model": "n"})], None),
    "not another suffix": ([("ft-b", {"suffix": "s"})], None),
    "not another file": ([("ft-b", {"training_file": "f"})], None),
    "whatever the order of the ids": ([("ft-0", {}), ("ft-z", {"created_at": AT})], "ft-z"),
    "not one without a time": ([("ft-b", {"created_at": None})], None),
}


@pytest.mark.parametrize(("others", "expected"), GUESSES.values(), ids=GUESSES.keys())
def test_a_guess(tmp_path: Path, others: list[tuple[str, dict[str, Any]]], expected: str | None) -> None:
    jobs = [job("ft-a", event()), *(job(job_id, **more) for job_id, more in others)]
    assert linked(tmp_path, *jobs)["ft-a"] == (expected, expected and "guess")


def test_a_job_that_comes_in_a_later_run_is_the_link_of_a_stored_one(tmp_path: Path) -> None:
    assert linked(tmp_path, job("ft-m", event()), job("ft-a", suffix="s"))["ft-m"] == (None, None)
    assert linked(tmp_path, job("ft-a", suffix="s"), job("ft-z"), day=3) == {
        "ft-m": ("ft-z", "guess"),
        "ft-a": (None, None),
        "ft-z": (None, None),
    }


def test_a_target_without_the_columns_gets_them_filled(tmp_path: Path) -> None:
    jobs = [job(OLD, event(message=f"as {NEW}")), job(NEW)]
    linked(tmp_path, *jobs)
    before = tmp_path / "t/current/jobs.parquet"
    without = pq.read_table(before).drop_columns(["restarted_as", "restart_link"])
    conformed = [n for n in schema(tables()["jobs"]).names if n not in without.column_names]
    assert conformed == ["restarted_as", "restart_link"]
    links = RestartLinks()
    links.add_events(pq.read_table(before.with_name("events.parquet")))
    nulls = pa.nulls(without.num_rows, pa.string())
    place = schema(tables()["jobs"]).get_field_index("restarted_as")
    stored = without.add_column(place, "restarted_as", nulls).add_column(place + 1, "restart_link", nulls)
    assert list(links.add_jobs(stored)) == []
    assert pa.concat_tables(links.held_jobs()).equals(pq.read_table(before))


def test_the_links_do_not_depend_on_the_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [job(f"ft-{n:02}", *([event()] if n % 3 == 1 else []), suffix=str(n % 2)) for n in range(20)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    expected = linked(tmp_path / "a", *jobs)
    monkeypatch.setattr(decoder, "BATCH_BYTES", 300)
    assert linked(tmp_path / "b", *jobs) == expected
    assert expected["ft-01"] == ("ft-03", "guess")
    assert [i for i, link in expected.items() if link != (None, None)] == [f"ft-{n:02}" for n in range(1, 20, 3)]
