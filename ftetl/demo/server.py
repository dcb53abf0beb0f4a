"""The HTTP server of the demo API, on loopback: Bearer keys, errors, gzip, keep-alive; `api.py` says what it answers.

It prints nothing; the requests that it received are in `Server.requests`.
"""

from __future__ import annotations

import gzip
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import TCPServer, ThreadingMixIn
from threading import Event, Thread
from typing import Any

from ftetl.demo.api import SECOND_KEY, Api
from ftetl.demo.jobs import load_jobs
from ftetl.demo.responses import WHOAMI, error_body

DEFAULT_KEY = "key_0f1e2d3c4b5a6978"
ROOT = "/v1"


class Server(Api, ThreadingMixIn, HTTPServer):
    """A running demo API. `latency`, `fail` and what it answers (see `Api`) may be set while it runs.

    Attributes:
        requests: (method, path) of every request so far.
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
        Api.__init__(self, jobs, key, whoami)
        self.requests: list[tuple[str, str]] = []
        self.latency = latency
        self.fail = fail
        self._closing = Event()
        self._connections: dict[Thread, socket.socket] = {}
        HTTPServer.__init__(self, ("127.0.0.1", 0), _Handler)
        self._loop = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, name="ftetl-demo", daemon=True)
        self._loop.start()

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
        return self.answer(path, authorization) if status is None else (status, error_body(status))


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

    With the jobs of the demo, files, bill, metrics, checkpoints and a second account (`SECOND_KEY`) are served as well;
    with others only what is set in the server, or made by `add_endpoints`.
    """
    owner = WHOAMI if jobs is None and whoami is None else whoami
    server = Server(load_jobs() if jobs is None else jobs, key, latency, fail or (lambda _: None), owner)
    if jobs is None:
        server.add_endpoints()
        server.second_key = SECOND_KEY
    try:
        yield server
    finally:
        server.close()
