"""The Arrow reader: a whole batch of raw jobs through Arrow's JSON reader, which takes it or refuses it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from ftetl.arrays import one
from ftetl.transform.decode.extra_keys import ExtraTexts
from ftetl.transform.decode.python_reader import MAX_EXACT
from ftetl.transform.decode.source_schema import Path, arrow_schema, job_schema, leaves
from ftetl.transform.decode.union_fields import has_repeated_union_key, rename_union_keys

_MAX_BYTES = 2**31 - 2  # that Arrow's reader takes at once


def prepare_body(body: memoryview) -> memoryview:
    """The bytes of a batch, ready for Arrow: checked as UTF-8, with the keys of union fields renamed in place.

    `body` is a `bytearray`, or the beginning of one.

    Raises:
        ArrowInvalid: It is too large, not UTF-8, or has keys that cannot be renamed.
    """
    if len(body) > _MAX_BYTES:
        raise pa.ArrowInvalid("too large")
    offsets = pa.array([0, len(body)], pa.int32())
    pa.StringArray.from_buffers(1, offsets.buffers()[1], pa.py_buffer(body)).validate(full=True)
    assert isinstance(body.obj, bytearray)
    rename_union_keys(body.obj, len(body))
    return body


_ROW = re.compile(r"in row (\d+)$")


def refused_row(error: pa.ArrowException, count: int) -> int | None:
    """The row of the job at which Arrow gave up, where it names one."""
    named = _ROW.search(str(error))
    return int(named[1]) if named and int(named[1]) < count else None


def read_batch(body: memoryview, count: int) -> pa.Table:
    """The `count` jobs as Arrow reads them, with the types that it inferred for keys outside the schema.

    Raises:
        ArrowInvalid: Some element does not fit the schema, or is not clean.
    """
    schema = arrow_schema(json_as_text=False)
    table = pj.read_json(
        pa.BufferReader(pa.py_buffer(body)),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(body) + 1),
        parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="infer"),
    )
    if table.num_rows != count:
        raise pa.ArrowInvalid("more or fewer values than elements")
    table = table.combine_chunks()
    if has_repeated_union_key(table):
        raise pa.ArrowInvalid("a key stands twice in one object")
    if (row := _first_inexact(table)) is not None:
        raise pa.ArrowInvalid(f"a real that only its text tells exactly in row {row}")
    return table


def _first_inexact(table: pa.Table) -> int | None:
    """The row of the first job with a real so large that a double may have rounded it, or made it infinite."""
    rows = []
    for path, in_list in _real_paths():
        values = one(table.column(path[0]))
        items = pc.list_flatten(values) if in_list else values
        reals = pc.struct_field(items, list(path[1:])) if path[1:] else items
        ends = pc.min_max(reals).as_py()
        if ends["max"] is not None and max(ends["max"], -ends["min"]) >= MAX_EXACT:
            place = pc.indices_nonzero(pc.fill_null(pc.greater_equal(pc.abs(reals), MAX_EXACT), False))[0]
            rows.append((pc.list_parent_indices(values)[place.as_py()] if in_list else place).as_py())
    return min(rows, default=None)


@cache
def _real_paths() -> list[tuple[Path, bool]]:
    """The paths of all reals, and whether each lies in the items of a list."""
    return [(path, in_list) for path, leaf, in_list in leaves(job_schema()) if leaf.kind == "number"]


@dataclass
class JsonColumn:
    """A column of JSON text: the texts that Arrow can tell, and the rows whose text is in the raw bytes alone."""

    texts: pa.Array
    unresolved: list[int]


def json_column(table: pa.Table, key: str) -> JsonColumn:
    """The column of a key of JSON text, from the type that Arrow inferred for it."""
    nothing = pa.nulls(table.num_rows, pa.string())
    if key not in table.column_names:
        return JsonColumn(nothing, [])
    column = one(table.column(key))
    if pa.types.is_null(column.type):
        return JsonColumn(nothing, [])
    texts = nothing
    if pa.types.is_list(column.type):
        is_empty = pc.fill_null(pc.equal(pc.list_value_length(column), 0), False)
        texts = pc.if_else(is_empty, pa.scalar("[]"), nothing)
    elif pa.types.is_struct(column.type) and column.type.num_fields == 0:
        texts = pc.if_else(pc.is_valid(column), pa.scalar("{}"), nothing)
    unresolved = pc.indices_nonzero(pc.and_(pc.is_valid(column), pc.is_null(texts))).to_pylist()
    return JsonColumn(texts, unresolved)


def decoded_table(table: pa.Table, columns: dict[str, JsonColumn], texts: dict[int, ExtraTexts]) -> pa.Table:
    """The table with exactly the columns of the schema, those of JSON text among them; `texts` are by row."""
    arrays = []
    schema = arrow_schema(json_as_text=True)
    for inner in schema:
        if inner.name in columns:
            column = columns[inner.name]
            arrays.append(_resolve(column, {row: texts[row].json.get(inner.name) for row in column.unresolved}))
        else:
            arrays.append(_without_inferred(one(table.column(inner.name)), inner.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _resolve(column: JsonColumn, texts: dict[int, str | None]) -> pa.Array:
    if not texts:
        return column.texts
    cells = column.texts.to_pylist()
    for row, text in texts.items():
        cells[row] = text
    return pa.array(cells, pa.string())


def _without_inferred(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The array without the fields that the type does not have."""
    if array.type == kind:
        return array
    if pa.types.is_struct(kind):
        children = [_without_inferred(array.field(f.name), f.type) for f in kind]
        return pa.StructArray.from_arrays(children, fields=list(kind), mask=pc.is_null(array))
    values = _without_inferred(array.values, kind.value_type)
    return pa.ListArray.from_arrays(array.offsets, values, type=kind, mask=pc.is_null(array))
