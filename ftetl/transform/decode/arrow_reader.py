"""The fast road: a batch of raw jobs through Arrow's JSON reader, whole.

Knows the shape of a job and what Arrow makes of it; not what becomes of a batch that Arrow refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from ftetl.arrays import one
from ftetl.transform.decode import extra_keys, source_schema
from ftetl.transform.decode.python_reader import EXACT
from ftetl.transform.decode.union_fields import rename, repeats

_LARGEST = 2**31 - 2  # bytes that Arrow's reader takes at once


@cache
def explicit(*, json_as_text: bool) -> pa.Schema:
    """The nested Arrow schema of a job: as the fast road reads it, or with the JSON texts, as it is handed on."""
    return pa.schema(source_schema.fields(source_schema.job(), json_as_text=json_as_text))


def prepared(body: memoryview) -> memoryview:
    """The raw bytes of a batch, fit for Arrow: UTF-8, with the keys renamed that come in two kinds.

    `body` is a `bytearray`, or the beginning of one, in which they are renamed.

    Raises:
        ArrowInvalid: It is too large, no UTF-8, or has keys that cannot be renamed.
    """
    if len(body) > _LARGEST:
        raise pa.ArrowInvalid("too large")
    offsets = pa.array([0, len(body)], pa.int32())
    pa.StringArray.from_buffers(1, offsets.buffers()[1], pa.py_buffer(body)).validate(full=True)
    assert isinstance(body.obj, bytearray)
    rename(body.obj, len(body))
    return body


_ROW = re.compile(r"in row (\d+)$")


def refused_row(error: pa.ArrowException, count: int) -> int | None:
    """The job at which Arrow gave up, where it tells."""
    named = _ROW.search(str(error))
    return int(named[1]) if named and int(named[1]) < count else None


def read(body: memoryview, count: int) -> pa.Table:
    """The `count` jobs as Arrow reads them, with what it inferred for the keys that the shape does not know.

    Raises:
        ArrowInvalid: Some element is not what the shape says, or is not clean.
    """
    table = pj.read_json(
        pa.BufferReader(pa.py_buffer(body)),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(body) + 1),
        parse_options=pj.ParseOptions(explicit_schema=explicit(json_as_text=False), unexpected_field_behavior="infer"),
    )
    if table.num_rows != count:
        raise pa.ArrowInvalid("more or fewer values than elements")
    table = table.combine_chunks()
    if repeats(table):
        raise pa.ArrowInvalid("a key stands twice in one object")
    if (row := _first_inexact(table)) is not None:
        raise pa.ArrowInvalid(f"a real that only its text tells exactly in row {row}")
    return table


def _first_inexact(table: pa.Table) -> int | None:
    """The first job with a real so large that a double may have rounded it, or is infinite for want of digits."""
    found = []
    for path, is_item in _reals():
        values = one(table.column(path[0]))
        items = pc.list_flatten(values) if is_item else values
        reals = pc.struct_field(items, list(path[1:])) if path[1:] else items
        ends = pc.min_max(reals).as_py()
        if ends["max"] is not None and max(ends["max"], -ends["min"]) >= EXACT:
            at = pc.indices_nonzero(pc.fill_null(pc.greater_equal(pc.abs(reals), EXACT), False))[0]
            found.append((pc.list_parent_indices(values)[at.as_py()] if is_item else at).as_py())
    return min(found, default=None)


@cache
def _reals() -> tuple[tuple[tuple[str, ...], bool], ...]:
    """The paths of all reals, and whether each lies in the items of a list."""

    def below(
        node: source_schema.Node, above: tuple[str, ...], *, is_item: bool
    ) -> Iterator[tuple[tuple[str, ...], bool]]:
        for key, child in node.children.items():
            if isinstance(child, source_schema.Leaf):
                if child.kind == "number" and not child.is_json:
                    yield (*above, key), is_item
            else:
                inside = child.node if isinstance(child, source_schema.Items) else child
                yield from below(inside, (*above, key), is_item=is_item or isinstance(child, source_schema.Items))

    return tuple(below(source_schema.job(), (), is_item=False))


@dataclass
class JsonColumn:
    """A column of JSON text as far as Arrow can tell it: the texts, and the rows that only the raw bytes can tell."""

    texts: pa.Array
    open_rows: list[int]


def json_column(table: pa.Table, key: str) -> JsonColumn:
    """The column of such a key in what was read."""
    count = table.num_rows
    nothing = pa.nulls(count, pa.string())
    if key not in table.column_names:
        return JsonColumn(nothing, [])
    column = one(table.column(key))
    if pa.types.is_null(column.type):
        return JsonColumn(nothing, [])
    if pa.types.is_list(column.type):
        empty, text = pc.equal(pc.list_value_length(column), 0), "[]"
    elif pa.types.is_struct(column.type) and column.type.num_fields == 0:
        empty, text = pc.is_valid(column), "{}"
    else:
        empty, text = pa.array([False] * count), ""
    texts = pc.if_else(pc.fill_null(empty, False), pa.scalar(text), nothing)
    rows = pc.indices_nonzero(pc.and_(pc.is_valid(column), pc.is_null(texts))).to_pylist()
    return JsonColumn(texts, rows)


def assembled(table: pa.Table, columns: dict[str, JsonColumn], texts: dict[int, extra_keys.Texts]) -> pa.Table:
    """The table with exactly the explicit columns, the JSON texts among them."""
    arrays = []
    schema = explicit(json_as_text=True)
    for inner in schema:
        if inner.name in columns:
            column = columns[inner.name]
            arrays.append(_filled(column, {row: texts[row].json.get(inner.name) for row in column.open_rows}))
        else:
            arrays.append(_project(one(table.column(inner.name)), inner.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _filled(column: JsonColumn, cells: dict[int, str | None]) -> pa.Array:
    if not cells:
        return column.texts
    found = column.texts.to_pylist()
    for row, text in cells.items():
        found[row] = text
    return pa.array(found, pa.string())


def _project(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The array without the fields that the type does not have."""
    if array.type == kind:
        return array
    if pa.types.is_struct(kind):
        children = [_project(array.field(f.name), f.type) for f in kind]
        return pa.StructArray.from_arrays(children, fields=list(kind), mask=pc.is_null(array))
    values = _project(array.values, kind.value_type)
    return pa.ListArray.from_arrays(array.offsets, values, type=kind, mask=pc.is_null(array))
