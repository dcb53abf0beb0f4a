"""The model of a contract: a table, its columns, where their values come from, and what they refer to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DATABASES = ("duckdb", "postgres")  # whose SQL there is for the tables


@dataclass(frozen=True)
class Source:
    """Where a value lies: its keys, from the row or (`job`) from the job that the row belongs to."""

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
    required: bool = False
    unit: str | None = None
    sources: tuple[Source, ...] = ()
    read: str = "value"
    values: tuple[str, ...] = ()
    enum: tuple[str, ...] = ()
    open: bool = False  # unknown texts are stored, with an anomaly; without it the enumeration is closed
    spellings: Mapping[str, str] = field(default_factory=dict)  # other spellings of the enumeration's values
    minimum: int | None = None
    pattern: str | None = None
    references: tuple[str, str] | None = None
    detail: bool = False  # only `GET /fine-tunes/{id}` carries it
    fixed: bool = False  # never changes; a later change is an anomaly
    after: str | None = None  # a time before that of this column is an anomaly
    whole_seconds: bool = False
    pii: bool = False  # names a person: with `--pii hash` or `drop` its value is replaced

    @property
    def is_money(self) -> bool:
        """Whether the column is read from an amount of money, which the API sends in whole nano-USD."""
        return self.unit == "nano-USD" or self.read == "nano_to_usd"


@dataclass(frozen=True)
class Table:
    """One table: its columns in order, its key, the list in a job whose items are its rows."""

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: str | None = None  # None: the job itself or, with `computed`, rows that ftetl makes
    computed: bool = False
    endpoint: str = ""  # whose responses the rows come from, if it is not `/fine-tunes`
    group: str = ""  # of these: the column whose values are replaced together by a newer response
    ignore: Mapping[str, str] = field(default_factory=dict)  # paths that no column reads, with the reason
    secrets: tuple[str, ...] = ()  # keys whose values are masked before anything is written
    order: tuple[str, ...] = ()  # the order of the rows, where it is not that of the key
    pii: tuple[str, ...] = ()  # keys that no column reads and whose values name a person
    fingerprint: str = ""  # of everything but the descriptions

    def __getitem__(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    @property
    def is_of_jobs(self) -> bool:
        """Whether the rows are read from jobs."""
        return not (self.computed or self.endpoint)

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


def foreign_keys(table: Table, tables: Mapping[str, Table]) -> list[ForeignKey]:
    """The foreign keys of a table to one of `tables`, with the columns of the same name that complete them."""
    keys = []
    for column in table.columns:
        if not column.references or column.references[0] not in tables:
            continue
        parent, referred = column.references
        parent_key = tables[parent].key
        own = {part: column.name if part == referred else part for part in (*parent_key, referred)}
        shared = [part for part in own if own[part] in table.names]
        whole = {*shared} == {*parent_key}
        keys.append(ForeignKey(tuple(own[p] for p in shared), parent, tuple(shared), whole=whole))
    return keys
