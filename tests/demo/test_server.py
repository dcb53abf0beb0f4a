"""The demo API over HTTP: its responses, its errors, and that no thread or socket of it stays open."""

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
from ftetl.demo.responses import list_item
from tests.demo.generator import generate_jobs
from tests.extract.together_api.whoami_shapes import FLAT, PROJECT_API_KEY

JOBS = generate_jobs(count=24)
BEARER = {"Authorization": f"Bearer {demo.DEFAULT_KEY}"}


@pytest.fixture
def server() -> Iterator[demo.Server]:
    with demo.serve(JOBS) as running:
        yield running


class Response:
    """A response with its whole body."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.raw = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


def open_connection(server: demo.Server) -> http.client.HTTPConnection:
    parts = urlsplit(server.url)
    return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)


def request(server: demo.Server, path: str, method: str = "GET", **headers: str) -> Response:
    connection = open_connection(server)
    try:
        connection.request(method, path, headers={**BEARER, **{k.replace("_", "-"): v for k, v in headers.items()}})
        return Response(connection.getresponse())
    finally:
        connection.close()


def test_the_list_holds_all_jobs_as_list_items(server: demo.Server) -> None:
    response = request(server, "/v1/fine-tunes")

    assert response.status == 200
    assert response.json == {"data": [list_item(job) for job in reversed(JOBS)]}


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job["status"])
def test_a_detail_is_the_whole_job_with_its_events(server: demo.Server, job: dict[str, Any]) -> None:
    assert request(server, f"/v1/fine-tunes/{job['id']}").json == job
    assert request(server, f"/v1/fine-tunes/{job['id']}/events").json == {"data": job["events"]}


@pytest.mark.parametrize("path", ["/v1/fine-tunes?limit=20", f"/v1/fine-tunes/{JOBS[0]['id']}?x=1"])
def test_a_query_changes_nothing(server: demo.Server, path: str) -> None:
    assert request(server, path).json == request(server, path.partition("?")[0]).json


def test_the_list_comes_in_pages_on_demand(server: demo.Server) -> None:
    ids = [job["id"] for job in reversed(JOBS)]
    server.page_size = 10
    pages, query = [], ""
    while len(pages) < 5:
        pages.append(request(server, f"/v1/fine-tunes{query}").json)
        if pages[-1]["next_cursor"] is None:
            break
        query = f"?after={pages[-1]['next_cursor']}"

    assert [[job["id"] for job in page["data"]] for page in pages] == [ids[:10], ids[10:20], ids[20:]]
    assert request(server, "/v1/fine-tunes?after=ft-unknown").status == 400


@pytest.mark.parametrize(("path", "form"), [("/v3/whoami", PROJECT_API_KEY), ("/v1/whoami", FLAT)])
def test_whose_the_key_is_comes_in_both_forms_if_there_is_an_owner(
    server: demo.Server, path: str, form: dict[str, Any]
) -> None:
    assert request(server, path).status == 404
    server.whoami = PROJECT_API_KEY

    assert request(server, path).json == {name: value for name, value in form.items() if name != "user_id"}


def test_ids_are_percent_decoded(server: demo.Server) -> None:
    job = {"id": "ft-a/b c", "status": "completed"}
    server.jobs = [job]

    assert request(server, "/v1/fine-tunes/ft-a%2Fb%20c").json == job


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/fine-tunes/", "/v1/fine-tunes/ft-unknown", "/v1/fine-tunes/ft-unknown/events", "/v2/fine-tunes"],
)
def test_an_unknown_path_is_404_in_the_error_format(server: demo.Server, path: str) -> None:
    response = request(server, path)

    assert response.status == 404
    assert response.json["error"]["code"] == "not_found"


@pytest.mark.parametrize("path", ["/v1/fine-tunes", f"/v1/fine-tunes/{JOBS[0]['id']}", "/nowhere"])
@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", f"Basic {demo.DEFAULT_KEY}", demo.DEFAULT_KEY])
def test_without_the_key_every_response_is_401_in_the_error_format(
    server: demo.Server, path: str, authorization: str
) -> None:
    response = request(server, path, Authorization=authorization)

    assert response.status == 401
    assert set(response.json) == {"error"}
    assert response.json["error"] | {"message": ""} == {
        "message": "",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }


def test_the_key_can_be_chosen() -> None:
    with demo.serve(JOBS, key="another-key") as server:
        assert server.key == "another-key"
        assert request(server, "/v1/fine-tunes").status == 401
        assert request(server, "/v1/fine-tunes", Authorization="Bearer another-key").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD"])
def test_it_is_read_only(server: demo.Server, method: str) -> None:
    response = request(server, "/v1/fine-tunes", method)

    assert response.status == 501
    assert method == "HEAD" or response.json["error"]["code"] == "not_implemented"


def test_a_malformed_request_is_refused_in_the_error_format(server: demo.Server) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
        connection.sendall(b"this is no request\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(4096), b""))

    assert b'"invalid_request"' in received
    assert b"<html" not in received.lower()


@pytest.mark.parametrize("path", ["/v1/fine-tunes", f"/v1/fine-tunes/{JOBS[0]['id']}", "/nowhere"])
def test_gzip_is_the_same_body_for_clients_that_accept_it(server: demo.Server, path: str) -> None:
    plain, packed = request(server, path), request(server, path, Accept_Encoding="gzip, deflate")

    assert plain.headers["Content-Encoding"] is None
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.raw) == plain.raw


def test_a_response_has_its_length_its_date_and_an_id_of_its_own(server: demo.Server) -> None:
    responses = [request(server, path) for path in ("/v1/fine-tunes", "/v1/fine-tunes", "/nowhere")]

    assert [response.headers["Content-Length"] for response in responses] == [
        str(len(response.raw)) for response in responses
    ]
    assert len({response.headers["CF-RAY"] for response in responses}) == 3
    assert all(parsedate_to_datetime(response.headers["Date"]).year >= 2025 for response in responses)


def test_a_connection_is_kept_alive_even_after_an_error(server: demo.Server) -> None:
    connection = open_connection(server)
    statuses, sockets = [], set()
    for path in ("/v1/fine-tunes", "/nowhere", "/v1/fine-tunes"):
        connection.request("GET", path, headers=BEARER)
        statuses.append(Response(connection.getresponse()).status)
        sockets.add(connection.sock)
    connection.close()

    assert statuses == [200, 404, 200]
    assert len(sockets) == 1


def test_every_request_is_recorded(server: demo.Server) -> None:
    request(server, "/v1/fine-tunes?limit=2")
    request(server, "/nowhere", Authorization="")
    request(server, "/v1/fine-tunes", "POST")

    assert server.requests == [("GET", "/v1/fine-tunes?limit=2"), ("GET", "/nowhere"), ("POST", "/v1/fine-tunes")]


def test_requests_are_served_concurrently(server: demo.Server) -> None:
    received: list[Any] = []
    threads = [
        threading.Thread(target=lambda job=job: received.append(request(server, f"/v1/fine-tunes/{job['id']}").json))
        for job in JOBS
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(job["id"] for job in received) == sorted(job["id"] for job in JOBS)


@pytest.mark.parametrize("status", [400, 402, 403, 408, 409, 429, 500, 503, 520])
def test_it_fails_on_demand(status: int) -> None:
    wanted = f"/v1/fine-tunes/{JOBS[3]['id']}"
    with demo.serve(JOBS, fail=lambda path: status if path == wanted else None) as server:
        response = request(server, wanted)

        assert request(server, "/v1/fine-tunes").status == 200
    assert response.status == status
    assert set(response.json["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(server: demo.Server, status: int) -> None:
    server.fail = lambda _: status

    assert (request(server, "/v1/fine-tunes").status, request(server, "/v1/fine-tunes").raw) == (status, b"")


def test_its_jobs_may_change_while_it_runs(server: demo.Server) -> None:
    server.jobs = JOBS[:2]

    assert len(request(server, "/v1/fine-tunes").json["data"]) == 2
    assert request(server, f"/v1/fine-tunes/{JOBS[5]['id']}").status == 404


def test_without_jobs_those_of_the_data_file_are_served() -> None:
    with demo.serve() as server:
        response = request(server, "/v1/fine-tunes")

    assert response.json == {"data": [list_item(job) for job in reversed(demo.load_jobs())]}
    assert len(response.json["data"]) == 360


def test_it_listens_on_loopback_only(server: demo.Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_port}/v1"


def test_no_thread_and_no_socket_stays_open() -> None:
    before = set(threading.enumerate())
    with demo.serve(JOBS) as server:
        idle = open_connection(server)
        idle.request("GET", "/v1/fine-tunes", headers=BEARER)
        Response(idle.getresponse())

    assert set(threading.enumerate()) <= before
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", server.server_port)):
        pass
    assert idle.sock.recv(1) == b""
    idle.close()


def test_closing_does_not_wait_for_a_delayed_response() -> None:
    with demo.serve(JOBS, latency=3600) as server:
        connection = open_connection(server)
        connection.request("GET", "/v1/fine-tunes", headers=BEARER)
        while not server.requests:
            threading.Event().wait(0.005)
    connection.close()

    assert server.requests == [("GET", "/v1/fine-tunes")]


def test_it_can_be_closed_twice(server: demo.Server) -> None:
    server.close()
    server.close()

    assert server.socket.fileno() == -1


def test_it_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with demo.serve(JOBS) as server:
        request(server, "/v1/fine-tunes")
        request(server, "/nowhere", Authorization="")
        impolite = open_connection(server)
        impolite.request("GET", "/v1/fine-tunes", headers=BEARER)
        impolite.close()

    assert capfd.readouterr() == ("", "")
