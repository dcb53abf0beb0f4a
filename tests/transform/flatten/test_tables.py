"""Nested rows as flat tables: which rows there are, and what the events tell about their job."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from ftetl.contract import tables
from ftetl.contract.arrow_schema import TYPES
from ftetl.raw import index
from ftetl.raw.blob import Memory
from ftetl.raw.findings import Anomaly
from ftetl.raw.response import Response
from ftetl.transform import deduplicate
from ftetl.transform.coalesce import coalesce_copies
from ftetl.transform.decode import decoder
from ftetl.transform.flatten import tables as flatten_tables
from ftetl.transform.merge.anomalies import count_by_key

NOW = datetime(2026, 7, 3, tzinfo=UTC)
BOTH_READERS = pytest.mark.parametrize("use_arrow", [True, False], ids=["arrow", "python"])


def flat(*raws: str, use_arrow: bool = True) -> flatten_tables.Flat:
    a = Response("jobs", Memory(("[" + ",".join(raws) + "]").encode()), NOW)
    plan = deduplicate.resolve_duplicates([a], [index.scan_response(a)])
    return flatten_tables.flatten(decoder.decode(plan.items, [a], use_arrow=use_arrow))


def event(kind: str, day: int | None = None, message: str = "") -> dict[str, Any]:
    at = f"2026-07-{day:02}T00:00:00Z" if day else ""
    return {"object": "fine-tune-event", "type": kind, "created_at": at, "message": message or kind.lower()}


def job(status: str | None, *events: dict[str, Any]) -> str:
    return json.dumps({"id": "ft-1", "status": status, "events": list(events)})


def day(number: int) -> datetime:
    return datetime(2026, 7, number, tzinfo=UTC)


START, DONE, BROKE = event("JOB_START", 1), event("JOB_COMPLETE", 2), event("JOB_ERROR", 3, "disk full")
AGAIN, LATER, REFUND = event("JOB_RESTARTED", 4), event("JOB_COMPLETE", 5), event("REFUND", 9)
# status and events -> is_terminal, finished_at, failure_reason
ENDS: dict[str, tuple[str, tuple[bool | None, datetime | None, str | None]]] = {
    "completed": (job("completed", START, DONE), (True, day(2), None)),
    "failed": (job("error", START, BROKE), (True, day(3), "disk full")),
    "failed by the user": (
        job("user_error", START, event("JOB_USER_ERROR", 4, "bad file")),
        (True, day(4), "bad file"),
    ),
    "stopped": (job("cancelled", START, event("JOB_STOPPED", 5)), (True, day(5), None)),
    "in small letters": (job("completed", event("job_complete", 2)), (True, day(2), None)),
    "running": (job("running", START), (False, None, None)),
    "terminal without events": (job("completed"), (True, None, None)),
    "terminal without a terminal event": (job("error", START, event("WARNING", 2)), (True, None, None)),
    "completed after an error": (
        job("completed", START, BROKE, AGAIN, LATER),
        (True, day(5), None),
    ),
    "an error after an error": (job("error", BROKE, event("JOB_ERROR", 6, "again")), (True, day(6), "again")),
    "restarted and running": (job("running", START, BROKE, AGAIN), (False, None, None)),
    "events go on after the end": (
        job("completed", DONE, REFUND, event("WARNING", 9)),
        (True, day(2), None),
    ),
    "the last one in the list counts": (job("completed", BROKE, DONE), (True, day(2), None)),
    "no time": (job("error", event("JOB_ERROR", None, "why")), (True, None, "why")),
    "no message": (job("error", {"type": "JOB_ERROR"}), (True, None, None)),
    "empty message": (job("error", {"type": "JOB_ERROR", "message": ""}), (True, None, None)),
    "an unknown status": (job("exploded", BROKE), (False, None, None)),
    "no status": (job(None, BROKE), (None, day(3), "disk full")),
    "an unknown terminal type": (job("error", event("JOB_EXPLODED", 3)), (True, None, None)),
}


@BOTH_READERS
@pytest.mark.parametrize("name", ENDS)
def test_the_last_terminal_event_tells_how_a_job_ended(name: str, use_arrow: bool) -> None:
    text, expected = ENDS[name]

    row = flat(
        '{"id":"ft-0","events":[{"type":"JOB_ERROR","message":"of another job"}]}', text, use_arrow=use_arrow
    ).jobs.to_pylist()[1]

    assert (row["is_terminal"], row["finished_at"], row["failure_reason"]) == expected


NO_EVENTS = ["", '"events":null', '"events":[]', '"events":{}', '"events":7', '"events":""']


@BOTH_READERS
@pytest.mark.parametrize("text", NO_EVENTS)
def test_a_job_without_events_has_no_event_rows(text: str, use_arrow: bool) -> None:
    found = flat('{"id":"ft-1"' + ("," if text else "") + text + "}", use_arrow=use_arrow)

    assert found.jobs.num_rows == 1
    assert found.events.num_rows == 0
    assert found.events.column_names == [c.name for c in tables()["events"].columns if c.read != "computed"]
    assert [(o.path, o.kind) for o in found.anomalies] == (
        [("events", "wrong_type")] if text[-1:] in ("}", "7", '"') and text else []
    )


@BOTH_READERS
def test_every_item_of_the_list_is_a_row_at_its_place(use_arrow: bool) -> None:
    found = flat(
        '{"id":"a","events":[{"type":"JOB_START"},null,5,"x",[],{},{"step":1.5,"new":1},{"type":"JOB_START"}]}',
        '{"id":"b","events":[]}',
        '{"id":"c","events":null}',
        '{"id":"d","events":[null,{"step":2,"new":2}]}',
        use_arrow=use_arrow,
    )

    rows = found.events.to_pylist()
    assert [(r["job_id"], r["position"], r["type"], r["step"], r["extra"]) for r in rows] == [
        ("a", 0, "job_start", None, None),
        *(("a", n, None, None, None) for n in range(1, 6)),
        ("a", 6, None, None, '{"new":1}'),
        ("a", 7, "job_start", None, None),
        ("d", 0, None, None, None),
        ("d", 1, None, 2, '{"new":2}'),
    ]
    assert found.parents.to_pylist() == [0] * 8 + [3] * 2
    assert count_by_key(found.anomalies) == [
        {"job_id": "a", "path": "events", "kind": "wrong_type", "raw": "null", "rows": 4},
        {"job_id": "a", "path": "events.step", "kind": "wrong_type", "raw": "1.5", "rows": 1},
        {"job_id": "d", "path": "events", "kind": "wrong_type", "raw": "null", "rows": 1},
    ]


@BOTH_READERS
def test_every_field_of_an_event_is_optional(use_arrow: bool) -> None:
    names = [c.name for c in tables()["events"].columns if c.sources and not c.required]
    text = ",".join(f'{{"{name}":null}}' for name in names)

    found = flat(f'{{"id":"ft-1","events":[{text},{{}}]}}', use_arrow=use_arrow)

    assert found.events.num_rows == len(names) + 1
    assert found.anomalies == []


def test_the_flat_tables_have_the_types_of_their_contracts() -> None:
    for found in (flat('{"id":"a","events":[{}]}'), flat()):
        for name, rows in (("jobs", found.jobs), ("events", found.events)):
            for column in tables()[name].columns:
                if column.name in rows.column_names:
                    assert rows.schema.field(column.name).type == TYPES[column.type], column.name


OLD = '[{"id":"a","status":"odd","updated_at":"2026-07-01T00:00:00Z","n_evals":"x","events":[null,{"type":"ODD"}]}]'
NEW = '[{"id":"a","status":"running","updated_at":"2026-07-02T00:00:00Z","n_epochs":"x","events":[null]}]'


@BOTH_READERS
def test_copies_that_are_not_the_winner_have_rows_but_no_anomalies(use_arrow: bool) -> None:
    responses = [Response(text, Memory(text.encode()), NOW) for text in (OLD, NEW)]
    work = deduplicate.resolve_duplicates(responses, [index.scan_response(a) for a in responses])
    batch = coalesce_copies(decoder.decode(work.items, responses, use_arrow=use_arrow), responses)
    assert batch.decoded.superseded is not None
    assert batch.decoded.superseded.to_pylist() == [False, True]

    found = flatten_tables.flatten(batch.decoded)

    assert found.jobs.column("status").to_pylist() == ["running", "odd"]
    assert [(o.path, o.kind) for o in found.anomalies] == [("n_epochs", "wrong_type"), ("events", "wrong_type")]


def test_odd_values_are_counted_by_job_path_and_kind_and_the_first_is_shown() -> None:
    odd = [
        Anomaly("b", "events.step", "wrong_type", '"y"', 7),
        Anomaly("b", "events.step", "wrong_type", '"x"', 2),
        Anomaly("a", "status", "unknown_enum", '"z"'),
        Anomaly("b", "events.step", "not_finite", "NaN", 1),
    ]

    expected = [
        ("a", "status", "unknown_enum", '"z"', 1),
        ("b", "events.step", "not_finite", "NaN", 1),
        ("b", "events.step", "wrong_type", '"x"', 2),
    ]
    for order in (odd, odd[::-1]):
        assert [tuple(row.values()) for row in count_by_key(order)] == expected
    assert count_by_key([]) == []


def test_many_jobs_with_and_without_events_keep_them_apart() -> None:
    counts = [n % 7 if n % 3 else 0 for n in range(500)]
    raws = [
        json.dumps({"id": f"ft-{n:03}", "events": [{"step": n * 100 + at} for at in range(c)] or None})
        for n, c in enumerate(counts)
    ]

    events = flat(*raws).events

    assert events.num_rows == sum(counts)
    assert events.column("step").to_pylist() == [n * 100 + at for n, c in enumerate(counts) for at in range(c)]
    assert events.column("position").to_pylist() == [at for c in counts for at in range(c)]
    assert events.column("job_id").to_pylist() == [f"ft-{n:03}" for n, c in enumerate(counts) for _ in range(c)]
    assert isinstance(events, pa.Table)
