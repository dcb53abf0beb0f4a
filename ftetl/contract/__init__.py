"""The contracts: `schemas/*.toml`, one file a table, and every projection of them.

The Arrow schema, the SQL, the data dictionary, the data package and the data contract derive from here.
"""

from ftetl.contract.loader import (
    Column,
    ForeignKey,
    Source,
    Table,
    folder,
    foreign_keys,
    parse,
    people,
    related,
    tables,
)

__all__ = [
    "Column",
    "ForeignKey",
    "Source",
    "Table",
    "folder",
    "foreign_keys",
    "parse",
    "people",
    "related",
    "tables",
]
