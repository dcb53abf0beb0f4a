"""A local copy of a target in an object store, in a private temporary folder, on which everything runs unchanged.

A copy has what its user needs of the target: manifests, the files of one version, and documents.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from ftetl.config.object_address import ObjectAddress
from ftetl.errors import FtetlError, StorageError
from ftetl.errors.os_errors import translate_os_errors
from ftetl.remote.object_store import ObjectStore
from ftetl.store.integrity import find_damage
from ftetl.store.manifest import Manifest, StoredFile, snapshot_folder

_PREFIX: Final = "ftetl-copy-"
_NEW: Final = 3600.0  # seconds for which a folder may not be locked yet


class TemporaryFolder:
    """A private folder, removed when it is closed, collected, or the program ends.

    What a killed program left is removed by the next one: such a folder is old, and not locked.
    """

    def __init__(self) -> None:
        _remove_left_over()
        folder = Path(tempfile.gettempdir())
        with translate_os_errors("make a folder in", folder):
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self.close: Callable[[], object] = weakref.finalize(self, _remove, self.path, _lock(self.path))

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()


def write_objects(folder: Path, objects: Mapping[str, bytes]) -> None:
    """Write objects to the files of the same names in a copy."""
    for key, data in objects.items():
        path = folder / key
        with translate_os_errors("write", path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(data)


def fetch_files(
    store: ObjectStore, folder: Path, manifest: Manifest, keys: Mapping[str, str], names: Iterable[str] | None = None
) -> None:
    """Download files of a version that the copy does not have, all or those of these names.

    One that arrives otherwise than it was written is asked for once more, and then stays as it is, as one that is
    missing: what reads it says so.
    """
    inside = snapshot_folder(folder, manifest)
    with translate_os_errors("make", inside):
        inside.mkdir(mode=0o700, parents=True, exist_ok=True)

    def fetch(file: StoredFile) -> None:
        part, path = inside / f".{file.name}", inside / file.name
        for _ in range(2):
            with translate_os_errors("remove", part):
                part.unlink(missing_ok=True)
            sha256 = store.download(keys[file.name], part)
            if sha256 in (None, file.sha256):
                break
        if sha256 is not None:
            with translate_os_errors("rename", part):
                part.replace(path)

    wanted = None if names is None else {*names}
    files = [f for f in manifest.files if (wanted is None or f.name in wanted) and not (inside / f.name).exists()]
    store.in_parallel(fetch, files)


def fetch_intact(
    store: ObjectStore, folder: Path, manifest: Manifest, keys: Mapping[str, str], names: Iterable[str]
) -> None:
    """Download the files of these names.

    Raises:
        StorageError: One is missing or damaged.
    """
    wanted = {*names}
    fetch_files(store, folder, manifest, keys, wanted)
    some = replace(manifest, files=tuple(file for file in manifest.files if file.name in wanted))
    if damage := find_damage(folder, some):
        what = f"version {manifest.version} of {store.address} is damaged: {damage[0]}"
        raise StorageError("S13", what, next="restore the object, or make the tables again with `ftetl rebuild`")


@contextlib.contextmanager
def shown_as(folder: Path, address: ObjectAddress) -> Iterator[None]:
    """Errors about files of a copy name the target instead, unless this machine's disk is the reason."""
    try:
        yield
    except FtetlError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or isinstance(cause, FileNotFoundError):
            error.what = error.what.replace(str(folder), str(address))
            error.next = error.next.replace(str(folder), str(address))
            error.args = (error.what,)
        raise


def _lock(folder: Path) -> int:
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):  # Windows, and file systems without locks
        return -1
    return descriptor


def _remove(folder: Path, descriptor: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if descriptor >= 0:
        os.close(descriptor)


def _remove_left_over() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = folder.lstat()
            if time.time() - status.st_mtime < _NEW or (descriptor := _lock(folder)) < 0:
                continue
            if status.st_uid == os.geteuid():
                _remove(folder, descriptor)
            else:
                os.close(descriptor)
