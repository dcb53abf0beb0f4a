"""Reading back: one consistent snapshot of all tables, as Arrow tables and pandas frames, and its verification.

A snapshot is resolved once, from the newest sound manifest, so its tables belong together whatever a run does
meanwhile. Reads only; works on every platform. pandas is imported where a frame is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ftetl.contract import tables
from ftetl.errors import PREFIX, FtetlError, StorageError, TargetError, UsageError
from ftetl.errors.os_errors import explained
from ftetl.snapshot.table_reader import TableReader
from ftetl.store import manifest as manifests
from ftetl.store.manifest import Manifest
from ftetl.store.ownership import FORMAT, SIGNATURE

_RESTORE = "restore _ftetl/manifests and snapshots from a backup, or make the tables again in an empty folder"

if TYPE_CHECKING:
    import pandas as pd


class Tables:
    """All tables by name, as attributes too; where they come from is up to who holds them."""

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables."""
        return tuple(tables())

    def arrow(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A table as Arrow, whole or some of its columns."""
        raise NotImplementedError

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


class Snapshot(Tables):
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
        self._stored = TableReader(self.folder, {file.name for file in manifest.files})

    def arrow(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A table as Arrow; with `columns`, only these are read, which is what a large table is best asked for.

        Raises:
            UsageError: There is no such table or column.
            StorageError: Its file cannot be read, or is damaged.
        """
        if name not in tables():
            raise UsageError("P04", f"there is no table {name!r}", next=f"choose one of: {', '.join(tables())}")
        known = [column.name for column in tables()[name].columns]
        unknown = [column for column in columns or () if column not in known]
        if unknown:
            raise UsageError("P04", f"{name} has no column {unknown[0]!r}", next=f"see `ftetl schema {name}`")
        return self._stored.read_table(name, columns)

    def __repr__(self) -> str:
        return f"<ftetl.Snapshot version {self.version} of {self.target}>"


def open(target: str | os.PathLike[str], *, version: int | None = None) -> Snapshot:  # noqa: A001 - as users say
    """The newest snapshot of a target, or that of an older version that is still kept.

    Raises:
        TargetError: There is none.
        UsageError: `version` is no such number.
        StorageError: There is no such version, or its manifest is damaged.
    """
    path = Path(target)
    if version is not None:
        if type(version) is not int or version < 1:
            raise UsageError(
                "P02", f"{version!r} is no number of a version", next="see `ftetl runs` for those there are"
            )
        return Snapshot(path, manifests.load_manifest(path, version))
    passed_over: list[str] = []
    manifest = manifests.newest_manifest(path, passed_over)
    if manifest is None:
        why = "".join(f" ({line})" for line in passed_over[:1])
        raise TargetError("T01", f"{path} has no snapshot{why}", next="run `ftetl export`")
    return Snapshot(path, manifest)


@dataclass(frozen=True)
class VerifyResult:
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

    @property
    def code(self) -> str | None:
        """The code of the failure that damage is; None where there is none."""
        return None if self.sound else f"{PREFIX}V08"

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


def verify(target: str | os.PathLike[str], *, contents: bool = True) -> VerifyResult:
    """Every checksum, row count, key and reference of the newest snapshot, and every manifest, read again.

    Without `contents` only the bytes are, which is quick. What lags behind or was left over by a run that was killed
    is no damage: the next run mends it.

    Raises:
        TargetError: There is no snapshot.
        StorageError: There are manifests, but none that leads to a snapshot.
    """
    path = Path(target)
    damage: list[str] = []
    manifest = manifests.newest_manifest(path, damage)
    if manifest is None:
        if damage:
            raise StorageError("V08", f"{path} has no snapshot that can be read: {'; '.join(damage)}", next=_RESTORE)
        raise TargetError("T01", f"{path} has no snapshot", next="run `ftetl export`")
    list(manifests.older_manifests(path, manifest.version, damage))
    damage += _signature(path)
    snapshot = Snapshot(path, manifest)
    expected: dict[str, int] = dict(manifest.facts["rows"])
    notes = _pointer(path, snapshot)
    if broken := manifests.find_damage(path, manifest):
        damage += broken  # contents are worth a look only where the bytes are right
    elif contents:
        made_by = manifest.facts["contracts"]
        same = [name for name in expected if name in tables() and made_by.get(name) == tables()[name].fingerprint]
        damage += _broken_contracts(snapshot, {name: expected[name] for name in same})
        if others := sorted(set(expected) - set(same)):
            notes.append(f"made by other contracts than today's, so only the bytes were checked: {', '.join(others)}")
    return VerifyResult(manifest.version, expected, len(manifest.files), tuple(damage), tuple(notes))


def _signature(target: Path) -> list[str]:
    """The one file that no manifest vouches for."""
    path = target / manifests.CONTROL / FORMAT
    try:
        found = path.read_bytes()
    except OSError as error:
        return [f"{manifests.CONTROL}/{FORMAT}: {explained(error, 'read', path).what}"]
    what = f"{manifests.CONTROL}/{FORMAT}: is not what this ftetl writes; it is damaged, or a newer ftetl's"
    return [] if found == SIGNATURE else [what]


def _pointer(target: Path, snapshot: Snapshot) -> list[str]:
    current = target / "current"
    if current.is_symlink() and os.path.realpath(current) == os.path.realpath(snapshot.folder):
        return []
    return [f"`current` does not lead to version {snapshot.version}; the next run mends it"]


def _broken_contracts(snapshot: Snapshot, expected: dict[str, int]) -> list[str]:
    from ftetl.validate import focus_checks, table_checks

    found = []
    stored = TableReader(snapshot.folder, exact=True)
    others = focus_checks.OTHERS
    for name, rows in expected.items():
        try:
            gate = focus_checks.check_for(name) if {*others} <= {*expected} else table_checks.check_table
            gate(stored, tables()[name], rows)
        except FtetlError as error:
            found.append(error.what)
    return found
