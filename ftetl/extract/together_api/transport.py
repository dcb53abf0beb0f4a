"""One HTTP request and its complete response, within the deadline whatever the server does.

A failure is returned as a `RequestFailure` and never raised as a library's exception: those hold the frames in which
the key is readable. Does not depend on statuses or retries.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, Final

from ftetl.clock import Deadline
from ftetl.config import limits
from ftetl.config.credentials import Secret, host_of
from ftetl.errors import DataError, ProtocolError, UnavailableError
from ftetl.extract.together_api.connections import ConnectionRegistry, Route
from ftetl.extract.together_api.network_errors import (
    CHECK_ADDRESS,
    RequestFailedError,
    RequestFailure,
    failure_from_exception,
    failure_in_body,
)
from ftetl.raw.gunzip import DamagedStreamError, gunzip

_OK: Final = 200


@dataclass(frozen=True)
class RequestLimits:
    """What bounds the requests of a run."""

    deadline: Deadline
    max_bytes: int = limits.MAX_BYTES  # of one body, decompressed
    concurrency: int = limits.CONCURRENCY  # details fetched in parallel, and connections kept open


@dataclass(frozen=True)
class HttpResponse:
    """A response: complete for a 200, the beginning of its body for every other status."""

    status: int
    headers: Mapping[str, str] = field(repr=False)  # names in any case
    body: bytes = field(repr=False)  # decompressed
    has_known_end: bool  # whether HTTP or gzip marks the end of the body; otherwise it ended with the connection


class Transport:
    """The pooled connections to one host. Threads share it."""

    def __init__(
        self, url: str, key: Secret, request_limits: RequestLimits, on_bytes: Callable[[int], None] | None = None
    ) -> None:
        self.host = host_of(url)
        self.requests_sent = 0
        self.bytes_read = 0  # of bodies, as sent over the network
        self._deadline = request_limits.deadline
        self._max_bytes = request_limits.max_bytes
        self._on_bytes = on_bytes
        self._lock = threading.Lock()
        self._waiting: set[Future[HttpResponse | RequestFailure]] = set()
        self._closed = False
        self._connections = ConnectionRegistry()
        self._url, self._key = url, key
        self._pool_size = request_limits.concurrency

    def get(self, url: str) -> HttpResponse | RequestFailure:
        """The response to one GET, or why there is none; at the latest when the deadline passes."""
        future: Future[HttpResponse | RequestFailure] = Future()
        with self._lock:
            self._waiting.add(future)

        def work() -> None:
            _set_result(future, self.get_in_this_thread(url))

        # A thread of its own, since no timeout of requests bounds a name lookup, a handshake or slow headers: the
        # caller leaves at the deadline, and the thread, a daemon, ends with its connection.
        threading.Thread(target=work, name="ftetl-request", daemon=True).start()
        try:
            return future.result(timeout=self._deadline.left())
        except TimeoutError:
            self._connections.shutdown_all()
            return _deadline_passed(self.host, self._deadline)
        finally:
            with self._lock:
                self._waiting.discard(future)

    def get_in_this_thread(self, url: str) -> HttpResponse | RequestFailure:
        """As `get`, but it can outlast the deadline."""
        with self._lock:
            if self._closed:
                return _stopped(self.host)
            self.requests_sent += 1
        try:
            return self._exchange(url)
        except RequestFailedError as error:
            return error.failure
        except Exception as error:  # noqa: BLE001 - whatever a library raises is classified there
            return failure_from_exception(error, self.host)

    def close(self) -> None:
        """End all open requests; safe to call twice."""
        with self._lock:
            self._closed = True
            waiting = list(self._waiting)
        for future in waiting:
            _set_result(future, _stopped(self.host))
        self._connections.shutdown_all()
        if route := vars(self).get("_route"):
            route.close()

    def _exchange(self, url: str) -> HttpResponse:
        left = self._deadline.left() + 1.0  # a little more, so that at the deadline the error is about the deadline
        connect, read = min(limits.CONNECT_TIMEOUT, left), min(limits.READ_TIMEOUT, left)
        with self._route.get(url, connect=connect, read=read) as response:
            status, headers = response.status, response.headers
            encoding = headers.get("content-encoding", "").strip().lower() or "identity"
            if status != _OK:
                return HttpResponse(status, headers, self._read_beginning(response, encoding), has_known_end=True)
            if encoding not in {"identity", "gzip", "x-gzip"}:
                what = f"{self.host} responds in a compression that was not requested"
                raise RequestFailedError(RequestFailure(ProtocolError, "H24", what, CHECK_ADDRESS))
            try:
                body = self._read_body(response, encoding)
            except RequestFailedError:
                raise
            except Exception as error:  # noqa: BLE001 - as in `get_in_this_thread`
                failure = failure_from_exception(error, self.host)
                raise RequestFailedError(failure_in_body(failure, chunked="transfer-encoding" in headers)) from None
            has_known_end = encoding != "identity" or "content-length" in headers or "transfer-encoding" in headers
            return HttpResponse(status, headers, body, has_known_end)

    @cached_property
    def _route(self) -> Route:
        return Route(self._url, self._key, self._connections, self._pool_size)

    def _read_body(self, raw: Any, encoding: str) -> bytes:
        chunks = self._read_chunks(raw)
        first = next(chunks, b"")
        if not first:
            return b""
        received = chain([first], chunks)
        body = io.BytesIO()
        try:
            for piece in received if encoding == "identity" else gunzip(received):
                if body.tell() + len(piece) > self._max_bytes:
                    raise RequestFailedError(too_large(self.host, self._max_bytes, packed=encoding != "identity"))
                body.write(piece)
        except DamagedStreamError as error:
            raise RequestFailedError(_damaged(self.host, truncated=error.cut)) from None
        return body.getvalue()

    def _read_beginning(self, raw: Any, encoding: str) -> bytes:
        """The beginning of an error's body, as far as it can be read: the status counts without it."""
        deadline = Deadline(limits.ERROR_BODY_WAIT)
        body = b""
        with suppress(Exception):
            chunks = self._read_chunks(raw)
            for piece in chunks if encoding == "identity" else gunzip(chunks):
                body += piece
                if len(body) > limits.ERROR_BODY or deadline.passed():
                    break
        return body[: limits.ERROR_BODY]

    def _read_chunks(self, raw: Any) -> Iterator[bytes]:
        total = 0
        # read1 and not read: it returns what was received, so that a slow body meets the deadline here.
        while chunk := raw.read1(limits.CHUNK, decode_content=False):
            total += len(chunk)
            with self._lock:
                self.bytes_read += len(chunk)
                bytes_read = self.bytes_read
            if self._on_bytes is not None:
                self._on_bytes(bytes_read)
            # Twice, since gzip makes incompressible data a little longer, and a long stream can decompress to nothing.
            if total > 2 * self._max_bytes:
                raise RequestFailedError(too_large(self.host, self._max_bytes))
            if self._deadline.passed():
                raise RequestFailedError(_deadline_passed(self.host, self._deadline))
            yield chunk


def _set_result(future: Future[HttpResponse | RequestFailure], result: HttpResponse | RequestFailure) -> None:
    with suppress(InvalidStateError):  # nobody waits for it any more
        future.set_result(result)


def _deadline_passed(host: str, deadline: Deadline) -> RequestFailure:
    what = f"no complete response from {host} within the deadline of {deadline.seconds:g} seconds"
    return RequestFailure(UnavailableError, "C09", what, "try again later, or raise --deadline")


def _stopped(host: str) -> RequestFailure:
    return RequestFailure(UnavailableError, "N02", f"the requests to {host} were stopped", "run again")


def too_large(host: str, max_bytes: int, *, packed: bool = False) -> RequestFailure:
    """The failure of a response, or of a list in several, that is longer than `max_bytes`."""
    what = f"the response of {host} is larger than {max_bytes:,} bytes"
    advice = "raise --max-bytes if you expect this size"
    return RequestFailure(DataError, "H23" if packed else "H25", what, advice)


def _damaged(host: str, *, truncated: bool) -> RequestFailure:
    what = f"the compressed response of {host} is cut short or damaged"
    code = "H21" if truncated else "H22"
    return RequestFailure(UnavailableError, code, what, "try again later", limits.MAX_REQUESTS)
