"""The states of jobs over time: each once, at its first observation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from ftetl.contract import tables
from ftetl.contract.arrow_schema import empty, schema
from ftetl.transform.merge import job_history

TABLE = tables()["job_history"]
# (job, day of observation, status, day of `updated_at`, tokens, refund)
State = tuple[str, int, str | None, int | None, int | None, int | None]


def day(number: int | None) -> datetime | None:
    return None if number is None else datetime(2026, 8, number, tzinfo=UTC)


def table(states: list[State], *, project: bool = False) -> pa.Table:
    rows: list[dict[str, Any]] = [
        {
            "project": "p",
            "job_id": job,
            "observed_at": day(observed),
            "status": status,
            "updated_at": day(updated),
            "token_count": tokens,
            "refund_amount_nanousd": refund,
        }
        for job, observed, status, updated, tokens, refund in states
    ]
    found = pa.Table.from_pylist(rows, schema=schema(TABLE))
    return found if project else found.drop_columns(["project"])


def merged(stored: list[State], superseded: list[State], current: list[State]) -> list[State]:
    found = job_history.merged(table(stored, project=True), [table(superseded)], [table([s]) for s in current], "p")
    assert found.schema.equals(schema(TABLE))
    names = ["job_id", "observed_at", "status", "updated_at", "token_count", "refund_amount_nanousd"]
    return [tuple(v.day if isinstance(v, datetime) else v for v in r.values()) for r in found.select(names).to_pylist()]


A1: State = ("a", 1, "running", 1, 0, None)
A2: State = ("a", 2, "completed", 2, 5, None)
A3: State = ("a", 3, "completed", 2, 5, None)


@pytest.mark.parametrize(
    ("stored", "superseded", "current", "expected"),
    [
        pytest.param([], [], [], [], id="nothing"),
        pytest.param([], [], [A1], [A1], id="the first"),
        pytest.param([A1], [], [A1], [A1], id="the same again"),
        pytest.param([A1], [], [A2], [A1, A2], id="a change"),
        pytest.param([A1, A2], [], [A3], [A1, A2], id="no change later"),
        pytest.param([A1, A3], [A2], [], [A1, A2], id="the same observed earlier"),
        pytest.param([A2], [A1], [], [A1, A2], id="an older answer comes late"),
        pytest.param([], [A1], [A2], [A1, A2], id="two states in one run"),
        pytest.param(
            [A1, A2], [("a", 3, "running", 1, 0, None)], [], [A1, A2, ("a", 3, "running", 1, 0, None)], id="back"
        ),
        pytest.param([A1], [], [("b", 1, "running", 1, 0, None)], [A1, ("b", 1, "running", 1, 0, None)], id="another"),
        pytest.param(
            [("b", 1, "running", 1, 0, None)], [], [A2], [A2, ("b", 1, "running", 1, 0, None)], id="sorted by job"
        ),
        pytest.param(
            [A2],
            [("a", 2, "running", 1, 0, None)],
            [],
            [A2],
            id="of one instant the newer one",
        ),
        pytest.param(
            [A2],
            [("a", 2, "completed", 2, 4, None)],
            [("a", 2, "completed", 2, 6, None)],
            [("a", 2, "completed", 2, 6, None)],
            id="of one instant and updated_at the one that won",
        ),
        pytest.param(
            [A2], [("a", 2, "completed", 2, 4, None)], [], [A2], id="of these the stored one, not a superseded one"
        ),
        pytest.param(
            [("a", 1, None, None, None, None)],
            [],
            [("a", 2, None, None, None, None)],
            [("a", 1, None, None, None, None)],
            id="nothing known is a state too",
        ),
        pytest.param(
            [A2],
            [],
            [("a", 3, "completed", 2, 5, 7), ("a", 4, "completed", 2, 5, None), ("a", 5, "completed", 2, 5, 7)],
            [A2, ("a", 3, "completed", 2, 5, 7)],
            id="a refund that is not told is no change",
        ),
        pytest.param(
            [("a", 3, "completed", 2, 5, 7)],
            [],
            [("b", 1, "completed", 2, 5, None), ("b", 2, "completed", 2, 5, 7)],
            [("a", 3, "completed", 2, 5, 7), ("b", 1, "completed", 2, 5, None), ("b", 2, "completed", 2, 5, 7)],
            id="a refund is not another job's",
        ),
        pytest.param(
            [("a", 1, "running", 1, 0, 7)],
            [],
            [("a", 2, "completed", 2, 0, None), ("a", 3, "completed", 2, 0, 7)],
            [("a", 1, "running", 1, 0, 7), ("a", 2, "completed", 2, 0, None)],
            id="a refund is known from then on",
        ),
    ],
)
def test_each_state_is_told_once(
    stored: list[State], superseded: list[State], current: list[State], expected: list[State]
) -> None:
    assert merged(stored, superseded, current) == expected
    assert merged(expected, superseded, current) == expected


def test_states_are_those_columns_of_the_jobs() -> None:
    jobs = empty(tables()["jobs"])
    found = job_history.states(jobs, pa.array([], pa.timestamp("us", "UTC")))
    assert {*found.column_names, "project"} == set(TABLE.names)
    assert {*job_history.STATE, job_history.REFUND} <= set(TABLE.names)
