"""The destinations as the tests see them: an address, and the rows as that system's own client returns them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.loading.load_source import with_project
from tests.postgres import Database


@dataclass(frozen=True)
class System:
    """One kind of destination.

    `address` makes the address of a new one in a folder. `read` returns all rows of a table, cast to the contract's
    columns (with `project`) and sorted by key. `holds` says what a destination without NUL holds of rows.
    """

    address: Callable[[Path], str]
    read: Callable[[str, str], pa.Table]
    holds: Callable[[pa.Table], pa.Table] = lambda rows: rows


def conform(rows: pa.Table, name: str) -> pa.Table:
    """Rows with the contract's columns and types, sorted by key."""
    table = with_project(tables()[name])
    found = rows.select(list(table.names)).cast(schema(table))
    return found.sort_by([(part, "ascending") for part in table.key]).combine_chunks()


def _read_duckdb(address: str, name: str) -> pa.Table:
    with duckdb.connect(address.partition(":")[2], read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        catalog = connection.execute("SELECT current_database()").fetchall()[0][0]
        return conform(connection.sql(f'FROM "{catalog}"."ftetl"."{name}"').to_arrow_table(), name)


def _read_sqlite(address: str, name: str) -> pa.Table:
    """The rows; the whole numbers of decimals have to be the same as their texts."""
    readers: dict[str, Callable[[Any], Any]] = {"datetime": _iso_time, "decimal": Decimal, "boolean": bool}
    table = with_project(tables()[name])
    with closing(sqlite3.connect(address.partition(":")[2])) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute(f'SELECT * FROM "{name}"').fetchall()
    for row in found:
        for column in table.columns:
            if column.type == "decimal" and f"{column.name}_nano" in row.keys():  # noqa: SIM118 - a row is no mapping
                text, units = row[column.name], row[f"{column.name}_nano"]
                assert units == (None if text is None else int(Decimal(text) * 10**9))
    cells = {
        column.name: [
            None if row[column.name] is None else readers.get(column.type, lambda value: value)(row[column.name])
            for row in found
        ]
        for column in table.columns
    }
    return conform(pa.table(cells, schema(table)), name)


def _iso_time(text: str) -> datetime:
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


def postgres_system(database: Database) -> System:
    """A database of a server of the tests'."""
    return System(lambda _: database.url, _read_postgres, _without_nul)


def _read_postgres(address: str, name: str) -> pa.Table:
    import psycopg  # here, so that the other systems are tested without it

    columns = schema(with_project(tables()[name]))
    names = ", ".join(f'"{column}"' for column in columns.names)
    with psycopg.connect(address, options="-c TimeZone=UTC") as connection:
        rows = connection.execute(f'SELECT {names} FROM ftetl."{name}"').fetchall()
    cells = zip(*rows, strict=True) if rows else [()] * len(columns)
    return conform(pa.table([pa.array(cell, f.type) for f, cell in zip(columns, cells, strict=True)], columns), name)


def _without_nul(rows: pa.Table) -> pa.Table:
    for number, field in enumerate(rows.schema):
        if pa.types.is_string(field.type):
            rows = rows.set_column(number, field, pc.replace_substring(rows.column(number), "\0", "\ufffd"))
    return rows


def _read_delta(address: str, name: str) -> pa.Table:
    import deltalake

    return conform(deltalake.DeltaTable(f"{address.partition(':')[2]}/{name}").to_pyarrow_table(), name)


def _read_iceberg(address: str, name: str) -> pa.Table:
    from pyiceberg.catalog import load_catalog

    folder = address.partition(":")[2]
    catalog = load_catalog("ftetl", type="sql", uri=f"sqlite:///{folder}/catalog.db")
    rows = catalog.load_table(("ftetl", name)).scan().to_arrow()
    catalog.close()
    return conform(rows, name)


SYSTEMS = {
    "delta": System(lambda folder: f"delta:{folder / 'lake'}", _read_delta),
    "duckdb": System(lambda folder: f"duckdb:{folder / 'ftetl.duckdb'}", _read_duckdb),
    "iceberg": System(lambda folder: f"iceberg:{folder / 'lake'}", _read_iceberg),
    "sqlite": System(lambda folder: f"sqlite:{folder / 'jobs.sqlite'}", _read_sqlite),
}
LAKES = {"delta": "deltalake", "iceberg": "pyiceberg"}  # those in a lakehouse, with the package that they need
