"""What a run is built on must be what was written: a damaged past stops it.

The row S13 of the fault catalogue. Knows manifests and checksums, no rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ftetl.errors import StorageError
from ftetl.store.manifest import Manifest, find_damage, older_manifests
from ftetl.store.target import Target


def require_readable_manifest(target: Target) -> None:
    """A target that has manifests, but no sound one, is no empty target: a run must not begin it anew.

    Raises:
        StorageError: It is such a target.
    """
    if target.base is None and target.has_manifests:
        raise StorageError(
            "S13",
            f"{target.path} has manifests, but none whose snapshot can be read",
            next="restore _ftetl/manifests and snapshots from a backup, or export into an empty folder",
        )


def require_undamaged_base(path: Path, base: Manifest | None, is_read_back: Callable[[str], bool]) -> None:
    """What is read is what was written, or a run would carry the damage on as if it were data.

    Raises:
        StorageError: A file that the next version would be made from is damaged.
    """
    if base is None:
        return
    merged = replace(base, files=tuple(f for f in base.files if is_read_back(f.name)))
    if not (broken := find_damage(path, merged)):
        return
    sound = next((m.version for m in older_manifests(path, base.version) if not find_damage(path, m)), None)
    raise StorageError(
        "S13",
        f"version {base.version} of {path} cannot be built on: {broken[0]}; "
        + (f"the last good version is {sound}" if sound else "there is no other that is sound"),
        next="restore the file from a backup, or make the tables again with `ftetl rebuild`",
    )
