"""Merges the rows of other endpoints into those of the last snapshot: one rule for all tables.

A newer response replaces all rows of a group (a file, a month, a job). Where they are the same as before, the stored
ones stay, with their times, so that a run that finds nothing new changes nothing. Rows are never removed otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one, where
from ftetl.contract import Table, tables
from ftetl.contract.arrow_schema import schema
from ftetl.transform.endpoints import EndpointRows
from ftetl.transform.merge.anomalies import count_by_key

ANOMALIES = "endpoint_anomalies"
_TIMES = ("first_seen_at", "observed_at")  # when ftetl saw the row, which is nothing that the row says


@dataclass(frozen=True)
class MergedTable:
    """The next rows of a table in key order, and of the table of anomalies those about it."""

    rows: pa.Table
    anomalies: pa.Table


def merge(table: Table, stored: pa.Table, stored_anomalies: pa.Table, new: EndpointRows, project: str) -> MergedTable:
    """The stored rows with those of a run, which are newer.

    Args:
        table: The contract.
        stored: The rows of the last snapshot.
        stored_anomalies: All rows of `endpoint_anomalies` of the last snapshot.
        new: What the responses of the run hold.
        project: The label of the project.
    """
    about = stored_anomalies.filter(pc.equal(stored_anomalies.column("table_name"), table.name))
    if not new.replaced and not new.whole:
        return MergedTable(stored, about)
    replaced = pa.array(new.replaced, pa.string())
    kept = _kept_anomalies(about, replaced)
    fresh = _anomaly_rows(table, new, project)
    incoming = _with_first_seen(new.rows, stored, table)
    unchanged = _unchanged_groups(table, stored, incoming, replaced)
    is_given = pc.is_in(stored.column(table.group), value_set=replaced)
    is_unchanged = pc.is_in(stored.column(table.group), value_set=unchanged)
    remaining = where(stored, one(pc.or_(pc.invert(is_given), is_unchanged)))
    if new.whole:
        remaining = _mark_missing(remaining, table, replaced, new)
    changed = where(incoming, one(pc.invert(pc.is_in(incoming.column(table.group), value_set=unchanged))))
    rows = remaining  # which is in order; a sort takes the memory of all rows again
    if changed.num_rows:
        rows = pa.concat_tables([remaining, changed]).sort_by([(name, "ascending") for name in table.sorted_by])
    return MergedTable(rows, pa.concat_tables([kept, fresh]))


def sorted_anomalies(parts: list[pa.Table]) -> pa.Table:
    """The rows of `endpoint_anomalies` of all tables, in key order."""
    table = tables()[ANOMALIES]
    whole = pa.concat_tables([schema(table).empty_table(), *parts])
    return whole.sort_by([(name, "ascending") for name in table.sorted_by])


def _unchanged_groups(table: Table, stored: pa.Table, incoming: pa.Table, replaced: pa.Array) -> pa.Array:
    """The groups whose rows are the same as the stored ones, times of observation aside."""
    compared = [name for name in table.names if name not in _TIMES]
    key = [(name, "ascending") for name in table.key]
    before = stored.filter(pc.is_in(stored.column(table.group), value_set=replaced)).select(compared).sort_by(key)
    after = incoming.select(compared).sort_by(key)
    if before.equals(after):
        return replaced
    # A row that stands in both, or in one alone, is counted by its key; whatever differs makes its group a changed one.
    place, place_before = _joined_key(table, after), _joined_key(table, before)
    index = pc.index_in(place_before, value_set=place)
    beside = after.take(index)
    same = pc.is_valid(index)
    for name in compared:
        old, new = before.column(name), beside.column(name)
        equal = pc.or_(pc.fill_null(pc.equal(old, new), False), pc.and_(pc.is_null(old), pc.is_null(new)))
        same = pc.and_(same, equal)
    added = after.filter(pc.invert(pc.is_in(place, value_set=place_before))).column(table.group)
    gone = before.filter(pc.invert(same)).column(table.group)
    differing = pa.chunked_array([*added.chunks, *gone.chunks], pa.string())
    return replaced.filter(pc.invert(pc.is_in(replaced, value_set=one(differing))))


def _joined_key(table: Table, rows: pa.Table) -> pa.Array:
    return one(pc.binary_join_element_wise(*(pc.cast(rows.column(name), pa.string()) for name in table.key), "\0"))


def _with_first_seen(incoming: pa.Table, stored: pa.Table, table: Table) -> pa.Table:
    """The incoming rows; one that is stored was first seen then."""
    name = "first_seen_at"
    if name not in table.names or not stored.num_rows:
        return incoming
    index = pc.index_in(incoming.column(table.group), value_set=one(stored.column(table.group)))
    first = pc.coalesce(pc.take(stored.column(name), index), incoming.column(name))
    at = incoming.schema.get_field_index(name)
    return incoming.set_column(at, incoming.schema.field(at), first)


def _mark_missing(rows: pa.Table, table: Table, replaced: pa.Array, new: EndpointRows) -> pa.Table:
    """The stored rows with `present` false where a whole list lacks them; a quarantined element may be any of them."""
    if any(not element.possible_ids for element in new.quarantined):
        return rows
    ids = pa.array(sorted({i for element in new.quarantined for i in element.possible_ids}), pa.string())
    group, present = rows.column(table.group), rows.column("present")
    listed = pc.or_(pc.is_in(group, value_set=replaced), pc.is_in(group, value_set=ids))
    at = rows.schema.get_field_index("present")
    return rows.set_column(at, rows.schema.field(at), pc.and_(present, listed))


def _kept_anomalies(stored: pa.Table, replaced: pa.Array) -> pa.Table:
    return stored.filter(pc.invert(pc.is_in(stored.column("group_id"), value_set=replaced)))


def _anomaly_rows(table: Table, new: EndpointRows, project: str) -> pa.Table:
    rows = [
        {"project": project, "table_name": table.name, "group_id": row.pop("job_id"), **row}
        for row in count_by_key(new.anomalies)
    ]
    return pa.Table.from_pylist(rows, schema=schema(tables()[ANOMALIES]))
