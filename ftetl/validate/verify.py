"""Verifies the newest snapshot of a target: every checksum, manifest, row count, key and reference."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftetl.config.object_address import parse_address
from ftetl.contract import tables
from ftetl.errors import PREFIX, FtetlError, StorageError, TargetError
from ftetl.errors.os_errors import error_for_operation
from ftetl.snapshot.snapshot import Snapshot
from ftetl.snapshot.table_reader import TableReader
from ftetl.store import manifest as manifests
from ftetl.store.cleanup import CURRENT, run_id_of_link
from ftetl.store.integrity import find_damage
from ftetl.store.ownership import FORMAT, SIGNATURE

_RESTORE = "restore _ftetl/manifests and snapshots from a backup, or make the tables again in an empty folder"


@dataclass(frozen=True)
class VerifyResult:
    """The verified version, the rows of its tables, its number of files, and a line for each damage and note."""

    version: int
    rows: Mapping[str, int]
    files: int
    damage: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_intact(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damage

    @property
    def code(self) -> str | None:
        """The error code of damage; None for an intact snapshot."""
        return None if self.is_intact else f"{PREFIX}V08"

    def as_dict(self) -> dict[str, Any]:
        """The result as a JSON document."""
        return {
            "version": self.version,
            "sound": self.is_intact,
            "rows": dict(self.rows),
            "files": self.files,
            "damage": list(self.damage),
            "notes": list(self.notes),
        }


def verify_snapshot(target: str | os.PathLike[str], *, contents: bool = True) -> VerifyResult:
    """Read the newest snapshot and every manifest again and compare them with what was written.

    Without `contents` only the bytes are compared, which is fast. What a killed run left over, or did not finish after
    its commit, is not damage: the next run repairs it.

    Raises:
        TargetError: There is no snapshot.
        StorageError: There are manifests, but no snapshot that can be read.
    """
    if address := parse_address(target):
        from ftetl.remote.reading import whole_copy

        with whole_copy(address) as copy:
            return verify_snapshot(copy, contents=contents)
    path = Path(target)
    damage: list[str] = []
    manifest = manifests.newest_manifest(path, damage)
    if manifest is None:
        if damage:
            raise StorageError("V08", f"{path} has no snapshot that can be read: {'; '.join(damage)}", next=_RESTORE)
        raise TargetError("T01", f"{path} has no snapshot", next="run `ftetl export`")
    list(manifests.older_manifests(path, manifest.version, damage))
    damage += _check_signature(path)
    snapshot = Snapshot(path, manifest)
    rows: dict[str, int] = dict(manifest.facts["rows"])
    notes = _check_current_link(path, snapshot)
    if damaged_files := find_damage(path, manifest):
        damage += damaged_files  # the contents are only worth checking where the bytes are right
    elif contents:
        contracts = manifest.facts["contracts"]
        checked = [name for name in rows if name in tables() and contracts.get(name) == tables()[name].fingerprint]
        damage += _check_contracts(snapshot, {name: rows[name] for name in checked})
        if others := sorted(set(rows) - set(checked)):
            notes.append(f"made with other contracts, so only the bytes were checked: {', '.join(others)}")
    return VerifyResult(manifest.version, rows, len(manifest.files), tuple(damage), tuple(notes))


def _check_signature(target: Path) -> list[str]:
    """Check the format file, whose checksum is in no manifest."""
    path = target / manifests.CONTROL / FORMAT
    try:
        content = path.read_bytes()
    except OSError as error:
        return [f"{manifests.CONTROL}/{FORMAT}: {error_for_operation(error, 'read', path).what}"]
    what = f"{manifests.CONTROL}/{FORMAT}: is damaged, or was written by a newer ftetl"
    return [] if content == SIGNATURE else [what]


def _check_current_link(target: Path, snapshot: Snapshot) -> list[str]:
    current = target / CURRENT
    run_id = run_id_of_link(current.readlink().as_posix()) if current.is_symlink() else None
    if run_id == snapshot.run_id:
        return []
    if run_id or not os.path.lexists(current):
        return [f"`current` does not point to version {snapshot.version}; the next run repairs it"]
    what = "`current` is not the link that ftetl makes (a copy made with `cp -L` has a folder there)"
    return [f"{what}, so an export would refuse the target; move it away, and the next run makes the link"]


def _check_contracts(snapshot: Snapshot, rows: Mapping[str, int]) -> list[str]:
    """Check tables against their contracts. Args: rows: by table, the number of rows that were written."""
    from ftetl.validate import focus_checks  # here, since it imports pandas and pandera

    damage = []
    reader = TableReader(snapshot.folder, exact=True)
    for name, count in rows.items():
        try:
            focus_checks.check_for(name, rows)(reader, tables()[name], count)
        except FtetlError as error:
            damage.append(error.what)
    return damage
