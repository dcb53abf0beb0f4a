"""One request and its answer, read whole, within the deadline whatever the server does.

Knows HTTP, TLS and gzip, and what can break there; not what a status means, and nothing of retries. A failure is a
value, `RequestFailure`, and never a library's exception: those keep the frames in which the key lies open.
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
from typing import Any

import requests

from ftetl.clock import Deadline
from ftetl.config import limits
from ftetl.config.credentials import Secret, host_of
from ftetl.errors import DataError, ProtocolError, UnavailableError
from ftetl.extract.together_api.connections import ConnectionRegistry, session
from ftetl.extract.together_api.network_errors import RequestFailedError, RequestFailure, failure_from_exception, within
from ftetl.raw.gunzip import DamagedGzipError, gunzip


@dataclass(frozen=True)
class Reply:
    """An answer: complete for a 200, as much as makes a message for everything else."""

    status: int
    headers: Mapping[str, str] = field(repr=False)  # names in any case
    body: bytes = field(repr=False)  # decompressed
    framed: bool  # whether HTTP or gzip told where the body ends; otherwise it ended with the connection


class Transport:
    """The pooled connections to one host. Threads share it."""

    def __init__(
        self,
        url: str,
        key: Secret,
        *,
        deadline: Deadline,
        max_bytes: int,
        pool: int,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.host = host_of(url)
        self.requests_made = 0
        self.bytes_read = 0  # of bodies, as they came over the wire
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._progress = progress
        self._lock = threading.Lock()
        self._waiting: set[Future[Reply | RequestFailure]] = set()
        self._closed = False
        self._plugs = ConnectionRegistry()
        self._url = url
        self._session = session(url, key, self._plugs, pool)

    def get(self, url: str) -> Reply | RequestFailure:
        """The answer to one GET, or why there is none; at the latest when the deadline passes."""
        future: Future[Reply | RequestFailure] = Future()
        with self._lock:
            self._waiting.add(future)
        # A thread of its own, since no timeout of requests bounds a name lookup, a handshake or dripping headers: the
        # caller leaves at the deadline, and the thread, a daemon, ends with its connection.
        threading.Thread(target=lambda: _settle(future, self.ask(url)), name="ftetl-request", daemon=True).start()
        try:
            return future.result(timeout=self._deadline.left())
        except TimeoutError:
            self._plugs.shutdown_all()
            return _too_late(self.host, self._deadline)
        finally:
            with self._lock:
                self._waiting.discard(future)

    def ask(self, url: str) -> Reply | RequestFailure:
        """As `get`, but in this thread, which nobody may wait for beyond the deadline."""
        with self._lock:
            if self._closed:
                return _stopped(self.host)
            self.requests_made += 1
        try:
            return self._exchange(url)
        except RequestFailedError as error:
            return error.trouble
        except Exception as error:  # noqa: BLE001 - whatever a library raises is told apart there, by its class
            return failure_from_exception(error, self.host)

    def close(self) -> None:
        """End everything that is under way; safe to call twice."""
        with self._lock:
            self._closed = True
            waiting = list(self._waiting)
        for future in waiting:
            _settle(future, _stopped(self.host))
        self._plugs.shutdown_all()
        self._session.close()

    def _exchange(self, url: str) -> Reply:
        left = self._deadline.left() + 1.0  # a little more, so that at the deadline it is the deadline that speaks
        timeout = (min(limits.CONNECT, left), min(limits.SILENCE, left))
        prepared = self._template.copy()
        prepared.url = url
        sent = self._session.send(prepared, allow_redirects=False, timeout=timeout, **self._way)
        with sent as response:
            encoding = response.headers.get("content-encoding", "").strip().lower() or "identity"
            if response.status_code != requests.codes.ok:
                body = self._beginning(response.raw, encoding)
                return Reply(response.status_code, response.headers, body, framed=True)
            if encoding not in {"identity", "gzip", "x-gzip"}:
                raise RequestFailedError(_unknown_encoding(self.host))
            try:
                body = self._whole(response.raw, encoding)
            except RequestFailedError:
                raise
            except Exception as error:  # noqa: BLE001 - as in `ask`
                chunked = "transfer-encoding" in response.headers
                raise RequestFailedError(within(failure_from_exception(error, self.host), chunked=chunked)) from None
            return Reply(response.status_code, response.headers, body, _is_framed(response.headers, encoding))

    @cached_property
    def _template(self) -> requests.PreparedRequest:
        # Made once: of what a request costs, preparing it is a third, and all of a run differ in their path only.
        return self._session.prepare_request(requests.Request("GET", self._url))

    @cached_property
    def _way(self) -> dict[str, Any]:
        """Proxies and authorities, as the environment names them."""
        return dict(self._session.merge_environment_settings(self._url, {}, True, None, None))

    def _whole(self, raw: Any, encoding: str) -> bytes:
        wire = self._wire(raw)
        first = next(wire, b"")
        if not first:
            return b""
        pieces = chain([first], wire)
        body = io.BytesIO()
        try:
            for piece in pieces if encoding == "identity" else gunzip(pieces):
                if body.tell() + len(piece) > self._max_bytes:
                    raise RequestFailedError(_too_large(self.host, self._max_bytes, packed=encoding != "identity"))
                body.write(piece)
        except DamagedGzipError as error:
            raise RequestFailedError(_damaged(self.host, cut=error.cut)) from None
        return body.getvalue()

    def _beginning(self, raw: Any, encoding: str) -> bytes:
        """As much of an error's body as can be had: the status counts, whatever happens to its explanation."""
        enough = Deadline(limits.ERROR_BODY_WAIT)
        body = b""
        with suppress(Exception):
            wire = self._wire(raw)
            for piece in wire if encoding == "identity" else gunzip(wire):
                body += piece
                if len(body) > limits.ERROR_BODY or enough.passed():
                    break
        return body[: limits.ERROR_BODY]

    def _wire(self, raw: Any) -> Iterator[bytes]:
        total = 0
        # read1 and not read: it gives what has come, so that a dripping body meets the deadline here.
        while chunk := raw.read1(limits.CHUNK, decode_content=False):
            total += len(chunk)
            with self._lock:
                self.bytes_read += len(chunk)
                read = self.bytes_read
            if self._progress is not None:
                self._progress(read)
            # Twice, since gzip makes what cannot be compressed a little longer, and can be long and hold nothing.
            if total > 2 * self._max_bytes:
                raise RequestFailedError(_too_large(self.host, self._max_bytes))
            if self._deadline.passed():
                raise RequestFailedError(_too_late(self.host, self._deadline))
            yield chunk


def _settle(future: Future[Reply | RequestFailure], outcome: Reply | RequestFailure) -> None:
    with suppress(InvalidStateError):  # nobody waits for it any more
        future.set_result(outcome)


def _is_framed(headers: Mapping[str, str], encoding: str) -> bool:
    return encoding != "identity" or "content-length" in headers or "transfer-encoding" in headers


def _too_late(host: str, deadline: Deadline) -> RequestFailure:
    what = f"no complete answer from {host} within the deadline of {deadline.seconds:g} seconds"
    return RequestFailure(UnavailableError, "C09", what, "try again later, or raise --deadline")


def _stopped(host: str) -> RequestFailure:
    return RequestFailure(UnavailableError, "N02", f"the requests to {host} were stopped", "run again")


def _too_large(host: str, max_bytes: int, *, packed: bool = False) -> RequestFailure:
    what = f"the answer of {host} is larger than {max_bytes:,} bytes"
    return RequestFailure(DataError, "H23" if packed else "H25", what, "raise --max-bytes if so much is to be expected")


def _damaged(host: str, *, cut: bool) -> RequestFailure:
    what = f"the compressed answer of {host} is cut short or damaged"
    return RequestFailure(UnavailableError, "H21" if cut else "H22", what, "try again later", limits.REQUESTS)


def _unknown_encoding(host: str) -> RequestFailure:
    what = f"{host} answers in a compression that was not asked for"
    return RequestFailure(ProtocolError, "H24", what, "check --base-url and what stands between you and the API")
