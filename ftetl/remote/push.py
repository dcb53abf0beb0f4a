"""Uploads what a run has made in a local copy, and removes from the store what is not needed any more."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from ftetl.clock import now
from ftetl.errors import FtetlError
from ftetl.remote.object_store import ObjectStore
from ftetl.remote.versions import Newest, decode, keys_of, manifest_key
from ftetl.store.cleanup import RETAIN_ALL_FOR, versions_to_retain
from ftetl.store.manifest import CONTROL, MANIFESTS, SNAPSHOTS, Manifest, snapshot_folder, versions_in


def upload_version(store: ObjectStore, folder: Path, manifest: Manifest, newest: Newest, beside: Iterable[str]) -> None:
    """Upload the files of a new version that the newest one does not have, and others of the copy by their keys."""
    keys, inside = keys_of(manifest, newest), snapshot_folder(folder, manifest)
    files = {keys[f.name]: inside / f.name for f in manifest.files if is_own(keys[f.name], manifest)}
    files |= {key: folder / key for key in beside}
    store.in_parallel(lambda item: store.upload(*item), files.items())


def remove_upload(store: ObjectStore, manifest: Manifest, newest: Newest, beside: Iterable[str]) -> None:
    """Remove what was uploaded for a version that was certainly not committed; that it stays does no harm."""
    keys = [key for key in keys_of(manifest, newest).values() if is_own(key, manifest)]
    with contextlib.suppress(FtetlError):
        store.delete([*keys, *(key for key in beside if manifest.run_id in key)])


def is_own(key: str, manifest: Manifest) -> bool:
    """Whether an object was uploaded by the run of this version."""
    return key.startswith(f"{SNAPSHOTS}/{manifest.run_id}/")


def upload_folder(store: ObjectStore, folder: Path, name: str) -> None:
    """Upload all files of a folder of the copy, such as `_ftetl/failed`."""
    for path in sorted((folder / name).rglob("*")):
        if path.is_file():
            store.upload(path.relative_to(folder).as_posix(), path)


def remove_expired(store: ObjectStore, newest: Newest, *, keep: int) -> None:
    """Remove versions that are not retained, and objects older than a day that no version names.

    `newest` is the version that this run has committed. Objects of runs that are still working are younger than a day.

    Raises:
        AccessError: The credentials may not list or delete.
    """
    listed = {v: f for f in store.listing(f"{CONTROL}/{MANIFESTS}") for v in versions_in([f.key.rpartition("/")[2]])}
    times = [(version, found.modified) for version, found in listed.items()]
    retained = versions_to_retain(times, keep=keep, now=now()) | {newest.number}
    expired = sorted(set(listed) - retained)
    old = {found.key for found in store.listing(SNAPSHOTS) if _is_old(found.modified)} - {*newest.keys.values()}
    if not old and not expired:
        return
    needed = set(newest.keys.values())

    def read(version: int) -> None:
        if (found := store.get(manifest_key(version))) is not None:
            needed.update(decode(found.data, version)[1].values())

    with contextlib.suppress(ValueError):  # a damaged manifest does not tell what it needs: then nothing is removed
        store.in_parallel(read, retained & set(listed))
        store.delete(map(manifest_key, expired))
        store.delete(sorted(old - needed))


def remove_oldest(store: ObjectStore, folder: str, *, keep: int) -> None:
    """Remove the oldest entries of a folder whose entries are named by run, beyond this number."""
    by_entry: dict[str, list[str]] = {}
    for found in store.listing(folder):
        by_entry.setdefault(found.key.removeprefix(f"{folder}/").partition("/")[0], []).append(found.key)
    for entry in sorted(by_entry)[:-keep]:
        store.delete(by_entry[entry])


def _is_old(modified: datetime) -> bool:
    return now() - modified >= RETAIN_ALL_FOR
