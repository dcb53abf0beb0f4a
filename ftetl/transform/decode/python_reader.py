"""The careful road: one job at a time, in plain Python, by the same shape as the fast road.

A value that its field cannot hold becomes none and is noted with its raw text; the job keeps its row.
Knows neither Arrow nor tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from ftetl.raw import strict_json
from ftetl.transform.decode.source_schema import Items, Leaf, Node, other_name

# (path, kind of anomaly, raw JSON text, position of the event or 0)
Note = Callable[[str, str, str, int], None]

EXACT = 2**53  # whole reals up to here are exact
_INT64 = 2**63


def normal(node: Node, value: dict[str, Any], note: Note, prefix: str = "", place: int = 0) -> dict[str, Any]:
    """The object with every field of the kind that the shape names, or none."""
    found: dict[str, Any] = {}
    for key, child in node.children.items():
        item = value.get(key)
        if item is None:
            continue
        path = prefix + key
        if isinstance(child, Leaf) and child.is_json:
            found[key] = strict_json.compact(mended(item, note, path, place))
        elif isinstance(child, Leaf):
            if anomaly := _leaf(found, key, child, item):
                note(path, anomaly, strict_json.compact(item), place)
        elif isinstance(child, Node):
            if isinstance(item, dict):
                found[key] = normal(child, item, note, path + ".", place)
            else:
                note(path, "wrong_type", strict_json.compact(item), place)
        elif isinstance(item, list):
            found[key] = [_row(child, row, note, path, at) for at, row in enumerate(item)]
        else:
            note(path, "wrong_type", strict_json.compact(item), place)
    return found


def _row(items: Items, row: Any, note: Note, path: str, at: int) -> dict[str, Any] | None:
    if isinstance(row, dict):
        return normal(items.node, row, note, path + ".", at)
    if row is None:
        return None  # noted where both roads pass
    note(path, "wrong_type", strict_json.compact(row), at)
    return {}


def _leaf(found: dict[str, Any], key: str, leaf: Leaf, item: Any) -> str | None:
    """Put the value where it belongs; what is odd about it, if anything."""
    if leaf.other and kind_of(item) == leaf.other:
        value, anomaly = READ[leaf.other](item)
        key = other_name(key)
    else:
        value, anomaly = READ[leaf.kind](item)
    if value is not None:
        found[key] = value
    return anomaly


def mended(value: Any, note: Note, path: str = "", place: int = 0) -> Any:
    """A value that stays JSON, without what JSON or UTF-8 has no word for: NaN, infinities and lone surrogates."""
    if isinstance(value, dict):
        inside = {}
        for key, item in value.items():
            name = strict_json.mend(key)
            below = f"{path}.{name}" if path else name
            taken = name != key and (name in value or name in inside)
            if name != key:
                note(below, "lone_surrogate", strict_json.compact({key: item} if taken else key), place)
            if not taken:
                inside[name] = mended(item, note, below, place)
        return inside
    if isinstance(value, list):
        return [mended(item, note, path, place) for item in value]
    if isinstance(value, strict_json.Num):
        if value[-1] not in "Ny":
            return value
        note(path, "not_finite", value, place)
        return None
    if isinstance(value, str) and strict_json.has_lone_surrogate(value):
        note(path, "lone_surrogate", strict_json.compact(value), place)
        return strict_json.mend(value)
    return value


def kind_of(item: Any) -> str:
    """The wire's kind of a value, in the contract's words."""
    if isinstance(item, bool):
        return "boolean"
    if isinstance(item, int | strict_json.Num):
        return "number"
    return "string" if isinstance(item, str) else "other"


def _string(item: Any) -> tuple[str | None, str | None]:
    if kind_of(item) != "string":
        return None, "wrong_type"
    return (strict_json.mend(item), "lone_surrogate") if strict_json.has_lone_surrogate(item) else (item, None)


def _integer(item: Any) -> tuple[int | None, str | None]:
    if kind_of(item) != "number":
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
        return None, "not_finite" if item[-1] in "Ny" else "out_of_range"
    if abs(real) > EXACT:
        return None, "out_of_range"
    try:
        exact = Decimal(item)  # a double would take 9007199254740993.0 and 0.99999999999999999 for whole numbers
    except InvalidOperation:
        return None, "wrong_type"  # an exponent that Decimal has no room for, so close to 0
    if exact.copy_abs() > EXACT:
        return None, "out_of_range"
    return (int(exact), None) if exact == int(exact) else (None, "wrong_type")


def _number(item: Any) -> tuple[float | None, str | None]:
    if kind_of(item) != "number":
        return None, "wrong_type"
    real = float(item)
    if math.isfinite(real):
        # Of smaller ones the digits that a double cannot hold are no more than those of 0.1.
        return real, "rounded" if abs(real) >= EXACT and Decimal(repr(real)) != Decimal(item) else None
    return None, "not_finite" if isinstance(item, str) and item[-1] in "Ny" else "out_of_range"


def _boolean(item: Any) -> tuple[bool | None, str | None]:
    return (item, None) if isinstance(item, bool) else (None, "wrong_type")


READ: dict[str, Callable[[Any], tuple[Any, str | None]]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
}
