"""When a job is marked as missing from the list, and when it is present again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from ftetl.transform.merge.presence import is_present, mark_missing_jobs
from ftetl.transform.merge.run_context import RunContext
from ftetl.transform.timestamps import INSTANT

LIST_TIME = datetime(2026, 8, 5, tzinfo=UTC)
BEFORE, AFTER = LIST_TIME - timedelta(days=1), LIST_TIME + timedelta(days=1)
COMPLETE = RunContext("p", complete_list=0, newest_whole_at=LIST_TIME, may_mark_missing=True)


def stored_row(*, present: bool = True, changed: datetime = BEFORE) -> pa.Table:
    columns = {
        "job_id": pa.array(["ft-1"]),
        "present": pa.array([present]),
        "last_changed_at": pa.array([changed], INSTANT),
    }
    return pa.table(columns)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (False, LIST_TIME, 1, 0)),
        ({"changed": LIST_TIME}, (False, LIST_TIME, 1, 0)),
        ({"changed": AFTER}, (True, AFTER, 0, 0)),
        ({"present": False}, (False, BEFORE, 0, 0)),
        ({"unchanged": ["ft-1"]}, (True, BEFORE, 0, 0)),
        ({"unchanged": ["ft-1"], "present": False}, (True, LIST_TIME, 0, 1)),
        ({"quarantined": {"ft-1"}}, (True, BEFORE, 0, 0)),
        ({"context": replace(COMPLETE, may_mark_missing=False)}, (True, BEFORE, 0, 0)),
        ({"context": replace(COMPLETE, complete_list=None)}, (True, BEFORE, 0, 0)),
        (
            {
                "context": replace(COMPLETE, complete_list=None, list_is_current=True),
                "unchanged": ["ft-1"],
                "present": False,
            },
            (True, LIST_TIME, 0, 1),
        ),
    ],
    ids=[
        "missing",
        "changed when the list was received",
        "changed after the list was received",
        "missing before",
        "unchanged in the list",
        "reappeared",
        "a copy is in quarantine",
        "a quarantined element may be any job",
        "no complete list",
        "reappeared in a list that is not newer",
    ],
)
def test_a_stored_job_without_a_new_copy_is_missing_only_from_a_complete_list(
    change: dict[str, Any], expected: tuple[bool, datetime, int, int]
) -> None:
    row = stored_row(present=change.get("present", True), changed=change.get("changed", BEFORE))
    unchanged = pa.array(change.get("unchanged", []), pa.string())
    marked = mark_missing_jobs(row, change.get("context", COMPLETE), unchanged, change.get("quarantined", set()))
    values = marked.rows.to_pylist()[0]
    assert (values["present"], values["last_changed_at"], marked.missing, marked.reappeared) == expected
    assert marked.rows.schema == row.schema


@pytest.mark.parametrize(
    ("context", "observed", "response", "stored", "expected"),
    [
        (RunContext("p"), BEFORE, 1, None, True),
        (COMPLETE, LIST_TIME, 1, None, True),
        (COMPLETE, AFTER, 1, False, True),
        (COMPLETE, BEFORE, 0, None, True),
        (COMPLETE, BEFORE, 1, True, False),
        (replace(COMPLETE, complete_list=None), BEFORE, 1, True, True),
        (replace(COMPLETE, complete_list=None), BEFORE, 1, False, False),
        (replace(COMPLETE, complete_list=None), BEFORE, 1, None, False),
    ],
    ids=[
        "no complete list ever",
        "observed with the list",
        "observed after the list",
        "in the complete list",
        "missing from the complete list",
        "older than the stored list, present before",
        "older than the stored list, missing before",
        "older than the stored list, never stored",
    ],
)
def test_a_job_with_a_new_copy_is_present_if_the_newest_complete_list_has_it_or_the_copy_is_newer(
    *, context: RunContext, observed: datetime, response: int, stored: bool | None, expected: bool
) -> None:
    new: Any = SimpleNamespace(
        ids=pa.array(["ft-1"]), observed=pa.array([observed], INSTANT), responses=pa.array([response])
    )
    old = pa.table({"present": pa.array([stored], pa.bool_())})
    assert is_present(new, old, pa.array([stored is not None]), context).to_pylist() == [expected]
