"""The live source: many details at once, in any order, each exactly once, and what ends them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest

from ftetl.clock import Deadline
from ftetl.config import limits
from ftetl.config.credentials import Secret
from ftetl.errors import AccessError, ConfigError, FtetlError, UnavailableError
from ftetl.extract.outcome import Outcome
from ftetl.extract.source import Detail, SourceStats
from ftetl.extract.sources.api import ApiSource, _spread_first, open_api
from ftetl.extract.together_api.client import Client
from ftetl.extract.together_api.retry import RetryPolicy
from ftetl.extract.together_api.transport import RequestLimits
from tests.integration.canary import KEY

LIST = b'{"data":[{"id":"ft-1"}]}'
HERE, GONE, FAILED = Outcome.HERE, Outcome.GONE, Outcome.FAILED

Reply = tuple[int, bytes] | tuple[int, bytes, dict[str, str]]


@dataclass
class Service:
    """A well-mannered server whose `reply` says what each path gets; `over` is set when the test is."""

    reply: Callable[[str], Reply]
    over: threading.Event
    paths: list[str] = field(default_factory=list)
    ports: set[int] = field(default_factory=set)
    url: str = ""


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str], Reply]], Service]]:
    over = threading.Event()
    servers: list[ThreadingHTTPServer] = []

    def start(reply: Callable[[str], Reply]) -> Service:
        service = Service(reply, over)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # headers and body in one piece

            def do_GET(self) -> None:
                service.paths.append(self.path)
                service.ports.add(self.client_address[1])
                status, body, headers = (*service.reply(self.path.rsplit("/", 1)[1]), {})[:3]
                try:
                    self.send_response_only(status)
                    for name, value in {"Content-Length": str(len(body)), **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        service.url = f"http://127.0.0.1:{server.server_port}/v1"
        return service

    yield start
    over.set()
    for server in servers:
        server.shutdown()
        server.server_close()


def job(job_id: str) -> Reply:
    return 200, b'{"id":"%s","events":[]}' % job_id.encode()


def api(service: Service, *, seconds: float = 60, concurrency: int = 4, waits: list[float] | None = None) -> ApiSource:
    deadline = Deadline(seconds)
    retry = RetryPolicy(deadline, sleep=([] if waits is None else waits).append)
    client = Client(service.url, Secret(KEY), RequestLimits(deadline, 10**6, concurrency), retry=retry)
    return ApiSource(client, "test")


def outcomes(details: list[Detail]) -> dict[str, Outcome]:
    assert len(details) == len({detail.job_id for detail in details})
    assert all((detail.response is not None) is (detail.outcome is HERE) for detail in details)
    return {detail.job_id: detail.outcome for detail in details}


def ids(count: int) -> list[str]:
    return [f"ft-{number}" for number in range(count)]


REQUESTED_FIRST = [f"ft-{number}" for number in range(0, 3000, 3000 // limits.FAILED_DETAILS)]  # of 3000 jobs


def test_the_list_is_one_whole_response(serve) -> None:
    service = serve(lambda _: (200, LIST))
    source = api(service)
    before = datetime.now(UTC)

    (response,) = source.responses()

    source.close()
    assert response.blob.read(0, 1000) == LIST
    assert (response.name, response.whole, response.detail) == ("GET /fine-tunes", True, False)
    assert before <= response.observed_at <= datetime.now(UTC)
    assert service.paths == ["/v1/fine-tunes"]


def test_each_detail_is_returned_once_over_few_connections(serve) -> None:
    service = serve(job)
    source = api(service, concurrency=4)

    details = list(source.details(ids(50)))

    source.close()
    assert outcomes(details) == dict.fromkeys(ids(50), HERE)
    assert Counter(service.paths) == Counter(f"/v1/fine-tunes/{job_id}" for job_id in ids(50))
    assert 1 <= len(service.ports) <= 4
    for detail in details:
        assert detail.response is not None
        assert detail.response.blob.read(0, 1000) == job(detail.job_id)[1]
        assert (detail.response.name, detail.response.detail) == (f"GET /fine-tunes/{detail.job_id}", True)


def test_no_jobs_need_no_requests(serve) -> None:
    service = serve(job)
    source = api(service)

    assert list(source.details([])) == []

    source.close()
    assert service.paths == []


def test_details_stream_and_are_requested_as_they_are_taken(serve) -> None:
    service = serve(job)
    source = api(service, concurrency=3)

    details = source.details(ids(1000))
    taken = [next(details) for _ in range(5)]

    assert set(outcomes(taken).values()) == {HERE}
    assert len(service.paths) < 2 * 64 + 10  # a group that was taken, one that waits, and what the workers were at
    details.close()  # type: ignore[attr-defined]
    source.close()


@pytest.mark.parametrize(
    ("reply", "outcome", "seen"),
    [
        ((404, b'{"error":{"message":"not found"}}'), GONE, 1),
        ((500, b""), FAILED, 6),
        ((429, b""), FAILED, 6),
        ((429, b"", {"Retry-After": "3600"}), FAILED, 1),
        ((200, b"<html>"), FAILED, 2),
        ((200, b""), FAILED, 2),
        ((200, b'{"error":{"message":"no luck"}}'), FAILED, 2),
        ((400, b""), FAILED, 1),
        ((302, b"", {"Location": "/elsewhere"}), FAILED, 1),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_failed_detail_does_not_affect_other_jobs(serve, reply, outcome: Outcome, seen: int) -> None:
    service = serve(lambda job_id: reply if job_id == "ft-7" else job(job_id))
    source = api(service)

    details = list(source.details(ids(20)))

    source.close()
    assert outcomes(details) == {**dict.fromkeys(ids(20), HERE), "ft-7": outcome}
    assert service.paths.count("/v1/fine-tunes/ft-7") == seen


@pytest.mark.parametrize("status", [400, 500], ids=["at once", "after retries"])
def test_where_the_first_details_all_fail_no_more_are_requested(
    serve, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    service = serve(lambda _: (status, b""))
    source = api(service)

    details = list(source.details(ids(3000)))

    assert outcomes(details) == dict.fromkeys(ids(3000), FAILED)
    asked = {path.rpartition("/")[2] for path in service.paths}
    first, at_once = limits.FAILED_DETAILS, 3 * 4  # what the workers were at, and what waited to be taken
    assert first <= len(asked) <= first + at_once
    assert len({*REQUESTED_FIRST} - asked) <= 4  # each worker may have held one back until no more were wanted
    (note,) = source.notes
    assert note.startswith(f"the first {limits.FAILED_DETAILS} requests for details all failed (127.0.0.1")
    assert "2,984 more were not sent" in note
    (said,) = caplog.records
    assert said.levelname == "WARNING"
    assert "a detail could not be fetched: 127.0.0.1" in said.getMessage()
    with pytest.raises(UnavailableError, match="stopped"):
        list(source.responses())


@pytest.mark.parametrize("works", ["ft-0", "ft-368", "ft-1380"])
def test_one_detail_that_succeeds_is_reason_enough_to_request_all(serve, works: str) -> None:
    service = serve(lambda job_id: job(job_id) if job_id == works else (500, b""))
    source = api(service, concurrency=1)

    found = outcomes(list(source.details(ids(1501)[::2])))

    source.close()
    assert Counter(found.values()) == {HERE: 1, FAILED: 750}
    assert len({*service.paths}) == 751
    assert source.notes == ()


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 31, 32, 33, 1000])
def test_the_first_requests_are_spread_over_all_jobs(count: int) -> None:
    ordered = _spread_first(ids(count), 16)

    assert sorted(ordered) == sorted(ids(count))
    first = sorted(int(job_id[3:]) for job_id in ordered[:16])
    assert len(first) == min(count, 16)
    assert all(after - before <= count // 16 + 1 for before, after in pairwise(first))


def test_a_forbidden_job_does_not_affect_other_jobs(serve) -> None:
    service = serve(lambda job_id: (403, b"") if job_id == "ft-3" else job(job_id))
    source = api(service)

    found = outcomes(list(source.details(ids(20))))

    source.close()
    assert found == {**dict.fromkeys(ids(20), HERE), "ft-3": FAILED}
    assert service.paths.count("/v1/fine-tunes/ft-3") == 1


@pytest.mark.parametrize("status", [401, 402])
def test_a_refused_key_ends_all_details_also_open_requests(serve, status: int) -> None:
    def reply(job_id: str) -> Reply:
        if job_id == REQUESTED_FIRST[1]:
            return status, b""
        if job_id != REQUESTED_FIRST[0]:
            service.over.wait()  # they would never answer
        return job(job_id)

    service = serve(reply)
    source = api(service, seconds=600, concurrency=4)

    with pytest.raises(AccessError, match=str(status)):
        list(source.details(ids(3000)))

    assert len(service.paths) <= 10
    with pytest.raises(UnavailableError, match="stopped"):
        list(source.responses())


def test_at_the_deadline_the_rest_has_failed_without_a_request(serve) -> None:
    def reply(job_id: str) -> Reply:
        if job_id not in REQUESTED_FIRST[:10]:
            service.over.wait()
        return job(job_id)

    service = serve(reply)
    source = api(service, seconds=3.0, concurrency=2)

    found = outcomes(list(source.details(ids(3000))))

    source.close()
    assert found == {**dict.fromkeys(ids(3000), FAILED), **dict.fromkeys(REQUESTED_FIRST[:10], HERE)}
    assert len(service.paths) == 12


def test_a_429_pauses_every_worker(serve) -> None:
    def reply(job_id: str) -> Reply:
        first = job_id == "ft-0" and service.paths.count("/v1/fine-tunes/ft-0") == 1
        return (429, b"", {"Retry-After": "30"}) if first else job(job_id)

    service = serve(reply)
    waits: list[float] = []
    source = api(service, concurrency=2, waits=waits)

    (gentle,) = source.details(["ft-0"])
    found = outcomes(list(source.details(ids(40)[1:])))

    source.close()
    assert gentle.outcome is HERE
    assert set(found.values()) == {HERE}
    assert len(service.paths) == 41
    assert len(waits) == 40  # the one that was told to wait, and then everybody, since no time really passed
    assert all(20 < wait <= 30 for wait in waits)


def test_settings_make_a_source(serve, tmp_path) -> None:
    service = serve(lambda _: (200, LIST))
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    counts: list[int] = []

    source = open_api({}, file, service.url, limits=RequestLimits(Deadline(60)), on_bytes=counts.append)

    assert source.service == service.url.split("/")[2]
    assert [response.blob.read(0, 1000) for response in source.responses()] == [LIST]
    assert counts == [len(LIST)] == [source.stats.bytes_read]
    assert source.stats.requests == 1
    source.close()
    source.close()


@pytest.mark.parametrize(
    ("address", "service"),
    [
        (None, "together"),
        ("https://api.together.xyz", "together"),
        ("https://api.together.ai/v1", "together"),
        ("https://gateway.example:8443", "gateway.example:8443"),
    ],
)
def test_the_service_is_known_before_the_first_request(address: str | None, service: str) -> None:
    source = open_api(
        {"TOGETHER_API_KEY": KEY}, base_url_option=address, limits=RequestLimits(Deadline(limits.DEADLINE))
    )

    assert source.service == service
    assert source.stats == SourceStats()
    source.close()


@pytest.mark.parametrize(
    ("environ", "address", "kind"),
    [
        ({}, None, ConfigError),
        ({"TOGETHER_API_KEY": KEY}, "http://example.com", ConfigError),
        ({"TOGETHER_API_KEY": "short"}, None, ConfigError),
    ],
)
def test_settings_that_do_not_do_are_refused(environ, address: str | None, kind: type[FtetlError]) -> None:
    with pytest.raises(kind):
        open_api(environ, base_url_option=address, limits=RequestLimits(Deadline(1)))


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Content-Type": "application/json; charset=utf-8"}, []),
        ({"Content-Type": "application/problem+json"}, []),
        ({}, []),
        ({"Content-Type": "text/plain"}, ["labels its response 'text/plain', not JSON"]),
        (timedelta(days=-1), ["s ahead of that of 127.0"]),
        (timedelta(days=1), ["s behind that of 127.0"]),
        (timedelta(seconds=60), []),
        ({"Date": "yesterday"}, []),
    ],
)
def test_what_is_odd_about_an_answer_that_can_be_used_is_noted(
    serve: Callable[[Callable[[str], Reply]], Service], headers: dict[str, str] | timedelta, said: list[str]
) -> None:
    if isinstance(headers, timedelta):  # from now
        headers = {"Date": format_datetime(datetime.now(UTC) + headers, usegmt=True)}
    service = serve(lambda _: (200, LIST, headers))
    environ = {"TOGETHER_API_KEY": KEY, "TOGETHER_BASE_URL": service.url}
    with closing(open_api(environ, limits=RequestLimits(Deadline(30)))) as api:
        assert [response.blob.read(0, 100) for response in api.responses()] == [LIST]
        assert len(api.notes) == len(said)
        assert all(text in note for text, note in zip(said, api.notes, strict=True))
    assert len(service.paths) == 1
