"""A real S3 server (moto) with a proxy before it that sees every request, and does to it what a test says."""

from __future__ import annotations

import http.client
import itertools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import obstore
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from obstore.store import S3Store
from werkzeug.serving import make_server

Headers = dict[str, str]
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIATESTTESTTEST",
    "AWS_SECRET_ACCESS_KEY": "canary-of-the-store",
    "AWS_REGION": "us-east-1",
}


@dataclass(frozen=True)
class Request:
    """A request as it came; `key` is that of the object, empty for the bucket."""

    number: int
    method: str
    path: str
    headers: Headers
    body: bytes

    @property
    def key(self) -> str:
        return self.path.partition("?")[0].removeprefix("/").partition("/")[2]

    @property
    def lists(self) -> bool:
        return "list-type" in self.path


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Headers = field(default_factory=dict)
    body: bytes = b""


def refused(status: int, code: str) -> Answer:
    """An answer of S3 that says no."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    return Answer(status, {"Content-Type": "application/xml"}, body)


Forward = Callable[[Request], Answer]
Rule = Callable[[Request, Forward], Answer | None]  # None: the connection is closed without an answer


def pass_on(request: Request, forward: Forward) -> Answer | None:
    return forward(request)


class StoreServer:
    """The server and the proxy; `rule` decides about each request, `requests` are those since `begin`."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        # S3 alone: before each request the server of all services looks through the folder of moto for its services,
        # which takes longer than the answer.
        app = create_backend_app("s3")
        self._moto = make_server("127.0.0.1", 0, app, threaded=True, request_handler=MotoRequestHandler)
        self._port = self._moto.server_port
        self._proxy = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        servers = (self._moto, self._proxy)
        self._threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in servers]
        for thread in self._threads:
            thread.start()
        self.endpoint = f"http://127.0.0.1:{self._proxy.server_port}"
        self._buckets = itertools.count(1)
        self.begin()

    def begin(self, rule: Rule = pass_on) -> None:
        """Forget what came, and follow this rule from now on."""
        self._numbers, self.requests, self.rule = itertools.count(1), list[Request](), rule

    def bucket(self) -> str:
        """A new bucket."""
        name = f"bucket-{next(self._buckets)}"
        assert self.forward(Request(0, "PUT", f"/{name}", {}, b"")).status == 200
        return name

    def store(self, bucket: str) -> S3Store:
        """The bucket, past the proxy."""
        return S3Store(
            bucket,
            access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            region=KEYS["AWS_REGION"],
            endpoint=f"http://127.0.0.1:{self._port}",
            client_options={"allow_http": True},
        )

    def objects(self, bucket: str) -> dict[str, bytes]:
        """All objects of a bucket."""
        store = self.store(bucket)
        keys = [found["path"] for page in obstore.list(store) for found in page]
        return {key: bytes(obstore.get(store, key).bytes()) for key in keys}

    def fill(self, bucket: str, objects: dict[str, bytes]) -> None:
        """Put objects into a bucket, past the proxy."""
        store = self.store(bucket)
        for key, data in objects.items():
            obstore.put(store, key, data)

    def forward(self, request: Request) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower() != "connection"}
            connection.request(request.method, request.path, request.body, headers)
            response = connection.getresponse()
            body = response.read()
            kept = {n: v for n, v in response.getheaders() if n.lower() not in _OF_A_CONNECTION}
            if request.method == "HEAD":
                kept["Content-Length"] = response.getheader("Content-Length") or "0"
            return Answer(response.status, kept, body)
        finally:
            connection.close()

    def close(self) -> None:
        for server in (self._proxy, self._moto):
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = Request(next(server._numbers), self.command, self.path, dict(self.headers.items()), body)
                server.requests.append(request)
                answer = server.rule(request, server.forward)
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in ({"Content-Length": str(len(answer.body))} | answer.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body if self.command != "HEAD" else b"")

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer  # noqa: N815 - the names of `http.server`

            def log_message(self, *_: Any) -> None:
                pass

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:  # its client was killed
                    self.close_connection = True

        return Handler


_OF_A_CONNECTION = {"connection", "content-length", "transfer-encoding", "server", "date"}
