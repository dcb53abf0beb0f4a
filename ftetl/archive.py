"""The archive: the bytes of every accepted answer as they are given to it, and what each version was made from.

Append-only. A body is a file named by the SHA-256 of its bytes, compressed with zstd; a version's index says which
answers it was made from, when they came, and what had no body to keep. A saved file stays where its owner has it:
only its place, size and SHA-256 are kept. Knows neither JSON of the API nor tables.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pyarrow as pa

from ftetl.answers import Blob
from ftetl.claim import TEMP
from ftetl.errors import StorageError
from ftetl.fs import Folder
from ftetl.manifest import JSON, Manifest, canonical
from ftetl.sink import put
from ftetl.store import Target

BODIES = "archive"
INDEX = "index"
SUFFIX = ".zst"
_CHUNK = 1 << 20
_SEAL = "sha256"
_ZSTD = "zstd"
_CODEC = pa.Codec(_ZSTD)
_INDEX_NAME = re.compile(r"(\d{20})-(\d{8}T\d{6}Z-[0-9a-f]{8})\.json")
_SYNCS = 8  # at once: each waits for the disk, not for us


class Archive:
    """The archive of one target, open for its writer; leave it before the target is closed."""

    def __init__(self, target: Target) -> None:
        self._fs = target.fs
        self._run_id = target.run_id
        self._mode = target.file_mode
        self._stack = ExitStack()
        self._bodies = target.part(BODIES, self._stack)
        self._index = target.part(INDEX, self._stack, inside=self._bodies)
        self._unsynced: list[str] = []
        self._serial = 0

    def close(self) -> None:
        """Give the folders back; safe to call twice."""
        self._stack.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def keep(self, blob: Blob) -> str:
        """Keep these bytes; their SHA-256 is their name. Durable only after `sync`."""
        sha256 = hashlib.sha256()
        self._serial += 1
        temp = f"{TEMP}{self._run_id}-{self._serial}"
        descriptor = self._fs.create(self._bodies, temp)
        path = self._bodies.path / temp
        try:
            self._fs.write(descriptor, _packed(blob, sha256), path)
            self._fs.chmod(descriptor, self._mode, path)
        finally:
            self._fs.close(descriptor, path)
        digest: str = sha256.hexdigest()
        if self._is_sound(digest):
            self._fs.unlink(self._bodies, temp)
        else:
            self._fs.rename(self._bodies, temp, self._bodies, digest + SUFFIX)
        # Also one that was there: the run that wrote it may have died before it was durable.
        self._unsynced.append(digest + SUFFIX)
        return digest

    def _is_sound(self, sha256: str) -> bool:
        try:
            self.body(sha256)
        except StorageError:
            return False
        return True

    def sync(self) -> None:
        """Make what was kept durable; call before the commit that relies on it."""
        names, self._unsynced = sorted(set(self._unsynced)), []
        with ThreadPoolExecutor(_SYNCS) as pool:
            list(pool.map(lambda name: self._fs.sync_file(self._bodies, name), names))
        if names:
            self._fs.sync_folder(self._bodies)

    def body(self, sha256: str) -> bytes:
        """The bytes of this name.

        Raises:
            StorageError: They are gone, or are not those that were kept.
        """
        packed = self._fs.contents(self._bodies, sha256 + SUFFIX)
        where = f"{self._bodies.path / (sha256 + SUFFIX)}"
        if packed is None:
            raise StorageError(f"{where} is missing", next="restore the archive from a backup")
        try:
            with pa.CompressedInputStream(pa.BufferReader(packed), _ZSTD) as stream:
                data: bytes = stream.read()
        except (OSError, pa.ArrowException):
            data = b""
        if hashlib.sha256(data).hexdigest() != sha256:
            raise StorageError(f"{where} is damaged", next="restore the archive from a backup")
        return data

    def note(self, version: int, document: Mapping[str, JSON]) -> None:
        """Say what the version that is about to be committed was made from."""
        self.replace(self._index, f"{version:020d}-{self._run_id}.json", _sealed(document) + b"\n")

    def replace(self, folder: Folder, name: str, data: bytes) -> None:
        """A small file, durable, in place of what had the name."""
        temp = f"{TEMP}{self._run_id}-{name}"
        put(self._fs, folder, temp, data, mode=self._mode)
        self._fs.rename(folder, temp, folder, name)
        self._fs.sync_folder(folder)

    def drop_unfinished(self, base: Manifest | None, next_version: int) -> None:
        """Remove the indexes of versions that were not made.

        The index of a version whose manifest is damaged is not theirs: it stays.
        """
        for name, at, owner in self._names():
            if at >= next_version or (base is not None and at == base.version and owner != base.run_id):
                self._fs.unlink(self._index, name)
        for name in self._fs.names(self._index):
            if name.startswith(TEMP):
                self._fs.unlink(self._index, name)

    def entries(self) -> Iterator[dict[str, Any]]:
        """What each version was made from, the oldest first.

        Raises:
            StorageError: An index is damaged.
        """
        for name, _, _ in self._names():
            document = _opened(self._fs.contents(self._index, name) or b"")
            if document is None:
                raise StorageError(f"{self._index.path / name} is damaged", next="restore the archive from a backup")
            yield document

    def _names(self) -> list[tuple[str, int, str]]:
        found = [(name, _INDEX_NAME.fullmatch(name)) for name in self._fs.names(self._index)]
        return sorted((name, int(match[1]), match[2]) for name, match in found if match)


def _sealed(document: Mapping[str, JSON]) -> bytes:
    return canonical({**document, _SEAL: hashlib.sha256(canonical(document)).hexdigest()})


def _opened(raw: bytes) -> dict[str, Any] | None:
    """The document, if it is what was sealed."""
    try:
        document: dict[str, Any] = json.loads(raw)
        return document if document.pop(_SEAL) == hashlib.sha256(canonical(document)).hexdigest() else None
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return None


def _packed(blob: Blob, sha256: Any) -> bytes:
    if blob.size <= _CHUNK:  # nearly every answer; a stream for each would cost more than the rest
        data = blob.read(0, blob.size)
        sha256.update(data)
        packed: bytes = _CODEC.compress(data, asbytes=True)
        return packed
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, _ZSTD) as stream:
        for offset in range(0, blob.size, _CHUNK):
            piece = blob.read(offset, _CHUNK)
            sha256.update(piece)
            stream.write(piece)
    whole: bytes = sink.getvalue().to_pybytes()
    return whole
