"""What may be a secret, as the texts of patterns, and the first look, with which nearly every response is done.

What follows is in `secret_forms`, whose patterns take a thirtieth of a second to compile.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

WORD = "(?i:key|secret|credential|creds|cookie|passw|passphrase|pwd|authorization|bearer)"
# Words that say secret only at the end of a name, so that few other keys are looked at.
LAST_WORD = (
    "(?i:tokens?(?:[-_. ]?(?:value|string|header))?|auth|authentication|pass|jwt|dsn|otp|pin|signature|sig"
    "|conn(?:ection)?[-_. ]?str(?:ing)?)"
)
_NAME = rf"(?:{WORD}[\w-]*|{LAST_WORD})"
_SCHEME = "(?:(?i:bearer|basic|token|apikey|digest) +)?"
# A quote without a backslash ends the text itself.
_QUOTE = r"""(?:(?:\\+["']|')[^]},:\s])?"""
ASSIGNED = rf"""{_NAME} *[=:]{{1,2}} *|--[\w-]*{_NAME}(?: +|\\*["']\s*,\s*\\*["'])"""
ASSIGNED_LIKELY = rf"""(?:{ASSIGNED}){_QUOTE}{_SCHEME}(?:\\+/|[^\s"'\\]){{5}}"""
VALUE_KEY = r"""\\*["'](?i:value|val|content)\\*["']\s*:\s*"""
NAME_KEY = r"""\\*["'](?i:name|key|header|field|variable|var|param|parameter|id|k)\\*["']\s*:\s*\\*["']"""
PAIR_LIKELY = rf"""{NAME_KEY}[^"'\\]*(?:{WORD}|{LAST_WORD}\\*["'])"""

_WORD = rf"{WORD}|\\u00[2-7][0-9a-fA-F]"
_WORDS = rf"(?:{LAST_WORD}|(?:{_WORD})(?:[\w. -]|\\u[0-9a-fA-F]{{4}})*)"
KEY = _WORDS + r"""\\*["']\s*:\s*"""
_FORMS = (
    r"(?i:bearer |basic )|hf_[a-zA-Z0-9]{8}|sk-[a-zA-Z0-9_-]{12}|tgp_[a-zA-Z0-9]|A[KS]IA[A-Z0-9]{4}|gh[pousr]_"
    r"|github_pat_|xox[a-z]-|AIza|eyJ[a-zA-Z0-9_-]+\.eyJ|-----BEGIN [A-Z0-9 ]*PRIVATE KEY"
    r"""|(?://|\\+/\\+/)[^/\s"'@:\\]*:[^/\s"'@\\]+@"""
)
# In a key's values nothing, null, true and false are no secrets; nearly no response has anything else.
_LIKELY = rf"""{KEY}(?:\\*["'][^"'\\]|[^ntf"'\\\s])|{ASSIGNED_LIKELY}|{PAIR_LIKELY}|{_FORMS}"""
# No less may match where `_LIKELY` does; it is simpler, and so a third faster.
_HINT = rf"""{WORD}|{LAST_WORD}[=: "'\\]|\\u00[2-7]|{_FORMS}"""
PLACE = rf"{KEY}|{ASSIGNED}|{VALUE_KEY}|{_FORMS}"


def may_hold_secrets(raws: Sequence[bytes | memoryview]) -> list[bool]:
    """By text whether a closer look is needed; about 500 MB/s, and half a millisecond for the patterns."""
    import pyarrow.compute as pc

    array = as_array(raws)
    hints = pc.match_substring_regex(array, _HINT).to_pylist()
    return pc.match_substring_regex(array, _LIKELY).to_pylist() if any(hints) else hints


def as_array(raws: Sequence[bytes | memoryview]) -> Any:
    """The texts as an Arrow array; one alone is not copied."""
    import pyarrow as pa

    if len(raws) != 1:
        return pa.array(raws, pa.large_binary())
    offsets = struct.pack("=qq", 0, len(raws[0]))
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(raws[0])])
