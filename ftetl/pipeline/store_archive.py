"""The archive of a target in an object store: what a rebuild downloads of it, and what a run has added in a copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ftetl.errors import StorageError
from ftetl.extract.archive import BODIES, CHECKSUM, INDEX, SUFFIX
from ftetl.remote.local_copy import write_objects
from ftetl.remote.object_store import ObjectStore, Stored
from ftetl.store.manifest import CONTROL, Manifest, open_sealed_json

_BODIES = f"{CONTROL}/{BODIES}"
_INDEX = f"{_BODIES}/{INDEX}"


def files(folder: Path) -> set[str]:
    """The keys of all files of the archive of a copy."""
    return {path.relative_to(folder).as_posix() for path in (folder / _BODIES).rglob("*") if path.is_file()}


def download(store: ObjectStore, folder: Path, manifest: Manifest) -> set[str]:
    """Download what this version and those before it were made from; the keys of it.

    Entries of runs whose version another run has committed are in the store as well, so the entries are followed from
    each to the one before it. One that is missing is missed by the rebuild.

    Raises:
        StorageError: An entry is damaged.
    """
    listed = {found.key for found in store.listing(_INDEX)}
    raw: dict[str, Stored | None] = dict(zip(sorted(listed), store.in_parallel(store.get, sorted(listed)), strict=True))
    chain: dict[str, bytes] = {}
    bodies: set[str] = set()
    version, run_id = manifest.version, manifest.run_id
    while (found := raw.get(key := f"{_INDEX}/{version:020d}-{run_id}.json")) is not None:
        chain[key] = found.data
        try:
            entry = open_sealed_json(found.data, CHECKSUM)
        except ValueError:
            what = f"{store.address}/{key} is damaged"
            raise StorageError("A02", what, next="restore the archive from a backup") from None
        bodies |= {f"{_BODIES}/{name}" for name in _bodies_of(entry)}
        if entry["base"] is None:
            break
        version, run_id = entry["base"], entry["base_run"]
    write_objects(folder, chain)

    def fetch(key: str) -> None:
        if not (folder / key).exists():
            store.download(key, folder / key)  # one that is missing is missed by the rebuild

    store.in_parallel(fetch, sorted(bodies))
    return {*chain, *bodies}


def _bodies_of(entry: dict[str, Any]) -> set[str]:
    """The names of the files that hold the bodies of a version."""
    responses = [r for name in ("answers", "details", "endpoints") for r in entry.get(name, ())]
    stored = [response for response in responses if "sha256" in response and "path" not in response]
    return {response.get("pack") or f"{response['sha256']}{SUFFIX}" for response in stored}
