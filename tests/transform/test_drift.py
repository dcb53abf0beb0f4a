"""Drift is counted by job, for decoded batches and for the stored rows that the list confirms."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.transform.drift import DriftDetector

WITHOUT_VALUE = {str(c.sources[0]) for c in tables()["jobs"].columns if c.sources and c.read != "last_event"}


def rows(table: str, *found: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(found), schema=schema(tables()[table]))


def test_decoded_batches_add_up() -> None:
    detector = DriftDetector([])
    detector.add_decoded(
        rows("jobs", {"job_id": "a", "status": "running", "is_terminal": False}, {"job_id": "b"}),
        {"new": 2, "old.x": 1},
    )
    detector.add_decoded(rows("jobs", {"job_id": "c", "n_epochs": 0}), {"new": 1})

    drift = detector.drift()

    assert drift.unknown == {"new": 3, "old.x": 1}
    assert {*drift.unseen} == WITHOUT_VALUE - {"id", "status", "n_epochs"}
    assert len({*drift.unseen}) == len(drift.unseen)


def test_of_merged_rows_only_those_of_confirmed_jobs_count() -> None:
    detector = DriftDetector(["a", "b"])
    extra = '{"new":1.50,"training_type":{"x":"q\\"u"}}'
    detector.add_merged_jobs(
        rows(
            "jobs",
            {"job_id": "a", "status": "running", "is_terminal": False, "extra": extra},
            {"job_id": "b", "extra": '{"new":{"deep":[1]}}'},
            {"job_id": "c", "model": "m", "extra": '{"other":1}'},
        )
    )

    drift = detector.drift()

    assert drift.unknown == {"new": 2, "training_type.x": 1}
    assert {*drift.unseen} == WITHOUT_VALUE - {"id", "status"}


def test_a_job_whose_events_come_in_two_batches_counts_once() -> None:
    detector = DriftDetector(["a"])
    for position in (0, 1):
        events = [{"job_id": job, "position": position, "extra": '{"new":1}'} for job in ("a", "b")]
        detector.add_merged_events(rows("events", *events))
    detector.add_merged_events(rows("events", {"job_id": "a", "position": 2}))

    assert detector.drift().unknown == {"events.new": 1}
    assert detector.drift().unknown == {"events.new": 1}


def test_nothing_added_has_no_unknown_keys_and_no_values() -> None:
    drift = DriftDetector([]).drift()

    assert drift.unknown == {}
    assert {*drift.unseen} == WITHOUT_VALUE
