"""The cells of a flat column: aliases, the reader that the contract names, null policy, and the contract's own rules.

Columnar: nothing here runs once per row unless a value is odd; an odd value becomes NULL or stays, as the contract
says, and is noted. Knows no table by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import scaled_decimal
from ftetl.contract import Column, Source
from ftetl.contract.arrow_schema import NANO, TYPES, USD_LIMIT
from ftetl.raw.findings import Anomaly
from ftetl.transform import timestamps
from ftetl.transform.decode.source_schema import other_name

MAX = "max"  # the word for the largest batch size


@dataclass
class Rows:
    """The rows of one table before they are flat: the nested values, and the job that each belongs to."""

    values: dict[str, pa.Array]  # the row's own keys
    jobs: dict[str, pa.Array]  # the keys of its job
    count: int
    ids: pa.Array  # the job's id, by row
    prefix: str = ""  # of the paths in anomalies
    places: pa.Array | None = None  # the position of an event
    extra: pa.Array | None = None
    silent: pa.Array | None = None  # by row: whether its odd values are not noted


class Notes:
    """Collects the odd values of one table."""

    def __init__(self, rows: Rows, anomalies: list[Anomaly]) -> None:
        self.rows, self.anomalies = rows, anomalies

    def mask(self, path: str, kind: str, odd: pa.Array, raw: Callable[[int], str]) -> None:
        """Note every row where `odd` holds; `raw` gives the row's value as JSON text."""
        for row in pc.indices_nonzero(odd).to_pylist():
            self.at(path, kind, row, raw(row))

    def at(self, path: str, kind: str, row: int, raw: str) -> None:
        """Note one row."""
        if self.rows.silent is not None and self.rows.silent[row].as_py():
            return
        place = self.rows.places[row].as_py() if self.rows.places is not None else 0
        self.anomalies.append(Anomaly(self.rows.ids[row].as_py(), path, kind, raw, place))


def cells(column: Column, rows: Rows, note: Notes) -> pa.Array:
    """The cells of one column: aliases in order, then the reader, then the contract's own rules."""
    path = rows.prefix + str(column.sources[0])
    values = _read(column, rows, column.sources[0])
    if column.read == "is_max":
        _note_words(path, _at(rows, _sibling(column.sources[0])), note)
    for alias in column.sources[1:]:
        values, more = _told(values), _told(_read(column, rows, alias))
        differ = pc.fill_null(pc.not_equal(values, more), False)
        if pc.any(differ).as_py():
            _note_conflict(rows.prefix + str(alias), differ, more, note)
        values = pc.coalesce(values, more)
    if values.null_count < len(values):
        values = _RULES.get(column.type, _unchanged)(column, values, path, note)
    else:
        values = pa.nulls(len(values), TYPES[column.type])
    if column.minimum is not None:
        low = pc.fill_null(pc.less(values, column.minimum), False)
        if pc.any(low).as_py():
            kept = values
            note.mask(path, "out_of_range", low, lambda row: _raw(kept[row].as_py()))
            values = pc.if_else(low, pa.scalar(None, values.type), values)
    return values


def _note_words(path: str, words: pa.Array, note: Notes) -> None:
    """A word in the place of a number is lost if it is not the one that has a column of its own."""
    odd = pc.fill_null(pc.not_equal(_nothing(words), MAX), False)
    if pc.any(odd).as_py():
        note.mask(path, "wrong_type", odd, lambda row: _raw(words[row].as_py()))


def _note_conflict(path: str, differ: pa.Array, values: pa.Array, note: Notes) -> None:
    note.mask(path, "alias_conflict", differ, lambda row: _raw(values[row].as_py()))


def _read(column: Column, rows: Rows, source: Source) -> pa.Array:
    """The raw values at one source, as the column's reader sees them."""
    values = _at(rows, source)
    if column.read == "bool_text":
        other = _at(rows, _sibling(source))
        return pc.coalesce(_nothing(values), pc.cast(other, pa.string()))
    if column.read == "is_max":
        word = pc.equal(_at(rows, _sibling(source)), MAX)
        nothing = pa.scalar(None, pa.bool_())
        return pc.if_else(pc.fill_null(word, False), True, pc.if_else(pc.is_valid(values), False, nothing))
    if column.read == "is_one_of":
        found = pc.is_in(values, value_set=pa.array(column.values, pa.string()))
        return pc.if_else(pc.is_valid(_nothing(values)), found, pa.scalar(None, pa.bool_()))
    return values


def _sibling(source: Source) -> Source:
    return Source((*source.keys[:-1], other_name(source.keys[-1])), source.job)


def _at(rows: Rows, source: Source) -> pa.Array:
    values = (rows.jobs if source.job else rows.values)[source.keys[0]]
    return pc.struct_field(values, list(source.keys[1:])) if len(source.keys) > 1 else values


def _nothing(texts: pa.Array) -> pa.Array:
    """Empty text is none."""
    empty = pc.equal(texts, "")
    return pc.if_else(empty, pa.scalar(None, pa.string()), texts) if pc.any(empty).as_py() else texts


def _told(values: pa.Array) -> pa.Array:
    return _nothing(values) if pa.types.is_string(values.type) else values


def _raw(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _unchanged(_column: Column, values: pa.Array, _path: str, _note: Notes) -> pa.Array:
    return values


def _text(column: Column, values: pa.Array, path: str, note: Notes) -> pa.Array:
    values = _nothing(values)
    return _enumerated(column, values, path, note) if column.enum else values


def _enumerated(column: Column, values: pa.Array, path: str, note: Notes) -> pa.Array:
    """Known spellings as the contract's words; an unknown text stays as it is and is noted."""
    encoded = pc.dictionary_encode(values)
    words = encoded.dictionary.to_pylist()
    lower = column.read == "lower_case"
    settled = []
    for word in words:
        key = word.lower() if lower else word
        settled.append(key if key in column.enum else column.spellings.get(key))
    unknown = pa.array([i for i, word in enumerate(settled) if word is None], pa.int32())
    if len(unknown):
        odd = pc.is_in(encoded.indices, value_set=unknown)
        note.mask(path, "unknown_enum", odd, lambda row: _raw(values[row].as_py()))
        settled = [word if word is not None else words[i] for i, word in enumerate(settled)]
    return pc.take(pa.array(settled, pa.string()), encoded.indices)


def _instants(_column: Column, values: pa.Array, path: str, note: Notes) -> pa.Array:
    instants, odd = timestamps.column(values)
    for row, kind, text in odd:
        note.at(path, kind, row, _raw(text))
    return instants


def _usd(_column: Column, values: pa.Array, path: str, note: Notes) -> pa.Array:
    high = pc.fill_null(pc.or_(pc.greater_equal(values, USD_LIMIT), pc.less_equal(values, -USD_LIMIT)), False)
    if pc.any(high).as_py():
        note.mask(path, "out_of_range", high, lambda row: _raw(values[row].as_py()))
        values = pc.if_else(high, pa.scalar(None, pa.int64()), values)
    return scaled_decimal(values, NANO, TYPES["decimal"])


_RULES: dict[str, Callable[[Column, pa.Array, str, Notes], pa.Array]] = {
    "string": _text,
    "datetime": _instants,
    "decimal": _usd,
}
