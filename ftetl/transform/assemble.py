"""Assembles columns to the rows of a contract: exactly its columns and types, without a conversion."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from ftetl.contract import Table
from ftetl.contract.arrow_schema import TYPES, schema
from ftetl.errors import SoftwareError


def require(table: Table, batch: pa.Table) -> None:
    """Check that the columns have the types of the contract.

    Raises:
        SoftwareError: A column has another type, or the contract does not have it.
    """
    types = {c.name: TYPES[c.type] for c in table.columns}
    for field in batch.schema:
        if field.type != types.get(field.name):
            raise _wrong_column(table, field.name)


def rows(table: Table, columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    """The rows of a table; columns that its contract does not have are left out.

    Raises:
        SoftwareError: A column is missing, or has another type than the contract's.
    """
    wanted = schema(table)
    for field in wanted:
        if field.name not in columns or columns[field.name].type != field.type:
            raise _wrong_column(table, field.name)
    return pa.Table.from_arrays([columns[name] for name in wanted.names], schema=wanted)


def with_project(table: Table, batch: pa.Table, project: str) -> pa.Table:
    """The rows of a table, from ones that lack only the column `project`.

    Raises:
        SoftwareError: As `rows`.
    """
    columns = dict(zip(batch.column_names, batch.columns, strict=True))
    return rows(table, {**columns, "project": pa.repeat(project, batch.num_rows)})


def _wrong_column(table: Table, column: str) -> SoftwareError:
    return SoftwareError(
        "B02",
        f"column {column} of table {table.name} is missing or of a wrong type",
        next="please report this as a bug of ftetl",
    )
