"""The Python reader: here a value of a wrong type becomes null and an anomaly with its raw text; the job keeps its row.

It takes one job at a time, by the same schema as the Arrow reader, which refuses a batch that has such a value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from ftetl.raw import strict_json
from ftetl.transform.decode.source_schema import Leaf, Node, other_kind_key

# Takes the path, the kind of anomaly, the raw JSON text or None, and the position of the event or 0.
AddAnomaly = Callable[[str, str, str | None, int], None]

MAX_EXACT = 2**53  # whole numbers up to here are exact as doubles
_INT64 = 2**63


def read_object(
    node: Node, value: dict[str, Any], add_anomaly: AddAnomaly, prefix: str = "", position: int = 0
) -> dict[str, Any]:
    """The fields of an object that the schema reads, each of its kind; null ones are left out.

    `prefix` is that of the paths in anomalies, `position` that of the event which the object is or lies in.
    """
    fields: dict[str, Any] = {}
    for key, child in node.children.items():
        item = value.get(key)
        if item is None:
            continue
        path = prefix + key
        if isinstance(child, Leaf) and child.is_json:
            fields[key] = strict_json.compact_json(clean_json(item, add_anomaly, path, position))
        elif isinstance(child, Leaf):
            if anomaly := _read_leaf(fields, key, child, item):
                add_anomaly(path, anomaly, strict_json.compact_json(item), position)
        elif isinstance(item, dict) and not child.is_list:
            fields[key] = read_object(child, item, add_anomaly, path + ".", position)
        elif isinstance(item, list) and child.is_list:
            fields[key] = [_read_row(child, row, add_anomaly, path, at) for at, row in enumerate(item)]
        else:
            add_anomaly(path, "wrong_type", strict_json.compact_json(item), position)
    return fields


def _read_row(node: Node, row: Any, add_anomaly: AddAnomaly, path: str, position: int) -> dict[str, Any] | None:
    if isinstance(row, dict):
        return read_object(node, row, add_anomaly, path + ".", position)
    if row is None:
        return None  # becomes an anomaly when it is flattened, after both readers
    add_anomaly(path, "wrong_type", strict_json.compact_json(row), position)
    return {}


def _read_leaf(fields: dict[str, Any], key: str, leaf: Leaf, item: Any) -> str | None:
    """Put the value under its key; the kind of its anomaly, if it has one."""
    if leaf.other_kind and json_kind(item) == leaf.other_kind:
        key, kind = other_kind_key(key), leaf.other_kind
    else:
        kind = leaf.kind
    value, anomaly = _READERS[kind](item)
    if value is not None:
        fields[key] = value
    return anomaly


def clean_json(value: Any, add_anomaly: AddAnomaly, path: str = "", position: int = 0) -> Any:
    """A value that stays JSON, without what JSON or UTF-8 cannot hold: NaN, infinities and lone surrogates."""
    if isinstance(value, dict):
        return _clean_object(value, add_anomaly, path, position)
    if isinstance(value, list):
        return [clean_json(item, add_anomaly, path, position) for item in value]
    if isinstance(value, strict_json.NumberText):
        if _is_finite_text(value):
            return value
        add_anomaly(path, "not_finite", value, position)
        return None
    if isinstance(value, str) and strict_json.has_lone_surrogate(value):
        add_anomaly(path, "lone_surrogate", strict_json.compact_json(value), position)
        return strict_json.replace_surrogates(value)
    return value


def _clean_object(value: dict[str, Any], add_anomaly: AddAnomaly, path: str, position: int) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, item in value.items():
        name = strict_json.replace_surrogates(key)
        inner_path = f"{path}.{name}" if path else name
        is_taken = name != key and (name in value or name in fields)
        if name != key:
            raw = strict_json.compact_json({key: item} if is_taken else key)
            add_anomaly(inner_path, "lone_surrogate", raw, position)
        if not is_taken:
            fields[name] = clean_json(item, add_anomaly, inner_path, position)
    return fields


def json_kind(item: Any) -> str:
    """The kind of a JSON value, in the contract's words."""
    if isinstance(item, bool):
        return "boolean"
    if isinstance(item, int | strict_json.NumberText):
        return "number"
    return "string" if isinstance(item, str) else "other"


def _is_finite_text(number: str) -> bool:
    return number[-1] not in "Ny"  # of NaN and Infinity


# Each of these gives the value or null, and the kind of anomaly or null.


def _read_string(item: Any) -> tuple[str | None, str | None]:
    if json_kind(item) != "string":
        return None, "wrong_type"
    if strict_json.has_lone_surrogate(item):
        return strict_json.replace_surrogates(item), "lone_surrogate"
    return item, None


def _read_integer(item: Any) -> tuple[int | None, str | None]:
    if json_kind(item) != "number":
        return None, "wrong_type"
    if isinstance(item, int):
        return item, None
    try:
        whole = int(item) if len(item) <= 40 else None  # a whole number with more than 18 digits
    except ValueError:
        whole = None
    if whole is not None:
        return (whole, None) if -_INT64 <= whole < _INT64 else (None, "out_of_range")
    real = float(item)
    if not math.isfinite(real):
        return None, "out_of_range" if _is_finite_text(item) else "not_finite"
    if abs(real) > MAX_EXACT:
        return None, "out_of_range"
    try:
        exact = Decimal(item)  # a double would take 9007199254740993.0 and 0.99999999999999999 for whole numbers
    except InvalidOperation:
        return None, "wrong_type"  # an exponent too large for Decimal, so close to 0
    if exact.copy_abs() > MAX_EXACT:
        return None, "out_of_range"
    return (int(exact), None) if exact == int(exact) else (None, "wrong_type")


def _read_money(item: Any) -> tuple[int | None, str | None]:
    """As `_read_integer`, but no real: the wire has integers, and 4.0 may be dollars instead of nano-USD."""
    is_real = isinstance(item, strict_json.NumberText) and _is_finite_text(item) and any(c in ".eE" for c in item)
    return (None, "wrong_type") if is_real else _read_integer(item)


def read_number(item: Any) -> tuple[float | None, str | None]:
    """The number as a double, and the kind of its anomaly; either may be None."""
    if json_kind(item) != "number":
        return None, "wrong_type"
    real = float(item)
    if math.isfinite(real):
        # Of smaller ones the digits that a double cannot hold are no more than those of 0.1.
        return real, "rounded" if abs(real) >= MAX_EXACT and Decimal(repr(real)) != Decimal(item) else None
    return None, "out_of_range" if isinstance(item, int) or _is_finite_text(item) else "not_finite"


_DECIMAL = re.compile(r"[+-]?[0-9]{1,100}(\.[0-9]{1,100})?([eE][+-]?[0-9]{1,3})?")


def _read_decimal(item: Any) -> tuple[str | None, str | None]:
    """The text of a decimal number, as it came: in quotes, as this API writes amounts, or as a JSON number."""
    if json_kind(item) == "string":
        return (item or None, None) if not item or _DECIMAL.fullmatch(item) else (None, "wrong_type")
    if json_kind(item) != "number":
        return None, "wrong_type"
    if isinstance(item, strict_json.NumberText) and not _is_finite_text(item):
        return None, "not_finite"
    text = str(item)
    return (text, None) if _DECIMAL.fullmatch(text) else (None, "out_of_range")


def _read_boolean(item: Any) -> tuple[bool | None, str | None]:
    return (item, None) if isinstance(item, bool) else (None, "wrong_type")


_READERS: dict[str, Callable[[Any], tuple[Any, str | None]]] = {
    "string": _read_string,
    "integer": _read_integer,
    "money": _read_money,
    "number": read_number,
    "boolean": _read_boolean,
    "decimal": _read_decimal,
}
