"""The contracts as SQL: tables that the CSV files load into, with comments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

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
    # A part of a key is unique nowhere, and what is unique nowhere cannot be referred to in SQL.
    foreign = [
        f"FOREIGN KEY ({quoted_list(key.columns)}) REFERENCES {quoted(key.parent)} ({quoted_list(key.parent_columns)})"
        for key in foreign_keys(table, among)
        if key.whole
    ]
    type_of = partial(column_type, database=database)
    return (
        create_table(quoted(table.name), schema(table), type_of, [f"PRIMARY KEY ({quoted_list(table.key)})", *foreign])
        + ";"
    )


def create_table(
    name: str, columns: pa.Schema, type_of: Callable[[pa.DataType], str], constraints: Iterable[str] = ()
) -> str:
    """The statement that makes a table of this quoted name; `type_of` gives SQL's type for one of Arrow's."""
    lines = [f"{quoted(f.name)} {type_of(f.type)}{'' if f.nullable else ' NOT NULL'}" for f in columns]
    return f"CREATE TABLE {name} (\n    " + ",\n    ".join([*lines, *constraints]) + "\n)"


def _comments(table: Table) -> str:
    return "\n".join(f"{statement};" for statement in comments(table, quoted(table.name)))


def comments(table: Table, name: str) -> list[str]:
    """The statements that comment a table of this quoted name and its columns."""
    statements = [f"COMMENT ON TABLE {name} IS {literal(table.description.replace('`', ''))}"]
    for column in table.columns:
        comment = meaning(column) + (f" Unit: {column.unit}." if column.unit else "")
        statements.append(f"COMMENT ON COLUMN {name}.{quoted(column.name)} IS {literal(comment.replace('`', ''))}")
    return statements


def column_type(kind: pa.DataType, database: str) -> str:
    """The type of a column in a database, by its type in Arrow."""
    if pa.types.is_decimal(kind):
        return f"{_DECIMAL[database]}({kind.precision},{kind.scale})"
    return _TYPES[kind][database]


def quoted_list(names: Iterable[str]) -> str:
    """Several names in quotes, with commas between them."""
    return ", ".join(map(quoted, names))


def quoted(name: str) -> str:
    """A name in quotes."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL has it: the standard's, in which a backslash is nothing special."""
    return "'" + text.replace("'", "''") + "'"
