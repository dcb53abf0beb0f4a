"""Failures of a request, as values, and which failure an exception of requests, urllib3, http.client or ssl is.

Exceptions are told apart by their classes. Their texts, which hold addresses and headers, are never repeated.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import requests
import urllib3.exceptions as urllib3_errors

from ftetl.config import limits
from ftetl.errors import AccessError, ConfigError, FtetlError, ProtocolError, SoftwareError, UnavailableError


@dataclass(frozen=True)
class RequestFailure:
    """Why a request has no usable response, and whether to retry it."""

    kind: type[FtetlError]  # the error to raise after the last retry
    code: str
    what: str
    next: str
    retries: int = 0  # how many retries such a failure is worth
    retry_after: float | None = None  # seconds that the server asked for
    pauses_all: bool = False  # whether all workers have to wait

    def error(self, requests_sent: int) -> FtetlError:
        """The error to raise after this many requests."""
        tries = f" after {requests_sent} requests" if requests_sent > 1 else ""
        return self.kind(self.code, f"{self.what}{tries}", next=self.next)


class RequestFailedError(Exception):
    """Carries a `RequestFailure` out of the reading of a body."""

    def __init__(self, failure: RequestFailure) -> None:
        super().__init__()
        self.failure = failure


_ERRORS_OF_URLS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    urllib3_errors.LocationValueError,
)
_NAMES = (urllib3_errors.NameResolutionError, socket.gaierror)
_TIMEOUTS = (urllib3_errors.ReadTimeoutError, TimeoutError)
_INCOMPLETE = (http.client.IncompleteRead, urllib3_errors.IncompleteRead)
_OTHER = (requests.RequestException, urllib3_errors.HTTPError)
_ENDS_OF_TLS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_LATER = "try again later"
_NETWORK = "check the network, then try again"
_AUTHORITIES = "check the host, this computer's clock and, behind a proxy that signs by itself, REQUESTS_CA_BUNDLE"
_TLS = "check --base-url, its port, and REQUESTS_CA_BUNDLE where it is set"
CHECK_ADDRESS: Final = "check --base-url and every proxy before the API"
_BUNDLES = "check REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE"
CUT_OFF: Final = "{host} ended the connection before its response was complete"
_UNVERIFIED = "the certificate of {host} could not be verified"
_NO_HTTP = "{host} responds in a way that is not HTTP"
_NO_TLS = "no TLS connection with {host} could be made"
_PROXY_REFUSES = "the proxy refuses to connect to {host}"
_NO_ADDRESS = "the address of {host}, or that of the proxy, is not valid"
_RETRY, _ONCE = limits.MAX_REQUESTS, limits.SUSPECT_RETRIES

_Exceptions = type[BaseException] | tuple[type[BaseException], ...]
# Of each exception the failure: its kind, code, text with `{host}` for the host, advice and retries. The first row that
# fits any exception of the chain counts: the narrower classes stand first.
_FAILURES: Final[tuple[tuple[_Exceptions, type[FtetlError], str, str, str, int], ...]] = (
    (ssl.SSLCertVerificationError, ProtocolError, "H30", _UNVERIFIED, _AUTHORITIES, 0),
    (_ENDS_OF_TLS, UnavailableError, "H15", CUT_OFF, _LATER, _RETRY),
    ((ssl.SSLError, urllib3_errors.SSLError), ProtocolError, "H30", _NO_TLS, _TLS, _ONCE),
    (urllib3_errors.ProxyError, UnavailableError, "H35", _PROXY_REFUSES, "check HTTPS_PROXY", _RETRY),
    (_NAMES, UnavailableError, "H29", "the name of {host} could not be resolved", _NETWORK, _RETRY),
    (ConnectionRefusedError, UnavailableError, "H14", "{host} refused the connection", _NETWORK, _RETRY),
    (urllib3_errors.NewConnectionError, UnavailableError, "H14", "{host} could not be reached", _NETWORK, _RETRY),
    (urllib3_errors.ConnectTimeoutError, UnavailableError, "H38", "{host} could not be reached", _NETWORK, _RETRY),
    (_TIMEOUTS, UnavailableError, "H28", "{host} stopped sending its response", _LATER, _RETRY),
    (urllib3_errors.InvalidChunkLength, UnavailableError, "H20", "{host} broke off in its response", _LATER, _RETRY),
    (_INCOMPLETE, UnavailableError, "H17", CUT_OFF, _LATER, _RETRY),
    (ConnectionError, UnavailableError, "H15", CUT_OFF, _LATER, _RETRY),
    (_ERRORS_OF_URLS, ConfigError, "X06", _NO_ADDRESS, "check --base-url and HTTPS_PROXY", 0),
    (http.client.HTTPException, ProtocolError, "H37", _NO_HTTP, CHECK_ADDRESS, _ONCE),
    (_OTHER, UnavailableError, "N01", "the connection with {host} broke", _NETWORK, _RETRY),
    # an OSError of no library: requests looks for this file before it connects
    (OSError, ConfigError, "P09", "the file of certificate authorities cannot be read", _BUNDLES, 0),
)
_PROXY_LOGIN: Final = re.compile(r"Tunnel connection failed: 407\b")  # http.client has no class for it


def failure_from_exception(error: Exception, host: str) -> RequestFailure:
    """The failure behind an exception of requests, urllib3, http.client, ssl or socket."""
    causes = list(_chain(error))
    if any(isinstance(cause, OSError) and _PROXY_LOGIN.match(str(cause)) for cause in causes):
        what, advice = "the proxy wants a login (407)", "put user and password into HTTPS_PROXY"
        return RequestFailure(AccessError, "H35", what, advice)
    for exceptions, kind, code, what, advice, retries in _FAILURES:
        if any(isinstance(cause, exceptions) for cause in causes):
            return RequestFailure(kind, code, what.format(host=host), advice, retries)
    what = f"an unexpected {type(error).__name__} in the exchange with {host}"
    return RequestFailure(SoftwareError, "B01", what, "please report this")


def failure_in_body(failure: RequestFailure, *, chunked: bool) -> RequestFailure:
    """The same failure, with the code that it has within the body of a response."""
    codes = {"H15": "H16", "H17": "H20" if chunked else "H17"}
    return replace(failure, code=codes.get(failure.code, failure.code))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and everything that it was raised from or holds."""
    seen: set[int] = set()
    todo: list[object] = [error]
    while todo:
        cause = todo.pop()
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            todo += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
