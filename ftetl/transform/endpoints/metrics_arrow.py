"""Reads the metrics of a response with Arrow, where each of them is a number that it reads exactly."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from ftetl.arrays import one
from ftetl.raw import strict_json
from ftetl.transform.decode.python_reader import MAX_EXACT
from ftetl.transform.decode.source_schema import endpoint_arrow_schema
from ftetl.transform.endpoints.metric_entries import LIST_KEY, TABLE, VALUES, Entries

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_entries(body: bytes) -> Entries | None:
    """The entries, without anomalies; None where there would be one, or the response is not clean."""
    try:
        body.decode("utf-8")  # neither msgspec nor Arrow looks into every string
        keys = _decoder.decode(body)  # nor does Arrow survive every depth, or refuse NaN
        metrics = bytes(keys.pop(LIST_KEY))
        beside = {key: strict_json.parse(bytes(value)) for key, value in keys.items()}
        if metrics == b"null":
            return _no_entries(beside)
        items = pa.struct(endpoint_arrow_schema(TABLE))
        table = pj.read_json(
            pa.BufferReader(body),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(body) + 1),
            parse_options=pj.ParseOptions(explicit_schema=pa.schema([(LIST_KEY, pa.list_(items))])),
        )
        entries = pc.list_flatten(one(table.column(LIST_KEY)))
        if table.num_rows != 1 or entries.null_count:
            return None
        children = {entries.type.field(i).name: entries.field(i) for i in range(entries.type.num_fields)}
        exact = {name: _exact(child) for name, child in children.items()}
        fields = {name: exact.pop(name) for name in endpoint_arrow_schema(TABLE).names}
        parts = [_metric(name, numbers) for name, numbers in exact.items()]
    except (KeyError, ValueError, RecursionError, msgspec.MsgspecError, strict_json.RefusedError, pa.ArrowException):
        return None
    return Entries(fields, pa.concat_tables([VALUES.empty_table(), *parts]), beside)


def _no_entries(keys: dict[str, Any]) -> Entries:
    return Entries({f.name: pa.array([], f.type) for f in endpoint_arrow_schema(TABLE)}, VALUES.empty_table(), keys)


def _exact(numbers: pa.Array) -> pa.Array:
    """The numbers, if Arrow has read each of them exactly.

    Raises:
        ArrowInvalid: One may have been rounded, or they are no numbers.
    """
    kind = numbers.type
    if pa.types.is_floating(kind):
        ends = pc.min_max(numbers).as_py()
        if ends["max"] is not None and max(ends["max"], -ends["min"]) >= MAX_EXACT:
            raise pa.ArrowInvalid("not exact")
    elif not pa.types.is_int64(kind) and not pa.types.is_null(kind):
        raise pa.ArrowInvalid("not numbers")
    return numbers


def _metric(name: str, numbers: pa.Array) -> pa.Table:
    """The metric of one name, for the entries that have it.

    Raises:
        ArrowInvalid: A double does not hold one of the integers.
    """
    positions = pc.indices_nonzero(pc.is_valid(numbers))
    values = pc.add(pc.cast(pc.drop_null(numbers), pa.float64()), 0.0)  # so that "-0" is 0, as an integer and a real
    count = len(positions)
    columns = [positions.cast(pa.int64()), pa.repeat(name, count), values, pa.nulls(count, pa.string())]
    return pa.Table.from_arrays(columns, schema=VALUES)
