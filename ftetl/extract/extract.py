"""The extract step: reads the responses of a source, and fetches the details of jobs that are listed without events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from ftetl.config.settings import Settings
from ftetl.errors import PREFIX, DataError, UsageError
from ftetl.extract.details.fetch import FetchedDetails, jobs_without_events
from ftetl.extract.endpoints import EndpointAnswers, EndpointRequest
from ftetl.extract.source import Detail, Source, skippable_error
from ftetl.raw import index, paging, parts
from ftetl.raw.element import Scan
from ftetl.raw.response import Response
from ftetl.raw.spool import Spool

_GOES_ON = frozenset(f"{PREFIX}{fault}" for fault in ("E01", "E02"))  # errors of documents one after the other
_NEVER_SKIPPED = frozenset(f"{PREFIX}{fault}" for fault in ("F08", "R46"))  # not broken: changed, or a part


@dataclass
class Extraction:
    """The responses of a run, the elements in them, and the details that were fetched."""

    responses: list[Response]  # parts of one file each on their own
    received: list[Response] = field(default_factory=list)  # as the source returned them, without those left out
    skipped: list[str] = field(default_factory=list)  # what is wrong with each response that was left out
    scans: list[Scan] = field(default_factory=list)
    details: FetchedDetails = field(default_factory=FetchedDetails)
    endpoints: EndpointAnswers = field(default_factory=EndpointAnswers)
    listed: dict[str, bytes] = field(default_factory=dict)  # by job without events: the fingerprint of what was listed
    confirmed: frozenset[str] = frozenset()  # of these, jobs whose stored rows are still right: no detail is fetched
    whole: int | None = None  # index of the response that is the newest whole list ever, if one of these is

    @property
    def elements(self) -> int:
        """How many elements there are in all responses."""
        return sum(s.received for s in self.scans)

    def newest_whole(self, before: datetime | None) -> int | None:
        """The index of the newest whole list, if it was observed later than `before`."""
        return self._newest([r.whole and (s.is_list or s.is_bare) for r, s in self._pairs()], before)

    def newest_unclaimed(self, before: datetime | None) -> int | None:
        """The index of the newest array that may be a whole list and may be none, if it is later than `before`."""
        return self._newest(
            [s.is_list and s.is_bare and not r.whole and not r.several for r, s in self._pairs()], before
        )

    def _pairs(self) -> Iterator[tuple[Response, Scan]]:
        return zip(self.responses, self.scans, strict=True)

    def _newest(self, chosen: list[bool], before: datetime | None) -> int | None:
        numbers = [number for number, is_chosen in enumerate(chosen) if is_chosen]
        newest = max(numbers, key=lambda i: self.responses[i].observed_at, default=None)
        if newest is None or (before is not None and self.responses[newest].observed_at <= before):
            return None
        return newest


class DetailStore(Protocol):
    """What earlier runs have stored about details; `listed` is the fingerprint of the listed document."""

    def is_unchanged(self, job_id: str, listed: bytes) -> bool:
        """Whether the job's stored rows are still right."""

    def needs_fetch(self, job_id: str, listed: bytes) -> bool:
        """Whether to fetch the detail of a job that is not unchanged."""

    def expect(self, count: int) -> None:
        """Learn how many details are about to be put."""

    def get(self, job_id: str, listed: bytes) -> Detail | None:
        """The detail that a killed run has fetched for the same listed document."""

    def put(self, detail: Detail, listed: bytes, *, usable: bool) -> None:
        """Store a detail, or that there is none; at once, unless another is known to follow."""


def read_source(settings: Settings, source: Source) -> Extraction:
    """The responses of the source, not yet scanned.

    Raises:
        FtetlError: The source cannot be read.
    """
    responses = [_with_date(response, settings) for response in source.responses()]
    return Extraction(responses, skipped=list(source.skipped))


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
    _scan_responses(extraction, settings)
    if source.service is None:
        return
    listed = extraction.listed
    for response, scan in zip(extraction.responses, extraction.scans, strict=True):
        listed |= jobs_without_events(response, scan)
    if not wants_details(settings, source):
        return
    extraction.confirmed = frozenset(i for i, digest in listed.items() if digest and store.is_unchanged(i, digest))
    wanted = [i for i, digest in listed.items() if i not in extraction.confirmed and store.needs_fetch(i, digest)]

    store.expect(len(wanted))

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


def ask_endpoints(
    extraction: Extraction, settings: Settings, source: Source, requests: Sequence[EndpointRequest], spool: Spool
) -> None:
    """Add the answers of other endpoints, in the order of the requests. None of them ends the run."""
    received = {}
    for answer in source.endpoints(requests):
        response = answer.response and _with_date(answer.response, settings)
        if response is not None:
            response = response.with_blob(spool.append(response.blob.read(0, response.blob.size)))
        received[answer.request] = replace(answer, response=response)
    extraction.endpoints = EndpointAnswers([received[request] for request in requests if request in received])


def _scan_responses(extraction: Extraction, settings: Settings) -> None:
    """Scan the responses, several in one file each on their own; with `skip_broken`, leave out those that are broken.

    An array or lines are a whole list only if the settings say so.
    """
    received, extraction.responses = extraction.responses, []
    for response in received:
        if settings.whole and response.several:
            raise _several_error(response.name)
        pairs = list(scanned_parts(response, settings, extraction.skipped))
        extraction.received += [replace(response, whole=any(part.whole for part, _ in pairs))] if pairs else []
        extraction.responses += [part for part, _ in pairs]
        extraction.scans += [scan for _, scan in pairs]
    if not extraction.responses and extraction.skipped:
        what = f"no response is left: {extraction.skipped[0]}"
        raise DataError("F11", what, next="save the responses again")


def scanned_parts(response: Response, settings: Settings, skipped: list[str]) -> Iterator[tuple[Response, Scan]]:
    """The parts of a response with their scans; what is wrong with those left out is added to `skipped`.

    Raises:
        FtetlError: A part is neither a list of jobs nor a job, and is not to be left out.
    """
    waiting = parts.lists_in_lines(response) or [response]
    while waiting:
        part = waiting.pop(0)
        try:
            scan = index.scan_response(part)
        except DataError as error:
            if error.code in _GOES_ON and (inner := parts.documents(part)):
                waiting = inner + waiting
                continue
            if not part.several or error.code in _NEVER_SKIPPED:
                raise
            if not settings.skip_broken:
                raise skippable_error(error) from None
            skipped.append(error.what)
            continue
        if _is_broken_job(scan) and (inner := parts.documents(part)):
            waiting = inner + waiting
            continue
        if settings.whole and response.whole and part.several:
            raise _several_error(part.name)
        if part.total is not None and scan.received < part.total:
            raise paging.page_error(part.name, f"the headers tell of {part.total:,} jobs")
        yield replace(part, whole=part.whole and (settings.whole or not scan.is_bare)), scan


def _is_broken_job(scan: Scan) -> bool:
    """Whether there is nothing but one element that is no clean JSON: several jobs, one after the other, are none."""
    return scan.received == 1 and not scan.ids and not scan.is_bare and scan.refused[0].rule == "broken_json"


def _several_error(name: str) -> UsageError:
    what = f"{name} is one of several responses, of which none is the whole list"
    return UsageError("P02", what, next="leave out --whole, or give the one list alone")


def _with_date(response: Response, settings: Settings) -> Response:
    return replace(response, observed_at=settings.observed_at, is_dated=True) if settings.observed_at else response
