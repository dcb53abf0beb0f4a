"""Reading back several targets, one a project, as one: every table holds the rows of all projects.

Knows snapshots and the order of the tables; reads nothing itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, overload

import pyarrow as pa

from ftetl.contract import tables
from ftetl.errors import UsageError
from ftetl.snapshot import snapshot
from ftetl.snapshot.snapshot import Snapshot, Tables

Place = str | os.PathLike[str]


class Snapshots(Tables):
    """One committed version of each of several targets, of different projects.

    `snapshots.jobs`, `snapshots.events` and so on hold the rows of all projects, in the order of the tables' keys;
    `versions` tells the version of each project.

    Raises:
        UsageError: Two targets have the same project.
    """

    def __init__(self, snapshots: list[Snapshot]) -> None:
        self._by_project: dict[str, Snapshot] = {}
        for one in snapshots:
            if other := self._by_project.get(one.project):
                raise UsageError(
                    "T04",
                    f"{other.target} and {one.target} both hold the project {one.project!r}",
                    next="open only one of them, or export each with a --project of its own",
                )
            self._by_project[one.project] = one

    @property
    def projects(self) -> tuple[str, ...]:
        """The projects' labels, in order."""
        return tuple(sorted(self._by_project))  # as Arrow and the tables order text: by code point

    @property
    def versions(self) -> Mapping[str, int]:
        """The version that is read of each project."""
        return MappingProxyType({project: self._by_project[project].version for project in self.projects})

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """The snapshot of each project, in the order of `projects`."""
        return tuple(self._by_project[project] for project in self.projects)

    def arrow(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A table with the rows of all projects, as Arrow, whole or some of its columns.

        Raises:
            UsageError: There is no such table or column.
            StorageError: One of its files cannot be read, or is damaged.
        """
        by_project = name not in tables() or tables()[name].sorted_by[0] == "project"
        parts = [self._by_project[p].arrow(name, columns if by_project else None) for p in self.projects]
        whole = pa.concat_tables(parts)
        if by_project:
            return whole  # each part is in order, which is the order of the whole
        whole = whole.sort_by([(column, "ascending") for column in tables()[name].sorted_by])
        return whole.select(list(columns)) if columns else whole

    def __getattr__(self, name: str) -> Any:
        if name in ("version", "project", "target", "run_id", "committed_at", "folder"):
            raise AttributeError(f"several targets have no one {name!r}; see `versions` and `projects`")
        return super().__getattr__(name)

    def __repr__(self) -> str:
        return f"<ftetl.Snapshots of {', '.join(self.projects)}>"


@overload
def open(target: Place, *, version: int | None = None) -> Snapshot: ...  # noqa: A001 - the word that the users say


@overload
def open(target: Place, second: Place, /, *more: Place) -> Snapshots: ...  # noqa: A001


def open(target: Place, *more: Place, version: int | None = None) -> Snapshot | Snapshots:  # noqa: A001
    """The newest snapshot of a target, or of several targets, one a project, as one.

    `version` is that of an older snapshot of a target, if it is still kept.

    Raises:
        TargetError: There is none.
        StorageError: There is no such version, or its manifest is damaged.
        UsageError: Two targets have the same project, or a version of several is asked for.
    """
    if not more:
        return snapshot.open(target, version=version)
    if version is not None:
        raise UsageError("T05", "several targets have no one version", next="open them one by one")
    return Snapshots([snapshot.open(Path(place)) for place in (target, *more)])
