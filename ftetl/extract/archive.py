"""The archive: the responses, with secrets masked, and an index of what each version was made from.

A body is a file named by the SHA-256 of its bytes, compressed with zstd; where a run fetches many details, these are in
the run's pack (`packs`). A body is never changed; a damaged one is written again, and the index of a version that was
not committed is removed. The index of a version names its responses, when they were received, and the details without
a body. A saved file stays where it is: the archive has its path, size and SHA-256.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property
from typing import Any

from ftetl.errors import FtetlError, StorageError
from ftetl.extract.packs import Packs, is_pack
from ftetl.extract.zstd import ZSTD, compress, decompress
from ftetl.raw.blob import Blob, Memory
from ftetl.store.durable_file import read_back_error
from ftetl.store.filesystem import PRIVATE
from ftetl.store.manifest import JSON, Manifest, open_sealed_json, seal_json
from ftetl.store.ownership import TEMP
from ftetl.store.target import Target

BODIES = "archive"
INDEX = "index"
SUFFIX = ".zst"
_CHUNK = 1 << 20
CHECKSUM = "sha256"  # the key of an index's checksum
_INDEX_NAME = re.compile(r"(\d{20})-(\d{8}T\d{6}Z-[0-9a-f]{8})\.json")
_SYNC_THREADS = 2  # more would only wait for the same disk
_SYNC_BATCH = 64  # files


class Archive:
    """The archive of one target, open for its writer; close it before the target."""

    def __init__(self, target: Target) -> None:
        self._target, self._fs = target, target.fs
        self._mode = target.file_mode
        self._stack = ExitStack()
        self._bodies = target.open_part(BODIES, self._stack)
        self._index = target.open_part(INDEX, self._stack, inside=self._bodies)
        self._packs = Packs(self._fs, self._bodies, target.run_id, self._mode)
        self._used_packs: set[str] = set()  # since the last `sync`
        self._checked: set[str] = set()  # bodies that this run has stored or checked since the last `sync`
        self._written: dict[str, tuple[int, str]] = {}  # the length and SHA-256 of the files that this run wrote
        self._unsynced: list[str] = []
        self._syncs: list[Future[None]] = []
        self._sync_pool = ThreadPoolExecutor(_SYNC_THREADS, thread_name_prefix="ftetl-sync")

    def close(self) -> None:
        """Stop the threads and close the folders; safe to call twice."""
        self._sync_pool.shutdown(cancel_futures=True)
        self._packs.close()
        self._stack.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def store(self, blob: Blob) -> str:
        """Store these bytes, and return their SHA-256, which is their name. They are durable only after `sync`."""
        sha256, compressed = _compress(blob)
        name = sha256 + SUFFIX
        if name not in self._existing_names:
            # If the run is killed now, the file is incomplete; the next run finds and checks it.
            self._write(name, compressed)
            self._existing_names.add(name)
        elif name not in self._checked and not self._is_intact(sha256):
            self._fs.unlink(self._bodies, name)
            self._write(name, compressed)
        if name not in self._checked:  # also an older file: its run may have been killed before it was durable
            self._checked.add(name)
            self._unsynced.append(name)
        if len(self._unsynced) >= _SYNC_BATCH:  # while the run waits for the next responses
            self._start_sync()
        return sha256

    def store_together(self, bodies: Sequence[bytes]) -> list[tuple[str, str]]:
        """Store bodies as `store` does, but small ones in the pack of this run: the SHA-256 and the pack of each.

        The pack is `""` of one that has a file of its own.
        """
        digests = [hashlib.sha256(body).hexdigest() for body in bodies]
        packs: list[str] = []
        new: dict[str, bytes] = {}
        for sha256, body in zip(digests, bodies, strict=True):
            pack = self._packs.own
            if sha256 + SUFFIX in self._existing_names or len(body) > _CHUNK:
                self.store(Memory(body))
                pack = ""
            elif sha256 not in new and (found := self._intact_pack(sha256)):
                pack = found
            else:
                new[sha256] = body
            packs.append(pack)
        if new:
            self._packs.append([*new], [*new.values()])
        self._used_packs |= {*packs} - {""}
        return [*zip(digests, packs, strict=True)]

    def _intact_pack(self, sha256: str) -> str:
        if sha256 in self._packs.places(self._packs.own):
            return self._packs.own
        place = self._packs.find(sha256, [*filter(is_pack, self._existing_names)])
        is_intact = place and hashlib.sha256(self._packs.read(place)).hexdigest() == sha256
        return place.pack if place and is_intact else ""

    def _write(self, name: str, data: bytes) -> None:
        descriptor, path = self._fs.create(self._bodies, name), self._bodies.path / name
        try:
            try:
                self._fs.write(descriptor, data, path)
                if self._mode != PRIVATE:  # the mode of a new file
                    self._fs.chmod(descriptor, self._mode, path)
            finally:
                self._fs.close(descriptor, path)
        except FtetlError:  # half a file is of no use, and the disk may be full
            with contextlib.suppress(FtetlError):
                self._fs.unlink(self._bodies, name)
            raise
        self._written[name] = len(data), hashlib.sha256(data).hexdigest()

    @cached_property
    def _existing_names(self) -> set[str]:
        return set(self._fs.list_names(self._bodies))

    def _is_intact(self, sha256: str) -> bool:
        try:
            self.read_body(sha256)
        except StorageError:
            return False
        return True

    def sync(self) -> None:
        """Make the stored bodies durable, and read them back; call it before the commit that relies on them."""
        if self._unsynced:
            self._start_sync()
        packs, self._used_packs = sorted(self._used_packs), set()
        self._syncs += [self._sync_pool.submit(self._packs.sync, name) for name in packs]
        started, self._syncs = self._syncs, []
        for future in started:
            future.result()
        if started:
            self._fs.sync_folder(self._bodies)
        self._checked.clear()

    def _start_sync(self) -> None:
        names, self._unsynced = self._unsynced, []
        written = {name: self._written.pop(name) for name in names if name in self._written}

        def sync_files() -> None:
            for name in names:
                self._fs.sync_file(self._bodies, name)
                if (expected := written.get(name)) and self._fs.digest(self._bodies, name) != expected:
                    raise read_back_error(self._bodies, name)

        self._syncs.append(self._sync_pool.submit(sync_files))

    def read_body(self, sha256: str, pack: str = "") -> bytes:
        """The bytes with this SHA-256, of the pack with this name or of a file of their own.

        Raises:
            StorageError: They are missing or damaged.
        """
        name = pack or sha256 + SUFFIX
        path = self._bodies.path / name
        if pack:
            place = self._packs.places(pack).get(sha256)
            data = self._packs.read(place) if place else b""
            is_there = place is not None or self._fs.lstat(self._bodies, pack) is not None
        else:
            packed = self._fs.read_bytes(self._bodies, name)
            data, is_there = decompress(packed or b""), packed is not None
        if not is_there:
            raise StorageError("A01", f"{path} is missing", next="restore the archive from a backup")
        if hashlib.sha256(data).hexdigest() != sha256:
            raise StorageError("A02", f"{path} is damaged", next="restore the archive from a backup")
        return data

    def write_index(self, version: int, document: Mapping[str, JSON]) -> None:
        """Store what the version was made from that is about to be committed; durable."""
        name = f"{version:020d}-{self._target.run_id}.json"
        self._target.replace_file(self._index, name, seal_json(document, CHECKSUM))

    def drop_unfinished(self, base: Manifest | None, next_version: int) -> None:
        """Remove the indexes of versions that were not committed.

        The index of a version whose manifest is damaged stays.
        """
        for name, version, run_id in self._index_names():
            if version >= next_version or (base is not None and version == base.version and run_id != base.run_id):
                self._fs.unlink(self._index, name)
        for name in self._fs.list_names(self._index):
            if name.startswith(TEMP):
                self._fs.unlink(self._index, name)

    def entries(self) -> Iterator[dict[str, Any]]:
        """The index of each version, the oldest first.

        Raises:
            StorageError: An index is damaged.
        """
        for name, _, _ in self._index_names():
            try:
                yield open_sealed_json(self._fs.read_bytes(self._index, name) or b"", CHECKSUM)
            except ValueError:
                path = self._index.path / name
                raise StorageError("A02", f"{path} is damaged", next="restore the archive from a backup") from None

    def _index_names(self) -> list[tuple[str, int, str]]:
        """The name, version and run id of each index, by version."""
        matches = map(_INDEX_NAME.fullmatch, self._fs.list_names(self._index))
        return sorted((match[0], int(match[1]), match[2]) for match in matches if match)


def _compress(blob: Blob) -> tuple[str, bytes]:
    """The SHA-256 of the bytes, and the bytes compressed."""
    if blob.size <= _CHUNK:  # nearly every response; a stream for each would take longer than all else
        data = blob.read(0, blob.size)
        return hashlib.sha256(data).hexdigest(), compress(data)
    import pyarrow as pa

    sha256 = hashlib.sha256()
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, ZSTD) as stream:
        for offset in range(0, blob.size, _CHUNK):
            piece = blob.read(offset, _CHUNK)
            sha256.update(piece)
            stream.write(piece)
    return sha256.hexdigest(), sink.getvalue().to_pybytes()
