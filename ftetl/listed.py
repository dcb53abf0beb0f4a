"""The digest of a listed document: whether a list says of a job what it said before.

Knows no field of a job.
"""

from __future__ import annotations

import hashlib

import msgspec

from ftetl import strict

_encoder = msgspec.json.Encoder(order="deterministic")


def digest(raw: bytes) -> bytes:
    """The SHA-256 of a listed document's canonical JSON: the same for the same content in any order."""
    try:
        text = _encoder.encode(msgspec.json.decode(raw))
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        try:
            text = strict.compact(strict.parse(raw), canonical=True).encode()
        except strict.RefusedError:
            text = raw
    return hashlib.sha256(text).digest()
