"""A list in pages: all of it in one list, or an error; every request is counted at the server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ftetl.clock import Deadline
from ftetl.config.credentials import Secret
from ftetl.errors import DataError, FtetlError
from ftetl.extract.list_pages import fetch_list
from ftetl.extract.sources.api import ApiSource
from ftetl.extract.together_api.client import Client, JobList
from ftetl.extract.together_api.retry import RetryPolicy
from ftetl.extract.together_api.transport import RequestLimits
from tests.integration.canary import KEY

Reply = tuple[int, bytes, dict[str, str]]


class Pages(ThreadingHTTPServer):
    """Answers each cursor (None: the first request) with its reply, or with the next one of several."""

    daemon_threads = True

    def __init__(self, replies: Mapping[str | None, bytes | Reply | list[bytes | Reply]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies = {cursor: [*reply] if isinstance(reply, list) else [reply] for cursor, reply in replies.items()}
        self.paths: list[str] = []

    def reply(self, path: str) -> Reply:
        self.paths.append(path)
        replies = self.replies[parse_qs(urlsplit(path).query).get("after", [None])[0]]
        found = replies.pop(0) if len(replies) > 1 else replies[0]
        return (200, found, {}) if isinstance(found, bytes) else found

    def list(self, max_bytes: int = 10**7) -> JobList:
        with closing(self.client(max_bytes)) as client:
            return fetch_list(client)

    def client(self, max_bytes: int = 10**7) -> Client:
        deadline = Deadline(60)
        retry = RetryPolicy(deadline, sleep=lambda _: None)
        url = f"http://127.0.0.1:{self.server_port}/v1"
        return Client(url, Secret(KEY), RequestLimits(deadline, max_bytes), retry=retry)

    def refused(self, max_bytes: int = 10**7) -> FtetlError:
        with pytest.raises(FtetlError) as caught:
            self.list(max_bytes)
        return caught.value


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Pages

    def do_GET(self) -> None:
        status, body, headers = self.server.reply(self.path)
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


Serve = Callable[[Mapping[str | None, Any]], Pages]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[Pages] = []

    def start(replies: Mapping[str | None, Any]) -> Pages:
        server = Pages(replies)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def page(*ids: str, cursor: str | None = None, **keys: Any) -> bytes:
    return json.dumps({"data": [{"id": job_id} for job_id in ids], "next_cursor": cursor, **keys}).encode()


def ids(listed: JobList) -> list[str]:
    document = json.loads(listed.body)
    assert [*document] == ["data"]
    return [job["id"] for job in document["data"]]


FIRST, LAST = page("ft-1", "ft-2", cursor="c1"), page("ft-3")
ABC = ["ft-1", "ft-2", "ft-3"]


def test_a_cursor_is_followed_to_the_last_page(serve: Serve) -> None:
    server = serve({None: FIRST, "c1": page("ft-3", "ft-4", cursor="c2"), "c2": page("ft-5")})

    listed = server.list()

    assert ids(listed) == ["ft-1", "ft-2", "ft-3", "ft-4", "ft-5"]
    assert listed.pages == 3
    assert server.paths == ["/v1/fine-tunes", "/v1/fine-tunes?after=c1", "/v1/fine-tunes?after=c2"]


@pytest.mark.parametrize(
    "body",
    [
        page("ft-1"),
        b'{"data":[{"id":"ft-1"}]}',
        b' {"next_cursor" : null, "data":[ {"id":"ft-1"} ]}\n',
        b'{"data":[{"id":"ft-1","note":{"next_cursor":"c1"}}]}',
        b'{"data":[{"id":"ft-1"}],"next_cursor":""}',
    ],
)
def test_a_list_in_one_page_stays_as_it_was_received(serve: Serve, body: bytes) -> None:
    server = serve({None: body})

    listed = server.list()

    assert (listed.body, listed.pages, server.paths) == (body, 1, ["/v1/fine-tunes"])


def test_jobs_keep_their_bytes(serve: Serve) -> None:
    first = b'{"next_cursor":"c1","data":[ {"id" : "ft-1","total_price":1.50e3} ,\n{"id":"ft-2","x":"\\u00e9"}]}'
    last = b'{"data":[{ "id":"ft-3", "broken":01 }]}'

    listed = serve({None: first, "c1": last}).list()

    jobs = b'{"id" : "ft-1","total_price":1.50e3} ,\n{"id":"ft-2","x":"\\u00e9"},\n{ "id":"ft-3", "broken":01 }'
    assert listed.body == b'{"data":[' + jobs + b"]}"


CURSORS = ["a b/c+d&e=f#g?h%i", "ü€", "key_" + "0123456789abcdef" * 4, "eyJhbGciOi.J9-_~=="]


@pytest.mark.parametrize("cursor", CURSORS)
def test_a_cursor_is_sent_back_exactly(serve: Serve, cursor: str) -> None:
    server = serve({None: page("ft-1", "ft-2", cursor=cursor), cursor: LAST})

    assert ids(server.list()) == ABC
    assert len(server.paths) == 2


LAST_PAGES = {
    "an empty page": page(),
    "the cursor's key is left out": b'{"data":[{"id":"ft-3"}]}',
    "the number of jobs": page("ft-3", total=3, count=1),
    "the number of this page and of all": page("ft-3", page=2, total_pages=2, offset=2),
    "a full page": page("ft-3", "ft-4", limit=2),
    "nothing more": page("ft-3", has_more=False, pagination={"next": None, "page": 2}),
    "a job that moved to it": page("ft-2", "ft-3"),
}


@pytest.mark.parametrize("last", LAST_PAGES.values(), ids=[*LAST_PAGES])
def test_a_complete_set_of_pages_is_a_whole_list(serve: Serve, last: bytes) -> None:
    first = page("ft-1", "ft-2", cursor="c1", has_more=True, limit=2, total=3)
    headers = {"Link": '<https://example.com/?after=c1>; rel="next"', "X-Next-Cursor": "c1", "X-Total-Count": "2"}
    server = serve({None: (200, first, headers), "c1": last})

    assert set(ids(server.list())) >= {"ft-1", "ft-2"}
    assert len(server.paths) == 2


# What comes after the first page, and what the error says.
REFUSED: dict[str, tuple[bytes | Reply, str]] = {
    "the cursor again": (page("ft-3", cursor="c1"), "repeats the cursor"),
    "the first page again": (FIRST, "repeats jobs"),
    "the same jobs with another cursor": (page("ft-2", "ft-1", cursor="c2"), "repeats jobs"),
    "some of the same jobs at the end": (page("ft-2"), "repeats jobs"),
    "no data": (b'{"object":"list"}', "has no list"),
    "null": (b'{"data":null}', "has no list"),
    "no list": (b'{"data":{"id":"ft-3"}}', "has no list"),
    "an array": (b'[{"id":"ft-3"}]', "has no list"),
    "a job": (b'{"id":"ft-3"}', "has no list"),
    "text": (b'"ft-3"', "has no list"),
    "null and a cursor": (b'{"data":null,"next_cursor":"c2"}', "`next_cursor` is set"),
    "an empty page and a cursor": (page(cursor="c2"), "no job"),
    "more jobs without a cursor": (page("ft-3", has_more=True), "`has_more`"),
    "a number as a cursor": (b'{"data":[{"id":"ft-3"}],"next_cursor":7}', "`next_cursor`"),
    "more jobs by their number": (page("ft-3", total=4), "`total`"),
    "more pages by their number": (page("ft-3", total_pages=3), "`total_pages`"),
    "more jobs by the headers": ((200, LAST, {"X-Total-Count": "4"}), "4 jobs, not 3"),
    "a repeated job in their number": ((200, page("ft-2", "ft-3"), {"X-Total-Count": "4"}), "4 jobs, not 3"),
    "a next page by the headers": ((200, LAST, {"Link": '<https://e.com>; rel="next"'}), "`Link`"),
}


@pytest.mark.parametrize(("second", "says"), REFUSED.values(), ids=[*REFUSED])
def test_pages_that_cannot_be_all_are_refused(serve: Serve, second: bytes | Reply, says: str) -> None:
    server = serve({None: FIRST, "c1": second})

    error = server.refused()

    assert (type(error), error.code, len(server.paths)) == (DataError, "FTETL-R46", 2)
    assert says in error.what
    assert error.evidence == (second if isinstance(second, bytes) else second[1])


def test_cursors_that_go_in_a_circle_end(serve: Serve) -> None:
    pages = {None: FIRST, "c1": page("ft-3", cursor="c2"), "c2": page("ft-4", cursor="c1")}
    server = serve(pages)

    assert server.refused().code == "FTETL-R46"
    assert len(server.paths) == 3


BROKEN: dict[str, tuple[bytes | Reply, str, int]] = {  # the second page, the error, and all requests
    "a server error": ((500, b"{}", {}), "FTETL-H12", 7),
    "a refused key": ((401, b"{}", {}), "FTETL-H01", 2),
    "an unknown cursor": ((400, b"{}", {}), "FTETL-H05", 2),
    "no such page": ((404, b"{}", {}), "FTETL-H04", 2),
    "a redirect": ((302, b"", {"Location": "https://example.com"}), "FTETL-H31", 2),
    "an error message": (b'{"error":{"message":"no"}}', "FTETL-R01", 3),
    "an error beside a list": (b'{"data":[{"id":"ft-3"}],"error":"no"}', "FTETL-R01", 2),
    "half a page": (b'{"data":[{"id":"ft-3"}', "FTETL-H19", 2),
    "a page that is no JSON": (b'{"data":[{"id":"ft-3"},]}', "FTETL-E01", 2),
}


@pytest.mark.parametrize(("second", "code", "requests"), BROKEN.values(), ids=[*BROKEN])
def test_a_page_that_fails_fails_the_list(serve: Serve, second: bytes | Reply, code: str, requests: int) -> None:
    server = serve({None: FIRST, "c1": second})

    assert (server.refused().code, len(server.paths)) == (code, requests)


def test_a_page_is_requested_again_like_every_response(serve: Serve) -> None:
    server = serve({None: FIRST, "c1": [(503, b"", {}), (429, b"", {"Retry-After": "1"}), LAST]})

    assert ids(server.list()) == ABC
    assert len(server.paths) == 4


def test_the_pages_together_are_bounded(serve: Serve) -> None:
    server = serve({None: FIRST, "c1": LAST})

    assert server.refused(max_bytes=len(FIRST) + len(LAST) - 1).code == "FTETL-H25"
    assert ids(server.list(max_bytes=len(FIRST) + len(LAST))) == ABC


def test_the_source_gives_the_pages_as_one_whole_response(serve: Serve) -> None:
    server = serve({None: FIRST, "c1": (200, LAST, {"X-Total-Count": "3"})})

    with closing(ApiSource(server.client(), "test")) as source:
        (response,) = source.responses()

    assert (response.whole, response.pages, response.total, source.stats.requests) == (True, 2, 3, 2)
