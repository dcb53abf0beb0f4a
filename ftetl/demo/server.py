"""The HTTP server of the demo API, on loopback: list, detail, events and whoami, Bearer keys, errors, gzip, keep-alive.

It prints nothing; the requests that it received are in `Server.requests`.
"""

from __future__ import annotations

import gzip
import hmac
import json
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import TCPServer, ThreadingMixIn
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ftetl.demo.jobs import load_jobs
from ftetl.demo.responses import WHOAMI, error_body, flat_whoami, list_item

DEFAULT_KEY = "key_0f1e2d3c4b5a6978"
ROOT = "/v1"


class Server(ThreadingMixIn, HTTPServer):
    """A running demo API. `jobs`, `key`, `latency`, `fail`, `page_size` and `whoami` may be set while it runs.

    Attributes:
        requests: (method, path) of every request so far.
        list_body: The body of the list; it is made anew when `jobs` is set.
        page_size: How many jobs a response of the list has; None, as of the real API: all, whatever is asked for.
    """

    request_queue_size = 128

    def __init__(
        self,
        jobs: Sequence[dict[str, Any]],
        key: str,
        latency: float,
        fail: Callable[[str], int | None],
        whoami: Mapping[str, Any] | None,
    ) -> None:
        self.jobs = jobs
        self.whoami = whoami
        self.key = key
        self.page_size: int | None = None
        self.requests: list[tuple[str, str]] = []
        self.latency = latency
        self.fail = fail
        self._closing = Event()
        self._connections: dict[Thread, socket.socket] = {}
        super().__init__(("127.0.0.1", 0), _Handler)
        self._loop = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, name="ftetl-demo", daemon=True)
        self._loop.start()

    @property
    def jobs(self) -> Sequence[dict[str, Any]]:
        """The jobs as `GET /fine-tunes/{id}` returns them."""
        return self._jobs

    @jobs.setter
    def jobs(self, jobs: Sequence[dict[str, Any]]) -> None:
        self._jobs = jobs
        self._by_id = {job["id"]: job for job in jobs if "id" in job}
        # The newest first; the API promises no order.
        self.list_body = _json({"data": [list_item(job) for job in reversed(jobs)]})

    @property
    def url(self) -> str:
        """The base URL, with `/v1`."""
        return f"http://127.0.0.1:{self.server_address[1]}{ROOT}"

    def server_bind(self) -> None:
        """Binds without the look-up of the host's name that HTTPServer does, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts a thread for the connection and records it, so that `close` ends connections that are kept alive."""
        thread = Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self._connections = {t: s for t, s in self._connections.items() if t.is_alive()} | {thread: request}
        thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the standard library's names
        """Ignores a client that closed its connection during a response; any other error is raised."""
        if not isinstance(sys.exception(), OSError):
            raise

    def close(self) -> None:
        """Ends all connections and threads. A second call does nothing."""
        if self._closing.is_set():
            return
        self._closing.set()
        self.shutdown()
        self._loop.join()
        for connection in self._connections.values():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._connections:
            thread.join()
        self.server_close()

    def response(self, path: str, authorization: str | None) -> tuple[int, bytes]:
        """The status and the body for a path and the value of the header Authorization."""
        self._closing.wait(self.latency)
        status = self.fail(path)
        if status is None and not hmac.compare_digest((authorization or "").encode(), f"Bearer {self.key}".encode()):
            status = HTTPStatus.UNAUTHORIZED
        if status is not None:
            return status, error_body(status)
        parts = urlsplit(path)
        after = dict(parse_qsl(parts.query)).get("after")
        if self.page_size is not None and after is not None and after not in self._by_id:
            return HTTPStatus.BAD_REQUEST, error_body(HTTPStatus.BAD_REQUEST)
        body = self._body(parts.path, after)
        return (HTTPStatus.OK, body) if body is not None else (HTTPStatus.NOT_FOUND, error_body(HTTPStatus.NOT_FOUND))

    def _body(self, path: str, after: str | None) -> bytes | None:
        """The body of a resource; None if there is no such resource."""
        match path.split("/")[1:]:
            case ["v3", "whoami"] if self.whoami is not None:
                return _json(dict(self.whoami))
            case ["v1", "whoami"] if self.whoami is not None:
                return _json(flat_whoami(self.whoami))
            case ["v1", "fine-tunes"]:
                return self.list_body if self.page_size is None else self._page(self.page_size, after)
            case ["v1", "fine-tunes", job_id] if unquote(job_id) in self._by_id:
                return _json(self._by_id[unquote(job_id)])
            case ["v1", "fine-tunes", job_id, "events"] if unquote(job_id) in self._by_id:
                return _json({"data": self._by_id[unquote(job_id)].get("events") or []})
        return None

    def _page(self, size: int, after: str | None) -> bytes:
        """The list's page of `size` jobs after the job with this id; without one, the first page."""
        ids = [str(job["id"]) for job in reversed(self.jobs)]
        start = 0 if after is None else ids.index(after) + 1
        shown = ids[start : start + size]
        cursor = shown[-1] if start + size < len(ids) else None
        return _json({"data": [list_item(self._by_id[job_id]) for job_id in shown], "next_cursor": cursor})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body are sent together
    server: Server

    def parse_request(self) -> bool:
        is_valid = super().parse_request()
        if is_valid:
            self.server.requests.append((self.command, self.path))
        return is_valid

    def do_GET(self) -> None:
        status, body = self.server.response(self.path, self.headers.get("Authorization"))
        self._send(status, body)

    def send_error(self, code: int, *_: str | None) -> None:
        """Sends the API's own error format for requests that the standard library rejects, then closes."""
        self.close_connection = True
        self._send(code, error_body(code))

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("CF-RAY", f"{len(self.server.requests):016x}-DEMO")
        if self.close_connection:
            self.send_header("Connection", "close")
        if status < HTTPStatus.OK or status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
            self.end_headers()
            return
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Vary", "Accept-Encoding")
        # A request that could not be parsed has no headers.
        if "gzip" in getattr(self, "headers", {}).get("Accept-Encoding", ""):
            body = gzip.compress(body, compresslevel=5, mtime=0)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "ftetl-demo"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Prints nothing: the log is `Server.requests`."""


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@contextmanager
def serve(
    jobs: Sequence[dict[str, Any]] | None = None,
    *,
    key: str = DEFAULT_KEY,
    latency: float = 0.0,
    fail: Callable[[str], int | None] | None = None,
    whoami: Mapping[str, Any] | None = None,
) -> Iterator[Server]:
    """A running server that is closed when the block ends.

    Args:
        jobs: The jobs to serve, as `GET /fine-tunes/{id}` returns them; None serves those of `load_jobs`.
        key: The API key that requests must carry.
        latency: Seconds before each response.
        fail: Called with the path of each request; a status that it returns makes the response that error.
        whoami: Whose the key is, as `GET /v3/whoami` returns it; None serves that of the demo with the jobs of the
            demo, and a 404 with others.
    """
    owner = WHOAMI if jobs is None and whoami is None else whoami
    server = Server(load_jobs() if jobs is None else jobs, key, latency, fail or (lambda _: None), owner)
    try:
        yield server
    finally:
        server.close()
