"""Numbers the secrets that are keys themselves, so that two of one object are two keys when they are masked."""

from __future__ import annotations

import re

from ftetl.raw.json_tokens import STRING_OR_BRACKET

_REST_OF_KEY = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*"(?=\s*:)', re.DOTALL)


class SecretKeys:
    """The secrets in keys of `raw`, asked for in order."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = -1  # until where the depth is known
        self._depth = 0
        self._seen: dict[int, dict[bytes, int]] = {}  # of the open objects, by depth

    def number(self, start: int, end: int) -> int:
        """Which secret key of its object this is, from 1; the same secret has the same number; 0 if it is no key."""
        if self._raw.startswith(b'"', start) or not (rest := _REST_OF_KEY.match(self._raw, end)):
            return 0
        if self._at >= 0:
            self._walk(start)
        self._at = rest.end()
        seen = self._seen.setdefault(self._depth, {})
        return seen.setdefault(self._raw[start:end], len(seen) + 1)

    def _walk(self, stop: int) -> None:
        for token in STRING_OR_BRACKET.finditer(self._raw, self._at, max(stop, self._at)):
            if token[0] in (b"{", b"["):
                self._depth += 1
            elif token[0] in (b"}", b"]"):
                self._seen.pop(self._depth, None)
                self._depth -= 1
