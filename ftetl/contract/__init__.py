"""The contracts: `schemas/*.toml`, one file a table, and everything that derives from them.

These are the Arrow schema, the SQL, the data dictionary, the data package and the data contract.
"""

from ftetl.contract.loader import folder, parse, people, related, tables
from ftetl.contract.model import DATABASES, Column, ForeignKey, Source, Table, foreign_keys

__all__ = [
    "DATABASES",
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
