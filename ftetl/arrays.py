"""Operations on Arrow arrays that copy only what they must. Does not depend on any table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

_LAST = pa.scalar(datetime.max, pa.timestamp("us"))


def one(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The values as one array; where they are one already, the same (pyarrow's `combine_chunks` would copy it)."""
    if not isinstance(array, pa.ChunkedArray):
        return array
    return array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()


def where(rows: pa.Table | pa.Array, mask: pa.Array) -> pa.Table | pa.Array:
    """The rows where the mask is true, which has no null; all of them, or none, without a copy."""
    count = pc.sum(mask).as_py() or 0
    if count == len(rows):
        return rows
    return rows.filter(mask) if count else rows.slice(0, 0)


def equal_or_both_null(left: pa.Array | pa.ChunkedArray, right: pa.Array | pa.ChunkedArray) -> pa.Array:
    """By row whether both values are equal, or both are null."""
    return pc.coalesce(pc.equal(left, right), pc.and_(pc.is_null(left), pc.is_null(right)))


def scaled_decimal(integers: pa.Array, digits: int, kind: pa.DataType) -> pa.Array:
    """Integers, or decimals without a scale, as exact decimals with `digits` of their digits behind the point.

    Raises:
        ArrowInvalid: A value does not fit the type.
    """
    whole = integers.cast(pa.decimal128(19, 0)) if pa.types.is_integer(integers.type) else integers
    return whole.view(pa.decimal128(whole.type.precision, digits)).cast(kind)


def seconds_between(start: pa.Array | pa.ChunkedArray, end: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The seconds from each start to its end, as float64. The timestamps are in microseconds."""
    micros = pc.cast(pc.subtract(end, start), pa.int64())
    # Beyond 285 years a double does not hold every microsecond, which must not stop a run over one invalid year.
    return pc.divide(pc.cast(micros, pa.float64(), safe=False), 1e6)


def next_month(months: pa.Array) -> pa.Array:
    """The first instants of the months after these; null after December 9999."""
    return until_9999(pc.ceil_temporal(months, unit="month", ceil_is_strictly_greater=True))


def until_9999(times: pa.Array) -> pa.Array:
    """The times without a zone, null where they lie beyond the year 9999, which most readers refuse."""
    return pc.if_else(pc.greater(times, _LAST), pa.scalar(None, times.type), times)


def group_starts(*keys: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Whether each row is the first of its key, where rows of an equal key lie together; two nulls are equal."""
    return pa.concat_arrays([_edge(keys[0]), _key_changes(keys)])


def group_ends(*keys: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Whether each row is the last of its key, where rows of an equal key lie together; two nulls are equal."""
    return pa.concat_arrays([_key_changes(keys), _edge(keys[0])])


def _key_changes(keys: Sequence[pa.Array | pa.ChunkedArray]) -> pa.Array:
    count = max(len(keys[0]) - 1, 0)
    same = pa.repeat(pa.scalar(value=True), count)
    for key in map(one, keys):
        same = pc.and_(same, equal_or_both_null(key.slice(0, count), key.slice(1)))
    return pc.invert(same)


def _edge(key: pa.Array | pa.ChunkedArray) -> pa.Array:
    return pa.repeat(pa.scalar(value=True), min(len(key), 1))
