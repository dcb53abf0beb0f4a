"""Manifests: which files make up each snapshot, and how a reader finds the newest intact one.

A manifest is `_ftetl/manifests/<version>.json`: canonical JSON on one line with the SHA-256 of everything else in it.
Reading needs no lock, writes nothing and works on every platform.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ftetl.clock import parse_iso
from ftetl.errors import StorageError
from ftetl.errors.os_errors import translate_os_errors

CONTROL = "_ftetl"
MANIFESTS = "manifests"
SNAPSHOTS = "snapshots"

RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_MANIFEST_NAME = re.compile(r"\d{20}\.json")
_CHECKSUM = "checksum"

JSON: TypeAlias = "Mapping[str, JSON] | Sequence[JSON] | str | int | float | bool | None"


@dataclass(frozen=True)
class StoredFile:
    """One file of a snapshot."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """One committed snapshot; `facts` are the pipeline's. Versions are ordered by `version` alone."""

    version: int
    run_id: str
    base: int | None  # the version that this one was made from
    committed_at: str
    files: tuple[StoredFile, ...]
    facts: Mapping[str, Any]


def canonical_json(document: Mapping[str, JSON]) -> bytes:
    """A document as JSON with sorted keys, no spaces, ASCII only.

    Raises:
        ValueError, TypeError: It has a value that JSON does not.
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def seal_json(document: Mapping[str, JSON], key: str) -> bytes:
    """A document as one line of canonical JSON, with the SHA-256 of everything else in it under this key."""
    return canonical_json({**document, key: hashlib.sha256(canonical_json(document)).hexdigest()}) + b"\n"


def open_sealed_json(raw: bytes, key: str) -> dict[str, Any]:
    """The document in such a line, without its checksum.

    Raises:
        ValueError: It is not byte for byte what `seal_json` wrote; the text says what is wrong.
    """
    try:
        document = json.loads(raw)
        document.pop(key, None)
        sealed = seal_json(document, key)
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise ValueError("it is empty, cut off or not a JSON object") from None
    if sealed != raw:
        raise ValueError("its checksum is wrong")
    return dict(document)


def encode_manifest(manifest: Manifest, keys: Mapping[str, str] | None = None) -> bytes:
    """The bytes of the manifest's file, checksum included; with `keys`, each file has the key of its object."""
    files = [{**asdict(file), **({"key": keys[file.name]} if keys else {})} for file in manifest.files]
    return seal_json({**asdict(manifest), "files": files}, _CHECKSUM)


def decode_manifest(raw: bytes, version: int) -> Manifest:
    """The manifest in the file of this version.

    Raises:
        ValueError: It is not byte for byte what `encode_manifest` wrote; the text says what is wrong.
    """
    document = open_sealed_json(raw, _CHECKSUM)
    try:
        files = tuple(StoredFile(file["name"], file["bytes"], file["sha256"]) for file in document["files"])
        names = ("version", "run_id", "base", "committed_at", "facts")
        manifest = Manifest(files=files, **{name: document[name] for name in names})
        parse_iso(manifest.committed_at)
        # names become paths: a manifest that was tampered with must not lead out of its snapshot
        intact = RUN_ID.fullmatch(manifest.run_id) and all(FILE_NAME.fullmatch(file.name) for file in files)
    except (ValueError, TypeError, KeyError):
        intact = None
    if not intact:
        raise ValueError("ftetl cannot have written it")
    if manifest.version != version:
        raise ValueError(f"it has version {manifest.version}")
    return manifest


def manifest_name(version: int) -> str:
    """The name of a version's manifest."""
    return f"{version:020d}.json"


def versions_in(names: Iterable[str]) -> list[int]:
    """The versions that have a file among these names, damaged or not, in order."""
    return sorted(int(name[:20]) for name in names if _MANIFEST_NAME.fullmatch(name))


def intact_manifests(
    versions: Iterable[int], read: Callable[[str], bytes | None], damage: list[str] | None = None
) -> Iterator[Manifest]:
    """The intact manifests of these versions, the newest first; `damage` gets a line for each of the others.

    `read` gives the bytes of a file by its name, None where it does not exist.
    """
    for version in sorted(versions, reverse=True):
        raw = read(manifest_name(version))
        if raw is None:
            continue
        try:
            yield decode_manifest(raw, version)
        except ValueError as reason:
            if damage is not None:
                where = f"{CONTROL}/{MANIFESTS}/{manifest_name(version)}"
                damage.append(f"{where}: the manifest of version {version} is damaged and skipped: {reason}")


def first_with_folder(
    manifests: Iterable[Manifest], has_folder: Callable[[Manifest], bool], damage: list[str] | None = None
) -> Manifest | None:
    """The first manifest whose snapshot folder exists; `damage` gets a line for each before it."""
    for manifest in manifests:
        if has_folder(manifest):
            return manifest
        if damage is not None:
            damage.append(f"version {manifest.version} is skipped: its snapshot {manifest.run_id} is missing")
    return None


def older_manifests(target: Path, version: int, damage: list[str] | None = None) -> Iterator[Manifest]:
    """The intact manifests before this version, the newest first; `damage` as in `intact_manifests`.

    Raises:
        TargetError, StorageError: The target cannot be read.
    """
    versions = [other for other in list_versions(target) if other < version]
    return intact_manifests(versions, lambda name: _read_manifest(target, name), damage)


def newest_manifest(target: Path, damage: list[str] | None = None) -> Manifest | None:
    """The newest intact manifest whose snapshot exists, or None; `damage` gets a line for each that is skipped.

    Raises:
        TargetError, StorageError: The target cannot be read.
    """

    def has_folder(manifest: Manifest) -> bool:
        folder = snapshot_folder(target, manifest)
        with translate_os_errors("look at", folder):
            return folder.exists()

    manifests = intact_manifests(list_versions(target), lambda name: _read_manifest(target, name), damage)
    return first_with_folder(manifests, has_folder, damage)


def load_manifest(target: Path, version: int) -> Manifest:
    """The manifest of one version.

    Raises:
        StorageError: There is none, or it is damaged.
    """
    raw = _read_manifest(target, manifest_name(version))
    if raw is None:
        what = f"{target} has no version {version}"
        raise StorageError("T03", what, next="the folder _ftetl/manifests lists the versions that there are")
    try:
        return decode_manifest(raw, version)
    except ValueError as reason:
        what = f"the manifest of version {version} in {target} is damaged: {reason}"
        raise StorageError("S12", what, next="use another version") from None


def list_versions(target: Path) -> list[int]:
    """The versions that have a manifest, damaged or not, in order; none where the target does not exist.

    Raises:
        TargetError, StorageError: The target cannot be read.
    """
    folder = target / CONTROL / MANIFESTS
    with translate_os_errors("list", folder):
        try:
            return versions_in(path.name for path in folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []


def snapshot_folder(target: Path, manifest: Manifest) -> Path:
    """Where the files of a version are."""
    return target / SNAPSHOTS / manifest.run_id


def _read_manifest(target: Path, name: str) -> bytes | None:
    path = target / CONTROL / MANIFESTS / name
    with translate_os_errors("read", path):
        try:
            if path.is_file():
                return path.read_bytes()
        except FileNotFoundError:
            return None
        return b"" if path.exists() else None  # a folder or a pipe is a damaged manifest
