"""The Together API: the list of all jobs, and one job's detail, as bytes. Retries failed requests."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from ftetl.clock import now, seconds_ahead
from ftetl.config.credentials import Secret
from ftetl.config.limits import MAX_REQUESTS
from ftetl.errors import PREFIX, AccessError, DataError, FtetlError, ProtocolError, TryLaterError, UnavailableError
from ftetl.extract.key_owner import KeyOwner
from ftetl.extract.source import SourceStats
from ftetl.extract.together_api import error_body, whoami
from ftetl.extract.together_api.network_errors import RequestFailure
from ftetl.extract.together_api.response_check import NOT_FOUND, NOT_SHOWN, classify_response
from ftetl.extract.together_api.retry import RetryPolicy, parse_http_date
from ftetl.extract.together_api.transport import HttpResponse, RequestLimits, Transport
from ftetl.raw import paging

_LIST: Final = "/fine-tunes"
_LIST_KEY: Final = "data"  # the keys that tell a list, a job and its metrics from an error
_JOB_KEY: Final = "id"
_METRICS_KEY: Final = "metrics"
_OTHER_ENDPOINTS: Final = frozenset({"", ".", ".."})  # as a job id, these would request another endpoint


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobList:
    """The response to `GET /fine-tunes`, or the list that several of them were joined to."""

    body: bytes = field(repr=False)
    content_type: str  # "" without one
    clock_ahead: float | None  # seconds that our clock is ahead of the service's; None if the service sends no date
    total: int | None = None  # how many jobs there are, where the headers say so
    page_header: str | None = None  # the header that says that there is a next page
    pages: int = 1  # how many responses the list was joined from


class Client:
    """The API, as one key may see it. Threads share it, with its deadline and its pauses.

    A call sends at most `MAX_REQUESTS` requests. Errors name the host, the status, the API's message and the next step;
    none holds a library's exception.
    """

    def __init__(
        self,
        url: str,
        key: Secret,
        limits: RequestLimits,
        *,
        on_bytes: Callable[[int], None] | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.limits = limits
        self._url = url
        self._key = key
        self._retry = retry or RetryPolicy(limits.deadline)
        self._transport = Transport(url, key, limits, on_bytes)
        self._whoami_stats = SourceStats()

    @property
    def host(self) -> str:
        """The `host[:port]` of all requests."""
        return self._transport.host

    @property
    def stats(self) -> SourceStats:
        """The requests so far."""
        others = self._whoami_stats
        return SourceStats(
            self._transport.requests_sent + others.requests, self._transport.bytes_read + others.bytes_read
        )

    def ask_owner(self) -> KeyOwner | None:
        """Whose the key is; None where the API does not say, whatever the reason."""
        owner, self._whoami_stats = whoami.ask_owner(self._url, self._key, self.limits.deadline)
        return owner

    def list_jobs(self, after: str | None = None) -> JobList:
        """The response to `GET /fine-tunes`, decompressed, otherwise as it was received: all jobs, or a page of them.

        Args:
            after: The cursor of a next page, as the response before names it.

        Raises:
            AccessError: The key, or the proxy's login, was refused.
            ProtocolError: The response is not the API's.
            DataError: The response is empty, an error, truncated, or larger than `max_bytes`.
            TryLaterError: The API asks for a longer wait than the deadline allows.
            UnavailableError: The network, the server, or the deadline.
        """
        sent_at = now()
        response = self._request(_LIST if after is None else f"{_LIST}?after={quote(after, safe='')}", _LIST_KEY)
        date = parse_http_date(response.headers.get("date", ""))
        sign = paging.sign_in_headers(response.headers)
        return JobList(
            body=response.body,
            content_type=error_body.printable(response.headers.get("content-type", ""), self._key),
            clock_ahead=None if date is None else seconds_ahead(date, sent_at, now()),
            total=paging.total_in_headers(response.headers),
            page_header=None if sign is None else error_body.printable(sign, self._key),
        )

    def without_key(self, raw: bytes) -> bytes:
        """The bytes with `***` in the place of the API key."""
        return self._key.hide_bytes(raw)

    def get_job(self, job_id: str) -> bytes | None:
        """The body of `GET /fine-tunes/{id}`; None if the API does not know this job.

        Call it in a daemon thread: a name lookup, a handshake or slow headers can outlast the deadline.

        Raises:
            FtetlError: As `list_jobs`.
        """
        return self._get_of_job(job_id, "", _JOB_KEY)

    def get_metrics(self, job_id: str) -> bytes | None:
        """The body of `GET /fine-tunes/{id}/metrics`; None if the API has none for this job. Call it as `get_job`.

        Raises:
            FtetlError: As `list_jobs`.
        """
        return self._get_of_job(job_id, "/metrics", _METRICS_KEY)

    def _get_of_job(self, job_id: str, path: str, required_key: str) -> bytes | None:
        if job_id in _OTHER_ENDPOINTS:
            raise DataError("R19", "a job id that cannot be requested", next="look into the quarantine table")
        response = self._request(f"/fine-tunes/{quote(job_id, safe='')}{path}", required_key, one_job=True)
        return None if response.status == NOT_FOUND else response.body

    def get_optional(self, path: str, required_key: str, *, attempts: int = MAX_REQUESTS) -> bytes | None:
        """The body of a GET that a run can do without; None if the API does not have it, or not for this key.

        Call it in a daemon thread, as `get_job`.

        Args:
            path: Below the base address.
            required_key: The key that tells the body from an error.
            attempts: How many requests it may send.

        Raises:
            DataError: The response is empty, an error, truncated, or larger than `max_bytes`.
            TryLaterError: The API asks for a longer wait than the deadline allows.
            UnavailableError: The network, the server, or the deadline.
        """
        try:
            response = self._request(path, required_key, one_job=True, attempts=attempts)
        except (AccessError, ProtocolError) as error:
            _log.info("GET %s: %s", path, error.what)
            return None
        except UnavailableError as error:
            if error.code != f"{PREFIX}{NOT_SHOWN}":
                raise
            _log.info("GET %s: %s", path, error.what)
            return None
        return None if response.status == NOT_FOUND else response.body

    def close(self) -> None:
        """End all open requests and every wait; safe to call twice."""
        self._retry.stop()
        self._transport.close()

    def _request(
        self, path: str, required_key: str, *, one_job: bool = False, attempts: int = MAX_REQUESTS
    ) -> HttpResponse:
        """The response to a GET, after as many retries as its failures are worth.

        Args:
            path: Below the base address.
            required_key: The key that tells the body from an error.
            one_job: Whether 403 and 404 are about the job only; also sends in this thread, not in one of its own.
            attempts: How many requests it may send.
        """
        send = self._transport.get_in_this_thread if one_job else self._transport.get
        failures: Counter[int] = Counter()  # by how many retries they are worth
        for attempt in range(1, attempts + 1):
            self._wait_for_pause()
            response = send(self._url + path)
            if isinstance(response, RequestFailure):
                failure = response
            elif unusable := classify_response(response, self.host, self._key, required_key, one_job=one_job):
                failure = unusable
            else:
                return response
            failures[failure.retries] += 1
            if attempt == attempts or failures[failure.retries] > failure.retries:
                break
            if not self._retry.back_off(attempt, failure.retry_after, all_workers=failure.pauses_all):
                if failure.retry_after is not None:
                    raise self._wait_too_long(failure.retry_after)
                break
        error = failure.error(attempt)
        if isinstance(response, HttpResponse):
            error.evidence = self._key.hide_bytes(response.body)
        raise error

    def _wait_for_pause(self) -> None:
        if not self._retry.wait_for_pause():
            raise self._wait_too_long(None)
        deadline = self.limits.deadline
        if deadline.passed():
            what = f"the deadline of {deadline.seconds:g} seconds passed before the next request to {self.host}"
            raise UnavailableError("C09", what, next="try again later, or raise --deadline")

    def _wait_too_long(self, seconds: float | None) -> FtetlError:
        wait = "for a pause" if seconds is None else f"for a wait of {seconds:.0f} seconds"
        what = f"{self.host} asks {wait}, which is longer than the deadline allows"
        return TryLaterError("H09", what, next="try again later, or raise --deadline")
