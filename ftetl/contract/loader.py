"""Loads the contracts from `schemas/*.toml` and checks them.

The words are those of Frictionless Table Schema (`type`, `required`, `enum`, `minimum`, `pattern`, `unit`) plus where a
value comes from: `rows`, `from`, and a closed set of readers. A contract that makes no sense is refused here, so that
no other module has to check it. Needs the standard library only.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from ftetl.contract import validation
from ftetl.contract.model import Column, Source, Table
from ftetl.contract.validation import Place
from ftetl.errors import ConfigError

# Words that are parsed; all others become a field of the same name and value.
_PARSED_TABLE_WORDS = ("description", "columns", "key", "order", "secrets", "pii")
_PARSED_COLUMN_WORDS = ("description", "from", "read", "enum", "values", "pattern", "references")
# PascalCase for a table that follows a standard with such names.
_NAME = re.compile(r"[a-z][a-z0-9_]*|(?:x_)?[A-Z][A-Za-z0-9]*")


def folder() -> Traversable:
    """The folder of the contracts: inside the installed package, or beside it in a checkout."""
    packaged = files("ftetl") / "schemas"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "schemas"


@cache
def tables() -> Mapping[str, Table]:
    """Every table by name, parents before the tables that refer to them."""
    paths = sorted((path for path in folder().iterdir() if path.name.endswith(".toml")), key=lambda path: path.name)
    return related(parse(path.name, path.read_text("utf-8")) for path in paths)


def related(parsed: Iterable[Table]) -> dict[str, Table]:
    """The tables by name, parents before the tables that refer to them.

    Raises:
        ConfigError: One refers to nothing, or reads a person's key without saying so.
    """
    by_name = {table.name: table for table in parsed}
    lists = {table.rows for table in by_name.values()}
    personal = _personal_keys(by_name.values())
    for table in by_name.values():
        for column in table.columns:
            at = Place(table.name, column.name)
            if column.references:
                parent, name = column.references
                at.require(parent in by_name and name in by_name[parent].names, "refers to a missing column")
            if column.read == "last_event":
                at.require(all(source.keys[0] in lists for source in column.sources), "reads events of a missing table")
            marked = column.pii or not any(source.keys[-1] in personal for source in column.sources)
            at.require(marked, "reads a key that is `pii` elsewhere, and so must be `pii`")
    return {
        t.name: t for t in sorted(by_name.values(), key=lambda t: (t.computed, t.endpoint, t.rows is not None, t.name))
    }


def people() -> frozenset[str]:
    """The keys whose values name a person, wherever they stand."""
    return _personal_keys(tables().values())


def _personal_keys(tables: Iterable[Table]) -> frozenset[str]:
    read = {s.keys[-1] for table in tables for c in table.columns if c.pii for s in c.sources}
    return frozenset(read.union(*(table.pii for table in tables)))


def parse(file: str, text: str) -> Table:
    """The table that a contract file declares.

    Raises:
        ConfigError: The file is not TOML, or makes no sense as a contract.
    """
    at = Place(file.removesuffix(".toml"))
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("K01", f"schemas/{file} is not TOML: {error}", next="correct the file") from error
    at.words(raw, validation.TABLE_WORDS, ("description", "key", "columns"))
    table = Table(
        name=at.table,
        description=_one_line(raw["description"]),
        columns=tuple(_column(Place(at.table, name), name, column, raw) for name, column in raw["columns"].items()),
        key=at.texts(raw, "key"),
        order=at.texts(raw, "order"),
        secrets=at.texts(raw, "secrets"),
        pii=at.texts(raw, "pii"),
        **{word: value for word, value in raw.items() if word not in _PARSED_TABLE_WORDS},
    )
    at.require(not (table.rows and table.computed), "has `rows` but is computed")
    at.require(bool(table.endpoint) == bool(table.group), "has one of `endpoint` and `group`, and needs both")
    at.require(not table.group or table.group in table.names, "has a `group` that is not a column")
    at.require("." not in (table.rows or ""), "has `rows` that are not one key of a job")
    at.require(all(type(reason) is str and reason for reason in table.ignore.values()), "ignores without a reason")
    for word, parts in (("key", table.key), ("order", table.sorted_by)):
        for part in parts:
            column = Place(at.table, part)
            column.require(part in table.names, f"is in the {word} but is not a column")
            column.require(table[part].required, f"is in the {word} and so must be required")
    at.require({*table.key} <= {*table.sorted_by}, "has an `order` that lacks a part of the key")
    for c in table.columns:
        is_time = c.after is None or (c.after in table.names and table[c.after].type == "datetime")
        Place(at.table, c.name).require(is_time, "has an `after` that is not a column of type datetime")
    return replace(table, fingerprint=_fingerprint(table))


def _column(at: Place, name: str, raw: Any, raw_table: dict[str, Any]) -> Column:
    at.require(_NAME.fullmatch(name) is not None, "is not a lower-case name, nor one in PascalCase")
    at.require(type(raw) is dict, "is not a TOML table")
    at.words(raw, validation.COLUMN_WORDS, ("type", "description"))
    read = raw.get("read", "computed" if raw_table.get("computed") else "value")
    validation.require_consistent(at, raw["type"], read, raw)
    at.require(read == "computed" or not raw_table.get("computed"), f"has read = {read!r} in a computed table")
    return Column(
        name=name,
        description=_one_line(raw["description"]),
        sources=tuple(Source(at.keys(path), job=path.startswith("/")) for path in at.texts(raw, "from")),
        read=read,
        enum=at.texts(raw, "enum"),
        values=at.texts(raw, "values"),
        pattern=at.pattern(raw),
        references=at.reference(raw),
        **{word: value for word, value in raw.items() if word not in _PARSED_COLUMN_WORDS},
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _fingerprint(table: Table) -> str:
    """A hash of what the contract means; descriptions and formatting do not count."""
    meaning = _meaning(table) | {"columns": [_meaning(column) for column in table.columns]}
    meaning["ignore"] = sorted(table.ignore)
    # "1-" is the version of this recipe: two recipes never give the same text.
    text = json.dumps(meaning, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=asdict)
    return "1-" + hashlib.sha256(text.encode()).hexdigest()[:32]


# `pii` does not count: it decides what is read, not what the tables are.
_MEANINGFUL = {
    kind: [f.name for f in fields(kind) if f.name not in ("description", "fingerprint", "pii")]
    for kind in (Table, Column)
}


def _meaning(part: Table | Column) -> dict[str, Any]:
    # Defaults do not count, so that a new word changes no contract that does not use it.
    names = _MEANINGFUL[type(part)]
    return {name: value for name in names if (value := getattr(part, name)) or type(value) is int}
