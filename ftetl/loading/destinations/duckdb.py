"""A DuckDB file: `duckdb:FILE`. Needs the extra `duckdb`.

The tables have the contracts' types and keys. They have no other indexes: DuckDB skips blocks by the least and the
greatest value in them, and an index makes loads slower and scans no faster.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ftetl.contract import Table
from ftetl.contract.sql import DUCKDB, column_type, literal, quoted, quoted_list
from ftetl.errors import ConfigError, FtetlError, StorageError, TargetError, TryLaterError
from ftetl.errors.os_errors import error_for_operation
from ftetl.load_result import Outcome
from ftetl.loading import sql_loader
from ftetl.loading.destinations import LoadOptions, path_in
from ftetl.loading.load_file import destination_file
from ftetl.loading.load_source import LoadSource
from ftetl.loading.sql_loader import STAGE, Incoming

ADDRESS = "duckdb:FILE"
_INCOMING = "_ftetl_incoming"  # the name of the rows that DuckDB reads from Arrow
# DuckDB tells the operating system's errors by their text only.
_OS_ERRORS = {
    os.strerror(n): n for n in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM)
}


def load(address: str, source: LoadSource, options: LoadOptions) -> Outcome:
    """Load into a DuckDB file, which is made if it is missing."""
    try:
        import duckdb
    except ModuleNotFoundError:
        advice = "install it with `pip install 'ftetl[duckdb]'`"
        raise ConfigError("L02", "DuckDB is not installed", next=advice) from None
    file = Path(path_in(address))
    with destination_file(file, dry_run=options.dry_run, companions=(".wal",)) as path, _translated(duckdb.Error, file):
        with duckdb.connect(path or ":memory:", config={"autoinstall_known_extensions": "false"}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.begin()
            database = _DuckDB(connection, options.schema)
            outcome = sql_loader.load(database, source, replace=options.replace)
            if outcome.changed and not options.dry_run:
                connection.commit()
            else:
                connection.rollback()
        return outcome if database.ambiguous is None else replace(outcome, notes=(database.ambiguous,))


class _DuckDB:
    """A `sql_loader.Database` over a connection. Names have the catalog, since it may be called like the schema."""

    differs = "IS DISTINCT FROM"
    retype = "ALTER TABLE {table} ALTER COLUMN {column} TYPE {type}"
    has_comments = True
    has_indexes = False
    keys_last = True
    type_of = staticmethod(partial(column_type, database=DUCKDB))

    def __init__(self, connection: Any, schema: str) -> None:
        self._connection, self._schema = connection, schema
        ((self._catalog,),) = self.query("SELECT current_database()")
        self.ambiguous: str | None = None
        if self._catalog.lower() == schema.lower():
            what = f"DuckDB names a database by its file, here {self._catalog} like the schema"
            self.ambiguous = f"{what}: query {self._catalog}.{schema}.jobs, since {schema}.jobs is ambiguous"

    def qualified(self, table: str) -> str:
        return quoted(table) if table == STAGE else ".".join(map(quoted, (self._catalog, self._schema, table)))

    def prepare(self) -> None:
        self.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(self._catalog)}.{quoted(self._schema)}")

    def encode(self, _table: Table, rows: pa.Table) -> pa.Table:
        return rows

    def columns(self, table: str) -> dict[str, str]:
        catalog, schema = ("temp", "main") if table == STAGE else (self._catalog, self._schema)
        # Without regard to case, as DuckDB compares the names of tables.
        where = " AND ".join(
            f"lower({column}) = lower({literal(name)})"
            for column, name in (("table_catalog", catalog), ("table_schema", schema), ("table_name", table))
        )
        return dict(self.query(f"SELECT column_name, data_type FROM information_schema.columns WHERE {where}"))  # noqa: S608

    def execute(self, statement: str) -> int:
        found = self._connection.execute(statement).fetchone()
        return int(found[0]) if found else 0

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._connection.execute(statement).fetchall()
        return rows

    def insert(self, table: str, schema: pa.Schema, rows: Incoming) -> None:
        names = quoted_list(schema.names)
        statement = f"INSERT INTO {self.qualified(table)} ({names}) SELECT {names} FROM "  # noqa: S608
        if rows.file is not None and _reads_alike(rows.file, schema):
            self.execute(f"{statement} read_parquet({literal(str(rows.file))})")
            return
        batches = chain.from_iterable(part.to_batches() for part in rows)
        self._connection.register(_INCOMING, pa.RecordBatchReader.from_batches(schema, batches))
        self.execute(statement + _INCOMING)
        self._connection.unregister(_INCOMING)


def _reads_alike(file: Path, schema: pa.Schema) -> bool:
    """Whether DuckDB reads the same from a Parquet file as we do, by itself and faster.

    In its names of files some characters are wildcards, and the file of an older contract has other columns.
    """
    return not set(str(file)) & set("*?[]{}") and pq.read_schema(file).equals(schema)


@contextmanager
def _translated(errors: type[Exception], path: Path) -> Iterator[None]:
    """Raise DuckDB's errors as ftetl's. Their text is not shown where it may hold values of the data."""
    try:
        yield
    except errors as error:
        raise _error_for(error, path) from None


def _error_for(error: Exception, path: Path) -> FtetlError:
    text = str(error)
    if "Could not set lock on file" in text or ("lock" in text and "being used by another process" in text):
        return TryLaterError("L09", f"another program has {path} open", next="close it there, then load again")
    for reason, number in _OS_ERRORS.items():
        if reason in text:
            return error_for_operation(OSError(number, reason), "write", path)
    # A database of another system makes it look for the extension that would read it.
    other = ("not a valid DuckDB database file", "database file with version number", "_scanner")
    if any(words in text for words in other):
        what = f"{path} is not a database that this DuckDB can open"
        return TargetError("L08", what, next="name a new file, or install the DuckDB that made it")
    what = f"DuckDB cannot load into {path} ({type(error).__name__})"
    return StorageError("L10", what, next="look at the file with DuckDB; nothing was loaded")
