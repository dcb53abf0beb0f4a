"""Manifests: which files make up each snapshot, and how a reader finds the newest one that is whole.

A manifest is `_ftetl/manifests/<version>.json`: canonical JSON on one line that carries the SHA-256 of everything else
in it, so that any changed byte shows. Reading needs no lock, writes nothing and works on every platform. Knows neither
tables nor how a snapshot comes about.
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
from ftetl.errors.os_errors import error_for_operation

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
    """One file of a snapshot: its plain name, its length and the SHA-256 of its bytes."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """One committed snapshot. Versions are ordered by `version` alone; `facts` is what the pipeline wanted kept."""

    version: int
    run_id: str
    base: int | None  # the version that this one was made from
    committed_at: str
    files: tuple[StoredFile, ...]
    facts: Mapping[str, Any]


def canonical_json(document: Mapping[str, JSON]) -> bytes:
    """The one way to write a document as JSON: sorted keys, no spaces, ASCII only.

    Raises:
        ValueError, TypeError: Something in it is no JSON value.
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of the manifest's file, checksum included."""
    return _sealed({**asdict(manifest), "files": [asdict(file) for file in manifest.files]})


def decode_manifest(raw: bytes, version: int) -> Manifest:
    """The manifest in the file of this version.

    Raises:
        ValueError: Not one byte more or less, or other than, what `encode` wrote; the text says what is wrong.
    """
    try:
        document = json.loads(raw)
        sealed = _sealed({key: value for key, value in document.items() if key != _CHECKSUM})
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise ValueError("it is empty, cut off or no JSON object") from None
    if sealed != raw:
        raise ValueError("its checksum is wrong")
    try:
        files = tuple(StoredFile(file["name"], file["bytes"], file["sha256"]) for file in document["files"])
        names = ("version", "run_id", "base", "committed_at", "facts")
        manifest = Manifest(files=files, **{name: document[name] for name in names})
        parse_iso(manifest.committed_at)
        # names become paths: nothing in a manifest that was tampered with may lead out of its snapshot
        sound = RUN_ID.fullmatch(manifest.run_id) and all(FILE_NAME.fullmatch(file.name) for file in files)
    except (ValueError, TypeError, KeyError):
        sound = None
    if not sound:
        raise ValueError("ftetl cannot have written it")
    if manifest.version != version:
        raise ValueError(f"it says version {manifest.version}")
    return manifest


def _sealed(document: Mapping[str, JSON]) -> bytes:
    checksum = hashlib.sha256(canonical_json(document)).hexdigest()
    return canonical_json({**document, _CHECKSUM: checksum}) + b"\n"


def manifest_name(version: int) -> str:
    """The name of a version's manifest."""
    return f"{version:020d}.json"


def versions_in(names: Iterable[str]) -> list[int]:
    """The versions that have a file among these names, damaged or not, in order."""
    return sorted(int(name[:20]) for name in names if _MANIFEST_NAME.fullmatch(name))


def intact_manifests(
    found: Iterable[int], read: Callable[[str], bytes | None], damaged: list[str] | None = None
) -> Iterator[Manifest]:
    """The manifests of these versions that are whole, the newest first; of the others a line goes to `damaged`.

    `read` gives the bytes of a file by its name, None where it is gone meanwhile.
    """
    for version in sorted(found, reverse=True):
        raw = read(manifest_name(version))
        if raw is None:
            continue
        try:
            yield decode_manifest(raw, version)
        except ValueError as reason:
            if damaged is not None:
                where = f"{CONTROL}/{MANIFESTS}/{manifest_name(version)}"
                damaged.append(f"{where}: the manifest of version {version} is damaged and passed over: {reason}")


def first_with_folder(
    manifests: Iterable[Manifest], present: Callable[[Manifest], bool], damaged: list[str] | None = None
) -> Manifest | None:
    """The first manifest whose snapshot is `present`; of those before it a line goes to `damaged`."""
    for manifest in manifests:
        if present(manifest):
            return manifest
        if damaged is not None:
            damaged.append(f"version {manifest.version} is passed over: its snapshot {manifest.run_id} is missing")
    return None


def older_manifests(target: Path, version: int, damaged: list[str] | None = None) -> Iterator[Manifest]:
    """The manifests of the versions before this one that are whole, the newest first; the others as in `newest`.

    Raises:
        TargetError, StorageError: The target cannot be read.
    """
    found = [other for other in list_versions(target) if other < version]
    return intact_manifests(found, lambda name: _read(target, name), damaged)


def newest_manifest(target: Path, damaged: list[str] | None = None) -> Manifest | None:
    """The newest manifest that is whole and whose snapshot is there; None for a target without one.

    What had to be passed over is told in `damaged`, a line each.

    Raises:
        TargetError, StorageError: The target cannot be read.
    """
    found = intact_manifests(list_versions(target), lambda name: _read(target, name), damaged)
    return first_with_folder(found, lambda manifest: _is_there(snapshot_folder(target, manifest)), damaged)


def load_manifest(target: Path, version: int) -> Manifest:
    """The manifest of one version.

    Raises:
        StorageError: There is none, or it is damaged.
    """
    raw = _read(target, manifest_name(version))
    if raw is None:
        raise StorageError(
            "T03", f"{target} has no version {version}", next="its folder _ftetl/manifests has those that are kept"
        )
    try:
        return decode_manifest(raw, version)
    except ValueError as reason:
        what = f"the manifest of version {version} in {target} is damaged: {reason}"
        raise StorageError("S12", what, next="use another version") from None


def list_versions(target: Path) -> list[int]:
    """The versions that have a manifest, damaged or not, in order; none where there is no target.

    Raises:
        TargetError, StorageError: The target cannot be read.
    """
    folder = target / CONTROL / MANIFESTS
    try:
        return versions_in(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise error_for_operation(error, "list", folder) from error


def snapshot_folder(target: Path, manifest: Manifest) -> Path:
    """Where the files of a version are."""
    return target / SNAPSHOTS / manifest.run_id


def find_damage(target: Path, manifest: Manifest) -> list[str]:
    """What is wrong with the files of a version, every byte read again: a line each, none for a sound snapshot."""
    folder = snapshot_folder(target, manifest)
    return [
        f"{(folder / file.name).relative_to(target).as_posix()}: {fault}"
        for file in manifest.files
        if (fault := _fault(folder / file.name, file))
    ]


def _fault(path: Path, file: StoredFile) -> str:
    try:
        if path.is_symlink() or not path.is_file():
            return "missing" if not (path.exists() or path.is_symlink()) else "is no regular file"
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
    except OSError as error:
        return str(error_for_operation(error, "read", path).what)
    if size != file.bytes:
        return f"has {size} bytes, {file.bytes} were written"
    return "" if sha256 == file.sha256 else "its SHA-256 is not that of what was written"


def _read(target: Path, name: str) -> bytes | None:
    path = target / CONTROL / MANIFESTS / name
    try:
        if path.is_file():
            return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise error_for_operation(error, "read", path) from error
    return b"" if _is_there(path) else None  # a folder or a pipe is a damaged manifest


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise error_for_operation(error, "look at", path) from error
