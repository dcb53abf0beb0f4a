"""The nested shape of a raw job, as all contracts together read it.

From it derive the Arrow schema that the fast road reads with, the rules of the careful road, and what counts as
unknown. Knows no bytes and no tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pyarrow as pa

from ftetl.contract import Column, Table, tables
from ftetl.errors import ConfigError

# What the wire's kind of a value is for each type of a column; a `nano_to_usd` column reads an integer.
KINDS = {
    "string": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "datetime": "string",
    "decimal": "integer",
}
ARROW = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
# Readers of fields that come in two kinds: the kind of the field, and the other one.
UNIONS = {"bool_text": ("string", "boolean"), "is_max": ("integer", "string")}


@dataclass
class Leaf:
    """A single value: its kind on the wire, and the other kind that it may have."""

    kind: str
    other: str | None = None
    is_json: bool = False  # kept as its own JSON text


@dataclass
class Node:
    """An object: the keys that are read, and those that are passed over on purpose."""

    children: dict[str, Leaf | Node | Items] = field(default_factory=dict)
    ignored: set[str] = field(default_factory=set)


@dataclass
class Items:
    """A list of objects whose items are the rows of a table."""

    table: str
    node: Node


def other_name(key: str) -> str:
    """The sibling under which the other kind of a union field is read: the same length, so bytes can be renamed."""
    return key[:-1] + "~"


def null_name(key: str) -> str:
    """The sibling that tells of an explicit null; it makes a repeated key visible."""
    return key[:-1] + "^"


def wire_name(name: str) -> str:
    """The key that was renamed to this one, or the name itself."""
    keys = {sibling(key): key for key, _ in unions() for sibling in (other_name, null_name)}
    return keys.get(name, name)


@cache
def job() -> Node:
    """The shape of a job: every path that some contract reads."""
    root = Node()
    for table in tables().values():
        if table.computed:
            continue
        node = root if table.rows is None else _items(root, table).node
        node.ignored |= set(table.ignore) - set(node.children)
        for column in table.columns:
            _place(root, node, column)
    root.ignored -= set(root.children)
    return root


def _items(root: Node, table: Table) -> Items:
    found = root.children.setdefault(str(table.rows), Items(table.name, Node()))
    if not isinstance(found, Items):
        raise ConfigError(
            "K03", f"schemas/{table.name}.toml: rows = {table.rows!r} is a column elsewhere", next="rename it"
        )
    return found


def _place(root: Node, node: Node, column: Column) -> None:
    if column.read in ("last_event", "computed"):
        return
    for source in column.sources:
        at = root if source.job else node
        for key in source.keys[:-1]:
            step = at.children.setdefault(key, Node())
            if not isinstance(step, Node):
                raise ConfigError(
                    "K03", f"column {column.name}: {source} passes through a value", next="correct the contract"
                )
            at = step
        _leaf(at, source.keys[-1], column)


def _leaf(at: Node, key: str, column: Column) -> None:
    kind, other = UNIONS.get(column.read, (KINDS[column.type], None))
    if column.read in ("is_one_of", "json_text"):
        kind = "string"
    leaf = at.children.setdefault(key, Leaf(kind, other, is_json=column.read == "json_text"))
    if not isinstance(leaf, Leaf) or leaf.kind != kind:
        raise ConfigError("K03", f"column {column.name}: {key} is read as two kinds", next="correct the contract")
    leaf.other = leaf.other or other


def fields(node: Node, *, json_as_text: bool) -> list[pa.Field[Any]]:
    """The Arrow fields of an object: for the reader, or for what comes after it, where the JSON texts are known."""
    found: list[pa.Field[Any]] = []
    for key, child in node.children.items():
        if isinstance(child, Node):
            found.append(pa.field(key, pa.struct(fields(child, json_as_text=json_as_text))))
        elif isinstance(child, Items):
            found.append(pa.field(key, pa.list_(pa.struct(fields(child.node, json_as_text=json_as_text)))))
        elif not child.is_json or json_as_text:
            found.append(pa.field(key, ARROW[child.kind]))
            if child.other:
                found.append(pa.field(other_name(key), ARROW[child.other]))
                if not json_as_text:
                    found.append(pa.field(null_name(key), pa.bool_()))
    return found


def unions(node: Node | None = None) -> Iterator[tuple[str, Leaf]]:
    """Every field that comes in two kinds, by its key, wherever it lies."""
    for key, child in (node or job()).children.items():
        if isinstance(child, Node):
            yield from unions(child)
        elif isinstance(child, Leaf) and child.other:
            yield key, child
