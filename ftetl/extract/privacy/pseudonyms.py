"""What stands for a person: a pseudonym that only the holder of a key can make, or nothing.

Equal texts have equal pseudonyms under one key, so that rows can still be grouped by person, across projects as well.
Knows the key and its file, not where in an answer people are named.
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
IDENTITY: Final = (MODE, FINGERPRINT)  # what a target remembers of how it treats people's data
KEPT: Final = "keep"
SHORTEST: Final = limits.PSEUDONYM_KEY
PREFIX: Final = "pii:"
_DIGITS: Final = 32
_CACHED: Final = 1 << 16  # people are few, and each is named often
_ABOUT_KEY: Final = b"\0ftetl: the fingerprint of this key"  # no text of JSON begins like this
_ABOUT_KEY_DIGITS: Final = 16


class Pseudonyms:
    """What stands for texts: `pii:` and 32 hexadecimal digits, or without a key nothing at all."""

    def __init__(self, key: bytes | None) -> None:
        self.__key = key
        self._known: dict[bytes, str] = {}

    @property
    def identity(self) -> dict[str, str]:
        """What a target remembers of them: the mode, and a fingerprint of the key."""
        if self.__key is None:
            return {MODE: "drop"}
        return {MODE: "hash", FINGERPRINT: _digest(self.__key, _ABOUT_KEY, _ABOUT_KEY_DIGITS)}

    def __call__(self, text: bytes) -> str | None:
        """What stands for this text."""
        if self.__key is None:
            return None
        found = self._known.get(text)
        if found is None:
            found = PREFIX + _digest(self.__key, text, _DIGITS)
            if len(self._known) < _CACHED:
                self._known[text] = found
        return found

    def __repr__(self) -> str:
        return f"Pseudonyms({self.identity})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a key is not written anywhere")


def read_pseudonyms(settings: Settings) -> Pseudonyms | None:
    """What stands for people by these settings; nothing where their data is kept as it is.

    Raises:
        ConfigError: There is no key, or one that is too short or too long.
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
