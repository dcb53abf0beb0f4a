"""Masks secrets in raw bytes, whether these are valid JSON or not.

`mask_everything` masks all that `secret_names` and `secret_forms` know, once, as responses arrive; `mask_secrets` masks
the values of the keys that the contract lists, also where a colon is missing.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

from ftetl.contract import tables
from ftetl.formatting import MASK
from ftetl.raw import secret_hints
from ftetl.raw.blob import Blob, Memory
from ftetl.raw.json_tokens import end_of_value, escaped_key_pattern
from ftetl.raw.secret_search import LARGE, OVERLAP, SecretSearch

_WINDOW = 4 << 20  # bytes that are searched for the contract's keys at once
_SMALL = 1 << 20  # bytes of a blob that is looked at together with others, for which the pattern is compiled once
_NAME = re.compile(r"[A-Za-z][A-Za-z_. -]{0,40}")  # of a key that is told; any other may be a secret itself
_OTHER = "other keys"


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


def may_need_masking(blobs: Sequence[Blob]) -> list[bool]:
    """By blob whether `mask_everything` may change its bytes; nearly every response is done with this look."""
    if len(blobs) > 1 and max(blob.size for blob in blobs) <= _SMALL:
        return secret_hints.may_hold_secrets([blob.read(0, blob.size) for blob in blobs])
    return [_may_need_masking(blob) for blob in blobs]


def _may_need_masking(blob: Blob) -> bool:
    if blob.size < LARGE:
        return any(secret_hints.may_hold_secrets([blob.read(0, blob.size)]))
    with SecretSearch(blob) as search:
        return search.may_need_masking()


def mask_everything(raw: bytes, found: Counter[str] | None = None, *, lines: bool = False) -> bytes:
    """The bytes with every secret masked.

    Args:
        raw: A response.
        found: Counts what is masked, by key or form.
        lines: Whether it is one job a line; then a value ends with its line.
    """
    from ftetl.raw import secret_forms  # compiles many patterns, and is seldom needed
    from ftetl.raw.secret_keys import SecretKeys

    parts: list[bytes] = []
    done = 0
    keys = SecretKeys(raw)
    for secret in secret_forms.find_secrets(raw):
        end = secret.end
        if lines and (line_end := raw.find(b"\n", secret.start, end)) >= 0:
            end = line_end
        number = keys.number(secret.start, end)
        mask = MASK + (str(number) if number > 1 else "")
        parts += (raw[done : secret.start], secret.template.replace(b"%s", mask.encode()))
        done = end
        if found is not None:
            found[secret.name if _NAME.fullmatch(secret.name) else _OTHER] += 1
    masked = b"".join([*parts, raw[done:]])
    return b"".join(_masked_lines(masked)) if lines else mask_secrets(masked)


def mask_blob(blob: Blob, *, lines: bool = False) -> Blob:
    """The blob with the values of secret keys masked; the same object if it has none.

    Args:
        blob: A response.
        lines: Whether it is one job a line; then a value ends with its line.
    """
    starts = range(0, blob.size, _WINDOW)
    if not any(names_secret_key(blob.read(start, _WINDOW + OVERLAP)) for start in starts):
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
    if b"\\u" not in raw and not any(key in raw for key in _plain_secret_keys()):
        return False
    return _secret_names().search(raw) is not None


@cache
def _plain_secret_keys() -> tuple[bytes, ...]:
    return tuple(key.encode() for key in secret_keys())


@cache
def _secret_names() -> re.Pattern[bytes]:
    return re.compile(rb'"(?:' + b"|".join(map(escaped_key_pattern, secret_keys())) + rb')"')


@cache
def _secret_keys_and_colons() -> re.Pattern[bytes]:
    return re.compile(_secret_names().pattern + rb"\s*:?\s*")


@cache
def _secret_key_at_end() -> re.Pattern[bytes]:
    return re.compile(_secret_keys_and_colons().pattern + rb"\Z")
