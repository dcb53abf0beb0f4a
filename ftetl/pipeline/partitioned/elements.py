"""The rows of the index of elements: one for each element of a saved response, where its bytes lie, and what it is."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final

import pyarrow as pa

from ftetl import errors
from ftetl.contract.arrow_schema import TYPES
from ftetl.errors import PREFIX, FtetlError
from ftetl.raw.response import Response

# `key` is the job's id, or for a refused element the SHA-256 of its bytes. An element that cannot be read again from
# `path` carries its bytes in `raw`: of a compressed file, one with a masked secret, one that no table can take.
# A row without a key is no element: it tells what is wrong with a file (`error`, `skipped`), or that none is in it.
SCHEMA: Final = pa.schema(
    [
        ("project", pa.string()),
        ("key", pa.string()),
        ("file", pa.int64()),
        ("part", pa.int64()),
        ("name", pa.string()),
        ("path", pa.string()),
        ("stamp", pa.string()),
        ("observed_at", TYPES["datetime"]),
        ("detail", pa.bool_()),
        ("position", pa.int64()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("irregular", pa.bool_()),
        ("raw", pa.binary()),
        ("rule", pa.string()),
        ("job_id", pa.string()),
        ("error", pa.string()),
        ("skipped", pa.string()),
    ]
)
Facts = dict[str, str | int | datetime]
OF_RESPONSE: Final = ("project", "file", "part", "name", "path", "stamp", "observed_at", "detail")


def batch_of(columns: dict[str, pa.Array], response: Facts) -> pa.RecordBatch:
    """Rows of the index: some columns, and what is the same in all rows; the other columns are null."""
    count = len(next(iter(columns.values())))
    arrays = []
    for field in SCHEMA:
        if field.name in columns:
            arrays.append(columns[field.name].cast(field.type))
        else:
            arrays.append(pa.repeat(pa.scalar(response.get(field.name), field.type), count))
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def shared_stamp(stamp: tuple[int, ...]) -> str:
    """Of a file's stamp what is the same on every machine: size and modification time."""
    return ":".join(map(str, stamp[2:4]))


def facts_of(response: Response, numbers: tuple[int, int], project: str, *, detail: bool) -> Facts:
    """The columns that say from which response an element is; `numbers` are those of the file and of the part."""
    stamp = shared_stamp(response.stamp)
    facts = (project, *numbers, response.name, str(response.path), stamp, response.observed_at, detail)
    return dict(zip(OF_RESPONSE, facts, strict=True))


def error_text(error: FtetlError) -> str:
    """An error as text, from which `error_from` makes it again on another machine."""
    return json.dumps([type(error).__name__, error.code.removeprefix(PREFIX), error.what, error.next])


def error_from(text: str) -> FtetlError:
    """The error of a text that `error_text` made."""
    kind, fault, what, advice = json.loads(text)
    error: FtetlError = getattr(errors, kind)(fault, what, next=advice)
    return error
