"""An SQLite file: `sqlite:FILE`.

SQLite has neither decimals, times nor booleans. A decimal is two columns: exact text, and a whole number of 1e-9 in
`NAME_nano`, unless the contract itself has the amount in nano-USD. Times are ISO 8601 text in UTC with six digits
after the second, so that they sort. Booleans are 0 and 1.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from ftetl.contract import Column, Table
from ftetl.contract.arrow_schema import TYPES
from ftetl.contract.sql import literal, quoted, quoted_list
from ftetl.errors import FtetlError, StorageError, TargetError, TryLaterError
from ftetl.errors.os_errors import error_for_operation
from ftetl.load_result import Outcome
from ftetl.loading import sql_loader
from ftetl.loading.destinations import LoadOptions, path_in
from ftetl.loading.exact_text import decimal_text, decimal_units, time_text
from ftetl.loading.load_file import destination_file
from ftetl.loading.load_source import LoadSource
from ftetl.loading.sql_loader import STAGE

ADDRESS = "sqlite:FILE"
_TYPES = {pa.string(): "TEXT", pa.int64(): "INTEGER", pa.float64(): "REAL"}
_BATCH_ROWS = 16_384  # that are Python's objects at a time
_BUSY_SECONDS = 5.0  # for which a lock is waited for
OS_ERRORS = {"SQLITE_FULL": errno.ENOSPC, "SQLITE_READONLY": errno.EROFS, "SQLITE_IOERR": errno.EIO}


def load(address: str, source: LoadSource, options: LoadOptions) -> Outcome:
    """Load into an SQLite file, which is made if it is missing. It has no schemas."""
    file = Path(path_in(address))
    with destination_file(file, dry_run=options.dry_run, companions=("-journal", "-wal", "-shm")) as path:
        with (
            _translated(file),
            closing(sqlite3.connect(path or ":memory:", isolation_level=None, timeout=_BUSY_SECONDS)) as connection,
        ):
            connection.execute("BEGIN IMMEDIATE")
            outcome = sql_loader.load(_SQLite(connection), source, replace=options.replace)
            connection.execute("COMMIT" if outcome.changed and not options.dry_run else "ROLLBACK")
        return outcome


class _SQLite:
    """A `sql_loader.Database` over a connection."""

    differs = "IS NOT"
    retype = "ALTER TABLE {table} DROP COLUMN {column}"  # there is no other way; the next load adds and fills it
    has_comments = False
    has_indexes = True
    keys_last = False

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def qualified(self, table: str) -> str:
        return quoted(table)

    def prepare(self) -> None:
        pass

    def type_of(self, kind: pa.DataType) -> str:
        return _TYPES[kind]

    def encode(self, table: Table, rows: pa.Table) -> pa.Table:
        fields, arrays = [], []
        for field, cells in zip(rows.schema, rows.columns, strict=True):
            for name, values in _encoded(field.name, cells, keeps_units=not _has_units(table, table[field.name])):
                fields.append(pa.field(name, values.type, nullable=field.nullable))
                arrays.append(values)
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields))

    def columns(self, table: str) -> dict[str, str]:
        schema = "temp" if table == STAGE else "main"
        return dict(self.query(f"SELECT name, type FROM pragma_table_info({literal(table)}, {literal(schema)})"))  # noqa: S608

    def execute(self, statement: str) -> int:
        return self._connection.execute(statement).rowcount

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement).fetchall()

    def insert(self, table: str, schema: pa.Schema, rows: Iterable[pa.Table]) -> None:
        marks = ", ".join("?" * len(schema))
        statement = f"INSERT INTO {quoted(table)} ({quoted_list(schema.names)}) VALUES ({marks})"  # noqa: S608
        for part in rows:
            for batch in part.to_batches(max_chunksize=_BATCH_ROWS):
                columns = (column.to_pylist() for column in batch.columns)
                self._connection.executemany(statement, zip(*columns, strict=True))


def _encoded(name: str, cells: pa.ChunkedArray, *, keeps_units: bool) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """The columns that SQLite gets for a column."""
    kind = cells.type
    if pa.types.is_timestamp(kind):
        yield name, _each(time_text, cells, pa.string())
    elif pa.types.is_boolean(kind):
        yield name, cells.cast(pa.int64())
    elif pa.types.is_decimal(kind):
        yield name, _each(decimal_text, cells, pa.string())
        if keeps_units:
            units = cells.cast(TYPES["decimal"])
            yield f"{name}_nano", _each(lambda chunk: decimal_units(chunk).cast(pa.int64()), units, pa.int64())
    else:
        yield name, cells


def _each(kernel: Any, cells: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array([kernel(chunk) for chunk in cells.chunks], kind)


def _has_units(table: Table, column: Column) -> bool:
    """Whether another column of the table has the same amount in whole nano-USD."""
    return any(c.unit == "nano-USD" and c.sources == column.sources and c.type == "integer" for c in table.columns)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Raise SQLite's errors as ftetl's. Their text is not shown, since it may hold values of the data."""
    try:
        yield
    except sqlite3.Error as error:
        raise _error_for(getattr(error, "sqlite_errorname", type(error).__name__), path) from None


def _error_for(name: str, path: Path) -> FtetlError:
    kind = "_".join(name.split("_")[:2])  # without what says more, as SQLITE_BUSY_SNAPSHOT does
    if kind in ("SQLITE_BUSY", "SQLITE_LOCKED"):
        return TryLaterError("L09", f"another program is writing to {path}", next="load again when it has ended")
    if kind in OS_ERRORS:
        return error_for_operation(OSError(OS_ERRORS[kind], name), "write", path)
    if kind in ("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_CANTOPEN", "SQLITE_PERM"):
        what = f"{path} is not an SQLite database, is damaged, or may not be opened ({name})"
        return TargetError("L08", what, next="name a new file in a folder that can be written to")
    what = f"SQLite cannot load into {path} ({name})"
    return StorageError("L10", what, next="look at the file with SQLite; nothing was loaded")
