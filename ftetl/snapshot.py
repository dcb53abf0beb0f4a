"""Reading back: one consistent snapshot of all tables, as Arrow tables and pandas frames, and its verification.

A snapshot is resolved once, from the newest sound manifest, so its tables belong together whatever a run does
meanwhile. Reads only; works on every platform. pandas is imported where a frame is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ftetl import manifest as manifests
from ftetl.contract import tables
from ftetl.errors import FtetlError, TargetError, UsageError
from ftetl.manifest import Manifest
from ftetl.stored import Stored

if TYPE_CHECKING:
    import pandas as pd


class Snapshot:
    """All tables of one committed version.

    `snapshot.jobs`, `snapshot.events` and so on are pandas frames with Arrow-backed columns, made anew each time;
    `snapshot.arrow(name)` is the same table as a `pyarrow.Table`.
    """

    def __init__(self, target: Path, manifest: Manifest) -> None:
        self.target = target
        self.folder = manifests.snapshot_folder(target, manifest)
        self.version = manifest.version
        self.run_id = manifest.run_id
        self.committed_at = manifest.committed_at
        self.project: str = manifest.facts["identity"]["project"]
        self._stored = Stored(self.folder)

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables."""
        return tuple(tables())

    def arrow(self, name: str) -> pa.Table:
        """A table as Arrow.

        Raises:
            UsageError: There is no such table.
            StorageError: Its file cannot be read, or is damaged.
        """
        if name not in tables():
            raise UsageError(f"there is no table {name!r}", next=f"choose one of: {', '.join(tables())}")
        return self._stored.table(name)

    def frame(self, name: str) -> pd.DataFrame:
        """A table as a pandas frame whose columns are backed by Arrow, so that integers and money stay exact.

        Raises:
            UsageError: There is no such table.
            StorageError: Its file cannot be read, or is damaged.
        """
        import pandas as pd

        return self.arrow(name).to_pandas(types_mapper=pd.ArrowDtype)

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name.startswith("_") or name not in tables():
            raise AttributeError(f"a snapshot has no {name!r}; its tables are {', '.join(tables())}")
        return self.frame(name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *tables()]

    def __repr__(self) -> str:
        return f"<ftetl.Snapshot version {self.version} of {self.target}>"


def open(target: str | os.PathLike[str]) -> Snapshot:  # noqa: A001 - the word that the library's users say
    """The newest snapshot of a target.

    Raises:
        TargetError: There is none.
    """
    path = Path(target)
    damaged: list[str] = []
    newest = manifests.newest(path, damaged)
    if newest is None:
        raise TargetError(
            f"{path} has no snapshot" + "".join(f" ({d})" for d in damaged[:1]), next="run `ftetl export`"
        )
    return Snapshot(path, newest)


@dataclass(frozen=True)
class Verdict:
    """What `verify` found: the version it looked at, the rows of its tables, and a line for each damage."""

    version: int
    rows: Mapping[str, int]
    files: int
    damage: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damage

    def as_dict(self) -> dict[str, Any]:
        """The verdict as one JSON document."""
        return {
            "version": self.version,
            "sound": self.sound,
            "rows": dict(self.rows),
            "files": self.files,
            "damage": list(self.damage),
            "notes": list(self.notes),
        }


def verify(target: str | os.PathLike[str]) -> Verdict:
    """Every checksum, row count, key and reference of the newest snapshot, and every manifest, read again.

    Raises:
        TargetError: There is no snapshot.
    """
    path = Path(target)
    bad_manifests: list[str] = []
    snapshot = open(path)
    manifest = manifests.load(path, snapshot.version)
    for version in manifests.all_versions(path):
        try:
            manifests.load(path, version)
        except FtetlError as error:
            bad_manifests.append(error.what)
    damage = [*bad_manifests, *manifests.damage(path, manifest)]
    expected: dict[str, int] = dict(manifest.facts["rows"])
    if len(damage) == len(bad_manifests):  # contents are worth a look only where the bytes are right
        damage += _broken_contracts(snapshot, expected)
    return Verdict(manifest.version, expected, len(manifest.files), tuple(damage))


def _broken_contracts(snapshot: Snapshot, expected: dict[str, int]) -> list[str]:
    from ftetl import checks

    found = []
    stored = Stored(snapshot.folder)
    for name in expected:
        if name not in tables():
            continue
        try:
            checks.check_table(stored, tables()[name], expected[name])
        except FtetlError as error:
            found.append(error.what)
    return found
