"""The digest of a listed document, and the bytes of an answer as they may be kept: without the values of secrets.

Knows no field of a job.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator

import msgspec

from ftetl.raw import strict_json
from ftetl.raw.blob import Blob, Memory

_WINDOW, _OVERLAP = 1 << 20, 128  # bytes looked at in one go; no key is longer, however it is escaped
_encoder = msgspec.json.Encoder(order="deterministic")


def digest(raw: bytes) -> bytes:
    """The SHA-256 of a listed document's canonical JSON: the same for the same content in any order."""
    raw = strict_json.mask(raw)  # so that what is kept of it gives the same digest
    try:
        text = _encoder.encode(msgspec.json.decode(raw))
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        try:
            text = strict_json.compact(strict_json.parse(raw), canonical=True).encode()
        except strict_json.RefusedError:
            text = raw
    return hashlib.sha256(text).digest()


def masked(blob: Blob, *, lines: bool = False) -> Blob:
    """An answer as it may be kept: exact but for the values of secrets; in `lines` each ends with its line."""
    starts = range(0, blob.size, _WINDOW)
    if not any(strict_json.names_secret(blob.read(start, _WINDOW + _OVERLAP)) for start in starts):
        return blob
    raw = blob.read(0, blob.size)
    return Memory(b"".join(_by_line(raw)) if lines else strict_json.mask(raw))


def _by_line(raw: bytes) -> Iterator[bytes]:
    before = b""
    for line in io.BytesIO(raw):  # which ends a line as an answer of lines does
        bare = line.lstrip()
        yield line[: len(line) - len(bare)] + strict_json.mask(bare, before)
        before = line if bare else before
