"""The versions of a target in an object store, and how one is committed.

The layout is that of a target folder, with two differences: a manifest names for each file the key of its object, since
a file that did not change stays where an earlier run has put it; and `_ftetl/latest.json` is a hint which version is
the newest. What counts are the manifests: the next version is the first number that has none.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field
from typing import Final

from ftetl.errors import (
    AccessError,
    ConfigError,
    FtetlError,
    StorageError,
    TargetError,
    TryLaterError,
    UnavailableError,
)
from ftetl.remote.object_store import ObjectStore, Stored
from ftetl.store.manifest import (
    CONTROL,
    FILE_NAME,
    MANIFESTS,
    RUN_ID,
    SNAPSHOTS,
    Manifest,
    StoredFile,
    canonical_json,
    decode_manifest,
    manifest_name,
    versions_in,
)
from ftetl.store.ownership import FORMAT, SIGNATURE, require_known_format

ATTEMPTS: Final = 5  # of a commit, and of runs whose versions others have committed
_FORMAT_KEY: Final = f"{CONTROL}/{FORMAT}"
_LATEST: Final = f"{CONTROL}/latest.json"
_KEY: Final = re.compile(rf"{SNAPSHOTS}/{RUN_ID.pattern}/{FILE_NAME.pattern}")


@dataclass
class Newest:
    """The newest version of a target.

    `number` is its number, of a damaged version too (0: there is none), `manifest` the newest intact manifest, `keys`
    its objects by file, `raw` the bytes of all manifests from the newest down to that one, `hint` the stored hint.
    """

    number: int = 0
    manifest: Manifest | None = None
    keys: dict[str, str] = field(default_factory=dict)
    raw: dict[int, bytes] = field(default_factory=dict)
    hint: Stored | None = None


def manifest_key(version: int) -> str:
    """The key of a version's manifest."""
    return f"{CONTROL}/{MANIFESTS}/{manifest_name(version)}"


def require_target(store: ObjectStore) -> None:
    """Check that there is a target under the address.

    Raises:
        TargetError: There is none, or something else.
        ConfigError: A newer ftetl made it.
    """
    if not _is_target(store):
        raise TargetError("T02", f"{store.address} is not a target of ftetl", next="run `ftetl export`")


def _is_target(store: ObjectStore) -> bool:
    signature = store.get(_FORMAT_KEY)
    if signature is not None:
        require_known_format(signature.data, f"{store.address}/{_FORMAT_KEY}", str(store.address))
    return signature is not None


def prepare_target(store: ObjectStore) -> None:
    """Make a target under the address, if there is none: the store has to honour conditional puts.

    Raises:
        TargetError: There are other objects.
        ConfigError: The store does not honour them, so that two runs could overwrite each other's versions.
    """
    try:
        if _is_target(store):
            return
    except AccessError:  # S3's answer for a missing object, where the credentials may not list
        pass
    try:
        has_others = any(not found.key.startswith(f"{CONTROL}/probe-") for found in store.listing(""))
    except AccessError:
        has_others = False
    if has_others:
        if not _is_target(store):  # nor has another run made it meanwhile
            what = f"{store.address} has other objects and is not a target of ftetl"
            raise TargetError("S16", what, next="choose a prefix without objects")
        return
    probe = f"{CONTROL}/probe-{store.token}"
    if not store.create(probe, b"first") or store.create(probe, b"second"):
        what = f"the store of {store.address} does not honour conditional puts (If-None-Match)"
        raise ConfigError("O09", what, next="use one that does, or a target folder")
    with contextlib.suppress(FtetlError):
        store.delete([probe])
    store.create(_FORMAT_KEY, SIGNATURE)
    require_target(store)


def find_newest(store: ObjectStore) -> Newest:
    """The newest version: from the hint forward to the first number without a manifest.

    Raises:
        StorageError: The hint names a version that is missing, and the manifests may not be listed.
    """
    newest = Newest(hint=store.get(_LATEST))
    number = _hinted_version(newest.hint)
    found = store.get(manifest_key(number)) if number else None
    if found is None:
        number = _listed_version(store, required=number > 0)
        found = store.get(manifest_key(number)) if number else None
    while (following := store.get(manifest_key(number + 1))) is not None:
        number, found = number + 1, following
    newest.number = number
    while number:
        if found is not None:
            newest.raw[number] = found.data
            with contextlib.suppress(ValueError):
                newest.manifest, newest.keys = decode(found.data, number)
                break
        number -= 1
        found = store.get(manifest_key(number)) if number else None
    return newest


def load_version(store: ObjectStore, version: int) -> tuple[Manifest, dict[str, str]]:
    """The manifest of a version, and the keys of its files.

    Raises:
        StorageError: There is none, or it is damaged.
    """
    found = store.get(manifest_key(version))
    if found is None:
        advice = "see `ftetl runs` for those there are"
        raise StorageError("T03", f"{store.address} has no version {version}", next=advice)
    try:
        return decode(found.data, version)
    except ValueError as reason:
        what = f"the manifest of version {version} in {store.address} is damaged: {reason}"
        raise StorageError("S12", what, next="use another version") from None


def decode(raw: bytes, version: int) -> tuple[Manifest, dict[str, str]]:
    """The manifest in an object, and the keys of its files.

    Raises:
        ValueError: It is damaged.
    """
    manifest = decode_manifest(raw, version)
    keys = {file["name"]: file.get("key") for file in json.loads(raw)["files"]}
    if not all(isinstance(key, str) and _KEY.fullmatch(key) for key in keys.values()):
        raise ValueError("ftetl cannot have written it")
    return manifest, keys


def keys_of(manifest: Manifest, newest: Newest) -> dict[str, str]:
    """The keys of a new version's files: a file that the newest version has too keeps its key."""
    known: dict[StoredFile, str] = {}
    if newest.manifest is not None:
        known = {file: newest.keys[file.name] for file in newest.manifest.files}
    return {f.name: known.get(f, f"{SNAPSHOTS}/{manifest.run_id}/{f.name}") for f in manifest.files}


def is_committed(store: ObjectStore, version: int, raw: bytes) -> bool:
    """Whether a version is the one with this manifest."""
    found = store.get(manifest_key(version))
    return found is not None and found.data == raw


def commit(store: ObjectStore, version: int, run_id: str, raw: bytes) -> bool:
    """Store the manifest of a new version: the commit point. False if another run has committed this version.

    Raises:
        StorageError: Whether it is committed is unknown; then nothing may be removed.
        UnavailableError: It is not committed: the store does not take it.
    """
    key, where = manifest_key(version), f"version {version} of {store.address}"
    unknown = StorageError(
        "O05", f"whether {where} was committed is unknown", next="nothing was removed; look with `ftetl runs`"
    )
    problem: FtetlError = TryLaterError("O08", f"{store.address} is busy with other runs", next="run again")
    is_sent = False
    for _ in range(ATTEMPTS):
        try:
            store.create(key, raw)
            is_sent = True
        except UnavailableError as error:  # the answer may have got lost, and not the request
            problem, is_sent = error, True
        except FtetlError as error:
            raise (unknown if is_sent else error) from None
        try:
            found = store.get(key, may_be_denied=False)
        except FtetlError:
            raise unknown from None
        if found is None:
            continue
        if found.data == raw:
            return True
        if f'"run_id":"{run_id}"'.encode() not in found.data:
            return False
        what = f"the manifest of {where} does not read back as it was sent"
        problem = UnavailableError("O15", what, next="run again: the next version is made from the one before it")
        with contextlib.suppress(FtetlError):
            store.replace(key, raw, found)
    raise problem


def write_hint(store: ObjectStore, version: int, run_id: str, before: Stored | None) -> bool:
    """Make the hint name this version, unless another run has changed it meanwhile."""
    hint = canonical_json({"version": version, "run_id": run_id, "manifest": manifest_key(version)}) + b"\n"
    return store.replace(_LATEST, hint, before)


def _hinted_version(hint: Stored | None) -> int:
    try:
        version = json.loads(hint.data)["version"] if hint else 0
    except (ValueError, KeyError, TypeError):
        return 0
    return version if type(version) is int and version > 0 else 0


def _listed_version(store: ObjectStore, *, required: bool) -> int:
    try:
        names = [found.key.rpartition("/")[2] for found in store.listing(f"{CONTROL}/{MANIFESTS}")]
    except AccessError:
        if required:
            what = f"the newest version of {store.address} cannot be found: the hint in {_LATEST} is wrong"
            raise StorageError("S12", what, next="run once with credentials that may list the bucket") from None
        return 0
    return max(versions_in(names), default=0)
