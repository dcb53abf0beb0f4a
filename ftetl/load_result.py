"""What a load into a destination did: counts of rows by table; no values of jobs, no password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ftetl.formatting import html_table


@dataclass(frozen=True)
class TableCounts:
    """The rows of one table of one project, by what became of them in the destination."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0

    @property
    def changed(self) -> int:
        """The rows that the destination had not, or had otherwise."""
        return self.inserted + self.updated + self.deleted


@dataclass(frozen=True)
class Outcome:
    """What a destination's module says that it did, or with `dry_run` would do."""

    changed: bool  # whether anything is written, be it only that this version is loaded now
    tables: Mapping[str, TableCounts]
    notes: tuple[str, ...] = ()  # what a person should know, such as values that the destination cannot hold


@dataclass(frozen=True, repr=False)
class LoadResult:
    """What `ftetl.load` did, or with `dry_run` would do."""

    destination: str  # its address, without a password
    project: str
    version: int  # 0: the load failed, and the destination does not have the version; a warning of the run says why
    run_id: str
    changed: bool
    tables: Mapping[str, TableCounts]
    dry_run: bool = False
    notes: tuple[str, ...] = ()

    @property
    def changed_rows(self) -> int:
        """The rows that were inserted, updated or deleted in all tables."""
        return sum(counts.changed for counts in self.tables.values())

    def __repr__(self) -> str:
        what = f"{self.changed_rows:,} rows changed" if self.changed else "nothing changed"
        return f"<ftetl.LoadResult version {self.version} of {self.project}: {what}>"

    def _repr_html_(self) -> str:
        rows = [(name, c.inserted, c.updated, c.deleted, c.unchanged) for name, c in self.tables.items()]
        head = ("table", "inserted", "updated", "deleted", "unchanged")
        return html_table(f"ftetl.LoadResult of {self.destination}", head, rows, self.notes)

    def as_dict(self) -> dict[str, Any]:
        """The result as one JSON document."""
        return asdict(self)
