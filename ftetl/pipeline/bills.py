"""Which bills a run asks for: of all months since the first job, the current one and the one before again each time."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.clock import now
from ftetl.config import limits
from ftetl.extract.endpoints import Endpoint, EndpointAnswers, EndpointRequest
from ftetl.extract.extract import Extraction
from ftetl.extract.listed_jobs import listed_jobs
from ftetl.extract.outcome import Outcome
from ftetl.snapshot.table_reader import TableReader
from ftetl.transform.timestamps import parse_column

_MONTHS = 12  # of a year


def bill_requests(extraction: Extraction, stored: TableReader) -> list[EndpointRequest]:
    """The requests for all months since the first job was created, by UTC, as far as they have begun.

    A month that ended before the last one did is final: the vendor may add to a bill for a day after the month's end.
    """
    received = max((response.observed_at for response in extraction.responses), default=now())
    current = _number(min(received, now()))
    created = _first_creation(extraction, stored)
    if created is None:
        return []
    first = max(_number(created), current - limits.MAX_BILLS + 1)
    return [
        EndpointRequest(Endpoint.BILLING_USAGE, _name(number), final=number < current - 1)
        for number in range(first, current + 1)
    ]


def bill_warnings(answers: EndpointAnswers, *, is_wanted: bool) -> list[str]:
    """A line if the service shows no bill, or none of some months; or if a bill is wanted, and there was no month."""
    asked = [a for a in answers.answers if a.request.endpoint is Endpoint.BILLING_USAGE]
    gone = [a.request.parameter for a in asked if a.outcome is Outcome.GONE]
    if is_wanted and not asked:
        return ["no bill was asked for: there is no job, or none that was created before now"]
    if not gone:
        return []
    if len(gone) < len(asked):
        what = f"the service shows the bills of some months, but none of {', '.join(sorted(gone))}"
        return [f"{what}; the next run asks for {'it' if len(gone) == 1 else 'them'} again"]
    what = "billing usage is not enabled for this organisation, or not shown to this API key"
    return [f"{what}; ask the vendor to enable it, or leave out --billing"]


def _first_creation(extraction: Extraction, stored: TableReader) -> datetime | None:
    """When the first job was created, of those received and those stored; None where no job says."""
    listed, _ = parse_column(pa.array([job.created_at for job in listed_jobs(extraction)], pa.string()))
    known = stored.read_table("jobs", ["created_at"]).column("created_at")
    times = (pc.min(listed).as_py(), pc.min(known).as_py())
    return min((time for time in times if time is not None), default=None)


def _number(moment: datetime) -> int:
    return moment.year * _MONTHS + moment.month - 1


def _name(number: int) -> str:
    return f"{number // _MONTHS:04d}-{number % _MONTHS + 1:02d}"
