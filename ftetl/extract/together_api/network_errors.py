"""What can go wrong with a request, as values, and how a library's exception becomes one.

Tells exceptions apart by their classes. Their texts, which hold addresses and headers, go nowhere.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import requests
import urllib3.exceptions as urllib3_errors

from ftetl.config import limits
from ftetl.errors import AccessError, ConfigError, FtetlError, ProtocolError, SoftwareError, UnavailableError


@dataclass(frozen=True)
class RequestFailure:
    """Why a request gave nothing to work with, and what becomes of it."""

    kind: type[FtetlError]  # the error, if it stays so
    code: str
    what: str
    next: str
    repeats: int = 0  # how many more requests such a thing is worth
    retry_after: float | None = None  # seconds that the server asked for
    everybody: bool = False  # whether all workers have to wait

    def error(self, requests_made: int) -> FtetlError:
        """The error to raise once so many requests have ended in trouble."""
        tries = f" after {requests_made} requests" if requests_made > 1 else ""
        return self.kind(self.code, f"{self.what}{tries}", next=self.next)


class RequestFailedError(Exception):
    """Carries a `RequestFailure` out of the reading of a body."""

    def __init__(self, trouble: RequestFailure) -> None:
        super().__init__()
        self.trouble = trouble


class _Breakage(NamedTuple):
    """One row of the table below: `{host}` stands for the host."""

    exceptions: tuple[type[BaseException], ...]
    kind: type[FtetlError]
    code: str
    what: str
    next: str
    repeats: int = limits.REQUESTS


_LATER = "try again later"
_NETWORK = "check the network, then try again"

# The first row that fits any exception of the chain counts: the narrower classes stand first.
_BREAKAGES: Final = (
    _Breakage(
        (ssl.SSLCertVerificationError,),
        ProtocolError,
        "H30",
        "the certificate of {host} could not be verified",
        "check the host, this computer's clock and, behind a proxy that signs by itself, REQUESTS_CA_BUNDLE",
        0,
    ),
    _Breakage(
        (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError),
        UnavailableError,
        "H15",
        "{host} ended the connection before its answer was complete",
        _LATER,
    ),
    _Breakage(
        (ssl.SSLError, urllib3_errors.SSLError),
        ProtocolError,
        "H30",
        "no TLS connection with {host} could be made",
        "check --base-url, its port, and REQUESTS_CA_BUNDLE where it is set",
        limits.DOUBTS,
    ),
    _Breakage(
        (urllib3_errors.ProxyError,),
        UnavailableError,
        "H35",
        "the proxy does not let us to {host}",
        "check HTTPS_PROXY",
    ),
    _Breakage(
        (urllib3_errors.NameResolutionError, socket.gaierror),
        UnavailableError,
        "H29",
        "the name of {host} could not be resolved",
        _NETWORK,
    ),
    _Breakage((ConnectionRefusedError,), UnavailableError, "H14", "{host} refused the connection", _NETWORK),
    _Breakage((urllib3_errors.NewConnectionError,), UnavailableError, "H14", "{host} could not be reached", _NETWORK),
    _Breakage((urllib3_errors.ConnectTimeoutError,), UnavailableError, "H38", "{host} could not be reached", _NETWORK),
    _Breakage(
        (urllib3_errors.ReadTimeoutError, TimeoutError),
        UnavailableError,
        "H28",
        "{host} fell silent in its answer",
        _LATER,
    ),
    _Breakage(
        (urllib3_errors.InvalidChunkLength,),
        UnavailableError,
        "H20",
        "{host} broke off in its answer",
        _LATER,
    ),
    _Breakage(
        (http.client.IncompleteRead, urllib3_errors.IncompleteRead),
        UnavailableError,
        "H17",
        "{host} ended the connection before its answer was complete",
        _LATER,
    ),
    _Breakage(
        (ConnectionError,),
        UnavailableError,
        "H15",
        "{host} ended the connection before its answer was complete",
        _LATER,
    ),
    _Breakage(
        (
            requests.exceptions.InvalidURL,
            requests.exceptions.InvalidSchema,
            requests.exceptions.MissingSchema,
            urllib3_errors.LocationValueError,
        ),
        ConfigError,
        "X06",
        "the address of {host}, or that of the proxy, is none",
        "check --base-url and HTTPS_PROXY",
        0,
    ),
    _Breakage(
        (http.client.HTTPException,),
        ProtocolError,
        "H37",
        "{host} answers in a way that is not HTTP",
        "check --base-url and what stands between you and the API",
        limits.DOUBTS,
    ),
    _Breakage(
        (requests.RequestException, urllib3_errors.HTTPError),
        UnavailableError,
        "N01",
        "the connection with {host} broke",
        _NETWORK,
    ),
    _Breakage(  # not a library's, but an OSError as it is: requests looks for this file before it connects
        (OSError,),
        ConfigError,
        "P09",
        "the file of certificate authorities cannot be read",
        "check REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE",
        0,
    ),
)
_TUNNEL: Final = re.compile(r"Tunnel connection failed: 407\b")  # http.client says it in words only


def failure_from_exception(error: Exception, host: str) -> RequestFailure:
    """The trouble behind an exception of requests, urllib3, http.client, ssl or socket."""
    causes = list(_chain(error))
    if any(isinstance(cause, OSError) and _TUNNEL.match(str(cause)) for cause in causes):
        return RequestFailure(
            AccessError, "H35", "the proxy wants a login (407)", "put user and password into HTTPS_PROXY"
        )
    for row in _BREAKAGES:
        if any(isinstance(cause, row.exceptions) for cause in causes):
            return RequestFailure(row.kind, row.code, row.what.format(host=host), row.next, row.repeats)
    what = f"an unexpected {type(error).__name__} in the exchange with {host}"
    return RequestFailure(SoftwareError, "B01", what, "please report this")


def within(trouble: RequestFailure, *, chunked: bool) -> RequestFailure:
    """The same trouble, called by what it is where the answer had begun."""
    codes = {"H15": "H16", "H17": "H20" if chunked else "H17"}
    return replace(trouble, code=codes.get(trouble.code, trouble.code))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    todo: list[object] = [error]
    while todo:
        found = todo.pop()
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            todo += [found.__cause__, found.__context__, getattr(found, "reason", None), *found.args]
