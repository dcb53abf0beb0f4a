"""The nested schema of a raw job: every path that a contract reads, and the Arrow schema to read them with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pyarrow as pa

from ftetl.contract import Column, Table, tables
from ftetl.errors import ConfigError
from ftetl.transform.decode.json_kinds import JSON_KINDS, column_kinds

Path = tuple[str, ...]


@dataclass
class Leaf:
    """A single value."""

    kind: str
    other_kind: str | None = None  # set in a union field
    is_json: bool = False  # any value, kept as its JSON text


@dataclass
class Node:
    """An object, or a list of objects that are the rows of a table: the keys that are read, and those ignored."""

    children: dict[str, Leaf | Node] = field(default_factory=dict)
    ignored: set[str] = field(default_factory=set)
    is_list: bool = False


def other_kind_key(key: str) -> str:
    """The key under which the other kind of a union field is read: as long as the key, so bytes can be renamed."""
    return key[:-1] + "~"


def null_key(key: str) -> str:
    """The key under which an explicit null of a union field is read, so that a repeated key is seen."""
    return key[:-1] + "^"


def original_key(name: str) -> str:
    """The key that was renamed to this one, or the name itself."""
    return sibling_keys().get(name, name)


@cache
def job_schema() -> Node:
    """The schema of a raw job.

    Raises:
        ConfigError: The contracts contradict each other.
    """
    root = Node()
    for table in tables().values():
        if not table.is_of_jobs:
            continue
        node = root if table.rows is None else _list_node(root, table)
        node.ignored |= set(table.ignore) - set(node.children)
        for column in table.columns:
            add_column(root, node, column)
    root.ignored -= set(root.children)
    return root


@cache
def endpoint_schema(name: str) -> Node:
    """The schema of an element that is a row of this table.

    Raises:
        ConfigError: The contract contradicts itself.
    """
    root = Node()
    for column in tables()[name].columns:
        add_column(root, root, column)
    for path in tables()[name].ignore:
        *above, key = path.split(".")
        node = root
        for part in above:
            inner = node.children[part]
            assert isinstance(inner, Node), path
            node = inner
        node.ignored.add(key)
    return root


def _list_node(root: Node, table: Table) -> Node:
    node = root.children.setdefault(str(table.rows), Node(is_list=True))
    if not isinstance(node, Node) or not node.is_list:
        raise ConfigError(
            "K03", f"schemas/{table.name}.toml: rows = {table.rows!r} is a column elsewhere", next="rename it"
        )
    return node


def add_column(root: Node, node: Node, column: Column) -> None:
    """Add the keys that a column is read from, to the row or to its job.

    Raises:
        ConfigError: They contradict those of other columns.
    """
    if column.read in ("last_event", "computed"):
        return
    for source in column.sources:
        at = root if source.job else node
        for key in source.keys[:-1]:
            inner = at.children.setdefault(key, Node())
            if not isinstance(inner, Node) or inner.is_list:
                raise ConfigError(
                    "K03", f"column {column.name}: {source} passes through a value", next="correct the contract"
                )
            at = inner
        _add_leaf(at, source.keys[-1], column)


def _add_leaf(at: Node, key: str, column: Column) -> None:
    kind, other_kind = column_kinds(column)
    leaf = at.children.setdefault(key, Leaf(kind, other_kind, is_json=column.read == "json_text"))
    if not isinstance(leaf, Leaf) or leaf.kind != kind:
        raise ConfigError("K03", f"column {column.name}: {key} is read as two kinds", next="correct the contract")
    leaf.other_kind = leaf.other_kind or other_kind


def leaves(node: Node, above: Path = (), *, in_list: bool = False) -> Iterator[tuple[Path, Leaf, bool]]:
    """Every value below an object: its path, the leaf, and whether it lies in the items of a list."""
    for key, child in node.children.items():
        if isinstance(child, Leaf):
            yield (*above, key), child, in_list
        else:
            yield from leaves(child, (*above, key), in_list=in_list or child.is_list)


@cache
def union_fields() -> dict[Path, Leaf]:
    """The fields of a job whose values may have two kinds, by path."""
    return {path: leaf for path, leaf, in_list in leaves(job_schema()) if leaf.other_kind and not in_list}


@cache
def sibling_keys() -> dict[str, str]:
    """The keys that union fields are renamed to, each with the key of the field."""
    return {renamed(path[-1]): path[-1] for path in union_fields() for renamed in (other_kind_key, null_key)}


@cache
def arrow_schema(*, json_as_text: bool) -> pa.Schema:
    """The nested Arrow schema of a job: as Arrow reads it, or of a decoded batch, with the columns of JSON text."""
    return pa.schema(arrow_fields(job_schema(), json_as_text=json_as_text))


@cache
def endpoint_arrow_schema(name: str) -> pa.Schema:
    """The nested Arrow schema of decoded elements of this table."""
    return pa.schema(arrow_fields(endpoint_schema(name), json_as_text=True))


def arrow_fields(node: Node, *, json_as_text: bool) -> list[pa.Field[Any]]:
    """The Arrow fields of an object's keys."""
    fields: list[pa.Field[Any]] = []
    for key, child in node.children.items():
        if isinstance(child, Node):
            struct = pa.struct(arrow_fields(child, json_as_text=json_as_text))
            fields.append(pa.field(key, pa.list_(struct) if child.is_list else struct))
        elif not child.is_json or json_as_text:
            fields.append(pa.field(key, JSON_KINDS[child.kind].arrow))
            if child.other_kind:
                fields.append(pa.field(other_kind_key(key), JSON_KINDS[child.other_kind].arrow))
                if not json_as_text:
                    fields.append(pa.field(null_key(key), pa.bool_()))
    return fields
