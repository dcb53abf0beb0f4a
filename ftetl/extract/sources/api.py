"""The live API as a source: the list of all jobs in one response, and details of single jobs, fetched in parallel."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

from ftetl.clock import SKEW, now
from ftetl.config import credentials
from ftetl.config.limits import FAILED_DETAILS
from ftetl.errors import AccessError, FtetlError
from ftetl.extract.endpoint_requests import EndpointRequests
from ftetl.extract.endpoints import Endpoint, EndpointAnswer, EndpointRequest
from ftetl.extract.key_owner import KeyOwner
from ftetl.extract.list_pages import fetch_list
from ftetl.extract.outcome import Outcome
from ftetl.extract.source import Detail, SourceStats
from ftetl.extract.together_api.client import Client, JobList
from ftetl.extract.together_api.transport import RequestLimits
from ftetl.extract.worker_pool import Group, map_in_groups, map_unordered
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response

_log = logging.getLogger(__name__)
T = TypeVar("T")
_FAILURES_SHOWN = 5  # different errors of an endpoint that its note tells


class ApiSource:
    """The fine-tuning jobs of the project that the client's key belongs to.

    Responses are dated by `observed_at`, else with the time of their arrival; that is the service's time where this
    machine's clock differs from it.
    """

    skipped: tuple[str, ...] = ()

    def __init__(self, client: Client, service: str, *, observed_at: datetime | None = None) -> None:
        self._client = client
        self._limits = client.limits
        self._observed_at = observed_at
        self.service: str | None = service
        self.notes: tuple[str, ...] = ()
        self._failure: FtetlError | None = None  # of the last detail that failed
        self._failing = threading.Lock()
        self._endpoint_failures: dict[Endpoint, dict[str, None]] = {}  # what failed, each text once
        self._clock_ahead = timedelta()  # how much this machine's clock is wrong

    @cached_property
    def owner(self) -> KeyOwner | None:
        """Whose the key is, which the service is asked once; None if it does not say."""
        return self._client.ask_owner()

    @property
    def stats(self) -> SourceStats:
        """The requests so far."""
        return self._client.stats

    def responses(self) -> Iterable[Response]:
        """The list of all jobs.

        Raises:
            FtetlError: As `fetch_list`; without the list there is no run.
        """
        listed = fetch_list(self._client)
        self.notes = tuple(_notes(listed, self._client.host))
        ahead = listed.clock_ahead
        if ahead is not None and abs(ahead) > SKEW.total_seconds():
            self._clock_ahead = timedelta(seconds=ahead)
        is_dated = ahead is not None or self._observed_at is not None
        if listed.pages > 1:
            _log.info("the list came in %d pages, which were joined", listed.pages)
        response = Response("GET /fine-tunes", Memory(listed.body), self._now(), whole=True, is_dated=is_dated)
        yield replace(response, total=listed.total, pages=listed.pages)

    def details(self, job_ids: Sequence[str]) -> Iterator[Detail]:
        """The details in the order of their arrival; at the deadline the others are `FAILED`, without a request.

        The others are `FAILED` as well if the first `limits.FAILED_DETAILS` all failed; a note says so. These are
        spread over all jobs, so that a few that always fail do not keep the rest from being requested.

        Raises:
            AccessError: The key was refused meanwhile: no further request can succeed, and all are ended.
        """
        ordered = _spread_first(job_ids, FAILED_DETAILS)
        waiting = dict.fromkeys(ordered)
        left = self._limits.deadline.left
        received = failed = 0
        try:
            groups = map_in_groups(
                ordered, self._fetch_detail, threads=self._limits.concurrency, left=left, group=_TOGETHER
            )
            for detail in chain.from_iterable(map(_last_marked, groups)):
                del waiting[detail.job_id]
                received += 1
                failed += detail.outcome is Outcome.FAILED
                yield detail
                if failed >= max(FAILED_DETAILS, received) and waiting and not detail.is_followed:
                    self.notes += (self._stopped_note(received, len(waiting)),)
                    break
        finally:
            if waiting:  # the deadline, a refused key, or the reader has stopped: nobody waits for open requests
                self._client.close()
        for job_id in waiting:
            yield Detail(job_id, Outcome.FAILED)

    def endpoints(self, requests: Sequence[EndpointRequest]) -> Iterator[EndpointAnswer]:
        """The answers in the order of their arrival; at the deadline the others are `FAILED`, without a request.

        As of details, the others are `FAILED` as well if the first ones of their endpoint all failed.
        """
        metrics = [r for r in requests if r.endpoint is Endpoint.TRAINING_METRICS]
        ordered = [r for r in requests if r.endpoint is not Endpoint.TRAINING_METRICS] + _spread_first(
            metrics, FAILED_DETAILS
        )
        waiting = dict.fromkeys(ordered)
        left = self._limits.deadline.left
        organization_id = self.owner.organization_id if self.owner else None
        ask = partial(self._ask, EndpointRequests(self._client, organization_id))
        answered: Counter[Endpoint] = Counter()
        failed: Counter[Endpoint] = Counter()
        try:
            for answer in map_unordered(ordered, ask, threads=self._limits.concurrency, left=left):
                del waiting[answer.request]
                endpoint = answer.request.endpoint
                answered[endpoint] += 1
                failed[endpoint] += answer.outcome is Outcome.FAILED
                yield answer
                is_hopeless = failed[endpoint] >= max(FAILED_DETAILS, answered[endpoint])
                if is_hopeless and all(request.endpoint is endpoint for request in waiting):
                    break
        finally:
            if waiting:
                self._client.close()
        for request in waiting:
            failed[request.endpoint] += 1
            yield EndpointAnswer(request, Outcome.FAILED)
        self.notes += tuple(self._failed_note(endpoint, count) for endpoint, count in failed.items() if count)

    def close(self) -> None:
        """End all open requests; safe to call twice."""
        self._client.close()

    def _fetch_detail(self, job_id: str) -> Detail:
        if self._limits.deadline.passed():
            return Detail(job_id, Outcome.FAILED)
        try:
            body = self._client.get_job(job_id)
        except AccessError:
            raise
        except FtetlError as error:  # of any kind: it is one job's detail, and the next run fetches it again
            with self._failing:  # several threads may fail at once, of which one says so
                is_first, self._failure = self._failure is None, error
            if is_first:
                _log.warning("a detail could not be fetched: %s; the next run requests it again", error.what)
            return Detail(job_id, Outcome.FAILED)
        if body is None:
            return Detail(job_id, Outcome.GONE)
        response = Response(f"GET /fine-tunes/{job_id}", Memory(body), self._now(), detail=True)
        return Detail(job_id, Outcome.HERE, response, is_followed=True)

    def _ask(self, requests: EndpointRequests, request: EndpointRequest) -> EndpointAnswer:
        if self._limits.deadline.passed():
            return EndpointAnswer(request, Outcome.FAILED)
        try:
            name, body = requests.fetch(request)
        except FtetlError as error:  # of any kind: the jobs were received, and the next run asks again
            self._endpoint_failures.setdefault(request.endpoint, {})[error.what] = None
            return EndpointAnswer(request, Outcome.FAILED)
        if body is None:
            return EndpointAnswer(request, Outcome.GONE)
        return EndpointAnswer(request, Outcome.HERE, Response(name, Memory(body), self._now()))

    def _now(self) -> datetime:
        return self._observed_at or now() - self._clock_ahead

    def _failed_note(self, endpoint: Endpoint, count: int) -> str:
        failures = [*self._endpoint_failures.get(endpoint, ())]
        hidden = [f"{len(failures) - _FAILURES_SHOWN:,} other errors"] if len(failures) > _FAILURES_SHOWN else []
        deadline = self._limits.deadline
        # First: it ends requests under way, which then fail as if the service had ended them.
        passed = [f"the deadline of {deadline.seconds:g} seconds passed"] if deadline.passed() or not failures else []
        why = "; ".join(passed + failures[:_FAILURES_SHOWN] + hidden)
        return f"{count:,} of the requests for {endpoint} failed ({why}); the next run sends them again"

    def _stopped_note(self, failed: int, waiting: int) -> str:
        why = f" ({self._failure.what})" if self._failure else ""
        return (
            f"the first {failed} requests for details all failed{why}; {waiting:,} more were not sent, "
            "and the next run sends them"
        )


def _size(detail: Detail) -> int:
    if detail.outcome is Outcome.FAILED:
        return 2 * _BYTES  # no others are waited for: perhaps the details are to be given up
    return detail.response.blob.size if detail.response else 0


_BYTES = 8 << 20
_TOGETHER = Group(64, _size, _BYTES)  # details that are masked and archived together


def _last_marked(group: list[Detail]) -> list[Detail]:
    """The details, of which nothing is known to follow the last one."""
    return [*group[:-1], replace(group[-1], is_followed=False)]


def _spread_first(items: Sequence[T], count: int) -> list[T]:
    """The items in another order: first about `count` that are spread evenly over all."""
    step = max(1, len(items) // count)
    spread = dict.fromkeys(items[::step])
    return [*(spread | dict.fromkeys(items))]


def _notes(listed: JobList, host: str) -> Iterator[str]:
    if listed.content_type and "json" not in listed.content_type.lower():
        yield f"{host} labels its response {listed.content_type!r}, not JSON; it was read as JSON anyway"
    ahead = listed.clock_ahead
    if ahead is not None and abs(ahead) > SKEW.total_seconds():
        word = "ahead of" if ahead > 0 else "behind"
        yield f"this machine's clock is {abs(ahead):.0f} s {word} that of {host}; responses are dated by that one"


def open_api(
    environ: Mapping[str, str],
    key_file: Path | None = None,
    base_url_option: str | None = None,
    *,
    limits: RequestLimits,
    on_bytes: Callable[[int], None] | None = None,
) -> ApiSource:
    """The API of these settings; no request was sent yet.

    Raises:
        ConfigError: The key or the address is missing or malformed.
    """
    url = credentials.base_url(base_url_option, environ)
    key = credentials.read_key(environ, key_file)
    return ApiSource(Client(url, key, limits, on_bytes=on_bytes), credentials.service(url))
