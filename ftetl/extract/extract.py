"""What a run receives, before anything is decoded: the source's answers, and the details of the jobs that want them.

Knows how answers are scanned and dated; not what becomes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from ftetl.config.settings import Settings
from ftetl.extract.details import fetch
from ftetl.extract.source import Detail, Source
from ftetl.raw import index
from ftetl.raw.blob import Blob, Memory
from ftetl.raw.element import Scan
from ftetl.raw.response import Response


@dataclass
class Extraction:
    """The answers with their elements, and what is known of the details that were asked for."""

    responses: list[Response]
    scans: list[Scan] = field(default_factory=list)
    details: fetch.Details = field(default_factory=fetch.Details)
    listed: dict[str, bytes] = field(default_factory=dict)  # by job without events: the digest of what was listed
    confirmed: frozenset[str] = frozenset()  # of these, those that need no second look
    whole: int | None = None  # the answer that is the newest whole list ever, if one of these is
    spill: Callable[[bytes], Blob] = Memory  # where bytes wait that are many

    @property
    def elements(self) -> int:
        """How many elements there are in all answers."""
        return sum(s.received for s in self.scans)

    def newest_whole(self, before: datetime | None) -> int | None:
        """The newest answer that is a whole list, if it was observed later than every whole list before."""
        whole = [i for i, (a, s) in enumerate(zip(self.responses, self.scans, strict=True)) if a.whole and s.is_list]
        newest = max(whole, key=lambda i: self.responses[i].observed_at, default=None)
        if newest is None or (before is not None and self.responses[newest].observed_at <= before):
            return None
        return newest


def read_source(settings: Settings, source: Source) -> Extraction:
    """The source's answers, nothing in them looked at.

    Raises:
        FtetlError: The source cannot give them.
    """
    return Extraction([_dated(a, settings) for a in source.responses()])


def wants_details(settings: Settings, source: Source) -> bool:
    """Whether a run asks for details at all."""
    return settings.events == "auto" and source.service is not None


class DetailStore(Protocol):
    """What is known about details before any is asked for."""

    def is_unchanged(self, job_id: str, listed: bytes) -> bool:
        """Whether this job's stored row says all that there is to know, if this was listed of it."""

    def needs_fetch(self, job_id: str, listed: bytes) -> bool:
        """Whether the detail of a job that is not confirmed is wanted."""

    def get(self, job_id: str, listed: bytes) -> Detail | None:
        """The detail that an earlier run had for what was listed."""

    def put(self, detail: Detail, listed: bytes, *, usable: bool) -> None:
        """Keep what has come, or that nothing came."""


def fetch_details(
    given: Extraction, settings: Settings, source: Source, memory: DetailStore, progress: Callable[[int, int], None]
) -> None:
    """Find the elements of the answers, and fetch the details that they lack and that are not known well enough.

    Raises:
        FtetlError: An answer as a whole is no list of jobs and no job, or the key was refused meanwhile.
    """
    given.scans = [index.scan_response(response) for response in given.responses]
    if source.service is None:
        return
    for response, found in zip(given.responses, given.scans, strict=True):
        given.listed |= fetch.wanting(response, found)
    if not wants_details(settings, source):
        return
    given.confirmed = frozenset(i for i, listed in given.listed.items() if listed and memory.is_unchanged(i, listed))
    asked = [i for i, listed in given.listed.items() if i not in given.confirmed and memory.needs_fetch(i, listed)]

    def coming() -> Iterator[Detail]:
        rest = []
        for job_id in asked:
            detail = memory.get(job_id, given.listed[job_id])
            if detail is None:
                rest.append(job_id)
            else:
                yield detail
        yield from source.details(rest)

    def put(detail: Detail, usable: bool) -> None:
        memory.put(detail, given.listed[detail.job_id], usable=usable)

    given.details = fetch.fetch(coming(), len(asked), progress, put, given.spill)
    given.responses += [_dated(a, settings) for a in given.details.responses]
    given.scans += given.details.scans


def _dated(response: Response, settings: Settings) -> Response:
    return replace(response, observed_at=settings.observed_at) if settings.observed_at else response
