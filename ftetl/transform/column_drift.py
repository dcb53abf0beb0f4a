"""Drift of columns: values that this run could not read, and values that were there before and are missing now.

Counted by job, in the jobs whose row, detail or events this run replaced: a job that was not decoded again tells
nothing of the responses. What is too much is decided elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one
from ftetl.contract import Column, tables

UNREADABLE = ("wrong_type", "out_of_range", "not_finite", "bad_time")  # kinds of anomalies that leave NULL in the cell
STATUS = "status"
UNKNOWN_TEXT = "unknown text"  # the form of a status that ftetl does not know: stored as it is, with an anomaly
EVENTS = "events"
_FORMS = (
    (r'"-?\d+"', "text of digits"),
    (r'"-?\d+(\.\d*)?([eE][+-]?\d+)?"', "text of a number"),
    (r'"', "text"),
    (r"\{", "object"),
    (r"\[", "list"),
    (r"true|false", "boolean"),
    (r"-?\d+$", "integer"),
    (r"-?\d+(\.\d+)?[eE]", "number with an exponent"),
    (r"-?\d", "number with a fraction"),
)


@dataclass(frozen=True)
class Unreadable:
    """A key whose value could not be read in some jobs."""

    path: str
    vital: bool  # whether it holds money, a status or a time
    form: str  # of one value, such as `text of digits`; never the value
    had: int  # jobs of this run whose stored row has a value of it
    lost: int  # of these, the jobs in which it is unreadable now
    others: int  # the other jobs of this run, but for those in which it was unreadable before
    unreadable_others: int  # of these, the jobs in which it is unreadable
    stored: int  # jobs of the last snapshot in which it was unreadable

    @property
    def jobs(self) -> int:
        """In how many jobs it became unreadable."""
        return self.lost + self.unreadable_others


@dataclass(frozen=True)
class MissingKey:
    """A key that had a value in some stored rows, and has none in the same jobs now."""

    path: str
    vital: bool
    compared: int  # jobs that were compared
    had: int  # of these, the jobs whose stored row has a value
    jobs: int  # of these, the jobs without one now


@dataclass(frozen=True)
class ChangedMoney:
    """A price or refund that is another one in jobs that had ended before."""

    path: str
    had: int  # finished jobs of this run whose stored row has a value other than 0
    jobs: int  # of these, the jobs with another one now; of refunds, with less


@dataclass(frozen=True)
class ColumnDrift:
    """The drift of one run, by key."""

    unreadable: tuple[Unreadable, ...] = ()
    missing: tuple[MissingKey, ...] = ()
    money: tuple[ChangedMoney, ...] = ()
    read: Mapping[str, int] = field(default_factory=dict)  # how many jobs of which the rows, details or events are new


@dataclass(frozen=True)
class ReadJobs:
    """Ids of the jobs of which a run replaced the row, the columns that only a detail fills, or the events."""

    rows: pa.Array
    details: pa.Array
    events: pa.Array


def find_unreadable(current: pa.Table, before: pa.Table, jobs: pa.Table, read: ReadJobs) -> Iterator[Unreadable]:
    """The keys with an unreadable value; a status of an unknown text counts, since nobody can tell what it means.

    Args:
        current: Anomalies of this run about values of the rows that it replaced.
        before: The stored anomalies.
        jobs: The stored rows of `jobs`.
        read: What this run replaced.
    """
    unknown, unknown_before = _unknown_statuses(current), _unknown_statuses(before)
    current = pa.concat_tables([unreadable_cells(current), unknown])
    before = pa.concat_tables([unreadable_cells(before), unknown_before])
    ids_before = unknown_before.column("job_id")
    still_unknown = ids_before.filter(pc.is_in(ids_before, value_set=one(unknown.column("job_id"))))
    for path in sorted(pc.unique(current.column("path")).to_pylist()):
        columns = columns_below(path)
        if not columns:
            continue  # inside of a key that no column reads
        ids, values = jobs_at(current, path)
        scope = _jobs_read(path, columns, read)
        had = pa.array([], pa.string()) if _is_of_events(path) else _with_value(jobs, columns, scope)
        if path == STATUS:
            had = without(had, still_unknown)
        was = without(jobs_at(before, path)[0], had)
        others = without(without(scope, had), was)
        yield Unreadable(
            path,
            any(map(is_vital, columns)),
            _form_at(path, values[0].as_py()),
            len(had),
            _count_common(ids, had),
            len(others),
            _count_common(ids, others),
            len(was),
        )


def form_of(raw: str | None) -> str:
    """The form of a value that is given as JSON text, in words: nothing of the value itself."""
    return next((form for pattern, form in _FORMS if re.match(pattern, raw or "null")), "another form")


def _form_at(path: str, raw: str | None) -> str:
    form = form_of(raw)
    return UNKNOWN_TEXT if path == STATUS and form == "text" else form


def is_vital(column: Column) -> bool:
    """Whether a column holds money, a status or a time: nobody can do without it."""
    return column.type == "datetime" or column.is_money or column.name in ("status", "type")


@cache
def columns_below(path: str) -> tuple[Column, ...]:
    """The columns that are read from a path of the API's keys, or from below it."""
    keys = tuple(path.split("."))
    table = tables()["jobs"]
    if keys[0] == EVENTS:
        table, keys = tables()[EVENTS], keys[1:]
    return tuple(
        c
        for c in table.columns
        if c.read != "last_event" and any(not s.job and s.keys[: len(keys)] == keys for s in c.sources)
    )


def _is_of_events(path: str) -> bool:
    return path.partition(".")[0] == EVENTS


def _jobs_read(path: str, columns: tuple[Column, ...], read: ReadJobs) -> pa.Array:
    ids: pa.Array = getattr(read, what_is_read(path, columns))
    return ids


def what_is_read(path: str, columns: tuple[Column, ...]) -> str:
    """What of a job a path belongs to: its `rows`, its `details` or its `events`."""
    if _is_of_events(path) and path != EVENTS:
        return "events"
    return "details" if all(c.detail for c in columns) else "rows"


def unreadable_cells(anomalies: pa.Table) -> pa.Table:
    """The anomalies that left NULL in their cell."""
    return anomalies.filter(pc.is_in(anomalies.column("kind"), value_set=pa.array(UNREADABLE)))


def _unknown_statuses(anomalies: pa.Table) -> pa.Table:
    is_unknown = pc.equal(anomalies.column("kind"), "unknown_enum")
    return anomalies.filter(pc.and_(is_unknown, pc.equal(anomalies.column("path"), STATUS)))


def jobs_at(anomalies: pa.Table, path: str) -> tuple[pa.Array, pa.ChunkedArray]:
    """The jobs with an anomaly at a path, and its raw values."""
    rows = anomalies.filter(pc.equal(anomalies.column("path"), path))
    return pc.unique(rows.column("job_id")), rows.column("raw")


def any_valid(rows: pa.Table, columns: tuple[Column, ...]) -> pa.Array:
    """By row whether one of the columns has a value."""
    masks = [pc.is_valid(rows.column(c.name)) for c in columns]
    mask = masks[0]
    for other in masks[1:]:
        mask = pc.or_(mask, other)
    return one(mask)


def _with_value(jobs: pa.Table, columns: tuple[Column, ...], ids: pa.Array) -> pa.Array:
    """Those of the jobs `ids` whose stored row has a value in one of the columns."""
    mask = pc.and_(any_valid(jobs, columns), pc.is_in(jobs.column("job_id"), value_set=ids))
    return one(jobs.column("job_id").filter(one(mask)))


def without(ids: pa.Array, others: pa.Array) -> pa.Array:
    """The ids that are not among the others."""
    return ids.filter(pc.invert(pc.is_in(ids, value_set=one(others))))


def _count_common(ids: pa.Array, others: pa.Array) -> int:
    return pc.sum(pc.is_in(ids, value_set=others)).as_py() or 0
