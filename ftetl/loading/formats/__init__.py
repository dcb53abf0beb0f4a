"""The file formats of tables: one module each, found by its name, which is also the suffix of its files.

A new format is a new file here that has a function `writer`, as `Format` describes it. A writer gets rows that are
validated and in order, and writes their bytes; the same rows give the same bytes, however they arrive in batches. It
does not depend on what the tables mean, where the file lies, or when it is committed. Importing this package, as the
command line does to list the formats, imports none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from ftetl.errors import ConfigError, SoftwareError

if TYPE_CHECKING:
    import pyarrow as pa

REFERENCE = "parquet"  # always written, since the next run reads it back
FACT = "formats"  # the fact of a version: by format of its files, `raw` or `plain`
# Entries of `metadata` that name columns, with commas between them: the sorted ones, and times of whole seconds.
KEY = "ftetl.key"
SECONDS = "ftetl.seconds"


class Writer(Protocol):
    """Writes one table to a file."""

    def write(self, table: pa.Table) -> None:
        """Add rows, in their final order, with exactly the schema given at the start."""

    def close(self) -> None:
        """Write the rest to the sink, which stays open."""


class Format(Protocol):
    """What each module in this folder has."""

    def writer(self, sink: BinaryIO, schema: pa.Schema, *, metadata: Mapping[str, str], raw: bool = False) -> Writer:
        """A writer of one table; `metadata` and `raw` (no guard against formulas) matter only to some formats."""


@cache  # since where no more files can be opened, `iter_modules` finds none
def names() -> tuple[str, ...]:
    """All formats, the reference first, then in alphabetical order."""
    found = (module.name for module in iter_modules(__path__))
    return tuple(sorted(found, key=lambda name: (name != REFERENCE, name)))


def with_reference(chosen: Iterable[str]) -> tuple[str, ...]:
    """The formats that are written when these are chosen."""
    return tuple(dict.fromkeys([REFERENCE, *chosen]))


def is_table_file(name: str) -> bool:
    """Whether a file of this name is a table in one of the formats."""
    return name.rpartition(".")[2] in names()


def is_read_back(name: str) -> bool:
    """Whether a run reads a file of this name in the snapshot before; tables in other formats are only written."""
    return name.endswith(f".{REFERENCE}") or not is_table_file(name)


def require_known(chosen: Iterable[str]) -> None:
    """Check names of formats without importing the formats.

    Raises:
        ConfigError: One is unknown.
    """
    known = names()
    for name in chosen:
        if name not in known:
            raise ConfigError("P05", f"format {name!r} is not known", next=f"choose one of: {', '.join(known)}")


def load_format(name: str) -> Format:
    """The format of this name.

    Raises:
        ConfigError: There is no such format.
    """
    require_known((name,))
    return cast("Format", import_module(f"{__name__}.{name}"))


def require_schema(table: pa.Table, schema: pa.Schema) -> None:
    """Check that a table has the columns of its file.

    Raises:
        SoftwareError: It has others, or in another order, or of another type.
    """
    if not table.schema.equals(schema):
        what = "a table's columns are not those of the file it should go into"
        raise SoftwareError("B02", what, next="please report this")
