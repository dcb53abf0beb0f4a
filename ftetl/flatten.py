"""The nested rows of a batch as the flat Arrow table of each contract.

Columnar: nothing here runs once per row unless a value is odd. Null policy, times, enumerations, money and the columns
that derive from the events are settled here, for both roads alike. Knows no table by name but through its contract;
what only the run knows (`project`, what was stored before) is filled in by `merge`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ftetl import times
from ftetl.contract import Column, Source, Table, tables
from ftetl.copies import Oddity
from ftetl.decode import Decoded
from ftetl.schema import NANO, TYPES, USD_LIMIT
from ftetl.shape import other_name


@dataclass
class Flat:
    """A batch's flat tables, without the columns that only the run knows, and what was odd."""

    jobs: pa.Table
    events: pa.Table
    parents: pa.Array  # by event: the row of its job
    oddities: list[Oddity] = field(default_factory=list)
    events_read: bool = True  # False: no events were wanted, so none are known


@dataclass
class Rows:
    """The rows of one table before they are flat: the nested values, and the job that each belongs to."""

    values: dict[str, pa.Array]  # the row's own keys
    jobs: dict[str, pa.Array]  # the keys of its job
    count: int
    ids: pa.Array  # the job's id, by row
    prefix: str = ""  # of the paths in anomalies
    places: pa.Array | None = None  # the position of an event
    extra: pa.Array | None = None


def flatten(decoded: Decoded) -> Flat:
    """The flat tables of a batch."""
    oddities = list(decoded.oddities)
    nested = {name: decoded.jobs.column(name).combine_chunks() for name in decoded.jobs.column_names}
    count = decoded.jobs.num_rows
    ids = nested["id"]
    jobs = Rows(nested, nested, count, ids, extra=_sparse(count, decoded.extra))
    events = _event_rows(decoded, nested, ids)
    flat_events = _table(tables()["events"], events, oddities)
    flat_jobs = _table(tables()["jobs"], jobs, oddities, _LastEvents(flat_events, count, events))
    older = {item.job_id: item for item in decoded.items if item.older}
    if older:  # copies that are not the winner have no current row, and so no anomalies
        current = {item.job_id for item in decoded.items if not item.older}
        oddities = [o for o in oddities if o.job_id in current]
    return Flat(flat_jobs, flat_events, events.values["__parent"], oddities)


def _event_rows(decoded: Decoded, nested: dict[str, pa.Array], ids: pa.Array) -> Rows:
    """One row per event: the items of each job's list, in order."""
    lists = nested[str(tables()["events"].rows)]
    items = pc.list_flatten(lists)
    parents = pc.list_parent_indices(lists)
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    starts = pc.subtract(pc.cumulative_sum(pc.cast(lengths, pa.int64())), lengths)
    count = len(items)
    places = pc.subtract(pa.array(range(0), pa.int64()) if not count else _counting(count), pc.take(starts, parents))
    values = {f.name: pc.struct_field(items, [f.name]) for f in items.type}
    rows = Rows(values, {}, count, pc.take(ids, parents), "events.", places)
    rows.jobs = {"id": rows.ids}
    first = starts.to_pylist() if decoded.event_extra else []
    rows.extra = _sparse(count, {first[row] + at: text for (row, at), text in decoded.event_extra.items()})
    rows.values["__parent"] = parents
    rows.values["__null"] = pc.is_null(items)
    return rows


def _counting(count: int) -> pa.Array:
    ones = pa.array([1], pa.int64()).take(pa.nulls(count, pa.int64()).fill_null(0))
    return pc.subtract(pc.cumulative_sum(ones), 1)


def _sparse(count: int, cells: dict[int, str]) -> pa.Array:
    if not cells:
        return pa.nulls(count, pa.string())
    return pa.array([cells.get(row) for row in range(count)], pa.string())


class _LastEvents:
    """For each job its last event of a terminal type, as the columns that derive from the events ask for it."""

    def __init__(self, events: pa.Table, jobs: int, rows: Rows) -> None:
        columns = [c for c in tables()["jobs"].columns if c.read == "last_event"]
        kinds = sorted({value for c in columns for value in c.values})
        self.events = events
        last = pc.indices_nonzero(pc.is_in(events.column("type"), value_set=pa.array(kinds, pa.string())))
        parents = pc.take(rows.values["__parent"], last)
        # Events stand in order, so of several the last one in the table wins.
        found = pa.table({"parent": parents, "event": last}).group_by("parent").aggregate([("event", "max")])
        at = pc.index_in(
            _counting(jobs) if jobs else pa.array([], pa.int64()),
            value_set=pc.cast(found["parent"], pa.int64()).combine_chunks(),
        )
        self.index = pc.take(found["event_max"].combine_chunks(), at)
        self.kind = pc.take(events.column("type"), self.index)

    def read(self, column: Column) -> pa.Array:
        """The cells of a `last_event` column: the value where the last event is of the column's own types."""
        name = column.sources[0].keys[-1]
        values = pc.take(self.events.column(name), self.index)
        mine = pc.is_in(self.kind, value_set=pa.array(column.values, pa.string()))
        return one(pc.if_else(mine, values, pa.scalar(None, values.type)))


def one(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The values as one array."""
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _table(table: Table, rows: Rows, oddities: list[Oddity], last: _LastEvents | None = None) -> pa.Table:
    """The flat table of one contract, without its computed columns."""
    note = _Notes(rows, oddities)
    if "__null" in rows.values and pc.any(rows.values["__null"]).as_py():
        note.mask(rows.prefix.rstrip("."), "wrong_type", rows.values["__null"], lambda _: "null")
    arrays: dict[str, pa.Array] = {}
    for column in table.columns:
        if column.read == "position":
            arrays[column.name] = rows.places
        elif column.read == "extra":
            arrays[column.name] = rows.extra
        elif column.read == "last_event":
            assert last is not None
            arrays[column.name] = last.read(column)
        elif column.read != "computed":
            arrays[column.name] = _cells(column, rows, note)
    if last is not None:
        _after_the_end(arrays)
    return pa.table(arrays)


def _after_the_end(arrays: dict[str, pa.Array]) -> None:
    """A job that runs again after a terminal event (it was restarted) has not finished."""
    running = pc.invert(pc.fill_null(arrays["is_terminal"], True))
    for name in ("finished_at", "failure_reason"):
        arrays[name] = pc.if_else(running, pa.scalar(None, arrays[name].type), arrays[name])


class _Notes:
    """Collects the odd values of one table."""

    def __init__(self, rows: Rows, oddities: list[Oddity]) -> None:
        self.rows, self.oddities = rows, oddities

    def mask(self, path: str, kind: str, odd: pa.Array, raw: Callable[[int], str]) -> None:
        """Note every row where `odd` holds; `raw` gives the row's value as JSON text."""
        for row in pc.indices_nonzero(odd).to_pylist():
            self.at(path, kind, row, raw(row))

    def at(self, path: str, kind: str, row: int, raw: str) -> None:
        """Note one row."""
        place = self.rows.places[row].as_py() if self.rows.places is not None else 0
        self.oddities.append(Oddity(self.rows.ids[row].as_py(), path, kind, raw, place))


def _cells(column: Column, rows: Rows, note: _Notes) -> pa.Array:
    """The cells of one column: aliases in order, then the reader, then the contract's own rules."""
    path = rows.prefix + str(column.sources[0])
    values = _read(column, rows, column.sources[0])
    for alias in column.sources[1:]:
        more = _read(column, rows, alias)
        differ = pc.fill_null(pc.not_equal(values, more), False)
        if pc.any(differ).as_py():
            _note_conflict(rows.prefix + str(alias), differ, more, note)
        values = pc.coalesce(values, more)
    values = _RULES.get(column.type, _unchanged)(column, values, path, note)
    if column.minimum is not None:
        low = pc.fill_null(pc.less(values, column.minimum), False)
        if pc.any(low).as_py():
            kept = values
            note.mask(path, "out_of_range", low, lambda row: _raw(kept[row].as_py()))
            values = pc.if_else(low, pa.scalar(None, values.type), values)
    return values


def _note_conflict(path: str, differ: pa.Array, values: pa.Array, note: _Notes) -> None:
    note.mask(path, "alias_conflict", differ, lambda row: _raw(values[row].as_py()))


def _read(column: Column, rows: Rows, source: Source) -> pa.Array:
    """The raw values at one source, as the column's reader sees them."""
    values = _at(rows, source)
    if column.read == "bool_text":
        other = _at(rows, _sibling(source))
        return pc.coalesce(_nothing(values), pc.cast(other, pa.string()))
    if column.read == "is_max":
        other = _at(rows, _sibling(source))
        return pc.coalesce(pc.equal(other, "max"), pc.if_else(pc.is_valid(values), False, pa.scalar(None, pa.bool_())))
    if column.read == "is_one_of":
        found = pc.is_in(values, value_set=pa.array(column.values, pa.string()))
        return pc.if_else(pc.is_valid(_nothing(values)), found, pa.scalar(None, pa.bool_()))
    return values


def _sibling(source: Source) -> Source:
    return Source((*source.keys[:-1], other_name(source.keys[-1])), source.job)


def _at(rows: Rows, source: Source) -> pa.Array:
    values = (rows.jobs if source.job else rows.values)[source.keys[0]]
    return pc.struct_field(values, list(source.keys[1:])) if len(source.keys) > 1 else values


def _nothing(texts: pa.Array) -> pa.Array:
    """Empty text is none."""
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _raw(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _unchanged(_column: Column, values: pa.Array, _path: str, _note: _Notes) -> pa.Array:
    return values


def _text(column: Column, values: pa.Array, path: str, note: _Notes) -> pa.Array:
    values = _nothing(values)
    return _enumerated(column, values, path, note) if column.enum else values


def _enumerated(column: Column, values: pa.Array, path: str, note: _Notes) -> pa.Array:
    """Known spellings as the contract's words; an unknown text stays as it is and is noted."""
    encoded = pc.dictionary_encode(values)
    words = encoded.dictionary.to_pylist()
    lower = column.read == "lower_case"
    settled = []
    for word in words:
        key = word.lower() if lower else word
        settled.append(key if key in column.enum else column.spellings.get(key))
    unknown = pa.array([i for i, word in enumerate(settled) if word is None], pa.int32())
    if len(unknown):
        odd = pc.is_in(encoded.indices, value_set=unknown)
        note.mask(path, "unknown_enum", odd, lambda row: _raw(values[row].as_py()))
        settled = [word if word is not None else words[i] for i, word in enumerate(settled)]
    return pc.take(pa.array(settled, pa.string()), encoded.indices)


def _instants(_column: Column, values: pa.Array, path: str, note: _Notes) -> pa.Array:
    instants, odd = times.column(values)
    for row, kind, text in odd:
        note.at(path, kind, row, _raw(text))
    return instants


def _usd(_column: Column, values: pa.Array, path: str, note: _Notes) -> pa.Array:
    high = pc.fill_null(pc.or_(pc.greater_equal(values, USD_LIMIT), pc.less_equal(values, -USD_LIMIT)), False)
    if pc.any(high).as_py():
        note.mask(path, "out_of_range", high, lambda row: _raw(values[row].as_py()))
        values = pc.if_else(high, pa.scalar(None, pa.int64()), values)
    return usd(values)


def usd(nano: pa.Array) -> pa.Array:
    """Integers of nano-USD as exact decimals in USD: the same digits, with the point nine places to the left."""
    whole = pc.cast(pc.cast(nano, pa.decimal128(19, 0)), pa.decimal128(TYPES["decimal"].precision, 0), safe=False)
    kind = pa.decimal128(TYPES["decimal"].precision, NANO)
    return pa.Array.from_buffers(kind, len(whole), whole.buffers(), whole.null_count, whole.offset)


_RULES: dict[str, Callable[[Column, pa.Array, str, _Notes], pa.Array]] = {
    "string": _text,
    "datetime": _instants,
    "decimal": _usd,
}


def tally(oddities: Sequence[Oddity]) -> list[dict[str, Any]]:
    """The odd values as rows of the anomalies, one for each job, path and kind: the first raw value, and how many."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for odd in sorted(oddities, key=lambda o: (o.job_id, o.path, o.kind, o.place)):
        row = found.setdefault(
            (odd.job_id, odd.path, odd.kind),
            {"job_id": odd.job_id, "path": odd.path, "kind": odd.kind, "raw": odd.raw, "rows": 0},
        )
        row["rows"] += 1
    return list(found.values())
