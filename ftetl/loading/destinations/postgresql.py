"""A PostgreSQL database: `postgresql://USER@HOST/DATABASE`. Needs the extra `postgres`.

Rows go in by COPY through ADBC. The password comes from where `psql` looks for it: `PGPASSWORD`, `~/.pgpass` or the
file of `PGPASSFILE`; one in the address is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Final

import pyarrow as pa

from ftetl.contract import Table
from ftetl.contract.sql import POSTGRES, column_type, literal, quoted
from ftetl.errors import ConfigError, TryLaterError
from ftetl.formatting import format_count
from ftetl.load_result import Outcome
from ftetl.loading import sql_loader
from ftetl.loading.destinations import LoadOptions
from ftetl.loading.load_source import LoadSource
from ftetl.loading.postgres_connection import PostgresConnection
from ftetl.loading.sql_loader import STAGE

ADDRESS: Final = "postgresql://USER@HOST/DATABASE"

_LOCK_SECONDS: Final = 10  # for a lock that another program holds on a table, where the server sets no limit
# What statements of ours must not depend on: whether rows of a load that has just ended are seen, names that a user
# put in the way, the meaning of a backslash. The first has to come before any query.
_SETTINGS: Final = {
    "transaction_isolation": "'read committed'",
    "search_path": "pg_catalog, pg_temp",
    "standard_conforming_strings": "on",
}


def load(address: str, source: LoadSource, options: LoadOptions) -> Outcome:
    """Load into a PostgreSQL database, in which a schema and tables are made where they are missing."""
    with PostgresConnection(address, options.environ) as connection:
        outcome = sql_loader.load(_Postgres(connection, options.schema), source, replace=options.replace)
        if outcome.changed and not options.dry_run:
            connection.commit()
    if not connection.replaced:
        return outcome
    note = f"PostgreSQL has no NUL: U+FFFD stands in its place in {format_count(connection.replaced)} texts"
    return replace(outcome, notes=(*outcome.notes, note))


class _Postgres:
    """A `sql_loader.Database` over a connection."""

    differs = "IS DISTINCT FROM"
    retype = "ALTER TABLE {table} ALTER COLUMN {column} TYPE {type} USING {column}::{type}"
    has_comments = True
    has_indexes = True
    keys_last = True
    type_of = staticmethod(partial(column_type, database=POSTGRES))

    def __init__(self, connection: PostgresConnection, schema: str) -> None:
        self._connection, self._schema = connection, schema
        self.query, self.execute = connection.query, connection.execute

    def qualified(self, table: str) -> str:
        return f"pg_temp.{quoted(table)}" if table == STAGE else f"{quoted(self._schema)}.{quoted(table)}"

    def prepare(self) -> None:
        for name, value in _SETTINGS.items():
            self.execute(f"SET LOCAL {name} = {value}")
        self.query(
            f"SELECT set_config('lock_timeout', '{_LOCK_SECONDS}s', true) WHERE current_setting('lock_timeout') = '0'"
        )
        self._require_utf8()
        self._require_alone()
        # Not `IF NOT EXISTS`, which asks for the right to create a schema also where there is one.
        if not self.query(f"SELECT 1 FROM pg_namespace WHERE nspname = {literal(self._schema)}"):  # noqa: S608
            self.execute(f"CREATE SCHEMA {quoted(self._schema)}")

    def encode(self, _table: Table, rows: pa.Table) -> pa.Table:
        return rows

    def columns(self, table: str) -> dict[str, str]:
        schema = "pg_my_temp_schema()" if table == STAGE else f"to_regnamespace({literal(quoted(self._schema))})"
        where = f"relnamespace = {schema}::oid AND relname = {literal(table)} AND attnum > 0 AND NOT attisdropped"
        return dict(
            self.query(
                "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute "  # noqa: S608
                f"JOIN pg_class ON pg_class.oid = attrelid WHERE {where} ORDER BY attnum"
            )
        )

    def insert(self, table: str, schema: pa.Schema, rows: Iterable[pa.Table]) -> None:
        with self._connection.doing(f"write the table {table}"):
            self._connection.copy(table, None if table == STAGE else self._schema, schema, rows)
        if table == STAGE:  # of a temporary table the server knows nothing by itself, and would plan slower joins
            self.execute(f"ANALYZE {self.qualified(STAGE)}")

    def _require_utf8(self) -> None:
        ((encoding,),) = self.query("SELECT current_setting('server_encoding')")
        if encoding != "UTF8":
            what = f"the database {self._connection.name} has the encoding {encoding}, which cannot hold all texts"
            raise ConfigError("L33", what, next="load into a database made with ENCODING 'UTF8'")

    def _require_alone(self) -> None:
        """Take the lock of all loads into this schema; the server releases it when the transaction ends."""
        name = literal(f"ftetl load {self._schema}")
        ((taken,),) = self.query(f"SELECT pg_try_advisory_xact_lock(hashtextextended({name}, 0))")
        if not taken:
            what = f"another load into the schema {self._schema} of {self._connection.name} is running"
            raise TryLaterError("L09", what, next="run again when it is done")
