"""Who the key is: asked once over HTTP, in both forms; whatever goes wrong is a line at debug level, and no error."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ftetl.clock import Deadline
from ftetl.config import limits
from ftetl.config.credentials import Secret
from ftetl.extract.key_owner import KeyOwner
from ftetl.extract.together_api.client import Client
from ftetl.extract.together_api.transport import RequestLimits
from tests.extract.together_api.whoami_shapes import FLAT, OWNERS, PROJECT_API_KEY, WHOLE

KEY = "key-of-nobody-0123456789"
V3, V1 = "/v3/whoami", "/v1/whoami"

Answer = tuple[int, bytes]


class Service:
    """Answers by path; `paths` are the requests so far."""

    def __init__(self, reply: Callable[[str], Answer]) -> None:
        self.paths: list[str] = []
        self.keys: set[str | None] = set()
        self.reply = reply
        self.url = ""


@contextmanager
def served(reply: Callable[[str], Answer], prefix: str = "") -> Iterator[Service]:
    service = Service(reply)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            service.paths.append(self.path)
            service.keys.add(self.headers.get("Authorization"))
            status, body = service.reply(self.path)
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        service.url = f"http://127.0.0.1:{server.server_address[1]}{prefix}/v1"
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()


def asked(service: Service, caplog: pytest.LogCaptureFixture) -> tuple[KeyOwner | None, list[str], int]:
    """The owner, what was logged about it, and how many requests the client counts."""
    caplog.set_level(logging.DEBUG, "ftetl")
    client = Client(service.url, Secret(KEY, "the tests"), RequestLimits(Deadline(60)))
    owner = client.ask_owner()
    requests = client.stats.requests
    client.close()
    lines = [r.getMessage() for r in caplog.records if r.name.startswith("ftetl") and "whose the API key" in r.msg]
    assert all(r.levelno == logging.DEBUG for r in caplog.records if r.getMessage() in lines)
    return owner, lines, requests


@pytest.mark.parametrize(("document", "owner"), OWNERS.values(), ids=OWNERS)
def test_every_form_is_read_from_the_newer_address(
    document: Any, owner: KeyOwner | None, caplog: pytest.LogCaptureFixture
) -> None:
    with served(lambda _: (200, json.dumps(document).encode())) as service:
        found, lines, requests = asked(service, caplog)

    assert (found, service.paths, requests) == (owner, [V3], 1)
    assert service.keys == {f"Bearer {KEY}"}
    assert bool(lines) == (owner is None)
    assert "Jane" not in repr(found) + caplog.text


@pytest.mark.parametrize("document", [FLAT, PROJECT_API_KEY], ids=["flat", "nested"])
@pytest.mark.parametrize("prefix", ["", "/proxy/together"])
def test_after_a_404_the_older_address_is_asked(document: Any, prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    def reply(path: str) -> Answer:
        return (200, json.dumps(document).encode()) if path == prefix + V1 else (404, b"{}")

    with served(reply, prefix) as service:
        assert asked(service, caplog) == (WHOLE, [], 2)
        assert service.paths == [prefix + V3, prefix + V1]


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 408, 429, 500, 503, 529])
def test_any_other_status_is_a_line_and_never_a_retry(status: int, caplog: pytest.LogCaptureFixture) -> None:
    with served(lambda _: (status, json.dumps(FLAT).encode())) as service:
        owner, lines, requests = asked(service, caplog)

    expected = [V3, V1] if status == 404 else [V3]
    assert (owner, service.paths, requests) == (None, expected, len(expected))
    assert len(lines) == 1
    assert lines[0].endswith(f"does not tell whose the API key is: HTTP {status}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>sign in</html>",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"organization_id":"org-1","x":"' + b"x" * limits.ERROR_BODY + b'"}',
        json.dumps(FLAT | {"project_slug": f"p-{KEY}"}).encode(),
    ],
    ids=["empty", "a page", "cut off", "no UTF-8", "nested too deep", "too long", "the key itself"],
)
def test_garbage_is_a_line(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with served(lambda _: (200, body)) as service:
        owner, lines, requests = asked(service, caplog)

    assert (owner, len(lines), requests, service.paths) == (None, 1, 1, [V3])
    assert KEY not in caplog.text


@pytest.mark.parametrize("slow", [V3, V1])
def test_a_service_that_does_not_answer_is_not_waited_for(
    slow: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WHOAMI_DEADLINE", 0.5)
    over = threading.Event()

    def reply(path: str) -> Answer:
        if path == slow:
            over.wait()  # until the client has given up: the test would hang if it did not
        return 404, b"{}"

    with served(reply) as service:
        try:
            owner, lines, requests = asked(service, caplog)
        finally:
            over.set()

    expected = [V3, V1][: [V3, V1].index(slow) + 1]
    assert (owner, service.paths, requests) == (None, expected, len(expected))
    assert ["no complete response" in line for line in lines] == [True]


def test_a_service_that_is_not_there_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    with served(lambda _: (404, b"")) as service:
        pass
    owner, lines, requests = asked(service, caplog)

    assert (owner, len(lines), requests) == (None, 1, 1)
