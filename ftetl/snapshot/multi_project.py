"""Reads several targets, one for each project, as one: every table holds the rows of all projects."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, overload

import pyarrow as pa

from ftetl.contract import tables
from ftetl.errors import UsageError
from ftetl.formatting import html_table
from ftetl.snapshot.snapshot import Snapshot, Tables
from ftetl.snapshot.snapshot import open as open_snapshot

TargetPath = str | os.PathLike[str]


class Snapshots(Tables):
    """One committed version of each of several targets, of different projects.

    `snapshots.jobs`, `snapshots.events` and so on hold the rows of all projects, in the order of the tables' keys.

    Raises:
        UsageError: Two targets have the same project.
    """

    def __init__(self, snapshots: list[Snapshot]) -> None:
        self._by_project: dict[str, Snapshot] = {}
        for snapshot in snapshots:
            if other := self._by_project.get(snapshot.project):
                what = f"{other.target} and {snapshot.target} both hold the project {snapshot.project!r}"
                raise UsageError("T04", what, next="open only one of them, or export each with a --project of its own")
            self._by_project[snapshot.project] = snapshot

    @property
    def projects(self) -> tuple[str, ...]:
        """The labels of the projects, sorted."""
        return tuple(sorted(self._by_project))  # as Arrow and the tables order text: by code point

    @property
    def versions(self) -> Mapping[str, int]:
        """By project, the version that is read."""
        return MappingProxyType({project: self._by_project[project].version for project in self.projects})

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """The snapshots, in the order of `projects`."""
        return tuple(self._by_project[project] for project in self.projects)

    def arrow(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A table with the rows of all projects, all of it or some columns.

        Raises:
            UsageError: There is no such table or column.
            StorageError: One of its files cannot be read, or is damaged.
        """
        by_project = name not in tables() or tables()[name].sorted_by[0] == "project"
        parts = [self._by_project[p].arrow(name, columns if by_project else None) for p in self.projects]
        table = pa.concat_tables(parts)
        if by_project:
            return table  # in order, since the parts are
        table = table.sort_by([(column, "ascending") for column in tables()[name].sorted_by])
        return table.select(list(columns)) if columns else table

    def __getattr__(self, name: str) -> Any:
        if name in ("version", "project", "target", "run_id", "committed_at", "folder"):
            raise AttributeError(f"several targets have no common {name!r}; see `versions` and `projects`")
        return super().__getattr__(name)

    def __repr__(self) -> str:
        return f"<ftetl.Snapshots of {', '.join(self.projects)}>"

    def _repr_html_(self) -> str:
        rows = [(each.project, each.target, each.version, each.rows.get("jobs", 0)) for each in self.snapshots]
        return html_table("ftetl.Snapshots", ("project", "target", "version", "jobs"), rows)


@overload
def open(target: TargetPath, *, version: int | None = None) -> Snapshot: ...  # noqa: A001 - `ftetl.open` is the public name


@overload
def open(target: TargetPath, second: TargetPath, /, *more: TargetPath) -> Snapshots: ...  # noqa: A001


def open(target: TargetPath, *more: TargetPath, version: int | None = None) -> Snapshot | Snapshots:  # noqa: A001
    """The newest snapshot of a target, or an older version, or those of several targets of different projects as one.

    Raises:
        TargetError: There is none.
        StorageError: There is no such version, or its manifest is damaged.
        UsageError: Two targets have the same project, or `version` is given with several.
    """
    if not more:
        return open_snapshot(target, version=version)
    if version is not None:
        raise UsageError("T05", "several targets have no common version", next="open them one by one")
    return Snapshots([open_snapshot(Path(path)) for path in (target, *more)])
