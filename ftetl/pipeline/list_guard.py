"""Which list of a run is judged against the stored jobs, and whether it may make jobs disappear."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ftetl.config.settings import Settings
from ftetl.extract.extract import Extraction
from ftetl.pipeline import guards, partial_list
from ftetl.pipeline.run_times import RunTimes
from ftetl.raw.element import Scan
from ftetl.raw.response import Response
from ftetl.snapshot.table_reader import TableReader


@dataclass(frozen=True)
class Listed:
    """The list that is judged."""

    response: Response
    scan: Scan
    whole: bool  # whether it is a whole list; else it makes no job disappear, but must be of the same account
    newest_at: datetime | None = None  # of an older list: when the newest whole one was observed

    @classmethod
    def of(cls, extraction: Extraction, times: RunTimes) -> Listed | None:
        """The newest list of a run: a whole one, an array that may be one, or one older than the stored ones."""
        before = times.base_whole_at if times.live_at is None else None
        number, newest_at = times.whole, None
        if number is None:
            number = extraction.newest_unclaimed(before)
        if number is None:
            number, newest_at = extraction.newest_whole(None), before
        if number is None:
            return None
        return cls(extraction.responses[number], extraction.scans[number], times.whole is not None, newest_at)


def require_plausible_list(
    stored: TableReader, settings: Settings, listed: Listed, received_before: int | None
) -> list[str]:
    """Refuse a list that would make known jobs disappear, unless that is allowed; warnings about those that it lacks.

    Args:
        stored: The tables before this run.
        settings: What is allowed.
        listed: The list. If it has several pages it is complete by the service's own word.
        received_before: How many elements the whole list before it had.

    Raises:
        DataError: It would; or it is another account's, or one page of several, even if it makes no job disappear.
    """
    response, scan = listed.response, listed.scan
    known = stored.read_table("jobs", partial_list.COLUMNS)
    present = set(known.filter(known.column("present")).column("job_id").to_pylist())
    ids = set(scan.ids) | {r.job_id for r in scan.refused if r.job_id}
    if not settings.allow_account_change:
        guards.require_same_account(set(known.column("job_id").to_pylist()), ids)
    found = partial_list.MissingJobs.of(known, ids, scan.received)
    if listed.newest_at is not None:
        if not settings.allow_shrink:
            partial_list.require_no_older_page(found, received_before)
        return partial_list.older_list_warning(response.name, response.observed_at, listed.newest_at, found)
    if not settings.allow_shrink and (listed.whole or not ids):
        guards.require_not_shrunken(present, ids, whole=listed.whole)
    if not listed.whole:
        return partial_list.unclaimed_warning(found)
    return [] if settings.allow_shrink else partial_list.require_whole_list(found, received_before, response.pages)
