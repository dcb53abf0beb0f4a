"""The stages of jobs, by hand and against a walk through the events one by one; and that it does not matter how the
events are cut into pieces."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ftetl.contract import tables
from ftetl.contract.arrow_schema import empty, schema
from ftetl.transform.derive import job_stages
from ftetl.transform.derive.derive import DerivedTables
from ftetl.transform.derive.focus_costs import Account

DAY = datetime(2026, 7, 2, tzinfo=UTC)
Event = tuple[str, str | None, float | None]  # job, type, second of the day
Row = dict[str, Any]


def moment(second: float | None) -> datetime | None:
    return None if second is None else DAY + timedelta(seconds=second)


def events(*event_tuples: Event) -> pa.Table:
    events_schema = schema(tables()["events"])
    rows = [{"job_id": job, "type": kind, "created_at": moment(at)} for job, kind, at in event_tuples]
    return pa.Table.from_pylist(
        [{"project": "p", "position": n} | row for n, row in enumerate(rows)], schema=events_schema
    )


def stages_of(table: pa.Table, *cuts: int) -> list[Row]:
    """The stages, where the events come in pieces that end at the cuts."""
    derived = DerivedTables("p", Account("p"))
    ends = [*sorted(min(cut, table.num_rows) for cut in cuts), table.num_rows]
    pieces = [table.slice(start, end - start) for start, end in zip([0, *ends], ends, strict=False)]
    stages = pa.concat_tables([*(derived.add_events(piece) for piece in pieces), derived.finish_events()])
    assert stages.schema.equals(schema(tables()["stages"]))
    return stages.to_pylist()


# The events of one job, and its stages: name, run, start, end, seconds.
CASES: dict[
    str, tuple[list[tuple[str | None, float | None]], list[tuple[str, int, float | None, float | None, Any]]]
] = {
    "no events": ([], []),
    "no event that opens or closes a stage": ([("epoch_complete", 1), ("warning", 2), (None, 3), ("brand_new", 4)], []),
    "all stages": (
        [
            *[("job_pending", 0), ("job_start", 46.25), ("model_download_complete", 60), ("wandb_init", 61)],
            *[("training_start", 76), ("epoch_complete", 400), ("checkpoint_save", 401), ("training_complete", 836)],
            *[("model_uploading", 837), ("model_compressing", 886), ("model_compression_complete", 986)],
            *[("model_uploading", 987), ("model_upload_complete", 1156), ("job_complete", 1157), ("refund", 9999)],
        ],
        [
            ("queued", 1, 0, 46.25, 46.25),
            ("preparing", 1, 46.25, 76, 29.75),
            ("training", 1, 76, 836, 760),
            ("uploading", 1, 837, 886, 49),
            ("compressing", 1, 886, 986, 100),
            ("uploading", 1, 987, 1156, 169),
        ],
    ),
    "not ended": ([("job_pending", 0), ("job_start", 5)], [("queued", 1, 0, 5, 5), ("preparing", 1, 5, None, None)]),
    "the same again is the same stage": (
        [("job_pending", 0), ("job_pending", 1), ("job_start", 5), ("job_start", 7), ("job_stopped", 9)],
        [("queued", 1, 0, 5, 5), ("preparing", 1, 5, 9, 4)],
    ),
    "a stage without events has no row": (
        [("job_pending", 0), ("training_start", 5), ("job_error", 9)],
        [("queued", 1, 0, 5, 5), ("training", 1, 5, 9, 4)],
    ),
    "ends without a beginning": ([("training_complete", 0), ("model_upload_complete", 1), ("job_complete", 2)], []),
    "stopped early": (
        [("training_start", 0), ("early_stopped", 7), ("training_complete", 8), ("model_uploading_to_hf", 9)],
        [("training", 1, 0, 7, 7), ("uploading_to_hf", 1, 9, None, None)],
    ),
    "restarted": (
        [("job_start", 0), ("training_start", 1), ("job_restarted", 3), ("job_start", 4), ("training_start", 6)],
        [
            *[("preparing", 1, 0, 1, 1), ("training", 1, 1, 3, 2)],
            *[("preparing", 2, 4, 6, 2), ("training", 2, 6, None, None)],
        ],
    ),
    "restarted at once, and again": (
        [("job_restarted", 0), ("training_start", 1), ("job_restarted", 3), ("training_start", 3), ("job_error", 3)],
        [("training", 2, 1, 3, 2), ("training", 3, 3, 3, 0)],
    ),
    "nothing follows a restart under another id": (
        [("training_start", 0), ("job_error", 2), ("job_restarted", 3)],
        [("training", 1, 0, 2, 2)],
    ),
    "an end without a time": (
        [("job_pending", 0), ("job_start", None)],
        [("queued", 1, 0, None, None), ("preparing", 1, None, None, None)],
    ),
    "a clock that went back": ([("job_pending", 9), ("job_stopped", 5)], [("queued", 1, 9, 5, None)]),
}


@pytest.mark.parametrize("case", CASES)
def test_the_stages_of_a_job(case: str) -> None:
    event_tuples, expected = CASES[case]
    stages = stages_of(events(*(("ft-1", kind, at) for kind, at in event_tuples)))
    assert stages == [
        {"project": "p", "job_id": "ft-1", "position": n, "stage": stage, "run": run}
        | {"started_at": moment(start), "ended_at": moment(end), "seconds": seconds}
        for n, (stage, run, start, end, seconds) in enumerate(expected)
    ]


def test_jobs_do_not_affect_each_other() -> None:
    """A stage that is open when a job's events end is not ended by the next job's first event."""
    event_tuples = [("ft-1", "job_pending", 0), ("ft-1", "job_restarted", 1), ("ft-1", "job_start", 2)]
    stages = stages_of(
        events(*event_tuples, ("ft-2", "job_start", 5), ("ft-3", "job_stopped", 6), ("ft-4", "job_pending", 7))
    )
    assert [(r["job_id"], r["position"], r["stage"], r["run"], r["ended_at"]) for r in stages] == [
        ("ft-1", 0, "queued", 1, moment(1)),
        ("ft-1", 1, "preparing", 2, None),
        ("ft-2", 0, "preparing", 1, None),
        ("ft-4", 0, "queued", 1, None),
    ]


def test_every_type_that_matters_is_one_that_the_contract_knows() -> None:
    assert {*job_stages.EVENT_TYPES} <= {*tables()["events"]["type"].enum}
    stage = tables()["stages"]["stage"]
    assert [*job_stages._STAGES.to_pylist()] == [*stage.enum]
    assert all(f"`{name}`" in stage.description for name in stage.enum)


def walk_events(event_tuples: list[Event]) -> list[Row]:
    """The stages, from a loop over the events."""
    stages: list[Row] = []
    state: dict[str, tuple[Row | None, int]] = {}
    for job, kind, at in event_tuples:
        if kind not in job_stages.EVENT_TYPES:
            continue
        now, run = state.get(job, (None, 1))
        run += kind == "job_restarted"
        name = job_stages.STAGE_OPENED_BY.get(kind)
        if now is not None and name == now["stage"]:
            continue
        if now is not None:
            now["ended_at"] = moment(at)
            if at is not None and now["started_at"] is not None:
                lasted = (moment(at) - now["started_at"]).total_seconds()  # type: ignore[operator]
                now["seconds"] = lasted if lasted >= 0 else None
        now = None
        if name:
            now = {"project": "p", "job_id": job, "position": sum(r["job_id"] == job for r in stages), "stage": name}
            now |= {"run": run, "started_at": moment(at), "ended_at": None, "seconds": None}
            stages.append(now)
        state[job] = (now, run)
    return stages


kinds = st.sampled_from([*job_stages.EVENT_TYPES, "job_restarted", "epoch_complete", None])
event_lists = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "d"]), kinds, st.none() | st.integers(0, 50).map(lambda n: n / 4)),
    max_size=25,
).map(lambda event_tuples: sorted(event_tuples, key=lambda t: t[0]))


@example([("a", "job_start", 1.0), ("a", "job_stopped", 2.0)], [1])
@given(event_lists, st.lists(st.integers(0, 25), max_size=4))
def test_stages_are_those_of_a_loop_wherever_the_pieces_are_cut(event_tuples: list[Event], cuts: list[int]) -> None:
    assert stages_of(events(*event_tuples), *cuts) == walk_events(event_tuples)


def test_no_events_no_stages() -> None:
    assert stages_of(empty(tables()["events"])) == []
