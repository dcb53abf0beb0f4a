"""The contracts as SQL: tables that the CSV files load into, with comments."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from ftetl.contract import DATABASES, Table, foreign_keys, tables
from ftetl.contract.arrow_schema import schema
from ftetl.contract.markdown import meaning

DUCKDB, POSTGRES = DATABASES
_TYPES: dict[pa.DataType, dict[str, str]] = {
    pa.string(): {DUCKDB: "VARCHAR", POSTGRES: "text"},
    pa.int64(): {DUCKDB: "BIGINT", POSTGRES: "bigint"},
    pa.float64(): {DUCKDB: "DOUBLE", POSTGRES: "double precision"},
    pa.bool_(): {DUCKDB: "BOOLEAN", POSTGRES: "boolean"},
    pa.timestamp("us", "UTC"): {DUCKDB: "TIMESTAMP WITH TIME ZONE", POSTGRES: "timestamp with time zone"},
}
_DECIMAL = {DUCKDB: "DECIMAL", POSTGRES: "numeric"}


def script(names: Sequence[str], database: str) -> str:
    """Statements that make these tables, parents before the tables that refer to them."""
    chosen = {name: table for name, table in tables().items() if name in names}
    return "\n\n".join(_create(table, chosen, database) + "\n\n" + _comments(table) for table in chosen.values())


def _create(table: Table, among: dict[str, Table], database: str) -> str:
    lines = [
        f"{_name(field.name)} {_type(field.type, database)}{'' if field.nullable else ' NOT NULL'}"
        for field in schema(table)
    ]
    lines.append(f"PRIMARY KEY ({_names(table.key)})")
    # A part of a key is unique nowhere, and what is unique nowhere cannot be referred to in SQL.
    lines += [
        f"FOREIGN KEY ({_names(key.columns)}) REFERENCES {_name(key.parent)} ({_names(key.parent_columns)})"
        for key in foreign_keys(table, among)
        if key.whole
    ]
    return f"CREATE TABLE {_name(table.name)} (\n    " + ",\n    ".join(lines) + "\n);"


def _comments(table: Table) -> str:
    lines = [f"COMMENT ON TABLE {_name(table.name)} IS {_text(table.description)};"]
    for column in table.columns:
        comment = meaning(column) + (f" Unit: {column.unit}." if column.unit else "")
        lines.append(f"COMMENT ON COLUMN {_name(table.name)}.{_name(column.name)} IS {_text(comment)};")
    return "\n".join(lines)


def _type(kind: pa.DataType, database: str) -> str:
    if pa.types.is_decimal(kind):
        return f"{_DECIMAL[database]}({kind.precision},{kind.scale})"
    return _TYPES[kind][database]


def _names(names: Sequence[str]) -> str:
    return ", ".join(_name(name) for name in names)


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("`", "").replace("'", "''") + "'"
