"""Packs: many bodies of the archive in one file, since thousands of small files take longer than their requests.

A pack belongs to one run, and is a zstd file of blocks. A block is a skippable frame (RFC 8878, 3.1.2) with the
SHA-256 and the length of each body as JSON, and a frame with these bodies, one after the other. So `zstd -dc` prints
all bodies; and of a run that was killed every whole block can be read. A block that is cut or damaged ends the pack.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import msgspec

from ftetl.extract.zstd import compress, decompress
from ftetl.store.durable_file import read_back_error
from ftetl.store.filesystem import PRIVATE, Folder, Fs

_NAME: Final = re.compile(r"details-\d{8}T\d{6}Z-[0-9a-f]{8}\.zst")
_SKIPPABLE: Final = struct.Struct("<II")  # the magic number, and how many bytes to skip
_MAGIC: Final = 0x184D2A50
_MAX_INDEX: Final = 1 << 20  # bytes; that of a thousand bodies has less than a tenth


class _Index(msgspec.Struct):
    """What the skippable frame of a block says about the frame after it."""

    sha256: list[str]
    bytes: list[int]  # of each body
    packed: int  # bytes of the frame


_index = msgspec.json.Decoder(_Index)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a body is: in which pack, in which frame of it, and where in the frame's text."""

    pack: str
    frame: tuple[int, int]  # offset and length
    start: int
    size: int


class Packs:
    """The packs of an archive's folder, and the one that this run adds to; close them before the folder."""

    def __init__(self, fs: Fs, folder: Folder, run_id: str, mode: int) -> None:
        self._fs, self._folder, self._mode = fs, folder, mode
        self.own = f"details-{run_id}.zst"
        self._places: dict[str, dict[str, Place]] = {}  # by pack that was looked at
        self._text: tuple[tuple[str, int], bytes] | None = None  # of the frame that was read last
        self._descriptor = -1
        self._size, self._hash = 0, hashlib.sha256()
        self._is_cut = False  # whether a block was begun and not ended

    def find(self, sha256: str, names: Sequence[str]) -> Place | None:
        """The place of a body in one of these packs."""
        return next((place for name in names if (place := self.places(name).get(sha256))), None)

    def places(self, name: str) -> dict[str, Place]:
        """The place of each body of a pack; none if there is no such pack."""
        if name not in self._places:
            self._places[name] = dict(self._scan(name))
        return self._places[name]

    def read(self, place: Place) -> bytes:
        """The bytes at a place; something else if they are damaged."""
        key = place.pack, place.frame[0]
        if self._text is None or self._text[0] != key:
            frame = self._fs.read_part(self._folder, place.pack, *place.frame)
            self._text = key, decompress(frame)
        return self._text[1][place.start : place.start + place.size]

    def append(self, digests: Sequence[str], bodies: Sequence[bytes]) -> None:
        """Add bodies, which have these SHA-256, to the pack of this run; durable only after `sync`."""
        frame = compress(b"".join(bodies))
        index = _Index([*digests], [*map(len, bodies)], len(frame))
        head = msgspec.json.encode(index)
        block = _SKIPPABLE.pack(_MAGIC, len(head)) + head + frame
        path = self._folder.path / self.own
        if self._is_cut:  # what came after half a block would not be found
            raise read_back_error(self._folder, self.own)
        self._is_cut = True
        if self._descriptor < 0:
            self._descriptor = self._fs.create(self._folder, self.own)
            if self._mode != PRIVATE:
                self._fs.chmod(self._descriptor, self._mode, path)
        self._fs.write(self._descriptor, block, path)
        self._is_cut = False
        self._places.setdefault(self.own, {}).update(_places(self.own, index, self._size + len(block) - len(frame)))
        self._size += len(block)
        self._hash.update(block)

    def sync(self, name: str) -> None:
        """Make a pack durable, and read that of this run back."""
        self._fs.sync_file(self._folder, name)
        if name == self.own and self._fs.digest(self._folder, name) != (self._size, self._hash.hexdigest()):
            raise read_back_error(self._folder, name)

    def close(self) -> None:
        """Close the pack of this run; safe to call twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._fs.close(descriptor, self._folder.path / self.own)

    def _scan(self, name: str) -> Iterator[tuple[str, Place]]:
        status = self._fs.lstat(self._folder, name)
        at, end = 0, status.st_size if status else 0
        while at + _SKIPPABLE.size < end:
            magic, length = _SKIPPABLE.unpack(self._read(name, at, _SKIPPABLE.size))
            frame = at + _SKIPPABLE.size + length
            if magic != _MAGIC or not 0 < length <= _MAX_INDEX or frame >= end:
                return
            try:
                index = _index.decode(self._read(name, at + _SKIPPABLE.size, length))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                return
            at = frame + index.packed
            if index.packed <= 0 or at > end:
                return
            yield from _places(name, index, frame)

    def _read(self, name: str, offset: int, length: int) -> bytes:
        return self._fs.read_part(self._folder, name, offset, length)


def is_pack(name: str) -> bool:
    """Whether a file of the archive is a pack, by its name."""
    return _NAME.fullmatch(name) is not None


def _places(pack: str, index: _Index, frame: int) -> Iterator[tuple[str, Place]]:
    starts = accumulate(index.bytes, initial=0)
    for sha256, start, size in zip(index.sha256, starts, index.bytes, strict=False):
        yield sha256, Place(pack, (frame, index.packed), start, size)
