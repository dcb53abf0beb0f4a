"""How a table becomes a file: one module a format, found by its file name.

A new format is a new file here. A format must not know what the tables mean, where the file will lie, or when it
becomes visible: it gets rows that are already checked and in order, and puts their bytes into a sink. The same rows
give the same bytes, however they were cut into pieces.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import BinaryIO, Protocol, cast

import pyarrow as pa

from ftetl.errors import ConfigError, SoftwareError

# Entries of `metadata` that name columns, with commas between them: the sorted ones, and times of whole seconds.
KEY = "ftetl.key"
SECONDS = "ftetl.seconds"


class Writer(Protocol):
    """A file that is being written."""

    def write(self, table: pa.Table) -> None:
        """Put more rows in, already in their final order, with exactly the schema given at the start."""

    def close(self) -> None:
        """Put everything into the sink, which stays open."""


class Format(Protocol):
    """What each module in this folder offers."""

    SUFFIX: str  # of its files, without a dot

    def writer(self, sink: BinaryIO, schema: pa.Schema, *, metadata: Mapping[str, str], raw: bool = False) -> Writer:
        """A writer of one table into `sink`; `metadata` and `raw` count only where the format has a use for them."""


def names() -> list[str]:
    """The formats that exist, in alphabetical order."""
    return sorted(module.name for module in iter_modules(__path__))


def load_format(name: str) -> Format:
    """The format of this name.

    Raises:
        ConfigError: There is no such format.
    """
    module = f"{__name__}.{name}"
    try:  # not by a look at `names`: where no more files can be opened, it finds none and says nothing
        if not name.startswith("_"):
            return cast("Format", import_module(module))
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
    raise ConfigError("P05", "unknown format", next=f"choose one of: {', '.join(names())}")


def require_schema(table: pa.Table, schema: pa.Schema) -> None:
    """Nothing, if the table has the columns that were announced.

    Raises:
        SoftwareError: It has others, or in another order, or of another type.
    """
    if not table.schema.equals(schema):
        raise SoftwareError(
            "B02", "a table's columns are not those of the file it should go into", next="please report this"
        )
