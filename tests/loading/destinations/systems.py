"""The destinations as the tests see them: an address, and the rows as that system's own client returns them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.loading.load_source import with_project


@dataclass(frozen=True)
class System:
    """One kind of destination.

    `address` makes the address of a new one in a folder. `read` returns all rows of a table, cast to the contract's
    columns (with `project`) and sorted by key.
    """

    address: Callable[[Path], str]
    read: Callable[[str, str], pa.Table]


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


SYSTEMS = {
    "duckdb": System(lambda folder: f"duckdb:{folder / 'ftetl.duckdb'}", _read_duckdb),
}
