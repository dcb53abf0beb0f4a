"""SQL over a snapshot with DuckDB, an extra: the tables are views, and nothing else can be read or written."""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa

from ftetl.contract import tables
from ftetl.errors import ConfigError, UsageError
from ftetl.snapshot.snapshot import Tables

# With these DuckDB opens no file, loads no extension, sees no variable of Python, and cannot be told otherwise.
_SANDBOX: Final[dict[str, str | bool | int | float | list[str]]] = {
    "enable_external_access": "false",
    "temp_directory": "",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}
_QUERIES: Final = ("SELECT", "EXPLAIN", "MULTI")  # DESCRIBE and SUMMARIZE are SELECT, PIVOT is MULTI


def query(snapshot: Tables, sql: str) -> pa.Table:
    """The rows of one SQL query. Times are in UTC; only the tables that the query names are read.

    Raises:
        ConfigError: DuckDB is not installed.
        UsageError: The query is wrong, does more than to read the tables, or is several.
        StorageError: The file of a table cannot be read, or is damaged.
    """
    try:
        import duckdb
    except ModuleNotFoundError:
        raise ConfigError("P16", "DuckDB is not installed", next="install it with `pip install duckdb`") from None
    named = {word.lower() for word in re.findall(r"\w+", sql)}
    views = {name: snapshot.arrow(name) for name in tables() if name in named}
    with duckdb.connect(":memory:", config=_SANDBOX) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, rows in views.items():
            connection.register(name, rows)
        connection.execute("SET lock_configuration = true")
        try:
            return _rows(connection, sql)
        except duckdb.Error as error:
            raise UsageError("P17", _first_lines(str(error)), next="see `ftetl schema` for the tables") from None


def _rows(connection: Any, sql: str) -> pa.Table:
    statements = connection.extract_statements(sql)
    if [statement.type.name in _QUERIES for statement in statements] != [True]:
        raise UsageError("P17", "this is not one query that returns rows", next="give one SELECT")
    return connection.sql(sql).to_arrow_table()


def _first_lines(message: str) -> str:
    """DuckDB's message without the place in the query that it draws below."""
    return " ".join(message.partition("\n\nLINE ")[0].split())
