"""Raw elements as one nested Arrow table: two roads with one meaning.

The fast road reads a batch whole with Arrow's JSON reader. If Arrow refuses it, the batch is halved until the odd
jobs stand alone, and those go down the careful road, one at a time. The cost stays linear: a batch that is refused
over and over goes down the careful road whole. Knows the shape of a job, no flat tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from ftetl import careful, shape, strict, unknown
from ftetl.answers import Answer
from ftetl.arrays import one
from ftetl.copies import Aside, Item, Oddity
from ftetl.element import own_id
from ftetl.raws import Raws, length
from ftetl.rename import rename, repeats

BATCH = 12 << 20  # bytes of raw JSON in a batch: half of it costs a tenth more time, twice as much a tenth more memory
_SMALL = 32 << 10  # bytes up to which the careful road is done before Arrow has started
_LARGEST = 2**31 - 2  # bytes that Arrow's reader takes at once
_REREAD = 4  # how many times its own bytes a batch may be read again in halves


@dataclass
class Decoded:
    """A batch: the nested rows, the items they came from, and what is beside them."""

    jobs: pa.Table
    items: list[Item]
    extra: dict[int, str] = field(default_factory=dict)  # by row
    event_extra: dict[tuple[int, int], str] = field(default_factory=dict)  # by row and position
    aside: list[Aside] = field(default_factory=list)
    oddities: list[Oddity] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    careful: int = 0  # rows that took the careful road


@cache
def explicit(*, json_as_text: bool) -> pa.Schema:
    """The nested Arrow schema of a job: as the fast road reads it, or with the JSON texts, as it is handed on."""
    return pa.schema(shape.fields(shape.job(), json_as_text=json_as_text))


def batches(items: Sequence[Item], size: int = BATCH) -> Iterator[list[Item]]:
    """The items in runs of about `size` bytes; copies of one job stay together."""
    batch: list[Item] = []
    total = 0
    for item in items:
        more = length(item)
        if batch and total + more > size and batch[-1].job_id != item.job_id:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += more
    if batch:
        yield batch


def decode(items: Sequence[Item], answers: Sequence[Answer], *, fast: bool = True) -> Decoded:
    """The nested rows of the items, in their order; what is no clean JSON after all is put aside.

    `fast=False` sends every job down the careful road; the outcome is the same.
    """
    run = _Run(items, answers)
    for low, high, plain in _stretches(items) if fast else [(0, len(items), False)]:
        if plain:
            run.budget = _REREAD * run.size(low, high)
            run.take_fast(low, high)
        else:
            run.take_careful(low, high)
    return run.result()


def _stretches(items: Sequence[Item]) -> Iterator[tuple[int, int, bool]]:
    """Neighbours that are all for the fast road, or all not; what is small between odd ones goes with them."""
    low = high = 0
    for is_odd, group in groupby(range(len(items)), key=lambda at: items[at].odd):
        found = list(group)
        small = len(found) < len(items) and sum(length(items[at]) for at in found) <= _SMALL
        if not is_odd and not small:
            if low < high:
                yield low, high, False
            yield found[0], found[-1] + 1, True
            low = found[-1] + 1
        high = found[-1] + 1
    if low < high:
        yield low, high, False


class _Run:
    """One batch on its way: pieces in order, and what is beside them."""

    def __init__(self, items: Sequence[Item], answers: Sequence[Answer]) -> None:
        self.items, self.raws, self.answers = items, Raws(items, answers), answers
        self.pieces: list[pa.Table] = []
        self.kept: list[Item] = []
        self.found = Decoded(pa.table({}), self.kept)
        self.budget = 0

    def size(self, low: int, high: int) -> int:
        return self.raws.part(low, high).size

    def take_fast(self, low: int, high: int) -> None:
        raws = self.raws.part(low, high)
        if unknown.sprawls(raws):
            self.take_careful(low, high)
            return
        try:
            self._fast_piece(read(raws.together(), len(raws)), low)
        except (pa.ArrowException, UnicodeDecodeError):
            size = raws.size
            self.budget -= size
            if high - low == 1 or size <= _SMALL or self.budget < 0:
                self.take_careful(low, high)
            else:
                middle = (low + high) // 2
                self.take_fast(low, middle)
                self.take_fast(middle, high)

    def take_careful(self, low: int, high: int) -> None:
        rows: list[dict[str, Any]] = []
        for at in range(low, high):
            item, raw = self.items[at], self.raws[at]
            try:
                value = strict.parse(raw)
            except strict.RefusedError as refusal:
                self._refuse(item, raw, refusal.rule)
                continue
            note = self._noting(item)
            rows.append(careful.normal(shape.job(), value, note))
            self._texts(len(self.kept), item, unknown.texts_of(value, note))
            self.kept.append(item)
            self.found.careful += 1
        self.pieces.append(pa.Table.from_pylist(rows, schema=explicit(json_as_text=True)))

    def _noting(self, item: Item) -> careful.Note:
        def note(path: str, kind: str, raw: str, place: int) -> None:
            if not item.older:
                self.found.oddities.append(Oddity(item.job_id, path, kind, raw, place))

        return note

    def _refuse(self, item: Item, raw: bytes, rule: str) -> None:
        answer = self.answers[item.answer]
        self.found.aside.append(
            Aside(strict.mask(raw), rule, own_id(raw), answer.name, item.position, answer.observed_at)
        )

    def _fast_piece(self, table: pa.Table, low: int) -> None:
        """Add the fast road's rows, with the texts that only the raw bytes tell."""
        paths = list(unknown.unread(table.schema, shape.job()))
        columns = {key: _json_column(table, key) for key in unknown.json_keys()}
        rows = self._rows_to_read(table.num_rows, low, paths, columns)
        wanted = {p[0] for p in paths} | set(unknown.json_keys())
        try:
            texts = {row: unknown.texts_of_raw(self.raws[low + row], wanted) for row in rows}
        except (strict.RefusedError, msgspec.MsgspecError, RecursionError):
            raise pa.ArrowInvalid("some element is not clean") from None
        start = len(self.kept)
        for row, text in texts.items():
            self._texts(start + row, self.items[low + row], text)
        self.kept.extend(self.items[low : low + table.num_rows])
        self.pieces.append(_assembled(table, columns, texts))

    def _rows_to_read(
        self, count: int, low: int, paths: list[unknown.Path], columns: dict[str, _JsonColumn]
    ) -> list[int]:
        rows = {row for column in columns.values() for row in column.open_rows}
        if paths:
            pattern = unknown.key_pattern({p[-1] for p in paths})
            rows |= {row for row in range(count) if pattern is None or pattern.search(self.raws[low + row])}
        return sorted(rows)

    def _texts(self, row: int, item: Item, texts: unknown.Texts) -> None:
        if texts.extra:
            self.found.extra[row] = strict.compact(texts.extra)
        for position, rest in texts.events.items():
            self.found.event_extra[row, position] = strict.compact(rest)
        if (texts.extra or texts.events) and not item.older:
            self.found.unknown.update(unknown.paths(texts))

    def result(self) -> Decoded:
        schema = explicit(json_as_text=True)
        pieces = [p for p in self.pieces if p.num_rows]
        self.found.jobs = pa.concat_tables(pieces).combine_chunks() if pieces else schema.empty_table()
        return self.found


def read(body: memoryview, count: int) -> pa.Table:
    """The `count` jobs as Arrow reads them, with what it inferred for the keys that the shape does not know.

    `body` is a `bytearray`, or the beginning of one, in which keys are renamed.

    Raises:
        ArrowInvalid: Some element is not what the shape says, or is not clean.
    """
    if len(body) > _LARGEST:
        raise pa.ArrowInvalid("too large")
    offsets, data = pa.array([0, len(body)], pa.int32()), pa.py_buffer(body)
    pa.StringArray.from_buffers(1, offsets.buffers()[1], data).validate(full=True)
    assert isinstance(body.obj, bytearray)
    rename(body.obj, len(body))
    table = pj.read_json(
        pa.BufferReader(data),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(body) + 1),
        parse_options=pj.ParseOptions(explicit_schema=explicit(json_as_text=False), unexpected_field_behavior="infer"),
    )
    if table.num_rows != count:
        raise pa.ArrowInvalid("more or fewer values than elements")
    table = table.combine_chunks()
    if repeats(table):
        raise pa.ArrowInvalid("a key stands twice in one object")
    return table


@dataclass
class _JsonColumn:
    """A column of JSON text as far as Arrow can tell it: the texts, and the rows that only the raw bytes can tell."""

    texts: pa.Array
    open_rows: list[int]


def _json_column(table: pa.Table, key: str) -> _JsonColumn:
    count = table.num_rows
    nothing = pa.nulls(count, pa.string())
    if key not in table.column_names:
        return _JsonColumn(nothing, [])
    column = one(table.column(key))
    if pa.types.is_null(column.type):
        return _JsonColumn(nothing, [])
    if pa.types.is_list(column.type):
        empty, text = pc.equal(pc.list_value_length(column), 0), "[]"
    elif pa.types.is_struct(column.type) and column.type.num_fields == 0:
        empty, text = pc.is_valid(column), "{}"
    else:
        empty, text = pa.array([False] * count), ""
    texts = pc.if_else(pc.fill_null(empty, False), pa.scalar(text), nothing)
    rows = pc.indices_nonzero(pc.and_(pc.is_valid(column), pc.is_null(texts))).to_pylist()
    return _JsonColumn(texts, rows)


def _assembled(table: pa.Table, columns: dict[str, _JsonColumn], texts: dict[int, unknown.Texts]) -> pa.Table:
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


def _filled(column: _JsonColumn, cells: dict[int, str | None]) -> pa.Array:
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
