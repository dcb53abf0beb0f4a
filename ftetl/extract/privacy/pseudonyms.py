"""Pseudonyms for personal data, which only the holder of a key can compute; or no replacement at all.

Equal texts have equal pseudonyms under one key, so that rows can still be grouped by person, across projects as well.
"""

from __future__ import annotations

import hmac
from typing import Final

from ftetl.config import limits
from ftetl.config.credentials import read_file
from ftetl.config.settings import Settings
from ftetl.errors import ConfigError

OPTION: Final = "--pii-key-file"
MODE: Final = "pii"
FINGERPRINT: Final = "pii_key"
IDENTITY: Final = (MODE, FINGERPRINT)  # the keys of a target's identity that say how it treats personal data
KEPT: Final = "keep"
SHORTEST: Final = limits.PSEUDONYM_KEY
PREFIX: Final = "pii:"
_DIGITS: Final = 32
_CACHE_SIZE: Final = 1 << 16  # people are few, and each is named often
_FINGERPRINT_TEXT: Final = b"\0ftetl: the fingerprint of this key"  # no JSON string begins like this
_FINGERPRINT_DIGITS: Final = 16


class Pseudonyms:
    """The pseudonyms of texts: `pii:` and 32 hexadecimal digits; without a key, None."""

    def __init__(self, key: bytes | None) -> None:
        self.__key = key
        self._cache: dict[bytes, str] = {}

    @property
    def identity(self) -> dict[str, str]:
        """The part of a target's identity: the mode, and a fingerprint of the key."""
        if self.__key is None:
            return {MODE: "drop"}
        return {MODE: "hash", FINGERPRINT: _digest(self.__key, _FINGERPRINT_TEXT, _FINGERPRINT_DIGITS)}

    def __call__(self, text: bytes) -> str | None:
        """The pseudonym of this text."""
        if self.__key is None:
            return None
        pseudonym = self._cache.get(text)
        if pseudonym is None:
            pseudonym = PREFIX + _digest(self.__key, text, _DIGITS)
            if len(self._cache) < _CACHE_SIZE:
                self._cache[text] = pseudonym
        return pseudonym

    def __repr__(self) -> str:
        return f"Pseudonyms({self.identity})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a key is never pickled")


def read_pseudonyms(settings: Settings) -> Pseudonyms | None:
    """The pseudonyms of these settings; None if personal data is kept as it is.

    Raises:
        ConfigError: The key is missing, too short or too long.
    """
    if settings.pii == KEPT:
        return None
    if settings.pii == "drop":
        return Pseudonyms(None)
    if settings.pii_key_file is None:
        raise ConfigError(
            "P12",
            "--pii hash needs a key",
            next=f"give {OPTION} a file with {SHORTEST} random bytes or more, and keep it",
        )
    data = read_file(settings.pii_key_file, OPTION)
    if len(data) >= limits.KEY_FILE:
        raise ConfigError(
            "P13", f"the file of {OPTION} is too long for a key", next="give the file that holds the key alone"
        )
    key = data.removeprefix(b"\xef\xbb\xbf").strip()
    if len(key) < SHORTEST:
        what = f"the key in the file of {OPTION} has {len(key)} bytes"
        raise ConfigError("P13", what, next=f"take {SHORTEST} random bytes or more, and keep them")
    return Pseudonyms(key)


def _digest(key: bytes, text: bytes, digits: int) -> str:
    return hmac.digest(key, text, "sha256").hex()[:digits]
