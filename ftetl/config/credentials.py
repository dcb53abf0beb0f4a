"""The API key and the API's address, from the options, the environment and the key file.

A key is in a `Secret`, which cannot be printed; no message repeats the value of a setting.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import stat
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from ftetl.config import limits
from ftetl.errors import ConfigError
from ftetl.formatting import MASK

KEY_VARIABLE: Final = "TOGETHER_API_KEY"
KEY_OPTION: Final = "--api-key-file"
URL_VARIABLE: Final = "TOGETHER_BASE_URL"
URL_OPTION: Final = "--base-url"
DEFAULT_URL: Final = "https://api.together.ai/v1"
VENDOR_HOSTS: Final = frozenset({"api.together.ai", "api.together.xyz"})  # one service under two names
_INFERENCE_HOSTS: Final = frozenset({"api-inference.together.ai", "api-inference.together.xyz"})  # models only, no jobs
VENDOR_SERVICE: Final = "together"

_LENGTHS: Final = range(8, 513)
_URL_SAFE: Final = str.maketrans("+/", "-_")
_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", re.ASCII)
_PORTS: Final = {"https": 443, "http": 80}

_log = logging.getLogger(__name__)


class Secret:
    """An API key; in print, in a traceback and in a pickle it is `***`."""

    __slots__ = ("__value", "source")

    def __init__(self, value: str, source: str = "") -> None:
        self.__value = value
        self.source = source  # the setting that it comes from

    def reveal(self) -> str:
        """The key itself, for the one header that carries it."""
        return self.__value

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that tell one key from another."""
        return hashlib.sha256(self.__value.encode()).hexdigest()[:8]

    def hide(self, text: str) -> str:
        """The text with `***` in the place of the key, also where it is percent-encoded or in base64."""
        for form in self._forms():
            text = text.replace(form, MASK)
        return text

    def hide_bytes(self, raw: bytes) -> bytes:
        """As `hide`, for bytes."""
        for form in self._forms():
            raw = raw.replace(form.encode(), MASK.encode())
        return raw

    def _forms(self) -> Iterator[str]:
        key = self.__value.encode()
        yield self.__value
        yield quote(self.__value, safe="")
        for before in range(3):  # base64 depends on where in a group of three bytes the key begins
            encoded = base64.b64encode(bytes(before) + key).decode()
            encoded = encoded[before and before + 1 : (before + len(key)) * 8 // 6]  # without what neighbours change
            yield encoded
            yield encoded.translate(_URL_SAFE)

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __reduce__(self) -> tuple[type[Secret], tuple[str, str]]:
        return Secret, (MASK, self.source)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


def read_key(environ: Mapping[str, str], key_file: Path | None) -> Secret:
    """The API key: from the file if one is given, else from `TOGETHER_API_KEY`.

    White space around it (like the newline at the end of a Kubernetes secret) and a byte order mark are removed. A
    file that others may read is used with a warning, since secrets are mounted that way.

    Raises:
        ConfigError: There is no key, its file cannot be read, or it is malformed.
    """
    if key_file is not None:
        key = Secret(_stripped(read_file(key_file, KEY_OPTION).decode("utf-8-sig", errors="replace")), KEY_OPTION)
    else:
        key = Secret(_stripped(environ.get(KEY_VARIABLE, "")), KEY_VARIABLE)
    code, problem, advice = _key_problem(key)
    if problem:  # raised here, where no variable holds the bare text
        raise ConfigError(code, problem, next=advice)
    return key


def _stripped(text: str) -> str:
    return text.strip(" \t\r\n\v\f")


def _key_problem(key: Secret) -> tuple[str, str, str]:
    """The error code, what is wrong with the key, and what to do about it; empty texts for a good key."""
    text, source = key.reveal(), key.source
    if not text:
        what = "there is no API key" if source == KEY_VARIABLE else f"the file of {KEY_OPTION} is empty"
        return "P07", what, f"set {KEY_VARIABLE}, or give {KEY_OPTION} a file that holds the key"
    for position, letter in enumerate(text, start=1):
        if not "!" <= letter <= "~":
            what = f"the API key from {source} has an invalid character at position {position} of {len(text)}"
            return "X04", what, "a key is one line of visible ASCII characters, and nothing else"
    if len(text) not in _LENGTHS:
        least, most = _LENGTHS[0], _LENGTHS[-1]
        what = f"the API key from {source} has {len(text)} characters"
        return "X04", what, f"a key has {least} to {most}: copy it again"
    return "", "", ""


def read_file(path: Path, option: str) -> bytes:
    """The first bytes of an option's key file, as many as a key can have.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limits.KEY_FILE)
            mode = path.stat().st_mode
    except OSError:
        advice = "check its path and its permissions"
        raise ConfigError("P08", f"the file of {option} cannot be read", next=advice) from None
    if mode & stat.S_IROTH:
        _log.warning("the file of %s can be read by everybody: chmod 600, or defaultMode: 0400", option)
    return data


def base_url(text: str | None, environ: Mapping[str, str]) -> str:
    """The address below which the endpoints lie, `https://host/v1`, however it was written.

    `text` is the option's value; without it `TOGETHER_BASE_URL` counts, and without that the vendor's address.

    Raises:
        ConfigError: It is not https (http may go to a loopback address), has a user, a query or a fragment, or is that
            of the vendor's inference.
    """
    source = URL_OPTION if text else URL_VARIABLE
    address = (text or environ.get(URL_VARIABLE) or DEFAULT_URL).strip()
    parts, host, port = _split(address, source)
    if parts.scheme not in _PORTS:
        raise _bad_url(source, "does not start with https://")
    if parts.username is not None or parts.password is not None:
        raise _bad_url(source, "has a user or a password; the key goes elsewhere")
    if "?" in address or "#" in address:
        raise _bad_url(source, "has a query or a fragment")
    if parts.scheme == "http" and not _is_loopback(host):
        raise _bad_url(source, "is http, which would send the key in the clear")
    if host.rstrip(".") in _INFERENCE_HOSTS:
        raise _bad_url(source, "is that of Together's inference, which has no fine-tuning jobs")
    path = parts.path.rstrip("/")
    if not path.endswith("/v1"):
        path += "/v1"
    return f"{parts.scheme}://{_netloc(parts.scheme, host, port)}{path}"


def service(url: str) -> str:
    """The service at an address that `base_url` made: `together` for the vendor's two hosts, else the `host[:port]`."""
    host = host_of(url)
    return VENDOR_SERVICE if host in VENDOR_HOSTS else host


def host_of(url: str) -> str:
    """The `host[:port]` of an address that `base_url` made, as messages name it."""
    return urlsplit(url).netloc


def _split(address: str, source: str) -> tuple[SplitResult, str, int | None]:
    # urlsplit drops tabs and newlines, and checks nothing else.
    if not all("!" <= letter <= "~" for letter in address):
        raise _bad_url(source, "has a character that is not allowed in an address")
    try:
        parts = urlsplit(address)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise _bad_url(source, "is not an address") from None
    if not _HOST.fullmatch(host) and ":" not in host:
        raise _bad_url(source, "has no host" if parts.scheme in _PORTS else "does not start with https://")
    return parts, host, port


def _netloc(scheme: str, host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port in (None, _PORTS[scheme]) else f"{name}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bad_url(source: str, why: str) -> ConfigError:
    return ConfigError("X06", f"the address from {source} {why}", next=f"write it like {DEFAULT_URL}")
