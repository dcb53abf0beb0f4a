"""The message in an error body, and server text made safe for log lines: short, printable, keys and e-mails masked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from ftetl.config import limits
from ftetl.config.credentials import Secret
from ftetl.formatting import MASK

_EMAIL: Final = re.compile(r"[^\s@\"'<>(),;:]+@[^\s@\"'<>(),;:]+")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_+/=-]{32,}")  # a key, whoever's it is
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_REQUEST_ID_HEADERS: Final = ("x-together-request-id", "cf-ray", "x-request-id")


def printable(text: str, key: Secret) -> str:
    """At most 200 characters: keys and e-mail addresses masked, control and bidi characters escaped."""
    masked = key.hide(text)[: 4 * limits.REMOTE_TEXT]
    masked = _TOKEN.sub(MASK, _EMAIL.sub(MASK, masked))
    escaped = "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in masked.strip())
    return escaped if len(escaped) <= limits.REMOTE_TEXT else escaped[: limits.REMOTE_TEXT - 1] + "…"


def error_message(body: bytes) -> str:
    """The message of an error body, in any of the shapes that the API and proxies use; "" without one."""
    if is_markup(body):
        return ""
    document = parse_json(body)
    if document is None:
        return body.decode("utf-8", errors="replace")
    if not isinstance(document, dict):
        return ""
    error = document.get("error")
    inner = error if isinstance(error, dict) else {}
    for text in (inner.get("message"), error, document.get("message"), inner.get("type"), document.get("details")):
        if isinstance(text, str) and text:
            return text
    return ""


def parse_json(body: bytes) -> object:
    """The body as JSON; None if it is not JSON or too long for an error."""
    if len(body) > limits.ERROR_BODY:
        return None
    try:
        return msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def is_markup(body: bytes) -> bool:
    """Whether the body is a web page, whatever its `Content-Type` says."""
    return body[: limits.CHUNK].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def request_id(headers: Mapping[str, str], key: Secret) -> str:
    """The server's id of this request; "" without one."""
    for name in _REQUEST_ID_HEADERS:
        value = headers.get(name, "")
        if _REQUEST_ID.fullmatch(value) and key.hide(value) == value:
            return value
    return ""
