"""The last two steps to a snapshot: its folder in place but in no manifest that counts, then the manifest's name.

Knows nothing of files in the snapshot. Every step is durable before the next.
"""

from __future__ import annotations

import contextlib

from ftetl.errors import FtetlError, StorageError, TryLaterError
from ftetl.store.durable_file import write_durable_file
from ftetl.store.filesystem import Folder, Fs, Link
from ftetl.store.manifest import manifest_name
from ftetl.store.ownership import TEMP, TargetFolders


def place_snapshot(folders: TargetFolders, folder: Folder, run_id: str, manifest: bytes, *, first: bool) -> None:
    """Give the staged `folder` its own name; `first` if the target has no snapshot yet.

    The manifest goes before it under a temporary name: by that the janitor knows the folder of a run that dies here.
    """
    fs = folders.fs
    folders.lock.require_held()
    write_durable_file(fs, folders.manifests, TEMP + run_id, manifest, mode=folders.file_mode)
    fs.sync_folder(folders.manifests)  # else the power may leave the folder without the name that tells of it
    if first:
        _sync_way_down(folders)
    fs.sync_folder(folder)
    fs.rename(folders.snapshots, TEMP + run_id, folders.snapshots, run_id)
    fs.sync_folder(folders.snapshots)


def commit_manifest(folders: TargetFolders, run_id: str, version: int, manifest: bytes) -> FtetlError | None:
    """Give the placed manifest the name of its version: the commit point. None if that is done, else why it is not.

    Raises:
        StorageError: Whether it is done cannot be told; then nothing may be removed.
    """
    fs, manifests, name = folders.fs, folders.manifests, manifest_name(version)
    try:
        link = fs.link(manifests, TEMP + run_id, manifests, name)
        if link is Link.UNSUPPORTED:
            link = _take_name(fs, manifests, TEMP + run_id, name)
        if link is Link.MADE:
            return None
        what = f"another run committed version {version} of {folders.root.path} meanwhile"
        problem: FtetlError = TryLaterError("C02", what, next="run again")
    except FtetlError as error:
        problem = error
    # what was done may be reported as failed where the answer got lost on the way (NFS)
    try:
        return None if fs.read_bytes(manifests, name) == manifest else problem
    except FtetlError as error:
        what = f"whether version {version} of {folders.root.path} was committed is unknown"
        raise StorageError("O05", what, next="nothing was removed; look with `ftetl verify`") from error


def _take_name(fs: Fs, folder: Folder, name: str, new: str) -> Link:
    """What `link` does, for file systems without hard links: an empty file takes the name, or finds it taken."""
    if fs.lstat(folder, new) is not None:
        return Link.TAKEN
    fs.close(fs.create(folder, new), folder.path / new)
    try:
        fs.rename(folder, name, folder, new)
    except FtetlError:
        fs.unlink(folder, new)
        raise
    return Link.MADE


def _sync_way_down(folders: TargetFolders) -> None:
    # whoever made these folders may have died before they were durable
    for path in folders.root.path.absolute().parents:
        with contextlib.suppress(FtetlError), folders.fs.open_folder(None, path) as parent:
            folders.fs.sync_folder(parent)  # as far as we may read it
    folders.fs.sync_folder(folders.root)
    folders.fs.sync_folder(folders.control)
