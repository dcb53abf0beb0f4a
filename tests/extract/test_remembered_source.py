"""A source that is read twice is asked once, and only for what is new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from ftetl.extract.endpoints import Endpoint, EndpointAnswer, EndpointRequest
from ftetl.extract.outcome import Outcome
from ftetl.extract.remembered_source import RememberedSource
from ftetl.extract.source import Detail, SourceStats
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response

FILES, METRICS = EndpointRequest(Endpoint.FILES), EndpointRequest(Endpoint.TRAINING_METRICS, "ft-1")


class Service:
    """Writes down what it is asked for."""

    service = "together"
    owner = None
    notes: tuple[str, ...] = ("a note",)
    skipped: tuple[str, ...] = ()
    stats = SourceStats(requests=3)

    def __init__(self) -> None:
        self.asked: list[object] = []

    def responses(self) -> Iterator[Response]:
        self.asked.append("list")
        yield Response("GET /fine-tunes", Memory(b"{}"), datetime.now(UTC))

    def details(self, job_ids: Sequence[str]) -> Iterator[Detail]:
        self.asked.append([*job_ids])
        yield from (Detail(job_id, Outcome.HERE) for job_id in reversed(job_ids))

    def endpoints(self, requests: Sequence[EndpointRequest]) -> Iterator[EndpointAnswer]:
        self.asked.append([*requests])
        yield from (EndpointAnswer(request, Outcome.HERE) for request in requests)

    def close(self) -> None:
        self.asked.append("close")


def test_what_was_answered_is_not_asked_again() -> None:
    service = Service()
    source = RememberedSource(service)

    first = [*source.responses()], {*source.details(["ft-1", "ft-2"])}, [*source.endpoints([FILES])]
    again = [*source.responses()], {*source.details(["ft-2", "ft-1"])}, [*source.endpoints([FILES])]

    assert first == again
    assert service.asked == ["list", ["ft-1", "ft-2"], [FILES]]


def test_what_is_new_is_asked_for_and_each_comes_once() -> None:
    service = Service()
    source = RememberedSource(service)
    [*source.details(["ft-1"])], [*source.endpoints([FILES])]

    details = [detail.job_id for detail in source.details(["ft-1", "ft-2"])]
    answers = [answer.request for answer in source.endpoints([METRICS, FILES])]

    assert (sorted(details), {*answers}, len(answers)) == (["ft-1", "ft-2"], {FILES, METRICS}, 2)
    assert service.asked == [["ft-1"], [FILES], ["ft-2"], [METRICS]]


def test_the_rest_is_the_services() -> None:
    service = Service()
    source = RememberedSource(service)
    source.close()

    assert (source.service, source.notes, source.stats.requests) == ("together", ("a note",), 3)
    assert service.asked == ["close"]
