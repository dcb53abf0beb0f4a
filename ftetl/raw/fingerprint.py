"""The digest of a listed job's document, by which a change in it is noticed."""

from __future__ import annotations

import hashlib

import msgspec

from ftetl.raw import strict_json
from ftetl.raw.secret_masking import mask_secrets

_encoder = msgspec.json.Encoder(order="deterministic")


def document_digest(raw: bytes) -> bytes:
    """The SHA-256 of the document's canonical JSON, secrets masked; the order of keys does not change it."""
    raw = mask_secrets(raw)  # so that the archived document has the same digest
    try:
        text = _encoder.encode(msgspec.json.decode(raw))
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        try:
            text = strict_json.compact_json(strict_json.parse(raw), canonical=True).encode()
        except strict_json.RefusedError:
            text = raw
    return hashlib.sha256(text).digest()
