"""The Arrow schema of a table: the only map from the contract's types to Arrow's."""

from __future__ import annotations

import pyarrow as pa

from ftetl.contract import Table

TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "datetime": pa.timestamp("us", "UTC"),
    # With more than 18 digits pandas raises on `price * 2` and `price / quantity`, since the result would need more
    # digits than Arrow's decimals have; and Tableau's Hyper takes no more. With fewer than 9 places a quantity times a
    # price overflows in DuckDB, which gives a product 18 digits unless all of them would be places.
    "decimal": pa.decimal128(18, 9),
}

NANO = 9  # digits after the point of an amount in USD: the API counts in nano-USD
USD_LIMIT = 10**18  # nano-USD from here on do not fit the decimal
TOKEN_LIMIT = 10**15  # tokens from here on do not fit the decimal, in millions


def schema(table: Table) -> pa.Schema:
    """The Arrow schema of a table, in the contract's order; required columns are not null."""
    return pa.schema([pa.field(c.name, TYPES[c.type], nullable=not c.required) for c in table.columns])


def empty(table: Table) -> pa.Table:
    """A table with every column and no row."""
    return schema(table).empty_table()
