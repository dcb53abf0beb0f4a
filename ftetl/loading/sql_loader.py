"""Loads a version into a database that speaks SQL: tables from the contracts, all rows in one transaction.

A database is a `Database`, which is little more than a connection and the words in which its SQL differs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from ftetl.contract import Table, tables
from ftetl.contract.arrow_schema import empty
from ftetl.contract.sql import comments, create_table, literal, quoted, quoted_list
from ftetl.errors import ConfigError, SoftwareError, TargetError
from ftetl.load_result import Outcome, TableCounts
from ftetl.loading import load_record
from ftetl.loading.load_record import LOADS, LoadRecord
from ftetl.loading.load_source import PROJECT, LoadSource

STAGE = "_ftetl_stage"  # the temporary table of the rows that are loaded
_INDEXED = ("job_id", "created_at")


@dataclass
class Incoming:
    """Encoded rows of a schema, in parts that fit into memory, to be read once."""

    schema: pa.Schema
    parts: Iterable[pa.Table]
    file: Path | None = None  # a Parquet file from which they came, if there is one; it may have other columns

    def __iter__(self) -> Iterator[pa.Table]:
        return iter(self.parts)


class Database(Protocol):
    """A database in an open transaction. A table's name is that of its contract, `_ftetl_loads`, or `STAGE`."""

    differs: str  # the operator that tells whether two values differ, where NULL is equal to NULL
    retype: str  # the statement that mends a column of another type, with {table}, {column} and {type}
    has_comments: bool
    has_indexes: bool  # whether an index on a column of text or times makes queries faster there
    keys_last: bool  # whether keys are added faster after a table's first rows than before, and joins need none

    def qualified(self, table: str) -> str:
        """The quoted name of a table, with its schema where there are schemas; that of `STAGE` has none."""

    def prepare(self) -> None:
        """Make what tables need and is missing, such as their schema."""

    def type_of(self, kind: pa.DataType) -> str:
        """The SQL type for the type of a column that `encode` returns."""

    def encode(self, table: Table, rows: pa.Table) -> pa.Table:
        """Rows as the database takes them, with types and values that it lacks replaced; it may add columns."""

    def columns(self, table: str) -> dict[str, str]:
        """By column of a table or view, its type as the database calls it; empty where there is none of the name."""

    def execute(self, statement: str) -> int:
        """Run a statement; the number of rows that it inserted, updated or deleted."""

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""

    def insert(self, table: str, schema: pa.Schema, rows: Incoming) -> None:
        """Insert encoded rows of this schema by name: the table may have its columns in another order, and more."""


def load(database: Database, source: LoadSource, *, replace: bool) -> Outcome:
    """Make the database's rows of the source's project equal to the source's, in the transaction that is open.

    The caller commits it if the outcome has `changed` and it is no dry run, and rolls it back otherwise.

    Raises:
        ConfigError: A newer version or another project was loaded and is not to be replaced, or a column has another
            type.
        TargetError: A table of the same name was not made by ftetl.
    """
    return _Load(database, source).run(replace=replace)


class _Load:
    """One load into one database."""

    def __init__(self, database: Database, source: LoadSource) -> None:
        self.database, self.source = database, source
        self._project = literal(source.project)
        self._altered = False

    def run(self, *, replace: bool) -> Outcome:
        self.database.prepare()
        known = self._tables_made_before()
        if self._shape(load_record.CONTRACT, made_before=bool(known)):
            self._index(load_record.CONTRACT)
        last = self._last_load()
        if not replace:
            load_record.require_allowed(self.source, last)
        counts = {}
        for name in tables():
            is_new = self._shape(self.source.contract(name), made_before=name in known)
            counts[name] = self._fill(self.source.contract(name))
            if is_new:
                self._index(self.source.contract(name))
        if not replace:
            common = sum(c.updated + c.unchanged for c in counts.values())
            known_rows = common + sum(c.deleted for c in counts.values())
            load_record.require_common_rows(self.source, known=known_rows, common=common)
        is_same = last is not None and last.is_of(self.source)
        changed = self._altered or not is_same or any(c.changed for c in counts.values())
        if changed:
            self._record()
        return Outcome(changed, counts)

    def _tables_made_before(self) -> set[str]:
        """The tables that ftetl made in this database, `_ftetl_loads` among them if there is one."""
        columns = self.database.columns(LOADS)
        if not columns:
            return set()
        if not {*load_record.CONTRACT.names} & {*columns} >= {"load", "project", "version", "run_id", "tables"}:
            raise _foreign_table(self.database.qualified(LOADS))
        texts = self.database.query(f"SELECT tables FROM {self.database.qualified(LOADS)}")  # noqa: S608
        return {LOADS}.union(*(json.loads(text) for (text,) in texts))

    def _last_load(self) -> LoadRecord | None:
        found = self.database.query(
            f"SELECT version, run_id, identity FROM {self.database.qualified(LOADS)} "  # noqa: S608
            f"WHERE project = {self._project} ORDER BY load DESC LIMIT 1"
        )
        return LoadRecord(found[0][0], found[0][1], json.loads(found[0][2])) if found else None

    def _record(self) -> None:
        """Add the row of this load to `_ftetl_loads`."""
        ((last,),) = self.database.query(f"SELECT max(load) FROM {self.database.qualified(LOADS)}")  # noqa: S608
        row = self.database.encode(load_record.CONTRACT, load_record.row(self.source, (last or 0) + 1))
        self.database.insert(LOADS, row.schema, Incoming(row.schema, [row]))

    def _shape(self, table: Table, *, made_before: bool) -> bool:
        """Make a table that is missing, and add the columns that one of ours lacks; whether it was missing."""
        database, name = self.database, self.database.qualified(table.name)
        found = database.columns(table.name)
        if not found:
            self._make(table)
            return True
        if not made_before:
            raise _foreign_table(name)
        with self._stage(table):
            wanted = database.columns(STAGE)
        for column, kind in wanted.items():
            if column not in found:
                # Without NOT NULL: rows of other projects have no value before their next load.
                database.execute(f"ALTER TABLE {name} ADD COLUMN {quoted(column)} {kind}")
                self._altered = True
            elif found[column] != kind:
                what = f"the column {column!r} of {name} has type {found[column]} and should have {kind}"
                mend = database.retype.format(table=name, column=quoted(column), type=kind)
                raise ConfigError("L06", what, next=f"run `{mend}`, then load again")
        return False

    def _make(self, table: Table) -> None:
        database, name = self.database, self.database.qualified(table.name)
        database.execute(self._create(table, name))
        for statement in comments(table, name) if database.has_comments else ():
            database.execute(statement)
        self._altered = True

    def _create(self, table: Table, name: str) -> str:
        key = [] if self.database.keys_last else [_primary_key(table)]
        return create_table(name, self._encoded_schema(table), self.database.type_of, key)

    def _index(self, table: Table) -> None:
        """Add the key, where it comes last, and the indexes to a table that was made in this load."""
        database, name = self.database, self.database.qualified(table.name)
        columns = self._encoded_schema(table)
        if database.keys_last:
            database.execute(f"ALTER TABLE {name} ADD {_primary_key(table)}")
        for column in _INDEXED if database.has_indexes else ():
            if column in columns.names:
                index = quoted(f"{table.name}_{column}")
                database.execute(f"CREATE INDEX {index} ON {name} ({quoted(column)})")

    def _fill(self, table: Table) -> TableCounts:
        """Make the rows of the project equal to the source's."""
        database, name, rows = self.database, self.database.qualified(table.name), self.source.rows[table.name]
        mine = f"FROM {name} WHERE {quoted(PROJECT)} = {self._project}"
        if not database.query(f"SELECT 1 {mine} LIMIT 1"):
            self._insert(table, table.name)
            counts = TableCounts(inserted=rows)
        else:
            with self._stage(table):
                self._insert(table, STAGE)
                counts = self._merge(table)
        ((found,),) = database.query(f"SELECT count(*) {mine}")
        if found != rows:
            what = f"{name} has {found:,} rows of the project after the load, and {rows:,} were loaded"
            raise SoftwareError("V13", what, next="please report this; the destination is as it was")
        return counts

    def _insert(self, table: Table, into: str) -> None:
        parts = (self.database.encode(table, part) for part in self.source.read(table.name))
        schema = self._encoded_schema(table)
        self.database.insert(into, schema, Incoming(schema, parts, self.source.parquet_file(table.name)))

    def _merge(self, table: Table) -> TableCounts:
        """Bring the differences between the stage and the table's rows of the project into the table."""
        name, stage = self.database.qualified(table.name), self.database.qualified(STAGE)
        own, columns = quoted(table.name), self._encoded_schema(table).names
        same_key = " AND ".join(f"{own}.{quoted(part)} = s.{quoted(part)}" for part in table.key)
        others = [quoted(column) for column in columns if column not in table.key]
        mine = f"{own}.{quoted(PROJECT)} = {self._project}"
        deleted = self.database.execute(
            f"DELETE FROM {name} WHERE {mine} AND NOT EXISTS (SELECT 1 FROM {stage} AS s WHERE {same_key})"  # noqa: S608
        )
        differ = " OR ".join(f"{own}.{column} {self.database.differs} s.{column}" for column in others)
        values = ", ".join(f"{column} = s.{column}" for column in others)
        updated = self.database.execute(
            f"UPDATE {name} SET {values} FROM {stage} AS s WHERE {mine} AND {same_key} AND ({differ})"  # noqa: S608
        )
        inserted = self.database.execute(
            f"INSERT INTO {name} ({quoted_list(columns)}) SELECT {quoted_list(columns)} FROM {stage} AS s "  # noqa: S608
            f"WHERE NOT EXISTS (SELECT 1 FROM {name} WHERE {same_key})"
        )
        return TableCounts(inserted, updated, deleted, self.source.rows[table.name] - inserted - updated)

    @contextmanager
    def _stage(self, table: Table) -> Iterator[None]:
        """An empty temporary table of the table's columns."""
        name = self.database.qualified(STAGE)
        make = self._create(table, name)
        self.database.execute(make.replace("CREATE TABLE", "CREATE TEMPORARY TABLE", 1))
        yield
        self.database.execute(f"DROP TABLE {name}")

    def _encoded_schema(self, table: Table) -> pa.Schema:
        return self.database.encode(table, empty(table)).schema


def _primary_key(table: Table) -> str:
    return f"PRIMARY KEY ({quoted_list(table.key)})"


def _foreign_table(name: str) -> TargetError:
    what = f"the destination has a table {name} that ftetl did not make"
    return TargetError("L05", what, next="rename it, or load into another schema or file")
