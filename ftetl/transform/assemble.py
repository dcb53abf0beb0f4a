"""Columns put together to rows of a contract: exactly its columns, of its types, without a conversion.

What the cells hold is for the gate to check.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from ftetl.contract import Table
from ftetl.contract.arrow_schema import TYPES, schema
from ftetl.errors import SoftwareError


def require(table: Table, found: pa.Table) -> None:
    """Nothing, if the columns have the types of the contract.

    Raises:
        SoftwareError: A column has another type, or the contract does not have it.
    """
    wanted = {c.name: TYPES[c.type] for c in table.columns}
    for field in found.schema:
        if field.type != wanted.get(field.name):
            raise _fault(table, field.name)


def rows(table: Table, columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    """The rows of a table; columns that its contract does not have are left out.

    Raises:
        SoftwareError: A column is missing, or has another type than the contract's.
    """
    wanted = schema(table)
    for field in wanted:
        if field.name not in columns or columns[field.name].type != field.type:
            raise _fault(table, field.name)
    return pa.Table.from_arrays([columns[name] for name in wanted.names], schema=wanted)


def of(table: Table, found: pa.Table, project: str) -> pa.Table:
    """The rows of a table from one that lacks the project.

    Raises:
        SoftwareError: As `rows`.
    """
    columns = dict(zip(found.column_names, found.columns, strict=True))
    return rows(table, {**columns, "project": pa.repeat(project, found.num_rows)})


def _fault(table: Table, column: str) -> SoftwareError:
    return SoftwareError(
        "B02",
        f"column {column} of table {table.name} is missing or of a wrong type",
        next="please report this as a bug of ftetl",
    )
