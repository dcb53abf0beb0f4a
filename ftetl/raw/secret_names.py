"""Which keys say that their value is a secret, in any spelling: `wandb_api_key`, `X-Auth-Token`, `clientSecret`."""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache


class KeyKind(Enum):
    """What the value of a key is."""

    NOTHING = 0
    TOKEN = 1  # a secret if it is a text that is long enough to be one
    SECRET = 2
    TEXT = 3  # a secret if it is a text


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_OWNERS = (
    "api|private|access|secret|auth|encryption|signing|ssh|session|webhook|wandb|hf|service|deploy|license|licence"
)
_SECRET = re.compile(
    r" \w*(?:passwo?r?ds?|passphrases?|credentials?|authorization|apikeys?) "
    rf"| (?:pwd|secrets?|creds|cookies?|bearer|pass word|(?:{_OWNERS}) ?keys?) "
)
_TOKEN = re.compile(
    r" (?:api|access|auth|refresh|bearer|secret|session|hf|id|user)? ?token (?:value |secret |string |header )?$"
)
_TOKENS = re.compile(r" (?:api|access|auth|refresh|bearer|secret) ?tokens $")
_ACCOUNTS = "db|database|smtp|imap|mail|email|user|admin|root|login|ftp|http|proxy|redis|pg|mysql|my"
_TEXT = re.compile(
    r" (?:jwt|dsn|access key id|conn(?:ection)? ?str(?:ing)?|(?:amz|goog|oss|ms) signature) $"
    rf"|^ (?:x |basic |http |proxy )?auth(?:entication)? $|^ (?:(?:{_ACCOUNTS}) )?pass $"
)
_CODE = re.compile(r"^ (?:(?:user|card|mfa|sms|login) )?(?:otp|pin)(?: code)? $")
# The last word of a key that speaks of a secret without holding it.
_ABOUT = re.compile(
    "counts?|limit|length|size|ids?|names?|types?|ur[il]|path|file|expires|expiry|expiration|at|ttl|required|enabled"
    "|policy|status|valid|version"
)
# The word before `token` where that is a piece of text, a price or a place in a list.
_PIECE = re.compile(
    "[ebf]os|pad|unk|sep|cls|mask|stop|next|page|continuation|special|per|image|audio|video|start|end|first|last|prompt"
    "|completion|input|output|tool|begin|fim|prefix|suffix|middle|placeholder|vision|new|each|boundary|think|and|of"
)


@lru_cache(maxsize=4096)
def classify_key(key: str) -> KeyKind:
    """What the value of this key is, as far as the key tells."""
    words = [word.lower() for word in _WORD.findall(key)]
    spelled = f" {' '.join(words)} "
    if _TEXT.search(spelled):
        return KeyKind.TEXT
    if not words or _ABOUT.fullmatch(words[-1]):
        return KeyKind.NOTHING
    if any(pattern.search(spelled) for pattern in (_SECRET, _TOKENS, _CODE)):
        return KeyKind.SECRET
    if not _TOKEN.search(spelled):
        return KeyKind.NOTHING
    before = words[words.index("token") - 1] if "token" in words[1:] else ""
    return KeyKind.NOTHING if _PIECE.fullmatch(before) else KeyKind.TOKEN
