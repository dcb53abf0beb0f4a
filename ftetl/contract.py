"""The contracts: what each table holds, read from `schemas/*.toml` and checked on load.

Rules of this room:

- It knows no Arrow, no pandas, no JSON of the API; reading a contract needs the standard library only.
- The words are those of Frictionless Table Schema (`type`, `required`, `enum`, `minimum`, `pattern`, `unit`) plus
  where a value comes from: `rows`, `from`, and a closed set of named readers.
- Nonsense is refused here, naming file, table and column, so that no other room has to doubt a contract.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from ftetl.errors import ConfigError

TYPES = ("string", "integer", "number", "boolean", "datetime", "decimal")

# The closed set of ways from a raw value to a cell; each is one function in `flatten` or, where it needs the raw
# text, in `decode`.
READERS: dict[str, str] = {
    "value": "the value as it is",
    "nano_to_usd": "integer nano-USD as an exact decimal in USD",
    "lower_case": "text in lower case where that is a known spelling, else as it is",
    "bool_text": "text, or a boolean as `true` or `false`",
    "is_max": "whether an integer field holds the word `max`",
    "is_one_of": "whether the value is one of `values`",
    "json_text": "a list or object as compact JSON text",
    "last_event": "a field of the job's last event whose type is one of `values`",
    "position": "place in the list, from 0",
    "extra": "the keys that no column reads, as compact JSON text",
    "computed": "made by ftetl, not sent by the API",
}


@dataclass(frozen=True)
class Source:
    """Where a value lies: keys from the row (or, with `job`, from the job that the row belongs to)."""

    keys: tuple[str, ...]
    job: bool = False

    def __str__(self) -> str:
        return ("/" if self.job else "") + ".".join(self.keys)


@dataclass(frozen=True)
class Column:
    """One column: its type, its meaning and where it comes from."""

    name: str
    type: str
    description: str
    sources: tuple[Source, ...] = ()
    read: str = "value"
    required: bool = False
    unit: str | None = None
    enum: tuple[str, ...] = ()
    open: bool = False  # an unknown text is kept and noted; without it the enumeration is closed
    spellings: Mapping[str, str] = field(default_factory=dict)  # other spellings of the enumeration's words
    values: tuple[str, ...] = ()
    minimum: int | None = None
    pattern: str | None = None
    references: tuple[str, str] | None = None
    detail: bool = False  # only `GET /fine-tunes/{id}` carries it


@dataclass(frozen=True)
class Table:
    """One table: its columns in order, its key, the list in a job whose items are its rows."""

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: str | None = None  # None: the job itself, or, with `computed`, rows that ftetl makes
    computed: bool = False
    ignore: Mapping[str, str] = field(default_factory=dict)  # what is not read, and why
    secrets: tuple[str, ...] = ()  # keys whose values are masked before anything is written
    fingerprint: str = ""  # of everything but the descriptions

    def __getitem__(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """The column names in order."""
        return tuple(c.name for c in self.columns)


def folder() -> Traversable:
    """The contracts: inside the installed package, or beside it in a checkout."""
    packaged = files("ftetl") / "schemas"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "schemas"


@cache
def tables() -> Mapping[str, Table]:
    """Every table by name, parents before the tables that refer to them."""
    paths = [path for path in folder().iterdir() if path.name.endswith(".toml")]
    found = {t.name: t for t in (parse(p.name, p.read_text("utf-8")) for p in sorted(paths, key=lambda p: p.name))}
    for table in found.values():
        for column in table.columns:
            if column.references:
                parent, name = column.references
                _require(parent in found and name in found[parent].names, table.name, column.name, "references nothing")
    order = sorted(found.values(), key=lambda t: (t.computed, t.rows is not None, t.name))
    return {t.name: t for t in order}


def parse(file: str, text: str) -> Table:
    """The table that a contract file declares.

    Raises:
        ConfigError: The file is no TOML, or says something that no contract can mean.
    """
    name = file.removesuffix(".toml")
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"schemas/{file} is not TOML: {error}", next="correct the file") from error
    _words(name, None, raw, {"description", "key", "columns", "rows", "computed", "ignore", "secrets"})
    _require(bool(raw.get("description")), name, None, "has no description")
    columns = tuple(_column(name, n, c, raw) for n, c in raw.get("columns", {}).items())
    table = Table(
        name=name,
        description=_line(raw["description"]),
        key=tuple(raw.get("key", ())),
        columns=columns,
        rows=raw.get("rows"),
        computed=raw.get("computed", False),
        ignore=raw.get("ignore", {}),
        secrets=tuple(raw.get("secrets", ())),
        fingerprint=_fingerprint(raw),
    )
    _require(bool(table.key), name, None, "has no key")
    for part in table.key:
        _require(part in table.names, name, part, "is in the key but is no column")
        _require(table[part].required, name, part, "is in the key and so must be required")
    return table


def _column(table: str, name: str, raw: dict[str, Any], whole: dict[str, Any]) -> Column:
    words = {"type", "description", "from", "read", "required", "unit", "enum", "open", "spellings"}
    _words(table, name, raw, words | {"values", "minimum", "pattern", "references", "detail"})
    kind, read = raw.get("type"), raw.get("read", "computed" if whole.get("computed") else "value")
    _require(bool(re.fullmatch(r"[a-z][a-z0-9_]*", name)), table, name, "is not a lower-case name")
    _require(kind in TYPES, table, name, f"has type {kind!r}; known are {', '.join(TYPES)}")
    _require(read in READERS, table, name, f"has read {read!r}; known are {', '.join(READERS)}")
    _require(bool(raw.get("description")), table, name, "has no description")
    sourceless = read in ("position", "extra", "computed")
    _require(sourceless != ("from" in raw), table, name, f"and `from` do not go together with read = {read!r}")
    for word in ("enum", "pattern", "spellings"):
        _require(word not in raw or kind == "string", table, name, f"has `{word}`, which is for strings only")
    _require("minimum" not in raw or kind in ("integer", "number"), table, name, "has `minimum` but is no number")
    _require("values" in raw if read in ("is_one_of", "last_event") else True, table, name, "needs `values`")
    _require((read == "nano_to_usd") == (kind == "decimal" and "from" in raw), table, name, "mixes money and type")
    aliases = raw.get("from", [])
    references = tuple(raw["references"].split(".")) if "references" in raw else None
    return Column(
        name=name,
        type=str(kind),
        description=_line(raw["description"]),
        sources=tuple(_source(a) for a in ([aliases] if isinstance(aliases, str) else aliases)),
        read=read,
        required=raw.get("required", False),
        unit=raw.get("unit"),
        enum=tuple(raw.get("enum", ())),
        open=raw.get("open", False),
        spellings=raw.get("spellings", {}),
        values=tuple(raw.get("values", ())),
        minimum=raw.get("minimum"),
        pattern=raw.get("pattern"),
        references=(references[0], references[1]) if references else None,
        detail=raw.get("detail", False),
    )


def _source(text: str) -> Source:
    return Source(tuple(text.lstrip("/").split(".")), job=text.startswith("/"))


def _line(text: str) -> str:
    return " ".join(text.split())


def _fingerprint(raw: dict[str, Any]) -> str:
    def bare(value: object) -> object:
        if isinstance(value, dict):
            return {k: bare(v) for k, v in value.items() if k != "description"}
        return value

    # The order of the columns is part of the contract, so keys are not sorted; the leading version lets the
    # recipe change without two recipes ever giving the same text.
    text = json.dumps(bare(raw), ensure_ascii=True, separators=(",", ":"))
    return "1-" + hashlib.sha256(text.encode()).hexdigest()[:32]


def _words(table: str, column: str | None, raw: dict[str, Any], known: set[str]) -> None:
    for word in raw:
        _require(word in known, table, column, f"has the unknown word `{word}`; known are {', '.join(sorted(known))}")


def _require(holds: bool, table: str, column: str | None, what: str) -> None:
    if not holds:
        where = f"schemas/{table}.toml: " + (f"column {column}" if column else f"table {table}")
        raise ConfigError(f"{where} {what}", next="correct the contract")
