"""The newest rows of a table, chosen by job and time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

import ftetl
from ftetl.contract import tables
from ftetl.errors import UsageError
from ftetl.snapshot.newest_rows import TIME_AND_COLUMNS, Selection, newest_rows
from ftetl.snapshot.snapshot import Snapshot


def job(number: int, status: str, model: str | None, created: str | None) -> dict[str, Any]:
    events = [{"type": "JOB_PENDING", "message": f"m{number}", "created_at": created}]
    return {"id": f"ft-{number}", "status": status, "model": model, "created_at": created, "events": events}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    folder = tmp_path_factory.mktemp("newest")
    jobs = [
        job(1, "completed", "org/Llama-3", "2026-07-01T00:00:00Z"),
        job(2, "error", "org/Qwen", "2026-07-03T00:00:00Z"),
        job(3, "completed", "org/Qwen", "2026-07-02T00:00:00Z"),
        job(4, "error", None, None),
    ]
    (folder / "list.json").write_text(json.dumps({"data": jobs}))
    ftetl.export(folder / "t", source=folder / "list.json", observed_at="2026-07-04")
    return ftetl.open(folder / "t")


@pytest.mark.parametrize("table", tables())
def test_every_table_has_its_columns_that_matter(snapshot: Snapshot, table: str) -> None:
    rows, total = newest_rows(snapshot, table, Selection())

    assert tuple(rows.column_names) == TIME_AND_COLUMNS[table][1]
    assert total == snapshot.arrow(table).num_rows


@pytest.mark.parametrize(
    ("selection", "ids", "total"),
    [
        (Selection(), [2, 3, 1, 4], 4),  # a job without a time is the last
        (Selection(limit=2), [2, 3], 4),
        (Selection(status="error"), [2, 4], 2),
        (Selection(model="llama"), [1], 1),
        (Selection(model="QWEN", status="completed"), [3], 1),
        (Selection(model="nothing"), [], 0),
        (Selection(since=datetime(2026, 7, 2, tzinfo=UTC)), [2, 3], 2),
        (Selection(since=datetime(2027, 1, 1, tzinfo=UTC)), [], 0),
    ],
)
@pytest.mark.parametrize("table", ["jobs", "events"])
def test_the_newest_of_the_chosen_jobs_come_first(
    snapshot: Snapshot, table: str, selection: Selection, ids: list[int], total: int
) -> None:
    rows, count = newest_rows(snapshot, table, selection)

    assert rows.column("job_id").to_pylist() == [f"ft-{number}" for number in ids]
    assert count == total


def test_the_columns_are_the_wanted_ones_in_their_order(snapshot: Snapshot) -> None:
    rows, _ = newest_rows(snapshot, "jobs", Selection(columns=("status", "present"), limit=1))

    assert rows.to_pylist() == [{"status": "error", "present": True}]


@pytest.mark.parametrize(
    ("table", "selection", "said"),
    [
        ("jbos", Selection(), "there is no table 'jbos'; did you mean jobs?"),
        ("jobs", Selection(columns=("stats",)), "jobs has no column 'stats'; did you mean status?"),
        ("jobs", Selection(status="eror"), "no job has the status 'eror'; did you mean error?"),
        ("jobs", Selection(status="xyz"), "no job has the status 'xyz'; there are: completed, error"),
        ("files", Selection(status="error"), "rows of files are not of jobs; leave out --status and --model"),
        ("anomalies", Selection(since=datetime(2026, 7, 2, tzinfo=UTC)), "have no time; leave out --since"),
    ],
)
def test_a_mistake_is_answered_with_what_is_there(
    snapshot: Snapshot, table: str, selection: Selection, said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        newest_rows(snapshot, table, selection)

    assert said in str(refused.value)
