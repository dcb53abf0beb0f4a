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
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from ftetl.contract import validation
from ftetl.contract.validation import Place
from ftetl.errors import ConfigError


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
    fixed: bool = False  # settled when the job is made; a later change is noted
    after: str | None = None  # a time before that of this column is noted
    whole_seconds: bool = False
    pii: bool = False  # it names a person: with `--pii hash` or `drop` its value is replaced


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
    order: tuple[str, ...] = ()  # the order of the rows, where it is not that of the key
    pii: tuple[str, ...] = ()  # keys that no column reads, and whose values name a person
    fingerprint: str = ""  # of everything but the descriptions

    def __getitem__(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    @property
    def sorted_by(self) -> tuple[str, ...]:
        """The columns that the rows are sorted by, first to last."""
        return self.order or self.key

    @property
    def names(self) -> tuple[str, ...]:
        """The column names in order."""
        return tuple(c.name for c in self.columns)


@dataclass(frozen=True)
class ForeignKey:
    """Columns whose values, where none is NULL, stand in a row of another table."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    whole: bool  # whether these are the parent's whole key


def folder() -> Traversable:
    """The contracts: inside the installed package, or beside it in a checkout."""
    packaged = files("ftetl") / "schemas"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "schemas"


@cache
def tables() -> Mapping[str, Table]:
    """Every table by name, parents before the tables that refer to them."""
    paths = sorted((path for path in folder().iterdir() if path.name.endswith(".toml")), key=lambda path: path.name)
    return related(parse(path.name, path.read_text("utf-8")) for path in paths)


def related(parsed: Iterable[Table]) -> dict[str, Table]:
    """The tables by name, in an order in which parents come before the tables that refer to them.

    Raises:
        ConfigError: One refers to nothing.
    """
    found = {table.name: table for table in parsed}
    lists = {table.rows for table in found.values()}
    for table in found.values():
        for column in table.columns:
            at = Place(table.name, column.name)
            if column.references:
                parent, name = column.references
                at.require(parent in found and name in found[parent].names, "references nothing")
            if column.read == "last_event":
                at.require(all(source.keys[0] in lists for source in column.sources), "reads the events of no table")
    marked = _people(found.values())
    for table in found.values():
        for column in table.columns:
            about = column.pii or not any(source.keys[-1] in marked for source in column.sources)
            Place(table.name, column.name).require(about, "reads a key that is `pii` elsewhere, and so must be `pii`")
    return {t.name: t for t in sorted(found.values(), key=lambda t: (t.computed, t.rows is not None, t.name))}


def foreign_keys(table: Table, among: Mapping[str, Table]) -> list[ForeignKey]:
    """What the columns of a table refer to, each with the columns of the same name that complete the parent's key."""
    found = []
    for column in table.columns:
        if not column.references or column.references[0] not in among:
            continue
        parent, referred = column.references
        key = among[parent].key
        own = {part: column.name if part == referred else part for part in (*key, referred)}
        shared = [part for part in own if own[part] in table.names]
        found.append(ForeignKey(tuple(own[p] for p in shared), parent, tuple(shared), whole={*shared} == {*key}))
    return found


def people() -> frozenset[str]:
    """The keys whose values name a person, wherever they turn up."""
    return _people(tables().values())


def _people(found: Iterable[Table]) -> frozenset[str]:
    read = {s.keys[-1] for table in found for c in table.columns if c.pii for s in c.sources}
    return frozenset(read.union(*(table.pii for table in found)))


def parse(file: str, text: str) -> Table:
    """The table that a contract file declares.

    Raises:
        ConfigError: The file is no TOML, or says something that no contract can mean.
    """
    at = Place(file.removesuffix(".toml"))
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # The parser's words tell line and name, also of what stands there twice; a contract holds no data.
        raise ConfigError("K01", f"schemas/{file} is not TOML: {error}", next="correct the file") from error
    at.words(raw, validation.TABLE_WORDS, ("description", "key", "columns"))
    table = Table(
        name=at.table,
        description=_line(raw["description"]),
        key=at.texts(raw, "key"),
        order=at.texts(raw, "order"),
        columns=tuple(_column(Place(at.table, name), name, column, raw) for name, column in raw["columns"].items()),
        rows=raw.get("rows"),
        computed=raw.get("computed", False),
        ignore=raw.get("ignore", {}),
        secrets=at.texts(raw, "secrets"),
        pii=at.texts(raw, "pii"),
    )
    at.require(not (table.rows and table.computed), "has `rows` but is computed")
    at.require("." not in (table.rows or ""), "has `rows` that are not one key of a job")
    at.require(all(type(reason) is str and reason for reason in table.ignore.values()), "ignores without a reason")
    for word, parts in (("key", table.key), ("order", table.sorted_by)):
        for part in parts:
            column = Place(at.table, part)
            column.require(part in table.names, f"is in the {word} but is no column")
            column.require(table[part].required, f"is in the {word} and so must be required")
    at.require({*table.key} <= {*table.sorted_by}, "has an `order` that lacks a part of the key")
    for c in table.columns:
        fits = c.after is None or (c.after in table.names and table[c.after].type == "datetime")
        Place(at.table, c.name).require(fits, "is `after` what is no column of times")
    return replace(table, fingerprint=_fingerprint(table))


def _column(at: Place, name: str, raw: Any, whole: dict[str, Any]) -> Column:
    # The names of a standard, where a table follows one.
    own, standard = r"[a-z][a-z0-9_]*", r"(?:x_)?[A-Z][A-Za-z0-9]*"
    at.require(re.fullmatch(f"{own}|{standard}", name) is not None, "is not a lower-case name, nor one in PascalCase")
    at.require(type(raw) is dict, "is no table of words")
    at.words(raw, validation.COLUMN_WORDS, ("type", "description"))
    kind, read = raw["type"], raw.get("read", "computed" if whole.get("computed") else "value")
    validation.require_sense(at, kind, read, raw)
    at.require(read == "computed" or not whole.get("computed"), f"has read = {read!r} in a computed table")
    return Column(
        name=name,
        type=kind,
        description=_line(raw["description"]),
        sources=tuple(Source(at.keys(path), job=path.startswith("/")) for path in at.texts(raw, "from")),
        read=read,
        required=raw.get("required", False),
        unit=raw.get("unit"),
        enum=at.texts(raw, "enum"),
        open=raw.get("open", False),
        spellings=raw.get("spellings", {}),
        values=at.texts(raw, "values"),
        minimum=raw.get("minimum"),
        pattern=at.pattern(raw),
        references=at.reference(raw),
        detail=raw.get("detail", False),
        fixed=raw.get("fixed", False),
        after=raw.get("after"),
        whole_seconds=raw.get("whole_seconds", False),
        pii=raw.get("pii", False),
    )


def _line(text: str) -> str:
    return " ".join(text.split())


def _fingerprint(table: Table) -> str:
    """A hash of what the contract means: its texts for people do not count, nor how it is written down."""
    meaning = _meaning(table) | {"columns": [_meaning(column) for column in table.columns]}
    meaning["ignore"] = sorted(table.ignore)
    # The order of the columns is part of the contract, that of the words is not. The leading version lets the recipe
    # change without two recipes ever giving the same text.
    text = json.dumps(meaning, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=asdict)
    return "1-" + hashlib.sha256(text.encode()).hexdigest()[:32]


def _meaning(part: Table | Column) -> dict[str, Any]:
    # What is as if it were not said does not count, so that a new word changes no contract that does not use it.
    # Nor does who is a person: that decides what is read, not what the tables are.
    silent = ("description", "fingerprint", "pii")
    said = {f.name: getattr(part, f.name) for f in fields(part) if f.name not in silent}
    return {name: value for name, value in said.items() if value or type(value) is int}
