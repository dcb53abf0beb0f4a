"""The contracts as a Data Package (v2), for tools that read tables by their description: `datapackage.json`.

It describes the CSV files where a snapshot has them, else the Parquet files. The same contracts and formats give the
same bytes.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
import pyarrow as pa

from ftetl.contract import Column, Table, foreign_keys, tables
from ftetl.contract.arrow_schema import schema
from ftetl.contract.markdown import meaning

FILE = "datapackage.json"
GUARD = "'"  # stands in CSV before a text that a spreadsheet would run as a formula
_PROFILES = "https://datapackage.org/profiles/2.0"
_CSV = {
    "format": "csv",
    "mediatype": "text/csv",
    "encoding": "utf-8",
    "dialect": {
        "$schema": f"{_PROFILES}/tabledialect.json",
        "header": True,
        "delimiter": ",",
        "lineTerminator": "\r\n",
        "quoteChar": '"',
        "doubleQuote": True,
        "skipInitialSpace": False,
    },
}
_PARQUET = {"format": "parquet", "mediatype": "application/vnd.apache.parquet"}
_CSV_NOTE = (
    'NULL is an empty cell; readers that tell it from empty text find that as `""`. Times are UTC. Decimals have all '
    "their digits. The character NUL is written as `\\x00`."
)
_GUARD_NOTE = f"A text that a spreadsheet would run as a formula has one `{GUARD}` before it."


def bytes_of(project: str, formats: Collection[str], *, csv_raw: bool) -> bytes:
    """The file's bytes."""
    document = package(project, formats, csv_raw=csv_raw)
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def package(project: str, formats: Collection[str], *, csv_raw: bool) -> dict[str, Any]:
    """The package of a snapshot that has its tables in these formats."""
    suffix = "csv" if "csv" in formats else "parquet"
    notes = {"csv": [_CSV_NOTE, *([] if csv_raw else [_GUARD_NOTE])], "parquet": []}[suffix]
    return {
        "$schema": f"{_PROFILES}/datapackage.json",
        "name": "ftetl",
        "title": f"Fine-tuning jobs of the Together AI project {project}",
        "description": " ".join(["All fine-tuning jobs of one project as tidy tables, made by ftetl.", *notes]),
        "resources": [_resource(table, suffix, guarded=not csv_raw) for table in tables().values()],
    }


def _resource(table: Table, suffix: str, *, guarded: bool) -> dict[str, Any]:
    return {
        "$schema": f"{_PROFILES}/dataresource.json",
        "name": table.name,
        "type": "table",
        "path": f"{table.name}.{suffix}",
        "description": table.description,
        **(_CSV if suffix == "csv" else _PARQUET),
        "schema": _schema(table, guarded=guarded and suffix == "csv"),
    }


def _schema(table: Table, *, guarded: bool) -> dict[str, Any]:
    keys = [
        {"fields": list(key.columns), "reference": {"resource": key.parent, "fields": list(key.parent_columns)}}
        for key in foreign_keys(table, tables())
    ]
    return {
        "$schema": f"{_PROFILES}/tableschema.json",
        "fields": [_field(c, f.type, guarded=guarded) for c, f in zip(table.columns, schema(table), strict=True)],
        "missingValues": [""],
        "primaryKey": list(table.key),
        **({"foreignKeys": keys} if keys else {}),
    }


def _field(column: Column, kind: pa.DataType, *, guarded: bool) -> dict[str, Any]:
    decimal = pa.types.is_decimal(kind)
    return {
        "name": column.name,
        "type": "number" if decimal else column.type,
        "format": "default",
        **({"precision": kind.precision, "scale": kind.scale} if decimal else {}),
        **({"unit": column.unit} if column.unit else {}),
        "description": meaning(column),
        "constraints": _constraints(column, guarded=guarded),
    }


def _constraints(column: Column, *, guarded: bool) -> dict[str, Any]:
    # An open enumeration keeps unknown texts, so it constrains nothing; the description has its known values.
    constraints = {
        "enum": list(column.enum) if column.enum and not column.open else None,
        "minimum": column.minimum,
        "pattern": pattern(column, guarded=guarded),
    }
    return {"required": column.required} | {word: value for word, value in constraints.items() if value is not None}


def pattern(column: Column, *, guarded: bool) -> str | None:
    """The pattern of a column's whole text, in CSV with the guard that may stand before it."""
    if column.pattern is None:
        return None
    return f"{GUARD}?({column.pattern})" if guarded else f"({column.pattern})"
