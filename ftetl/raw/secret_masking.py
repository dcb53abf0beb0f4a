"""Masks the values of secret keys in raw bytes, whether these are valid JSON or not."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from functools import cache

from ftetl.contract import tables
from ftetl.formatting import MASK
from ftetl.raw.blob import Blob, Memory
from ftetl.raw.json_tokens import end_of_value, escaped_key_pattern

_WINDOW, _OVERLAP = 1 << 20, 128  # bytes searched at once; the overlap is longer than any escaped key


def secret_keys() -> tuple[str, ...]:
    """The keys whose values are masked."""
    return tables()["jobs"].secrets


def mask_secrets(raw: bytes, before: bytes = b"") -> bytes:
    """The bytes with the values of secret keys masked.

    Args:
        raw: The bytes to mask.
        before: The bytes in front of them. If these end in a secret key, `raw` begins with its value and is masked,
            unless it is an object, as an element is.
    """
    if before and not raw.startswith(b"{") and (key := _secret_key_at_end().search(before)):
        return mask_secrets(key[0] + raw)[len(key[0]) :]
    if not names_secret_key(raw):
        return raw
    masked = bytearray()
    done = 0
    for match in _secret_keys_and_colons().finditer(raw):
        if match.start() < done:  # inside a value that is already masked
            continue
        end = end_of_value(raw, match.end())
        if raw[match.end() : end].strip() not in (b"", b"null", b'""'):
            masked += raw[done : match.end()] + b'"' + MASK.encode() + b'"'
            done = end
    return bytes(masked + raw[done:])


def mask_blob(blob: Blob, *, lines: bool = False) -> Blob:
    """The blob with the values of secret keys masked; the same object if it has none.

    Args:
        blob: A response.
        lines: Whether it is one job a line; then a value ends with its line.
    """
    starts = range(0, blob.size, _WINDOW)
    if not any(names_secret_key(blob.read(start, _WINDOW + _OVERLAP)) for start in starts):
        return blob
    raw = blob.read(0, blob.size)
    return Memory(b"".join(_masked_lines(raw)) if lines else mask_secrets(raw))


def _masked_lines(raw: bytes) -> Iterator[bytes]:
    before = b""
    for line in io.BytesIO(raw):  # ends a line at "\n" only, as the index does
        bare = line.lstrip()
        yield line[: len(line) - len(bare)] + mask_secrets(bare, before)
        before = line if bare else before


def names_secret_key(raw: bytes) -> bool:
    """Whether a secret key stands in the bytes, as a key or as any other string."""
    # Searching for the plain text is ten times as fast, and without escapes it is enough.
    if b"\\u" not in raw and not any(key.encode() in raw for key in secret_keys()):
        return False
    return _secret_names().search(raw) is not None


@cache
def _secret_names() -> re.Pattern[bytes]:
    return re.compile(rb'"(?:' + b"|".join(map(escaped_key_pattern, secret_keys())) + rb')"')


@cache
def _secret_keys_and_colons() -> re.Pattern[bytes]:
    return re.compile(_secret_names().pattern + rb"\s*:?\s*")


@cache
def _secret_key_at_end() -> re.Pattern[bytes]:
    return re.compile(_secret_keys_and_colons().pattern + rb"\Z")
