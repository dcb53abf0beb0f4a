"""The contracts as an Open Data Contract Standard document (3.1), for catalogues and tests: `contract.odcs.yaml`.

Its servers are the snapshot's own files. The same contracts and formats give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa

from ftetl.contract import Column, Table, foreign_keys, tables
from ftetl.contract.arrow_schema import schema
from ftetl.contract.frictionless import pattern
from ftetl.contract.markdown import meaning

FILE = "contract.odcs.yaml"
_LIMITATIONS = (
    "The responses of the API are the only source: what they never contained is NULL. 0 as a price also means not "
    "priced yet. CSV does not hold every text exactly; Parquet is the reference."
)
# For each of Arrow's types the logical type, its options, and the word for it in Parquet.
_TYPES: dict[pa.DataType, tuple[str, dict[str, Any], str]] = {
    pa.string(): ("string", {}, "string"),
    pa.int64(): ("integer", {"format": "i64"}, "int64"),
    pa.float64(): ("number", {"format": "f64"}, "double"),
    pa.bool_(): ("boolean", {}, "boolean"),
    pa.timestamp("us", "UTC"): (
        "timestamp",
        {"format": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSX", "timezone": True, "defaultTimezone": "Etc/UTC"},
        "timestamp",
    ),
}


def bytes_of(project: str, formats: Collection[str], *, csv_raw: bool) -> bytes:
    """The file's bytes."""
    return ("\n".join(_lines(document(project, formats, csv_raw=csv_raw))) + "\n").encode()


def document(project: str, formats: Collection[str], *, csv_raw: bool) -> dict[str, Any]:
    """The contract of a snapshot that has its tables in these formats."""
    guarded = "csv" in formats and not csv_raw
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": f"ftetl/{project}",
        "name": "ftetl",
        "version": _version(),
        "status": "active",
        "description": {
            "purpose": "All fine-tuning jobs of one Together AI project as tidy tables, made by ftetl.",
            "usage": "Spend, tokens, durations and failures, in notebooks and BI tools. Times are UTC.",
            "limitations": _LIMITATIONS,
        },
        # The checks of the standard's own tool read the tables of all servers; a path starts at the contract.
        "servers": [{"server": name, "type": "local", "path": f"{{model}}.{name}", "format": name} for name in formats],
        "schema": [_object(table, guarded=guarded) for table in tables().values()],
    }


def _version() -> str:
    """The version of the contracts' meaning, whichever version of ftetl writes it."""
    return "1-" + hashlib.sha256("\n".join(table.fingerprint for table in tables().values()).encode()).hexdigest()[:12]


def _object(table: Table, *, guarded: bool) -> dict[str, Any]:
    keys = [
        {
            "type": "foreignKey",
            "from": [f"{table.name}.{name}" for name in key.columns],
            "to": [f"{key.parent}.{name}" for name in key.parent_columns],
        }
        for key in foreign_keys(table, tables())
    ]
    return {
        "name": table.name,
        "logicalType": "object",
        "physicalName": table.name,
        "physicalType": "table",
        "description": table.description,
        "properties": [
            _property(column, field.type, table, guarded=guarded)
            for column, field in zip(table.columns, schema(table), strict=True)
        ],
        **({"relationships": keys} if keys else {}),
    }


def _property(column: Column, kind: pa.DataType, table: Table, *, guarded: bool) -> dict[str, Any]:
    logical, options, physical = _types(kind)
    options = dict(options)
    if text := pattern(column, guarded=guarded):
        options["pattern"] = f"^{text}$"
    if column.minimum is not None:
        options["minimum"] = column.minimum
    in_key = column.name in table.key
    return {
        "name": column.name,
        "logicalType": logical,
        "physicalType": physical,
        "description": meaning(column),
        "required": column.required,
        **({"primaryKey": True, "primaryKeyPosition": table.key.index(column.name) + 1} if in_key else {}),
        **({"logicalTypeOptions": options} if options else {}),
        **({"quality": [_one_of(column)]} if column.enum and not column.open else {}),
        **({"customProperties": [{"property": "unit", "value": column.unit}]} if column.unit else {}),
    }


def _types(kind: pa.DataType) -> tuple[str, dict[str, Any], str]:
    if pa.types.is_decimal(kind):
        return "number", {}, f"decimal({kind.precision},{kind.scale})"
    return _TYPES[kind]


def _one_of(column: Column) -> dict[str, Any]:
    return {
        "type": "library",
        "metric": "invalidValues",
        "arguments": {"validValues": list(column.enum)},
        "mustBe": 0,
        "dimension": "conformity",
        "description": "One of the known values.",
    }


_scalar = json.JSONEncoder(ensure_ascii=False).encode


def _lines(value: Any, indent: str = "") -> Iterator[str]:
    """The lines of a YAML block; its scalars are written as JSON, which YAML includes."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        head = f"{indent}{key}:" if isinstance(value, dict) else f"{indent}-"
        if not isinstance(part, dict | list):
            yield f"{head} {_scalar(part)}"
        elif isinstance(value, dict):
            yield head
            yield from _lines(part, f"{indent}  ")
        else:
            first, *rest = _lines(part, f"{indent}  ")
            yield f"{head} {first.lstrip()}"
            yield from rest
