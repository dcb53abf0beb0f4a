"""The Together API: the list of all jobs and one job's detail, as bytes.

The only layer that asks again. What lies in an answer is decoded elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from ftetl.clock import Deadline, ahead, now
from ftetl.config import limits
from ftetl.config.credentials import Secret
from ftetl.errors import DataError, FtetlError, TryLaterError, UnavailableError
from ftetl.extract.together_api import error_body
from ftetl.extract.together_api.response_check import NOT_FOUND, classify_response
from ftetl.extract.together_api.retry import RetryPolicy, http_date
from ftetl.extract.together_api.transport import Reply, Transport

_LIST_HOLDS: Final = "data"
_JOB_HOLDS: Final = "id"
_NO_SEGMENT: Final = frozenset({"", ".", ".."})  # these would ask for another endpoint


@dataclass(frozen=True)
class JobList:
    """The answer to the list: its body, its Content-Type (`""` where there is none), and how far our clock is ahead.

    `ahead` is in seconds, negative where our clock is behind the service's, None where it does not tell the time.
    """

    body: bytes = field(repr=False)
    kind: str
    ahead: float | None


class Client:
    """One project's view of the API. Threads share it; its deadline and its pauses are theirs together.

    At most six requests a call. Errors name the host, the status, the API's own words where there are any, and the
    next step; none holds a library's exception.
    """

    def __init__(
        self,
        url: str,
        key: Secret,
        *,
        deadline: Deadline,
        max_bytes: int,
        pool: int = limits.CONCURRENCY,
        progress: Callable[[int], None] | None = None,
        patience: RetryPolicy | None = None,
    ) -> None:
        self._url = url
        self._key = key
        self._deadline = deadline
        self._patience = patience or RetryPolicy(deadline)
        self._line = Transport(url, key, deadline=deadline, max_bytes=max_bytes, pool=pool, progress=progress)

    @property
    def host(self) -> str:
        """The `host[:port]` that is asked."""
        return self._line.host

    @property
    def requests_made(self) -> int:
        """How many requests have been sent."""
        return self._line.requests_made

    @property
    def bytes_read(self) -> int:
        """How many bytes of bodies have come over the wire."""
        return self._line.bytes_read

    def list_jobs(self) -> JobList:
        """The response to `GET /fine-tunes`: the whole collection, decompressed, otherwise as it came.

        Raises:
            AccessError: The key, or the proxy's login, was refused.
            ProtocolError: What answered is not the API.
            DataError: The response is empty, an error, truncated, or larger than `max_bytes`.
            TryLaterError: The API asks for a longer wait than the deadline allows.
            UnavailableError: The network, the server, or the deadline.
        """
        asked = now()
        reply = self._ask("/fine-tunes", _LIST_HOLDS)
        date = http_date(reply.headers.get("date", ""))
        kind = error_body.fit(reply.headers.get("content-type", ""), self._key)
        return JobList(reply.body, kind, None if date is None else ahead(date, asked, now()))

    def get_job(self, job_id: str) -> bytes | None:
        """The body of `GET /fine-tunes/{id}`, or None where the API does not know this job.

        For threads that may be left behind: a name lookup, a handshake or dripping headers can outlive the deadline.

        Raises:
            FtetlError: As `list_jobs`.
        """
        if job_id in _NO_SEGMENT:
            raise DataError("R19", "a job id that cannot be asked for", next="look into the quarantine table")
        reply = self._ask(f"/fine-tunes/{quote(job_id, safe='')}", _JOB_HOLDS, gone=True, left_behind=True)
        return None if reply.status == NOT_FOUND else reply.body

    def close(self) -> None:
        """End what is under way, and every wait; safe to call twice."""
        self._patience.stop()
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, path: str, holds: str, *, gone: bool = False, left_behind: bool = False) -> Reply:
        failures: Counter[int] = Counter()  # by how many more requests they were worth
        for made in range(1, limits.REQUESTS + 1):
            self._wait_for_turn()
            reply = self._line.ask(self._url + path) if left_behind else self._line.get(self._url + path)
            if isinstance(reply, Reply):
                found = classify_response(reply, self.host, self._key, holds=holds, gone=gone)
                if found is None:
                    return reply
                trouble = found
            else:
                trouble = reply
            failures[trouble.repeats] += 1
            if made == limits.REQUESTS or failures[trouble.repeats] > trouble.repeats:
                break
            if not self._patience.after(made, trouble.retry_after, everybody=trouble.everybody):
                if trouble.retry_after is not None:
                    raise self._too_long(trouble.retry_after)
                break
        error = trouble.error(made)
        if isinstance(reply, Reply):
            error.evidence = self._key.hide_bytes(reply.body)
        raise error

    def _wait_for_turn(self) -> None:
        if not self._patience.turn():
            raise self._too_long(None)
        if self._deadline.passed():
            what = f"the deadline of {self._deadline.seconds:g} seconds passed before {self.host} could be asked"
            raise UnavailableError("C09", what, next="try again later, or raise --deadline")

    def _too_long(self, seconds: float | None) -> FtetlError:
        pause = "for a pause" if seconds is None else f"to wait {seconds:.0f} seconds"
        what = f"{self.host} asks {pause}, which is longer than the deadline leaves"
        return TryLaterError("H09", what, next="try again later, or raise --deadline")
