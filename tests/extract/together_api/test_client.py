"""The client against a server that does everything wrong: which error, after how many requests, and no key anywhere.

The server plays a script a connection over a raw socket. Each test says how many requests it has seen, so that the
fault itself is asserted.
"""

from __future__ import annotations

import gzip
import http.client
import pickle
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
import urllib3.exceptions

from ftetl.clock import Deadline
from ftetl.config.credentials import Secret
from ftetl.errors import (
    AccessError,
    ConfigError,
    DataError,
    FtetlError,
    ProtocolError,
    TryLaterError,
    UnavailableError,
)
from ftetl.extract.together_api.client import Client
from ftetl.extract.together_api.connections import ConnectionRegistry, Route
from ftetl.extract.together_api.network_errors import failure_from_exception
from ftetl.extract.together_api.retry import RetryPolicy
from ftetl.extract.together_api.transport import RequestLimits
from tests.errors.catalog import FAULTS
from tests.integration.canary import KEY, contains

LIST = b'{"data":[' + b",".join(b'{"id":"ft-%d","status":"completed"}' % number for number in range(500)) + b"]}"
PACKED = gzip.compress(LIST)
RESET = "reset"  # end the connection with a RST
HANG = "hang"  # keep it open and say nothing

Step = bytes | float | str
Script = list[Step]


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class FaultServer:
    """Plays the scripts in their order, a connection each, and the last one for all that follow."""

    scripts: list[Script]
    context: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"{'http' if self.context is None else 'https'}://127.0.0.1:{self.port}/v1"

    def close(self) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for thread in self._threads[1:]:
            thread.join()

    def _listen(self) -> None:
        with suppress(OSError):
            while not self._over.is_set():
                connection, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        with suppress(OSError), connection:
            if self.context is None:
                self._play(connection)
            else:
                with self.context.wrap_socket(connection, server_side=True) as wrapped:
                    self._play(wrapped)

    def _play(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            method, path, _ = stream.readline().decode().split(" ")
            headers = http.client.parse_headers(stream)
            if path.endswith("/whoami"):  # is no part of a script: this API does not say whose the key is
                connection.sendall(answer(404, b"{}"))
                return
            self.requests.append(Request(method, path, {name.lower(): value for name, value in headers.items()}))
            for step in self.scripts[min(len(self.requests), len(self.scripts)) - 1]:
                match step:
                    case bytes():
                        connection.sendall(step)
                    case float():
                        self._over.wait(step)
                    case _ if step == RESET:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    case _:
                        self._over.wait()
                if self._over.is_set():
                    return


def answer(status: int = 200, body: bytes = LIST, *, length: int | None = -1, **headers: str) -> bytes:
    """The bytes of an answer; `length=None` leaves the Content-Length out."""
    lines = [f"HTTP/1.1 {status} Whatever", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length < 0 else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n", **headers: str) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end
    return answer(200, body, length=None, Transfer_Encoding="chunked", **headers)


def drip(data: bytes) -> Script:
    """The first byte, then one every tenth of a second, for about 20 seconds."""
    steps: Script = []
    for place in range(min(len(data), 200)):
        steps += [data[place : place + 1], 0.1]
    return steps


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


Start = Callable[..., FaultServer]


@pytest.fixture
def serve() -> Iterator[Start]:
    servers: list[FaultServer] = []

    def start(*scripts: Script | bytes, context: ssl.SSLContext | None = None) -> FaultServer:
        servers.append(FaultServer([[script] if isinstance(script, bytes) else script for script in scripts], context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def client(
    url: str, *, seconds: float = 60, max_bytes: int = 10_000_000, waits: list[float] | None = None
) -> closing[Client]:
    deadline = Deadline(seconds)
    retry = RetryPolicy(deadline, sleep=([] if waits is None else waits).append)
    request_limits = RequestLimits(deadline, max_bytes, concurrency=2)
    return closing(Client(url, Secret(KEY, "TOGETHER_API_KEY"), request_limits, retry=retry))


def refused(server: FaultServer, kind: type[FtetlError], code: str, **options: object) -> str:
    """What the error of the list says; it has this code, and was looked at from all sides for the key."""
    with client(server.url, **options) as api, pytest.raises(kind) as caught:  # type: ignore[arg-type]
        api.list_jobs()
    error = caught.value
    assert type(error) is kind
    assert error.code == f"FTETL-{code}"
    assert kind.exit.name in FAULTS[code].exits
    assert error.__context__ is None, "a library's exception, with the key in its frames, hangs behind the error"
    assert error.__traceback__ is not None
    frames = traceback.TracebackException(kind, error, error.__traceback__.tb_next, capture_locals=True)  # not ours
    shown = ["".join(frames.format()), str(error), repr(error), repr(pickle.dumps(error))]
    assert "list_jobs" in shown[0]
    assert not contains("".join(shown))
    assert "canary" not in "".join(shown).replace(str(Path(__file__).parents[3]), "")
    assert "\n" not in str(error)
    assert error.next
    return str(error)


# ---------------------------------------------------------------------------------------------- what goes well


@pytest.mark.parametrize(
    "script",
    [
        answer(),
        answer(Content_Type="text/html"),
        answer(body=PACKED, Content_Encoding="gzip"),
        answer(body=PACKED, Content_Encoding=" GZIP "),
        answer(body=gzip.compress(LIST[:50]) + gzip.compress(LIST[50:]), Content_Encoding="gzip"),
        answer(Content_Encoding="identity"),
        answer(length=None),
        chunked(LIST[:7], LIST[7:]),
        chunked(PACKED[:7], PACKED[7:], Content_Encoding="gzip"),
        [answer()[:30], 0.05, answer()[30:300], 0.05, answer()[300:]],
    ],
    ids=["plain", "wrong type", "gzip", "GZIP", "members", "identity", "unframed", "chunked", "chunked gzip", "pieces"],
)
def test_a_complete_body_is_returned_decoded(serve: Start, script: Script | bytes) -> None:
    server = serve(script)

    with client(server.url) as api:
        assert api.list_jobs().body == LIST
        assert (len(server.requests), api.stats.requests) == (1, 1)
        assert 0 < api.stats.bytes_read <= len(LIST)


def test_a_request_carries_the_key_and_the_accepted_encodings(serve: Start) -> None:
    server = serve(answer())

    with client(server.url) as api:
        api.list_jobs()

    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/v1/fine-tunes")
    assert f"Bearer {KEY}" == request.headers["authorization"]
    assert (request.headers["accept-encoding"], request.headers["accept"]) == ("gzip", "application/json")


def test_the_bytes_are_counted_while_they_are_received(serve: Start) -> None:
    server = serve(answer())
    counts: list[int] = []
    deadline = Deadline(60)

    with closing(Client(server.url, Secret(KEY), RequestLimits(deadline, 10**6), on_bytes=counts.append)) as api:
        api.list_jobs()

    assert len(LIST) == counts[-1] == api.stats.bytes_read
    assert counts == sorted(counts)


@pytest.mark.parametrize(
    ("job_id", "path"),
    [
        ("ft-12", "/v1/fine-tunes/ft-12"),
        ("ft:1_2.3", "/v1/fine-tunes/ft%3A1_2.3"),
        ("../files", "/v1/fine-tunes/..%2Ffiles"),
        ("a b?c#d", "/v1/fine-tunes/a%20b%3Fc%23d"),
    ],
)
def test_a_job_is_requested_by_its_escaped_id(serve: Start, job_id: str, path: str) -> None:
    server = serve(answer(body=b'{"id":"x"}'))

    with client(server.url) as api:
        assert api.get_job(job_id) == b'{"id":"x"}'

    assert [path] == [request.path for request in server.requests]


@pytest.mark.parametrize("job_id", ["", ".", ".."])
def test_an_id_that_would_name_another_endpoint_is_never_requested(serve: Start, job_id: str) -> None:
    server = serve(answer())

    with client(server.url) as api, pytest.raises(DataError):
        api.get_job(job_id)

    assert server.requests == []


def test_an_unknown_job_is_none(serve: Start) -> None:
    server = serve(answer(404, b'{"error":{"message":"not found"}}'))

    with client(server.url) as api:
        assert api.get_job("ft-1") is None

    assert len(server.requests) == 1


def test_a_cookie_is_not_sent_back(serve: Start) -> None:
    server = serve(answer(503, Set_Cookie="session=1; Path=/"), answer())

    with client(server.url) as api:
        api.list_jobs()

    assert ["cookie" in request.headers for request in server.requests] == [False, False]


# -------------------------------------------------------------------------------------------------- statuses

STATUSES = [
    (401, AccessError, "H01", 1),
    (402, AccessError, "H02", 1),
    (403, AccessError, "H03", 1),
    (407, AccessError, "H35", 1),
    (404, ProtocolError, "H04", 1),
    *((status, ProtocolError, "H05", 1) for status in (400, 405, 406, 410, 415, 422, 451, 499)),
    *((status, ProtocolError, "H13", 1) for status in (501, 505, 511)),
    *((status, ProtocolError, "H34", 1) for status in (101, 103, 201, 202, 203, 204, 205, 206, 299, 300, 304)),
    *((status, ProtocolError, "H37", 1) for status in (600, 999)),
    *((status, UnavailableError, "H06", 6) for status in (408, 425)),
    (409, UnavailableError, "H07", 6),
    *((status, UnavailableError, "H12", 6) for status in (500, 502, 503, 504, 520, 529, 530, 599)),
    (429, TryLaterError, "H08", 6),
]


@pytest.mark.parametrize(("status", "kind", "code", "seen"), STATUSES)
def test_the_status_decides_the_error_and_the_retries(
    serve: Start, status: int, kind: type[FtetlError], code: str, seen: int
) -> None:
    body = b"" if status in {101, 103, 204, 304} else b'{"error":{"message":"No luck today"}}'
    server = serve(answer(status, body, CF_RAY="8f2a-FRA"))
    waits: list[float] = []

    text = refused(server, kind, code, waits=waits)

    assert seen == len(server.requests)
    assert all(word in text for word in (f"127.0.0.1:{server.port}", str(status), "8f2a-FRA"))
    assert ("No luck today" in text) is bool(body)
    assert seen - 1 == len(waits)
    assert all(0 <= wait <= 2.0**turn for turn, wait in enumerate(waits))


SHOULD_RETRY = [
    *((status, "true", code, 6) for status, _, code, _ in STATUSES if status >= 200),
    *((status, "FALSE ", code, 1) for status, _, code, _ in STATUSES if status >= 200),
    (500, "maybe", "H12", 6),
    (400, "", "H05", 1),
]


@pytest.mark.parametrize(("status", "word", "code", "seen"), SHOULD_RETRY)
def test_the_services_word_on_a_retry_counts_before_the_status(
    serve: Start, status: int, word: str, code: str, seen: int
) -> None:
    server = serve(answer(status, b"", X_Should_Retry=word))

    with client(server.url) as api, pytest.raises(FtetlError) as caught:
        api.list_jobs()

    assert (caught.value.code, len(server.requests)) == (f"FTETL-{code}", seen)


def test_a_retry_that_the_service_asks_for_can_succeed(serve: Start) -> None:
    server = serve(answer(400, b"", X_Should_Retry="true", Retry_After="3"), answer())
    waits: list[float] = []

    with client(server.url, waits=waits) as api:
        assert api.list_jobs().body == LIST

    assert (len(server.requests), len(waits), min(waits) >= 3) == (2, 1, True)


def test_a_redirect_is_never_followed_nor_repeated(serve: Start) -> None:
    server = serve(answer(302, b"", Location="https://example.com", X_Should_Retry="true"))

    refused(server, ProtocolError, "H31")

    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "seen"), [(404, 6), (403, 6)])
def test_a_job_that_is_missing_for_the_moment_is_not_gone(serve: Start, status: int, seen: int) -> None:
    server = serve(answer(status, b"", X_Should_Retry="true"))

    with client(server.url) as api, pytest.raises(UnavailableError) as caught:
        api.get_job("ft-1")

    assert (caught.value.code, len(server.requests)) == ("FTETL-N03", seen)


def test_a_missing_job_is_gone_where_the_service_asks_for_no_retry(serve: Start) -> None:
    server = serve(answer(404, b"", X_Should_Retry="false"))

    with client(server.url) as api:
        assert api.get_job("ft-1") is None


def test_each_refusal_of_access_has_a_line_of_its_own(serve: Start) -> None:
    codes = {401: "H01", 402: "H02", 403: "H03", 407: "H35"}
    said = (refused(serve(answer(status, b"")), AccessError, code) for status, code in codes.items())
    lines = {line.split(" (HTTP")[0] for line in said}

    assert len({line.split("127.0.0.1")[1][6:] or line for line in lines}) == 4


def test_a_refused_key_is_named_by_its_source_and_fingerprint(serve: Start) -> None:
    text = refused(serve(answer(401, b"")), AccessError, "H01")

    assert "TOGETHER_API_KEY" in text
    assert Secret(KEY).fingerprint in text


@pytest.mark.parametrize("failures", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("status", [408, 429, 503])
def test_a_server_may_fail_five_times(serve: Start, status: int, failures: int) -> None:
    server = serve(*[answer(status, b"")] * failures, answer())

    with client(server.url) as api:
        assert api.list_jobs().body == LIST

    assert failures + 1 == len(server.requests)


@pytest.mark.parametrize(
    ("body", "hidden"),
    [
        (f'{{"error":{{"message":"Incorrect API key provided: {KEY}"}}}}', "canary"),
        ('{"message":"ask jane.doe@example.com"}', "jane.doe"),
        ('{"message":"\\u001b]0;owned\\u0007\\u202e"}', "\x1b"),
        ('{"message":"two\\nlines"}', "\n"),
        ("<html>canary page</html>", "page"),
    ],
)
def test_the_servers_message_is_repeated_without_secrets(serve: Start, body: str, hidden: str) -> None:
    text = refused(serve(answer(403, body.encode())), AccessError, "H03")

    assert hidden not in text


@pytest.mark.parametrize("end", [[RESET], [HANG]], ids=["reset", "hang"])
def test_the_status_counts_even_if_its_body_cannot_be_read(serve: Start, end: Script) -> None:
    server = serve([answer(401, b'{"err', length=100), *(end if end == [RESET] else [])])

    refused(server, AccessError, "H01")

    assert len(server.requests) == 1


# ------------------------------------------------------------------------------------------------ Retry-After


def test_retry_after_is_obeyed(serve: Start) -> None:
    server = serve(answer(503, b"", retry_after_ms="9500"), answer(429, b"", Retry_After="7"), answer())
    waits: list[float] = []

    with client(server.url, waits=waits) as api:
        assert api.list_jobs().body == LIST

    assert len(server.requests) == 3
    assert waits[0] == 9.5
    assert 6.5 < waits[1] <= 7.0


@pytest.mark.parametrize("value", ["99999999999", "3600", "Fri, 31 Dec 9999 23:59:59 GMT"])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_beyond_the_deadline_ends_the_run_at_once(serve: Start, status: int, value: str) -> None:
    server = serve(answer(status, b"", Retry_After=value), answer())
    waits: list[float] = []

    text = refused(server, TryLaterError, "H09", waits=waits)

    assert len(server.requests) == 1
    assert waits == []
    assert "wait" in text


@pytest.mark.parametrize("value", ["-1", "1.5", "soon", "", "5, 10", "inf", "Mon, 23 Nov 2020 04:20:00 GMT"])
def test_a_malformed_retry_after_is_ignored(serve: Start, value: str) -> None:
    server = serve(answer(429, b"", Retry_After=value), answer())
    waits: list[float] = []

    with client(server.url, waits=waits) as api:
        assert api.list_jobs().body == LIST

    assert all(0 < wait <= 1.0 for wait in waits)


# ------------------------------------------------------------------------------------------ the wire breaks

CHUNKED = chunked(LIST[:100], LIST[100:])
BROKEN: dict[str, tuple[str, Script | bytes]] = {
    "closed before the headers": ("H15", []),
    "reset before the headers": ("H15", [RESET]),
    "reset in the headers": ("H15", [answer()[:20], RESET]),
    "closed in the status": ("H15", [answer()[:20]]),
    "closed in the headers": ("H17", [answer()[:60]]),
    "closed after the headers": ("H15", [answer(body=b"", length=None)]),
    "reset in the body": ("H16", [answer()[:-100], 0.02, RESET]),
    "closed in the body": ("H17", [answer()[:-1]]),
    "length too long": ("H17", answer(length=len(LIST) + 1)),
    "chunk cut": ("H20", CHUNKED[:-50]),
    "no last chunk": ("H20", chunked(LIST, end=b"")),
    "bad chunk size": ("H20", chunked(LIST, end=b"zz\r\n\r\n")),
    "gzip half": ("H21", answer(body=PACKED[: len(PACKED) // 2], Content_Encoding="gzip")),
    "gzip without its last 8 bytes": ("H21", answer(body=PACKED[:-8], Content_Encoding="gzip")),
    "gzip without its last byte": ("H21", answer(body=PACKED[:-1], Content_Encoding="gzip")),
    "gzip with a wrong checksum": ("H22", answer(body=PACKED[:-5] + b"\0\0\0\0\0", Content_Encoding="gzip")),
    "gzip and junk": ("H22", answer(body=PACKED + b"junk", Content_Encoding="gzip")),
    "gzip in name only": ("H22", answer(Content_Encoding="gzip")),
}


@pytest.mark.parametrize(("code", "script"), BROKEN.values(), ids=BROKEN)
def test_a_broken_response_is_retried_and_never_used(serve: Start, code: str, script: Script | bytes) -> None:
    server = serve(script)

    text = refused(server, UnavailableError, code)

    assert len(server.requests) == 6
    assert "after 6 requests" in text


@pytest.mark.parametrize("script", [script for _, script in BROKEN.values()], ids=BROKEN)
def test_a_retry_after_a_broken_response_can_succeed(serve: Start, script: Script | bytes) -> None:
    server = serve(script, answer())

    with client(server.url) as api:
        assert api.list_jobs().body == LIST

    assert len(server.requests) == 2


def test_no_truncated_body_is_taken_for_the_whole(serve: Start) -> None:
    whole = answer()
    start = len(whole) - len(LIST)
    cuts = [start + len(LIST) * part // 20 for part in range(20)]
    server = serve(*([whole[:cut], RESET] for cut in cuts[:5]), answer(), *([whole[:cut]] for cut in cuts[5:10]), whole)

    with client(server.url) as api:
        assert LIST == api.list_jobs().body == api.list_jobs().body

    assert len(server.requests) == 12


def test_a_refused_connection_is_tried_six_times(serve: Start) -> None:
    server = serve(answer())
    server.close()

    with (
        client(server.url) as api,
        pytest.raises(UnavailableError, match="refused the connection after 6 requests") as caught,
    ):
        api.list_jobs()

    assert caught.value.code == "FTETL-H14"
    assert api.stats.requests == 6


@pytest.mark.parametrize(
    ("script", "kind", "seen"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", ProtocolError, 2),
        (b"HTTP/1.1 banana Split\r\n\r\n", ProtocolError, 2),
        (b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 101 + b"\r\n", ProtocolError, 2),
        (b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 70_000 + b"\r\n\r\n", ProtocolError, 2),
    ],
    ids=["another protocol", "no status", "101 headers", "70 kB header"],
)
def test_what_is_not_http_is_not_the_api(serve: Start, script: bytes, kind: type[FtetlError], seen: int) -> None:
    server = serve(script)

    refused(server, kind, "H37")

    assert seen == len(server.requests)


# -------------------------------------------------------------------------------------- a 200 that is none


@pytest.mark.parametrize(
    ("script", "kind", "code"),
    [
        (answer(body=b"<!DOCTYPE html><p>Sign in", Content_Type="text/html"), ProtocolError, "H32"),
        (answer(body=b"\xef\xbb\xbf\r\n <html>", Content_Type="application/json"), ProtocolError, "H32"),
        (answer(body=b""), DataError, "R02"),
        (answer(body=b"", Content_Encoding="gzip"), DataError, "R02"),
        (answer(body=b" \r\n\t"), DataError, "R02"),
        (answer(body=b" ", length=None), DataError, "R02"),
        (answer(body=b'{"error":{"message":"no luck"}}'), DataError, "R01"),
        (answer(body=b'{"error":{"message":"no luck"},"data":null}'), DataError, "R01"),
        (answer(body=LIST[:-1], length=None), DataError, "H19"),
        (answer(body=LIST[:40], length=None), DataError, "H19"),
    ],
    ids=[
        "page",
        "page as JSON",
        "empty",
        "empty gzip",
        "blank",
        "unframed blank",
        "error",
        "error without data",
        "cut",
        "cut early",
    ],
)
def test_a_complete_response_that_is_no_list_is_retried_once(
    serve: Start, script: bytes, kind: type[FtetlError], code: str
) -> None:
    again, healed = serve(script), serve(script, answer())

    text = refused(again, kind, code)
    with client(healed.url) as api:
        assert api.list_jobs().body == LIST

    assert (len(again.requests), len(healed.requests)) == (2, 2)
    assert "Sign in" not in text
    assert ("no luck" in text) is (b"no luck" in script)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":null,"data":[{"id":"x"}]}',
        b'{"data":null}',
        b'{"object":"list"}',
        b'[{"id":"x"}]',
        b'\xef\xbb\xbf{"data":[]}',
        b'{"data":[{"id":NaN}]}',
        b'{"data":[{"id":"\xff"}]}',
        b'{"data":[' + b"[" * 5000 + b"]" * 5000 + b"]}",
    ],
    ids=lambda body: repr(body[:30]),
)
@pytest.mark.parametrize("length", [-1, None], ids=["framed", "unframed"])
def test_the_elements_of_a_list_are_not_checked(serve: Start, body: bytes, length: int | None) -> None:
    server = serve(answer(body=body, length=length))

    with client(server.url) as api:
        assert body == api.list_jobs().body

    assert len(server.requests) == 1


def test_an_error_body_is_no_job(serve: Start) -> None:
    server = serve(answer(body=b'{"error":{"message":"no luck"}}'))

    with client(server.url) as api, pytest.raises(DataError, match="no luck") as caught:
        api.get_job("ft-1")

    assert caught.value.code == "FTETL-R01"
    assert len(server.requests) == 2


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "banana"])
def test_a_compression_that_was_not_requested_is_refused(serve: Start, encoding: str) -> None:
    server = serve(answer(Content_Encoding=encoding))

    refused(server, ProtocolError, "H24")

    assert len(server.requests) == 1


# ----------------------------------------------------------------------------------------------- too large


@pytest.mark.parametrize(
    ("code", "script"),
    [
        ("H23", answer(body=gzip.compress(bytes(20_000_000)), Content_Encoding="gzip")),
        ("H25", answer(body=bytes(1_000_001))),
        ("H25", answer(body=bytes(1_000_001), length=None)),
        ("H25", chunked(bytes(600_000), bytes(600_000), end=b"")),
        ("H25", answer(body=gzip.compress(b"") * 150_000, Content_Encoding="gzip")),
    ],
    ids=["bomb", "long", "unframed", "chunked", "much of nothing"],
)
def test_a_body_over_the_limit_is_not_read_to_its_end(serve: Start, code: str, script: bytes) -> None:
    server = serve(script)

    text = refused(server, DataError, code, max_bytes=1_000_000)

    assert len(server.requests) == 1
    assert "--max-bytes" in text


def test_a_body_of_exactly_the_limit_is_accepted(serve: Start) -> None:
    server = serve(answer(body=PACKED, Content_Encoding="gzip"))

    with client(server.url, max_bytes=len(LIST)) as api:
        assert api.list_jobs().body == LIST


# ----------------------------------------------------------------------------------------------- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(serve: Start, status: int) -> None:
    other = serve(answer())
    bomb = gzip.compress(bytes(20_000_000))
    location = f"http://canary@127.0.0.1:{other.port}/v1/fine-tunes?canary"
    server = serve(answer(status, bomb, Location=location, Content_Encoding="gzip"))

    text = refused(server, ProtocolError, "H31")

    assert (len(server.requests), len(other.requests)) == (1, 0)
    assert "http://127.0.0.1," in text


@pytest.mark.parametrize("location", ["", "/v1/", "//[", "http://a b/", "http://\xe4\xf6/", "javascript:alert(1)"])
def test_a_redirect_without_a_valid_target_is_refused_too(serve: Start, location: str) -> None:
    server = serve(answer(302, b"", Location=location).decode().encode("latin-1"))

    refused(server, ProtocolError, "H31")

    assert len(server.requests) == 1


# ------------------------------------------------------------------------------------------------ deadline

PACKED_ANSWER = answer(body=PACKED, Content_Encoding="gzip")
SLOW: dict[str, Script] = {
    "headers": drip(answer(X_Long="x" * 300)),
    "body": [answer()[:200], *drip(LIST)],
    "packed body": [PACKED_ANSWER[:150], *drip(PACKED_ANSWER[150:])],
    "chunk size": [chunked(LIST)[:70], *drip(b"0" * 200)],
    "silence": [HANG],
    "silence in the body": [answer()[:-5], HANG],
    "explanation": [answer(503, b"", length=1000), *drip(b"x" * 300)],
}


@pytest.mark.parametrize("script", SLOW.values(), ids=SLOW)
def test_no_slow_response_outlasts_the_deadline(serve: Start, script: Script) -> None:
    server = serve(script)

    text = refused(server, UnavailableError, "C09", seconds=0.5)

    assert len(server.requests) == 1
    assert "deadline of 0.5 seconds" in text


def test_at_the_deadline_no_thread_goes_on_reading(serve: Start) -> None:
    server = serve(SLOW["headers"])

    with client(server.url, seconds=0.5) as api:
        with pytest.raises(UnavailableError, match="deadline"):
            api.list_jobs()
        reading = [thread for thread in threading.enumerate() if thread.name == "ftetl-request"]
        for thread in reading:
            thread.join(timeout=10)

        assert not any(thread.is_alive() for thread in reading)


@pytest.fixture
def _silent_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Name lookups that end with the test, as those of a dead name server: no timeout bounds them."""
    over = threading.Event()

    def lookup(*_: object, **__: object) -> list[object]:
        over.wait()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    yield
    over.set()


@pytest.mark.usefixtures("_silent_resolver")
def test_a_name_that_is_never_resolved_meets_the_deadline() -> None:
    with client("http://localhost:9/v1", seconds=0.5) as api, pytest.raises(UnavailableError, match="the deadline"):
        api.list_jobs()


@pytest.mark.usefixtures("_silent_resolver")
def test_closing_does_not_wait_for_a_name() -> None:
    with client("http://localhost:9/v1") as api, ThreadPoolExecutor(1) as other:
        asking = other.submit(api.list_jobs)
        while not api.stats.requests:
            wait([asking], timeout=0.01)
        api.close()

        with pytest.raises(UnavailableError, match="stopped"):
            asking.result(timeout=30)


def test_a_name_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "canary")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)

    with client("http://localhost:9/v1") as api, pytest.raises(UnavailableError, match="name of localhost:9") as caught:
        api.list_jobs()

    assert caught.value.code == "FTETL-H29"
    assert api.stats.requests == 6
    assert "canary" not in str(caught.value)


def test_after_the_deadline_no_request_is_sent(serve: Start) -> None:
    server = serve(answer())

    refused(server, UnavailableError, "C09", seconds=0)

    assert server.requests == []


def test_a_backoff_beyond_the_deadline_is_not_begun(serve: Start) -> None:
    server = serve(answer(503, b""))
    deadline = Deadline(5)
    retry = RetryPolicy(deadline, rng=lambda _, high: 10 * high)

    with (
        closing(Client(server.url, Secret(KEY), RequestLimits(deadline, 10**6), retry=retry)) as api,
        pytest.raises(UnavailableError, match="503"),
    ):
        api.list_jobs()

    assert len(server.requests) == 1


def test_closing_ends_open_requests(serve: Start) -> None:
    server = serve([HANG])

    with client(server.url) as api, ThreadPoolExecutor(1) as other:
        asking = other.submit(api.list_jobs)
        while not server.requests:
            wait([asking], timeout=0.01)
        api.close()

        with pytest.raises(UnavailableError, match="stopped"):
            asking.result(timeout=30)
        with pytest.raises(UnavailableError, match="stopped"):
            api.list_jobs()


# ---------------------------------------------------------------------- netrc, proxies, debug output, TLS


@pytest.fixture
def _netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "netrc"
    file.write_text("default login somebody password else\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    assert requests.utils.get_netrc_auth("https://127.0.0.1/v1") == ("somebody", "else")


@pytest.mark.usefixtures("_netrc")
def test_the_key_overrides_netrc(serve: Start) -> None:
    server = serve(answer())

    with client(server.url) as api:
        api.list_jobs()
    tls = Route("https://127.0.0.1/v1", Secret(KEY), ConnectionRegistry(), 1)

    assert f"Bearer {KEY}" == server.requests[0].headers["authorization"] == tls.headers["Authorization"]


def test_the_key_does_not_go_to_a_proxy_in_the_clear(serve: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, server = serve(answer(502)), serve(answer())
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")

    with client(server.url) as api:
        assert api.list_jobs().body == LIST

    assert (len(proxy.requests), len(server.requests)) == (0, 1)


@pytest.mark.parametrize(("status", "kind", "seen"), [(407, AccessError, 1), (502, UnavailableError, 6)])
def test_a_refusing_proxy_is_distinguished_from_the_api(
    serve: Start, monkeypatch: pytest.MonkeyPatch, status: int, kind: type[FtetlError], seen: int
) -> None:
    proxy = serve(answer(status, b""))
    monkeypatch.setenv("HTTPS_PROXY", f"http://somebody:canary-pass@127.0.0.1:{proxy.port}")

    with client("https://api.together.ai/v1") as api, pytest.raises(kind, match="proxy") as caught:
        api.list_jobs()

    assert caught.value.code == "FTETL-H35"
    assert "canary" not in str(caught.value)
    assert seen == len(proxy.requests)
    assert {"CONNECT"} == {request.method for request in proxy.requests}
    assert all(KEY not in str(request.headers) for request in proxy.requests)


def test_http_client_does_not_print_the_headers(
    serve: Start, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)

    with client(serve(answer()).url) as api:
        api.list_jobs()

    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, made for this run."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate")
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", str(file) + ".crt"]
    subprocess.run([openssl, *words.split(), *names], check=True, capture_output=True)
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_certificate_that_cannot_be_verified_ends_the_run(serve: Start, tls: ssl.SSLContext) -> None:
    server = serve(answer(), context=tls)

    text = refused(server, ProtocolError, "H30")

    assert server.requests == []
    assert "certificate" in text


@pytest.mark.usefixtures("_netrc")
def test_a_configured_certificate_authority_is_trusted(
    serve: Start, tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"{certificate}.crt")
    server = serve(answer(), context=tls)

    with client(server.url) as api:
        assert api.list_jobs().body == LIST

    assert f"Bearer {KEY}" == server.requests[0].headers["authorization"]


def test_a_slow_tls_server_meets_the_deadline(
    serve: Start, tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"{certificate}.crt")
    server = serve(drip(answer(X_Long="x" * 300)), context=tls)

    refused(server, UnavailableError, "C09", seconds=0.5)

    assert len(server.requests) == 1


def test_a_port_without_tls_is_not_the_api(serve: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(b"220 mail.example ESMTP\r\n")
                    connection.recv(4096)

        greeting = threading.Thread(target=greet)
        greeting.start()
        with client(f"https://127.0.0.1:{listener.getsockname()[1]}/v1") as api, pytest.raises(ProtocolError) as caught:
            api.list_jobs()
        greeting.join()

    assert caught.value.code == "FTETL-H30"
    assert api.stats.requests == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (urllib3.exceptions.ConnectTimeoutError(), "H38"),
        (urllib3.exceptions.NewConnectionError(None, "no route to host"), "H14"),  # type: ignore[arg-type]
        (TimeoutError(), "H28"),
        (requests.ConnectionError(), "N01"),
        (requests.exceptions.InvalidProxyURL(), "X06"),
        (KeyError("canary"), "B01"),
    ],
    ids=repr,
)
def test_rare_network_errors_have_a_code_as_well(error: Exception, code: str) -> None:
    found = failure_from_exception(error, "somewhere").error(1)

    assert found.code == f"FTETL-{code}"
    assert found.exit.name in FAULTS[code].exits
    assert "canary" not in str(found)


def test_a_missing_file_of_certificate_authorities_is_a_config_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none"))

    with client("https://127.0.0.1:9/v1") as api, pytest.raises(ConfigError, match="REQUESTS_CA_BUNDLE") as caught:
        api.list_jobs()

    assert caught.value.code == "FTETL-P09"
