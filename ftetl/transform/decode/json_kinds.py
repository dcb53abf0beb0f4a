"""The kinds of JSON values that columns are read from: one table for the readers, type probe and union fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pyarrow as pa

from ftetl.contract import Column


@dataclass(frozen=True)
class JsonKind:
    """A kind of value: the type that each library reads it as, and the bytes that it may begin with."""

    arrow: pa.DataType
    msgspec: Any
    first_bytes: bytes


_DIGITS = b"-0123456789"
_INTEGER = JsonKind(pa.int64(), Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)], _DIGITS)
JSON_KINDS = {
    "string": JsonKind(pa.string(), str, b'"'),
    "integer": _INTEGER,
    "money": _INTEGER,  # in nano-USD; a real, even a whole one such as 4.0, is another unit
    "number": JsonKind(pa.float64(), float, _DIGITS),
    "boolean": JsonKind(pa.bool_(), bool, b"tf"),
    "decimal": JsonKind(pa.string(), str, b'"'),  # in text; a number as well, for the Python reader
}
# The kind, and for a union field the other kind, of columns whose type is not itself the kind.
_KINDS_BY_READER: dict[str, tuple[str, str | None]] = {
    "bool_text": ("string", "boolean"),
    "is_max": ("integer", "string"),
    "is_one_of": ("string", None),
    "unix_seconds": ("integer", None),
    "json_text": ("string", None),
    "decimal": ("decimal", None),
}
_KIND_BY_TYPE = {"datetime": "string"}


def column_kinds(column: Column) -> tuple[str, str | None]:
    """The kind of a column's JSON values, and the other kind that they may have in a union field."""
    if column.is_money:
        return "money", None
    return _KINDS_BY_READER.get(column.read, (_KIND_BY_TYPE.get(column.type, column.type), None))
