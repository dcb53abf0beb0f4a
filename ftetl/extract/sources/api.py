"""The live API as a source: the whole list in one answer, and the details of those jobs that are asked for.

Knows how to ask for many details at once and when to stop; what a request is, `ftetl.together` knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ftetl.clock import Deadline, now
from ftetl.config import credentials, limits
from ftetl.errors import AccessError, FtetlError
from ftetl.extract.source import Detail, Outcome, SourceStats
from ftetl.extract.together_api.client import Client, JobList
from ftetl.extract.worker_pool import map_unordered
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response


class ApiSource:
    """The fine-tuning jobs of the project that the client's key belongs to."""

    def __init__(
        self, client: Client, service: str, *, deadline: Deadline, concurrency: int = limits.CONCURRENCY
    ) -> None:
        self.client = client
        self.service: str | None = service
        self._deadline = deadline
        self._concurrency = concurrency
        self.notes: tuple[str, ...] = ()  # what a reader of the report should know

    @property
    def stats(self) -> SourceStats:
        """The requests that were made so far, and the bytes that came."""
        return SourceStats(self.client.requests_made, self.client.bytes_read)

    def responses(self) -> Iterable[Response]:
        """The list, once.

        Raises:
            FtetlError: As `Client.list_jobs`; without the list there is no run.
        """
        listed = self.client.list_jobs()
        self.notes = tuple(_odd(listed, self.client.host))
        yield Response("GET /fine-tunes", Memory(listed.body), observed_at=now(), whole=True)

    def details(self, job_ids: Sequence[str]) -> Iterator[Detail]:
        """The details, each as soon as it is there; at the deadline the rest is `FAILED` without having been asked for.

        Raises:
            AccessError: The key was refused meanwhile: no further request can succeed, and all are ended.
        """
        waiting = dict.fromkeys(job_ids)
        try:
            for detail in map_unordered(job_ids, self._detail, threads=self._concurrency, left=self._deadline.left):
                del waiting[detail.job_id]
                yield detail
        finally:
            if waiting:
                # The deadline, a refused key, or a reader who has gone: what is under way must not hold anybody up.
                self.client.close()
        for job_id in waiting:
            yield Detail(job_id, Outcome.FAILED)

    def close(self) -> None:
        """End what is under way; safe to call twice."""
        self.client.close()

    def _detail(self, job_id: str) -> Detail:
        if self._deadline.passed():
            return Detail(job_id, Outcome.FAILED)
        try:
            body = self.client.get_job(job_id)
        except AccessError:
            raise
        except FtetlError:
            # Of whatever kind: it is one job's detail, the list has come, and the next run asks for it again.
            return Detail(job_id, Outcome.FAILED)
        if body is None:
            return Detail(job_id, Outcome.GONE)
        response = Response(f"GET /fine-tunes/{job_id}", Memory(body), observed_at=now(), detail=True)
        return Detail(job_id, Outcome.HERE, response)


def _odd(listed: JobList, host: str) -> Iterator[str]:
    if listed.kind and "json" not in listed.kind.lower():
        yield f"{host} calls its answer {listed.kind!r}, not JSON; it was read as what it is"
    if listed.ahead is not None and abs(listed.ahead) > limits.SKEW:
        word = "ahead of" if listed.ahead > 0 else "behind"
        yield f"this machine's clock is {abs(listed.ahead):.0f} s {word} that of {host}; states of jobs are dated by it"


def open_api(
    environ: Mapping[str, str],
    key_file: Path | None = None,
    base_url_option: str | None = None,
    *,
    deadline: Deadline,
    max_bytes: int = limits.MAX_BYTES,
    concurrency: int = limits.CONCURRENCY,
    progress: Callable[[int], None] | None = None,
) -> ApiSource:
    """The API of the settings, without having asked it yet.

    Raises:
        ConfigError: The key or the address is missing or malformed.
    """
    url = credentials.base_url(base_url_option, environ)
    key = credentials.read_key(environ, key_file)
    client = Client(url, key, deadline=deadline, max_bytes=max_bytes, pool=concurrency, progress=progress)
    return ApiSource(client, credentials.service(url), concurrency=concurrency, deadline=deadline)
