"""Reading a target in an object store: one version, whose files are downloaded when they are needed, or all of it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from ftetl.config.object_address import ObjectAddress
from ftetl.errors import AccessError, TargetError
from ftetl.remote import versions
from ftetl.remote.local_copy import TemporaryFolder, fetch_files, fetch_intact, shown_as, write_objects
from ftetl.remote.object_store import ObjectStore
from ftetl.store.manifest import CONTROL, MANIFESTS, SNAPSHOTS
from ftetl.store.ownership import FORMAT, RUNS

_FORMAT_KEY: Final = f"{CONTROL}/{FORMAT}"


class StoredVersion:
    """One version, the newest or that of a number; its files are in `folder`, a target folder, once they were fetched.

    Raises:
        TargetError: There is no target, or no snapshot in it.
        StorageError: There is no such version, or its manifest is damaged.
    """

    def __init__(self, address: ObjectAddress, version: int | None = None) -> None:
        self._store = ObjectStore(address)
        versions.require_target(self._store)
        if version is None:
            newest = versions.find_newest(self._store)
            if newest.manifest is None:
                why = f" (the manifest of version {newest.number} is damaged)" if newest.number else ""
                raise TargetError("T01", f"{address} has no snapshot{why}", next="run `ftetl export`")
            self.manifest, self._keys = newest.manifest, newest.keys
        else:
            self.manifest, self._keys = versions.load_version(self._store, version)
        self._temporary = TemporaryFolder()
        self._lock = threading.Lock()
        self._fetched: set[str] = set()
        self.folder = self._temporary.path / "target"

    def fetch(self, names: Iterable[str]) -> None:
        """Download these files of the version, unless they are there.

        Raises:
            StorageError: One is missing or damaged.
        """
        with self._lock:
            if missing := {*names} - self._fetched:
                fetch_intact(self._store, self.folder, self.manifest, self._keys, missing)
                self._fetched |= missing


@contextlib.contextmanager
def whole_copy(address: ObjectAddress) -> Iterator[Path]:
    """A target folder with all manifests and the files of the newest version, as they are, damaged or not.

    Raises:
        TargetError: There is no target.
    """
    store = ObjectStore(address)
    versions.require_target(store)
    newest = versions.find_newest(store)
    manifests = {versions.manifest_key(version): raw for version, raw in newest.raw.items()}
    with contextlib.suppress(AccessError):  # credentials that may not list see the newest ones only
        manifests |= _download(store, f"{CONTROL}/{MANIFESTS}", known=manifests)
    signature = store.get(_FORMAT_KEY)
    with TemporaryFolder() as root:
        folder = root / "target"
        write_objects(folder, {**manifests, **({_FORMAT_KEY: signature.data} if signature else {})})
        if newest.manifest is not None:
            fetch_files(store, folder, newest.manifest, newest.keys)
            with contextlib.suppress(OSError):  # where the system makes no links; then a note tells
                (folder / "current").symlink_to(f"{SNAPSHOTS}/{newest.manifest.run_id}")
        with shown_as(folder, address):
            yield folder


@contextlib.contextmanager
def records_copy(address: ObjectAddress, *, most: int) -> Iterator[Path]:
    """A target folder with the newest records of runs, of which there are at most so many.

    Raises:
        TargetError: There is no target.
        AccessError: The credentials may not list.
    """
    store = ObjectStore(address)
    versions.require_target(store)
    records = _download(store, f"{CONTROL}/{RUNS}", most=most)
    with TemporaryFolder() as root:
        write_objects(root / "target", {**records, _FORMAT_KEY: b""})
        with shown_as(root / "target", address):
            yield root / "target"


def _download(
    store: ObjectStore, folder: str, *, known: Iterable[str] = (), most: int | None = None
) -> dict[str, bytes]:
    keys = sorted({found.key for found in store.listing(folder)} - {*known})[-most if most else 0 :]
    objects = zip(keys, store.in_parallel(store.get, keys), strict=True)
    return {key: found.data for key, found in objects if found is not None}
