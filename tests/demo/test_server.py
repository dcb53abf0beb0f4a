"""The stand-in over HTTP: what it answers, what it refuses, and that nothing of it stays behind."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from ftetl import demo
from ftetl.demo.list_endpoint import list_item
from tests.demo.generator import generate_jobs

JOBS = generate_jobs(count=24)
BEARER = {"Authorization": f"Bearer {demo.DEFAULT_KEY}"}


@pytest.fixture
def server() -> Iterator[demo.Server]:
    with demo.serve(JOBS) as running:
        yield running


class Reply:
    """An answer, read to its end."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.raw = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


def connection(server: demo.Server) -> http.client.HTTPConnection:
    parts = urlsplit(server.url)
    return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)


def ask(server: demo.Server, path: str, method: str = "GET", **headers: str) -> Reply:
    line = connection(server)
    try:
        line.request(method, path, headers={**BEARER, **{k.replace("_", "-"): v for k, v in headers.items()}})
        return Reply(line.getresponse())
    finally:
        line.close()


def test_the_list_holds_all_jobs_as_list_items(server: demo.Server) -> None:
    reply = ask(server, "/v1/fine-tunes")

    assert reply.status == 200
    assert reply.json == {"data": [list_item(job) for job in reversed(JOBS)]}


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job["status"])
def test_a_detail_is_the_whole_job_with_its_events(server: demo.Server, job: dict[str, Any]) -> None:
    assert ask(server, f"/v1/fine-tunes/{job['id']}").json == job
    assert ask(server, f"/v1/fine-tunes/{job['id']}/events").json == {"data": job["events"]}


@pytest.mark.parametrize("path", ["/v1/fine-tunes?limit=20", f"/v1/fine-tunes/{JOBS[0]['id']}?x=1"])
def test_a_query_changes_nothing(server: demo.Server, path: str) -> None:
    assert ask(server, path).json == ask(server, path.partition("?")[0]).json


def test_ids_are_percent_decoded(server: demo.Server) -> None:
    job = {"id": "ft-a/b c", "status": "completed"}
    server.jobs = [job]

    assert ask(server, "/v1/fine-tunes/ft-a%2Fb%20c").json == job


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/fine-tunes/", "/v1/fine-tunes/ft-unknown", "/v1/fine-tunes/ft-unknown/events", "/v2/fine-tunes"],
)
def test_what_is_not_there_is_404_in_the_envelope(server: demo.Server, path: str) -> None:
    reply = ask(server, path)

    assert reply.status == 404
    assert reply.json["error"]["code"] == "not_found"


@pytest.mark.parametrize("path", ["/v1/fine-tunes", f"/v1/fine-tunes/{JOBS[0]['id']}", "/nowhere"])
@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", f"Basic {demo.DEFAULT_KEY}", demo.DEFAULT_KEY])
def test_without_the_key_there_is_only_401_in_the_envelope(server: demo.Server, path: str, authorization: str) -> None:
    reply = ask(server, path, Authorization=authorization)

    assert reply.status == 401
    assert set(reply.json) == {"error"}
    assert reply.json["error"] | {"message": ""} == {
        "message": "",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }


def test_the_key_can_be_chosen() -> None:
    with demo.serve(JOBS, key="another-key") as server:
        assert server.key == "another-key"
        assert ask(server, "/v1/fine-tunes").status == 401
        assert ask(server, "/v1/fine-tunes", Authorization="Bearer another-key").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD"])
def test_it_only_reads(server: demo.Server, method: str) -> None:
    reply = ask(server, "/v1/fine-tunes", method)

    assert reply.status == 501
    assert method == "HEAD" or reply.json["error"]["code"] == "not_implemented"


def test_what_is_no_http_is_refused_in_the_envelope(server: demo.Server) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as line:
        line.sendall(b"this is no request\r\n\r\n")
        received = b"".join(iter(lambda: line.recv(4096), b""))

    assert b'"invalid_request"' in received
    assert b"<html" not in received.lower()


@pytest.mark.parametrize("path", ["/v1/fine-tunes", f"/v1/fine-tunes/{JOBS[0]['id']}", "/nowhere"])
def test_gzip_is_the_same_body_for_those_who_accept_it(server: demo.Server, path: str) -> None:
    plain, packed = ask(server, path), ask(server, path, Accept_Encoding="gzip, deflate")

    assert plain.headers["Content-Encoding"] is None
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.raw) == plain.raw


def test_an_answer_has_its_length_its_date_and_an_id_of_its_own(server: demo.Server) -> None:
    replies = [ask(server, path) for path in ("/v1/fine-tunes", "/v1/fine-tunes", "/nowhere")]

    assert [reply.headers["Content-Length"] for reply in replies] == [str(len(reply.raw)) for reply in replies]
    assert len({reply.headers["CF-RAY"] for reply in replies}) == 3
    assert all(parsedate_to_datetime(reply.headers["Date"]).year >= 2025 for reply in replies)


def test_a_connection_is_kept_also_after_an_error(server: demo.Server) -> None:
    line = connection(server)
    statuses, sockets = [], set()
    for path in ("/v1/fine-tunes", "/nowhere", "/v1/fine-tunes"):
        line.request("GET", path, headers=BEARER)
        statuses.append(Reply(line.getresponse()).status)
        sockets.add(line.sock)
    line.close()

    assert statuses == [200, 404, 200]
    assert len(sockets) == 1


def test_every_request_is_remembered(server: demo.Server) -> None:
    ask(server, "/v1/fine-tunes?limit=2")
    ask(server, "/nowhere", Authorization="")
    ask(server, "/v1/fine-tunes", "POST")

    assert server.requests == [("GET", "/v1/fine-tunes?limit=2"), ("GET", "/nowhere"), ("POST", "/v1/fine-tunes")]


def test_many_can_ask_at_once(server: demo.Server) -> None:
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda job=job: found.append(ask(server, f"/v1/fine-tunes/{job['id']}").json))
        for job in JOBS
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(job["id"] for job in found) == sorted(job["id"] for job in JOBS)


@pytest.mark.parametrize("status", [400, 402, 403, 408, 409, 429, 500, 503, 520])
def test_it_fails_on_demand(status: int) -> None:
    wanted = f"/v1/fine-tunes/{JOBS[3]['id']}"
    with demo.serve(JOBS, fail=lambda path: status if path == wanted else None) as server:
        reply = ask(server, wanted)

        assert ask(server, "/v1/fine-tunes").status == 200
    assert reply.status == status
    assert set(reply.json["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(server: demo.Server, status: int) -> None:
    server.fail = lambda _: status

    assert (ask(server, "/v1/fine-tunes").status, ask(server, "/v1/fine-tunes").raw) == (status, b"")


def test_its_jobs_may_change_while_it_runs(server: demo.Server) -> None:
    server.jobs = JOBS[:2]

    assert len(ask(server, "/v1/fine-tunes").json["data"]) == 2
    assert ask(server, f"/v1/fine-tunes/{JOBS[5]['id']}").status == 404


def test_without_jobs_those_of_the_data_file_are_served() -> None:
    with demo.serve() as server:
        reply = ask(server, "/v1/fine-tunes")

    assert reply.json == {"data": [list_item(job) for job in reversed(demo.load_jobs())]}
    assert len(reply.json["data"]) == 360


def test_it_listens_on_loopback_only(server: demo.Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_port}/v1"


def test_nothing_of_it_stays_behind() -> None:
    before = set(threading.enumerate())
    with demo.serve(JOBS) as server:
        idle = connection(server)
        idle.request("GET", "/v1/fine-tunes", headers=BEARER)
        Reply(idle.getresponse())

    assert set(threading.enumerate()) <= before
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", server.server_port)):
        pass
    assert idle.sock.recv(1) == b""
    idle.close()


def test_closing_does_not_wait_for_an_answer_that_takes_its_time() -> None:
    with demo.serve(JOBS, latency=3600) as server:
        line = connection(server)
        line.request("GET", "/v1/fine-tunes", headers=BEARER)
        while not server.requests:
            threading.Event().wait(0.005)
    line.close()

    assert server.requests == [("GET", "/v1/fine-tunes")]


def test_it_can_be_closed_twice(server: demo.Server) -> None:
    server.close()
    server.close()

    assert server.socket.fileno() == -1


def test_it_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with demo.serve(JOBS) as server:
        ask(server, "/v1/fine-tunes")
        ask(server, "/nowhere", Authorization="")
        rude = connection(server)
        rude.request("GET", "/v1/fine-tunes", headers=BEARER)
        rude.close()

    assert capfd.readouterr() == ("", "")
