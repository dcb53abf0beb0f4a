"""The interface of a source: the responses and the details of jobs that a run reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ftetl.errors import PREFIX, DataError
from ftetl.extract.endpoints import EndpointAnswer, EndpointRequest
from ftetl.extract.key_owner import KeyOwner
from ftetl.extract.outcome import Outcome
from ftetl.raw.response import Response


@dataclass(frozen=True)
class Detail:
    """The response for one job of the list, or why there is none."""

    job_id: str
    outcome: Outcome
    response: Response | None = None
    is_followed: bool = False  # whether the source has the next one as well, so that one look can do for both


@dataclass(frozen=True)
class SourceStats:
    """How many requests a source has sent, and how many bytes of bodies it has read, as sent over the network."""

    requests: int = 0
    bytes_read: int = 0


def skippable_error(error: DataError) -> DataError:
    """The error of one of several responses, with how to go on without it."""
    advice = f"{error.next}, or leave it out with --skip-broken"
    return type(error)(error.code.removeprefix(PREFIX), error.what, next=advice)


class Source(Protocol):
    """Where raw jobs come from. `api`, `files` and `demo` are sources."""

    service: str | None  # which service the jobs belong to (`together`, `demo`, a host); None: the source cannot tell

    @property
    def owner(self) -> KeyOwner | None:
        """Whose the key is, which may take a request; None: the source cannot tell."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the warnings of the report; complete once the responses and the details were read."""

    @property
    def skipped(self) -> tuple[str, ...]:
        """What is wrong with each file that was left out because it cannot be read; complete as `notes`."""

    @property
    def stats(self) -> SourceStats:
        """The requests so far; zero for a source without a network."""

    def responses(self) -> Iterable[Response]:
        """The responses of this run, in any order."""

    def details(self, job_ids: Sequence[str]) -> Iterator[Detail]:
        """The details of these jobs, in any order, each exactly once; nothing for a source that has none."""

    def endpoints(self, requests: Sequence[EndpointRequest]) -> Iterator[EndpointAnswer]:
        """The answers of other endpoints, in any order, each exactly once; nothing for a source that has none."""

    def close(self) -> None:
        """Release files and connections; safe to call twice."""


class SourceDecorator(ABC):
    """A source whose responses are those of another, each rewritten."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.service: str | None = source.service

    @abstractmethod
    def rewrite(self, response: Response) -> Response:
        """What a response becomes."""

    @property
    def owner(self) -> KeyOwner | None:
        """As the source."""
        return self._source.owner

    @property
    def notes(self) -> tuple[str, ...]:
        """As the source."""
        return self._source.notes

    @property
    def skipped(self) -> tuple[str, ...]:
        """As the source."""
        return self._source.skipped

    @property
    def stats(self) -> SourceStats:
        """As the source."""
        return self._source.stats

    def responses(self) -> Iterator[Response]:
        """The responses, rewritten.

        Raises:
            FtetlError: As the source and `rewrite`.
        """
        yield from map(self.rewrite, self._source.responses())

    def details(self, job_ids: Sequence[str]) -> Iterator[Detail]:
        """The details, rewritten.

        Raises:
            FtetlError: As the source and `rewrite`.
        """
        for detail in self._source.details(job_ids):
            yield replace(detail, response=detail.response and self.rewrite(detail.response))

    def endpoints(self, requests: Sequence[EndpointRequest]) -> Iterator[EndpointAnswer]:
        """The answers of other endpoints, rewritten.

        Raises:
            FtetlError: As `rewrite`.
        """
        for answer in self._source.endpoints(requests):
            yield replace(answer, response=answer.response and self.rewrite(answer.response))

    def close(self) -> None:
        """Close the source; safe to call twice."""
        self._source.close()
