"""The extract step: reads the responses of a source, and fetches the details of jobs that are listed without events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from ftetl.config.settings import Settings
from ftetl.extract.details.fetch import FetchedDetails, jobs_without_events
from ftetl.extract.source import Detail, Source
from ftetl.raw import index
from ftetl.raw.element import Scan
from ftetl.raw.response import Response
from ftetl.raw.spool import Spool


@dataclass
class Extraction:
    """The responses of a run, the elements in them, and the details that were fetched."""

    responses: list[Response]
    scans: list[Scan] = field(default_factory=list)
    details: FetchedDetails = field(default_factory=FetchedDetails)
    listed: dict[str, bytes] = field(default_factory=dict)  # by job without events: the fingerprint of what was listed
    confirmed: frozenset[str] = frozenset()  # of these, jobs whose stored rows are still right: no detail is fetched
    whole: int | None = None  # index of the response that is the newest whole list ever, if one of these is

    @property
    def elements(self) -> int:
        """How many elements there are in all responses."""
        return sum(s.received for s in self.scans)

    def newest_whole(self, before: datetime | None) -> int | None:
        """The index of the newest whole list, if it was observed later than `before`."""
        lists = [i for i, (r, s) in enumerate(zip(self.responses, self.scans, strict=True)) if r.whole and s.is_list]
        newest = max(lists, key=lambda i: self.responses[i].observed_at, default=None)
        if newest is None or (before is not None and self.responses[newest].observed_at <= before):
            return None
        return newest


class DetailStore(Protocol):
    """What earlier runs have stored about details; `listed` is the fingerprint of the listed document."""

    def is_unchanged(self, job_id: str, listed: bytes) -> bool:
        """Whether the job's stored rows are still right."""

    def needs_fetch(self, job_id: str, listed: bytes) -> bool:
        """Whether to fetch the detail of a job that is not unchanged."""

    def get(self, job_id: str, listed: bytes) -> Detail | None:
        """The detail that a killed run has fetched for the same listed document."""

    def put(self, detail: Detail, listed: bytes, *, usable: bool) -> None:
        """Store a detail, or that there is none."""


def read_source(settings: Settings, source: Source) -> Extraction:
    """The responses of the source, not yet scanned.

    Raises:
        FtetlError: The source cannot be read.
    """
    return Extraction([_with_date(response, settings) for response in source.responses()])


def wants_details(settings: Settings, source: Source) -> bool:
    """Whether a run fetches details at all."""
    return settings.events == "auto" and source.service is not None


def fetch_details(
    extraction: Extraction,
    settings: Settings,
    source: Source,
    store: DetailStore,
    on_detail: Callable[[int, int], None],
    spool: Spool,
) -> None:
    """Scan the responses, and add the details of jobs without events whose stored rows are not still right.

    Args:
        extraction: The responses; what is fetched is added to it.
        settings: Whether to fetch details, and how to date responses.
        source: Where the details come from.
        store: What earlier runs have stored about details.
        on_detail: Is called with the number of details received so far, and of all.
        spool: Stores the bytes of details until they are decoded.

    Raises:
        FtetlError: A response is neither a list of jobs nor a job, or the key was refused meanwhile.
    """
    extraction.scans = [index.scan_response(response) for response in extraction.responses]
    if source.service is None:
        return
    listed = extraction.listed
    for response, scan in zip(extraction.responses, extraction.scans, strict=True):
        listed |= jobs_without_events(response, scan)
    if not wants_details(settings, source):
        return
    extraction.confirmed = frozenset(i for i, digest in listed.items() if digest and store.is_unchanged(i, digest))
    wanted = [i for i, digest in listed.items() if i not in extraction.confirmed and store.needs_fetch(i, digest)]

    def stored_then_fetched() -> Iterator[Detail]:
        missing = []
        for job_id in wanted:
            detail = store.get(job_id, listed[job_id])
            if detail is None:
                missing.append(job_id)
            else:
                yield detail
        yield from source.details(missing)

    details = FetchedDetails(spool)
    for done, detail in enumerate(stored_then_fetched(), start=1):
        masked, usable = details.add(detail)
        store.put(masked, listed[detail.job_id], usable=usable)
        on_detail(done, len(wanted))
    extraction.details = details
    extraction.responses += [_with_date(response, settings) for response in details.responses]
    extraction.scans += details.scans


def _with_date(response: Response, settings: Settings) -> Response:
    return replace(response, observed_at=settings.observed_at, is_dated=True) if settings.observed_at else response
