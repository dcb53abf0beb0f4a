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
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import pyarrow as pa

from ftetl.errors import StorageError
from ftetl.raw.blob import Blob
from ftetl.store.durable_file import read_back_error, write_durable_file
from ftetl.store.filesystem import PRIVATE, Folder
from ftetl.store.manifest import JSON, Manifest, canonical_json
from ftetl.store.ownership import TEMP
from ftetl.store.target import Target

BODIES = "archive"
INDEX = "index"
SUFFIX = ".zst"
_CHUNK = 1 << 20
_SEAL = "sha256"
_ZSTD = "zstd"
_CODEC = pa.Codec(_ZSTD)
_INDEX_NAME = re.compile(r"(\d{20})-(\d{8}T\d{6}Z-[0-9a-f]{8})\.json")
_SYNCS = 2  # threads: more would only wait for the same disk, and for each other
_BATCH = 64  # files that are made durable in one go


class Archive:
    """The archive of one target, open for its writer; leave it before the target is closed."""

    def __init__(self, target: Target) -> None:
        self._fs = target.fs
        self._run_id = target.run_id
        self._mode = target.file_mode
        self._stack = ExitStack()
        self._bodies = target.open_part(BODIES, self._stack)
        self._index = target.open_part(INDEX, self._stack, inside=self._bodies)
        self._own: set[str] = set()  # what this run has kept and not yet made durable for good
        self._written: dict[str, tuple[int, str]] = {}  # of what it wrote, the length and the SHA-256
        self._unsynced: list[str] = []
        self._syncing: list[Future[None]] = []
        self._syncers = ThreadPoolExecutor(_SYNCS, thread_name_prefix="ftetl-sync")

    def close(self) -> None:
        """Give the folders back; safe to call twice."""
        self._syncers.shutdown(cancel_futures=True)
        self._stack.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def store(self, blob: Blob) -> str:
        """Keep these bytes; their SHA-256 is their name. Durable only after `sync`."""
        sha256 = hashlib.sha256()
        packed = _packed(blob, sha256)
        digest: str = sha256.hexdigest()
        name = digest + SUFFIX
        if name not in self._names_there:
            # Torn, if the run dies now: then the next one finds it there, and looks whether it is sound.
            self._write(name, packed)
            self._names_there.add(name)
        elif name not in self._own and not self._is_sound(digest):
            self._fs.unlink(self._bodies, name)
            self._write(name, packed)
        # Also one that was there: the run that wrote it may have died before it was durable.
        if name not in self._own:
            self._own.add(name)
            self._unsynced.append(name)
        if len(self._unsynced) >= _BATCH:  # while the run waits for more to come
            self._begin_sync(self._unsynced)
            self._unsynced = []
        return digest

    def _write(self, name: str, data: bytes) -> None:
        descriptor, path = self._fs.create(self._bodies, name), self._bodies.path / name
        try:
            self._fs.write(descriptor, data, path)
            if self._mode != PRIVATE:  # as files are made
                self._fs.chmod(descriptor, self._mode, path)
        finally:
            self._fs.close(descriptor, path)
        self._written[name] = len(data), hashlib.sha256(data).hexdigest()

    @cached_property
    def _names_there(self) -> set[str]:
        return set(self._fs.list_names(self._bodies))

    def _is_sound(self, sha256: str) -> bool:
        try:
            self.read_body(sha256)
        except StorageError:
            return False
        return True

    def sync(self) -> None:
        """Make what was kept durable, and look that it is there; call before the commit that relies on it."""
        if self._unsynced:
            self._begin_sync(self._unsynced)
            self._unsynced = []
        begun, self._syncing = self._syncing, []
        for future in begun:
            future.result()
        if begun:
            self._fs.sync_folder(self._bodies)
        self._own.clear()

    def _begin_sync(self, names: list[str]) -> None:
        written = {name: self._written.pop(name) for name in names if name in self._written}

        def work() -> None:
            for name in names:
                self._fs.sync_file(self._bodies, name)
                if (expected := written.get(name)) and self._fs.digest(self._bodies, name) != expected:
                    raise read_back_error(self._bodies, name)

        self._syncing.append(self._syncers.submit(work))

    def read_body(self, sha256: str) -> bytes:
        """The bytes of this name.

        Raises:
            StorageError: They are gone, or are not those that were kept.
        """
        packed = self._fs.read_bytes(self._bodies, sha256 + SUFFIX)
        where = f"{self._bodies.path / (sha256 + SUFFIX)}"
        if packed is None:
            raise StorageError("A01", f"{where} is missing", next="restore the archive from a backup")
        try:
            with pa.CompressedInputStream(pa.BufferReader(packed), _ZSTD) as stream:
                data: bytes = stream.read()
        except (OSError, pa.ArrowException):
            data = b""
        if hashlib.sha256(data).hexdigest() != sha256:
            raise StorageError("A02", f"{where} is damaged", next="restore the archive from a backup")
        return data

    def write_index(self, version: int, document: Mapping[str, JSON]) -> None:
        """Say what the version that is about to be committed was made from."""
        self.replace(self._index, f"{version:020d}-{self._run_id}.json", _sealed(document) + b"\n")

    def replace(self, folder: Folder, name: str, data: bytes) -> None:
        """A small file, durable, in place of what had the name."""
        temp = f"{TEMP}{self._run_id}-{name}"
        write_durable_file(self._fs, folder, temp, data, mode=self._mode)
        self._fs.rename(folder, temp, folder, name)
        self._fs.sync_folder(folder)

    def drop_unfinished(self, base: Manifest | None, next_version: int) -> None:
        """Remove the indexes of versions that were not made.

        The index of a version whose manifest is damaged is not theirs: it stays.
        """
        for name, at, owner in self._names():
            if at >= next_version or (base is not None and at == base.version and owner != base.run_id):
                self._fs.unlink(self._index, name)
        for name in self._fs.list_names(self._index):
            if name.startswith(TEMP):
                self._fs.unlink(self._index, name)

    def entries(self) -> Iterator[dict[str, Any]]:
        """What each version was made from, the oldest first.

        Raises:
            StorageError: An index is damaged.
        """
        for name, _, _ in self._names():
            document = _opened(self._fs.read_bytes(self._index, name) or b"")
            if document is None:
                raise StorageError(
                    "A02", f"{self._index.path / name} is damaged", next="restore the archive from a backup"
                )
            yield document

    def _names(self) -> list[tuple[str, int, str]]:
        found = [(name, _INDEX_NAME.fullmatch(name)) for name in self._fs.list_names(self._index)]
        return sorted((name, int(match[1]), match[2]) for name, match in found if match)


def _sealed(document: Mapping[str, JSON]) -> bytes:
    return canonical_json({**document, _SEAL: hashlib.sha256(canonical_json(document)).hexdigest()})


def _opened(raw: bytes) -> dict[str, Any] | None:
    """The document, if it is what was sealed."""
    try:
        document: dict[str, Any] = json.loads(raw)
        return document if document.pop(_SEAL) == hashlib.sha256(canonical_json(document)).hexdigest() else None
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
