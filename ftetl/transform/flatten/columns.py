"""Flat columns: a value that does not fit its column becomes an anomaly, and NULL or stays, as the contract says.

A wrong type in the JSON has become an anomaly before, in `decode.python_reader`; here only a text other than "max" in a
column read as `is_max` has a wrong type. Applies aliases, readers and limits. Columnar but for values with an anomaly.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import scaled_decimal
from ftetl.contract import Column, Source
from ftetl.contract.arrow_schema import NANO, TYPES, USD_LIMIT
from ftetl.raw.findings import Anomaly
from ftetl.transform import timestamps
from ftetl.transform.decode.source_schema import other_kind_key

_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799  # of the years 1 (Go's zero time) and 9999
MAX_WORD = "max"  # the largest batch size
_WHOLE_LIMIT = Decimal(USD_LIMIT).scaleb(-NANO)  # from here on a decimal does not fit
_LAST_PLACE = Decimal(1).scaleb(-NANO)


@dataclass
class Rows:
    """The rows of one table before they are flat: the nested values, and the job that each belongs to."""

    values: dict[str, pa.Array]  # by key of the row
    jobs: dict[str, pa.Array]  # by key of its job
    ids: pa.Array  # the job's id
    prefix: str = ""  # of the paths in anomalies
    positions: pa.Array | None = None  # of an event in its job's list
    extra: pa.Array | None = None
    silent: pa.Array | None = None  # mask of the rows that have no anomalies

    def at(self, source: Source) -> pa.Array:
        """The nested values at a source."""
        values = (self.jobs if source.job else self.values)[source.keys[0]]
        return pc.struct_field(values, list(source.keys[1:])) if len(source.keys) > 1 else values

    def other_kind_at(self, source: Source) -> pa.Array:
        """The values of the other kind at a source of a union field."""
        return self.at(Source((*source.keys[:-1], other_kind_key(source.keys[-1])), source.job))


class AnomalyCollector:
    """Collects the anomalies of one table."""

    def __init__(self, rows: Rows, anomalies: list[Anomaly]) -> None:
        self._rows, self._anomalies = rows, anomalies

    def add_masked(self, path: str, kind: str, mask: pa.Array, values: pa.Array) -> bool:
        """Add the value of every row where the mask is true; whether there is one."""
        rows = pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist()
        for row in rows:
            self.add(path, kind, row, values[row].as_py())
        return bool(rows)

    def add(self, path: str, kind: str, row: int, value: Any) -> None:
        """Add the value of one row."""
        if self._rows.silent is not None and self._rows.silent[row].as_py():
            return
        place = self._rows.positions[row].as_py() if self._rows.positions is not None else 0
        raw = json.dumps(value, ensure_ascii=False)
        self._anomalies.append(Anomaly(self._rows.ids[row].as_py(), path, kind, raw, place))


def flat_column(column: Column, rows: Rows, collector: AnomalyCollector) -> pa.Array:
    """The values of one column: of its aliases the first that is not null, by its reader, its type and its minimum."""
    path = rows.prefix + str(column.sources[0])
    values = _read_source(column, rows, column.sources[0])
    if column.read == "is_max":
        words = rows.other_kind_at(column.sources[0])
        collector.add_masked(path, "wrong_type", pc.not_equal(_null_if_empty(words), MAX_WORD), words)
    for alias in column.sources[1:]:
        values, alias_values = _null_if_empty(values), _null_if_empty(_read_source(column, rows, alias))
        differ = pc.not_equal(values, alias_values)
        collector.add_masked(rows.prefix + str(alias), "alias_conflict", differ, alias_values)
        values = pc.coalesce(values, alias_values)
    if values.null_count == len(values):
        return pa.nulls(len(values), TYPES[column.type])
    convert = _CONVERT_DECIMAL if column.read == "decimal" else _CONVERT
    if column.type in convert:
        values = convert[column.type](column, values, path, collector)
    if column.minimum is not None:
        values = _null_where(pc.less(values, column.minimum), values, path, collector)
    return values


def _read_source(column: Column, rows: Rows, source: Source) -> pa.Array:
    """The values at one source, as the column's reader gives them."""
    values = rows.at(source)
    if column.read == "bool_text":
        return pc.coalesce(_null_if_empty(values), pc.cast(rows.other_kind_at(source), pa.string()))
    if column.read == "is_max":
        is_max = pc.fill_null(pc.equal(rows.other_kind_at(source), MAX_WORD), False)
        return pc.if_else(is_max, True, pc.if_else(pc.is_valid(values), False, pa.scalar(None, pa.bool_())))
    if column.read == "is_one_of":
        is_one = pc.is_in(values, value_set=pa.array(column.values, pa.string()))
        return pc.if_else(pc.is_valid(_null_if_empty(values)), is_one, pa.scalar(None, pa.bool_()))
    return values


def _null_if_empty(values: pa.Array) -> pa.Array:
    """The values, with null for empty text."""
    if not pa.types.is_string(values.type):
        return values
    is_empty = pc.equal(values, "")
    return pc.if_else(is_empty, pa.scalar(None, pa.string()), values) if pc.any(is_empty).as_py() else values


def _null_where(mask: pa.Array, values: pa.Array, path: str, collector: AnomalyCollector) -> pa.Array:
    """The values, with null and an anomaly where the mask says that they are out of range."""
    if not collector.add_masked(path, "out_of_range", mask, values):
        return values
    return pc.if_else(pc.fill_null(mask, False), pa.scalar(None, values.type), values)


def _convert_text(column: Column, values: pa.Array, path: str, collector: AnomalyCollector) -> pa.Array:
    values = _null_if_empty(values)
    return _convert_enum(column, values, path, collector) if column.enum else values


def _convert_enum(column: Column, values: pa.Array, path: str, collector: AnomalyCollector) -> pa.Array:
    """Known spellings as the contract's words; an unknown text stays and becomes an anomaly."""
    encoded = pc.dictionary_encode(values)
    texts, words = encoded.dictionary.to_pylist(), []
    for text in texts:
        key = text.lower() if column.read == "lower_case" else text
        words.append(key if key in column.enum else column.spellings.get(key))
    unknown = pa.array([place for place, word in enumerate(words) if word is None], pa.int32())
    if len(unknown):
        collector.add_masked(path, "unknown_enum", pc.is_in(encoded.indices, value_set=unknown), values)
        words = [text if word is None else word for text, word in zip(texts, words, strict=True)]
    return pc.take(pa.array(words, pa.string()), encoded.indices)


def _convert_times(column: Column, values: pa.Array, path: str, collector: AnomalyCollector) -> pa.Array:
    if column.read == "unix_seconds":
        values = pc.if_else(pc.equal(values, 0), pa.scalar(None, values.type), values)
        is_far = pc.or_(pc.less_equal(values, _FIRST_SECOND), pc.greater(values, _LAST_SECOND))
        values = _null_where(is_far, values, path, collector)
        return pc.cast(pc.cast(values, pa.timestamp("s", "UTC")), TYPES["datetime"])
    instants, anomalies = timestamps.parse_column(values)
    for row, kind, text in anomalies:
        collector.add(path, kind, row, text)
    return instants


def _convert_usd(_: Column, values: pa.Array, path: str, collector: AnomalyCollector) -> pa.Array:
    too_large = pc.or_(pc.greater_equal(values, USD_LIMIT), pc.less_equal(values, -USD_LIMIT))
    return scaled_decimal(_null_where(too_large, values, path, collector), NANO, TYPES["decimal"])


def _convert_decimal(_: Column, texts: pa.Array, path: str, collector: AnomalyCollector) -> pa.Array:
    """Texts of decimal numbers as decimals with 9 places, rounded half to even."""
    try:
        return pc.cast(texts, TYPES["decimal"])
    except pa.ArrowInvalid:  # Arrow casts exactly or not at all
        rounded = [None if text is None else _rounded(text) for text in texts.to_pylist()]
    does_not_fit = pa.array([value is None for value in rounded])
    collector.add_masked(path, "out_of_range", pc.and_(does_not_fit, pc.is_valid(texts)), texts)
    return pa.array(rounded, TYPES["decimal"])


def _rounded(text: str) -> Decimal | None:
    """The decimal with 9 places; None where it does not fit."""
    value = Decimal(text)
    if value.copy_abs() >= _WHOLE_LIMIT:
        return None
    rounded = value.quantize(_LAST_PLACE, ROUND_HALF_EVEN)
    return rounded if rounded.copy_abs() < _WHOLE_LIMIT else None


def _convert_double(_: Column, texts: pa.Array, path: str, collector: AnomalyCollector) -> pa.Array:
    """Texts of decimal numbers as the nearest doubles."""
    numbers = pc.add(pc.cast(texts, pa.float64()), 0.0)  # so that "-0" is 0
    is_infinite = pc.is_inf(numbers)
    if not collector.add_masked(path, "out_of_range", is_infinite, texts):
        return numbers
    return pc.if_else(is_infinite, pa.scalar(None, pa.float64()), numbers)


_Convert = Callable[[Column, pa.Array, str, AnomalyCollector], pa.Array]
_CONVERT_DECIMAL: dict[str, _Convert] = {"decimal": _convert_decimal, "number": _convert_double}
_CONVERT: dict[str, _Convert] = {
    "string": _convert_text,
    "datetime": _convert_times,
    "decimal": _convert_usd,
}
