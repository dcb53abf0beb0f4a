"""Loads a version into tables of a lakehouse, such as Delta Lake or Apache Iceberg.

These systems commit one table at a time. So all that can be refused is refused before the first commit; the project's
rows of each table are replaced in one commit; and the row of `_ftetl_loads` comes last: it says that the load is whole.
Each commit has a mark, the digest of the rows that it wrote. The next load finds by the marks which tables are right
already, and so completes one that was killed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.contract import Table
from ftetl.contract.arrow_schema import schema
from ftetl.errors import ConfigError, TargetError, TryLaterError
from ftetl.load_result import Outcome, TableCounts
from ftetl.loading import load_record
from ftetl.loading.destinations import LoadOptions
from ftetl.loading.load_record import LOADS, LoadRecord
from ftetl.loading.load_source import LoadSource


class Lake(Protocol):
    """The tables of one folder or namespace, by the names of their contracts; all have a column `project`."""

    def columns(self, table: str) -> pa.Schema | None:
        """The columns of a table with Arrow's types; None where there is no such table."""

    def is_ours(self, table: str) -> bool:
        """Whether ftetl made a table."""

    def create(self, table: Table) -> None:
        """Make a table that is missing."""

    def add_columns(self, table: Table, names: Sequence[str]) -> None:
        """Add columns of the contract that a table lacks, as nullable: older rows have no value."""

    def mark(self, table: str, project: str) -> str | None:
        """The mark of the commit that wrote the project's rows; None if unknown, or if others wrote since."""

    def read(self, table: str, project: str | None, columns: Sequence[str]) -> pa.Table:
        """Some columns of the rows of a project, or of all."""

    def replace(self, table: str, project: str, rows: pa.RecordBatchReader, mark: str) -> None:
        """Put rows in the place of all rows of a project, in one commit with this mark.

        Raises:
            TryLaterError: Another program wrote to the table meanwhile.
        """

    def append(self, table: str, rows: pa.Table) -> None:
        """Add rows in one commit."""


def load(lake: Lake, source: LoadSource, options: LoadOptions) -> Outcome:
    """Make the rows of the source's project equal to the source's, table by table; see `Destination`.

    `updated` counts the rows of a changed table whose key was there before: they are written anew.

    Raises:
        ConfigError: A newer version or another project was loaded, or a column has another type.
        TargetError: A table of the same name was not made by ftetl.
    """
    contracts = [load_record.CONTRACT, *(source.contract(name) for name in source.rows)]
    missing = {table.name: _missing_columns(lake, table) for table in contracts}
    last = _last_load(lake, source.project) if missing[LOADS] is not None else None
    if not options.replace:
        load_record.require_allowed(source, last)
    counts = {
        table.name: _count(lake, source, table, is_there=missing[table.name] is not None) for table in contracts[1:]
    }
    if not options.replace:
        common = sum(c.updated + c.unchanged for c in counts.values())
        known = common + sum(c.deleted for c in counts.values())
        load_record.require_common_rows(source, known=known, common=common)
    stale = [name for name, c in counts.items() if c.changed]
    is_same = last is not None and last.is_of(source)
    changed = bool(stale) or not is_same or any(columns != () for columns in missing.values())
    if changed and not options.dry_run:
        for table in contracts:
            _shape(lake, table, missing[table.name])
        for name in stale:
            _replace(lake, source, name)
        for name in stale:
            if lake.mark(name, source.project) != source.digest(name):
                what = f"another load of project {source.project!r} wrote to {name} meanwhile"
                raise TryLaterError("L09", what, next="load again, one load at a time")
        number = pc.max(lake.read(LOADS, None, ["load"])["load"]).as_py() or 0
        lake.append(LOADS, load_record.row(source, number + 1))
    return Outcome(changed, counts)


def _missing_columns(lake: Lake, table: Table) -> tuple[str, ...] | None:
    """The columns that a table lacks; None where there is no such table."""
    found, name = lake.columns(table.name), table.name
    if found is None:
        return None
    if not lake.is_ours(name):
        what = f"the destination has a table {name!r} that ftetl did not make"
        raise TargetError("L05", what, next="rename it, or load into another folder or namespace")
    wanted = schema(table)
    for field in found:
        if field.name in wanted.names and field.type != wanted.field(field.name).type:
            what = f"the column {field.name!r} of {name} has type {field.type}"
            what += f" and should have {wanted.field(field.name).type}"
            raise ConfigError("L06", what, next="rename the table, then load again: it is made anew")
    return tuple(column for column in wanted.names if column not in found.names)


def _last_load(lake: Lake, project: str) -> LoadRecord | None:
    loads = lake.read(LOADS, project, ["load", "version", "run_id", "identity"]).sort_by("load").to_pylist()
    if not loads:
        return None
    return LoadRecord(loads[-1]["version"], loads[-1]["run_id"], json.loads(loads[-1]["identity"]))


def _count(lake: Lake, source: LoadSource, table: Table, *, is_there: bool) -> TableCounts:
    """What a load would do to a table."""
    rows = source.rows[table.name]
    if not is_there:
        return TableCounts(inserted=rows)
    if lake.mark(table.name, source.project) == source.digest(table.name):
        return TableCounts(unchanged=rows)
    before = lake.read(table.name, source.project, table.key)
    if not before.num_rows:
        return TableCounts(inserted=rows)
    now = pa.concat_tables([part.select(list(table.key)) for part in source.read(table.name)] or [before.slice(0, 0)])
    common = now.join(before, list(table.key), join_type="inner").num_rows
    return TableCounts(inserted=rows - common, updated=common, deleted=before.num_rows - common)


def _shape(lake: Lake, table: Table, missing: tuple[str, ...] | None) -> None:
    if missing is None:
        lake.create(table)
    elif missing:
        lake.add_columns(table, missing)


def _replace(lake: Lake, source: LoadSource, name: str) -> None:
    """Put the source's rows of a table in the place of the project's."""
    columns = lake.columns(name)
    assert columns is not None
    batches = _batches(source, name, columns)
    lake.replace(name, source.project, pa.RecordBatchReader.from_batches(columns, batches), source.digest(name))


def _batches(source: LoadSource, name: str, columns: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows with the columns of the destination; those that the contract no longer has are null."""
    for part in source.read(name):
        arrays = [_cast(part, field, name) for field in columns]
        yield from pa.Table.from_arrays(arrays, schema=columns).to_batches()


def _cast(part: pa.Table, field: pa.Field, name: str) -> pa.ChunkedArray:
    if field.name not in part.schema.names:
        return pa.nulls(len(part), field.type)
    try:
        return part[field.name].cast(field.type)
    except pa.ArrowInvalid:  # an older contract had more digits
        what = f"{name}.{field.name} has values that do not fit {field.type}"
        raise ConfigError("L06", what, next="export once more, then load that version") from None
