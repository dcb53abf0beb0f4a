"""Commits a snapshot: its folder gets its final name, then its manifest the name of its version, which is the commit.

Every step is durable before the next.
"""

from __future__ import annotations

import contextlib

from ftetl.errors import FtetlError, StorageError, TryLaterError
from ftetl.store.durable_file import write_durable_file
from ftetl.store.filesystem import Folder, Fs, Link
from ftetl.store.manifest import manifest_name
from ftetl.store.ownership import TEMP, TargetFolders


def place_snapshot(folders: TargetFolders, folder: Folder, manifest: bytes, *, first: bool) -> None:
    """Give the staged `folder` its final name; `first` if the target has no snapshot yet.

    The manifest is written before, under a temporary name: by it the cleanup finds the folder of a run that is killed.
    """
    fs, run_id = folders.fs, folders.run_id
    folders.lock.require_held()
    write_durable_file(fs, folders.manifests, TEMP + run_id, manifest, mode=folders.file_mode)
    fs.sync_folder(folders.manifests)  # else a power loss may leave the folder without the name by which it is found
    if first:
        _sync_parents(folders)
    fs.sync_folder(folder)
    fs.rename(folders.snapshots, TEMP + run_id, folders.snapshots, run_id)
    fs.sync_folder(folders.snapshots)


def commit_manifest(folders: TargetFolders, version: int, manifest: bytes) -> FtetlError | None:
    """Give the temporary manifest the name of its version: the commit point. None once committed, else the reason.

    Raises:
        StorageError: Whether it is committed is unknown; then nothing may be removed.
    """
    fs, manifests = folders.fs, folders.manifests
    temp, name = TEMP + folders.run_id, manifest_name(version)
    try:
        link = fs.link(manifests, temp, manifests, name)
        if link is Link.UNSUPPORTED:
            link = _rename_to_free_name(fs, manifests, temp, name)
        if link is Link.MADE:
            return None
        what = f"another run committed version {version} of {folders.root.path} meanwhile"
        problem: FtetlError = TryLaterError("C02", what, next="run again")
    except FtetlError as error:
        problem = error
    # on NFS a link may be made and still be reported as failed, where the response got lost
    try:
        return None if fs.read_bytes(manifests, name) == manifest else problem
    except FtetlError as error:
        what = f"whether version {version} of {folders.root.path} was committed is unknown"
        raise StorageError("O05", what, next="nothing was removed; check it with `ftetl verify`") from error


def _rename_to_free_name(fs: Fs, folder: Folder, name: str, new: str) -> Link:
    """What `link` does, for file systems without hard links: an empty file reserves the name."""
    if fs.lstat(folder, new) is not None:
        return Link.TAKEN
    fs.close(fs.create(folder, new), folder.path / new)
    try:
        fs.rename(folder, name, folder, new)
    except FtetlError:
        fs.unlink(folder, new)
        raise
    return Link.MADE


def _sync_parents(folders: TargetFolders) -> None:
    # a run that made these folders may have been killed before they were durable
    for path in folders.root.path.absolute().parents:
        with contextlib.suppress(FtetlError), folders.fs.open_folder(None, path) as parent:
            folders.fs.sync_folder(parent)  # where this user may read it
    folders.fs.sync_folder(folders.root)
    folders.fs.sync_folder(folders.control)
