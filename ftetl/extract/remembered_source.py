"""A source that is read more than once and asked only once: what it has answered is kept in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ftetl.extract.endpoints import EndpointAnswer, EndpointRequest
from ftetl.extract.source import Detail, Source, SourceDecorator
from ftetl.raw.response import Response


class RememberedSource(SourceDecorator):
    """The responses of a service; a later reading gets the same ones, and asks only for details that are new."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._responses: list[Response] | None = None
        self._details: dict[str, Detail] = {}
        self._answers: dict[EndpointRequest, EndpointAnswer] = {}

    def rewrite(self, response: Response) -> Response:
        """The response itself."""
        return response

    def responses(self) -> Iterator[Response]:
        """The responses; the source is asked the first time."""
        if self._responses is None:
            self._responses = list(self._source.responses())
        return iter(self._responses)

    def details(self, job_ids: Sequence[str]) -> Iterator[Detail]:
        """The details; the source is asked for those that it has not been asked for."""
        yield from (self._details[job_id] for job_id in job_ids if job_id in self._details)
        missing = [job_id for job_id in job_ids if job_id not in self._details]
        for detail in self._source.details(missing) if missing else ():
            self._details[detail.job_id] = detail
            yield detail

    def endpoints(self, requests: Sequence[EndpointRequest]) -> Iterator[EndpointAnswer]:
        """The answers of other endpoints; the source is asked for those that it has not been asked for."""
        yield from (self._answers[request] for request in requests if request in self._answers)
        missing = [request for request in requests if request not in self._answers]
        for answer in self._source.endpoints(missing) if missing else ():
            self._answers[answer.request] = answer
            yield answer
