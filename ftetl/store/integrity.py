"""Finds damaged files of a snapshot, and stops a run whose newest snapshot is damaged: error S13."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ftetl.errors import StorageError
from ftetl.errors.os_errors import error_for_operation
from ftetl.store.manifest import Manifest, StoredFile, older_manifests, snapshot_folder


def require_readable_manifest(path: Path, base: Manifest | None, *, has_manifests: bool) -> None:
    """Check that a target that has manifests has a readable one, else a run would start again from nothing.

    Raises:
        StorageError: It has none.
    """
    if base is None and has_manifests:
        what = f"{path} has manifests, but no snapshot that can be read"
        advice = "restore _ftetl/manifests and snapshots from a backup, or export into an empty folder"
        raise StorageError("S13", what, next=advice)


def require_undamaged_base(path: Path, base: Manifest | None, is_read_back: Callable[[str], bool]) -> None:
    """Check every byte of the files that the next version is made from: those whose name `is_read_back`.

    Raises:
        StorageError: One is damaged.
    """
    if base is None:
        return
    read_back = replace(base, files=tuple(f for f in base.files if is_read_back(f.name)))
    if not (damage := find_damage(path, read_back)):
        return
    intact = next((m.version for m in older_manifests(path, base.version) if not find_damage(path, m)), None)
    fallback = f"the newest intact version is {intact}" if intact else "no other version is intact"
    what = f"version {base.version} of {path} is damaged and cannot be updated: {damage[0]}; {fallback}"
    advice = "restore the file from a backup, or make the tables again with `ftetl rebuild`"
    raise StorageError("S13", what, next=advice)


def find_damage(target: Path, manifest: Manifest) -> list[str]:
    """Read all files of a version again: a line for each that is not as it was written."""
    folder = snapshot_folder(target, manifest)
    return [
        f"{(folder / file.name).relative_to(target).as_posix()}: {damage}"
        for file in manifest.files
        if (damage := _file_damage(folder / file.name, file))
    ]


def _file_damage(path: Path, file: StoredFile) -> str:
    try:
        if path.is_symlink() or not path.is_file():
            return "missing" if not (path.exists() or path.is_symlink()) else "is not a regular file"
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
    except OSError as error:
        return str(error_for_operation(error, "read", path).what)
    if size != file.bytes:
        return f"has {size} bytes, {file.bytes} were written"
    return "" if sha256 == file.sha256 else "its SHA-256 is not that of what was written"
