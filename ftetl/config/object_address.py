"""Addresses of targets in object stores, such as `s3://bucket/prefix`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

from ftetl.errors import ConfigError

SCHEMES: Final = ("s3", "gs", "az")
# One slash: `pathlib` has made one of two.
_SUPPORTED: Final = re.compile(rf"({'|'.join(SCHEMES)}):/+(.*)", re.DOTALL)
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,221}[a-z0-9]")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9=_][A-Za-z0-9!_.'()=+@,:&$ -]{0,199}")


@dataclass(frozen=True)
class ObjectAddress:
    """The bucket (Azure: the container) of a target and the prefix of its keys, which may be empty."""

    scheme: str
    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")


def parse_address(target: str | os.PathLike[str]) -> ObjectAddress | None:
    """The address of a target in an object store; None for a path, and for an address of another kind.

    Raises:
        ConfigError: It has no bucket, or a character that does not belong there; it is not repeated, since people put
            passwords into addresses.
    """
    found = _SUPPORTED.fullmatch(os.fspath(target))
    if not found:
        return None
    bucket, _, prefix = found[2].partition("/")
    prefix = prefix.rstrip("/")
    if not _BUCKET.fullmatch(bucket) or (prefix and not all(map(_SEGMENT.fullmatch, prefix.split("/")))):
        what = f"the {found[1]} address of the target is malformed"
        raise ConfigError("P19", what, next=f"write it like {found[1]}://bucket/prefix, without a key or a query")
    return ObjectAddress(found[1], bucket, prefix)
