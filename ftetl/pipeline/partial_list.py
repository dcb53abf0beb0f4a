"""Finds a list that shows a part of the jobs and passes for the whole list: error R46.

A page, a filtered list, or the list of a key of narrower scope differs from deleted jobs by which jobs are missing:
exactly the oldest or the newest ones, or all jobs of some users or of some status and no others. What a
response itself says of further pages is found by `raw.paging`.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.clock import iso
from ftetl.config import limits
from ftetl.errors import DataError
from ftetl.formatting import pluralize

COLUMNS = ("job_id", "present", "created_at", "user_id", "status", "is_terminal")  # of `jobs` that the checks read
_ADVICE = "fetch the whole list; if these jobs are really gone, run again with --allow-shrink"


@dataclass(frozen=True)
class MissingJobs:
    """The jobs that were present before, by whether the list has them, and the length of the list."""

    missing: pa.Table
    kept: pa.Table
    received: int
    has_new: bool = False  # whether the list has jobs that were not known

    @classmethod
    def of(cls, jobs: pa.Table, listed: AbstractSet[str], received: int) -> MissingJobs:
        """What a list lacks.

        Args:
            jobs: The stored jobs, with `COLUMNS`.
            listed: The ids in the list.
            received: How many elements the list has.
        """
        present = jobs.filter(jobs.column("present"))
        is_listed = pc.is_in(present.column("job_id"), value_set=pa.array(sorted(listed), pa.string()))
        has_new = bool(listed - set(jobs.column("job_id").to_pylist()))
        return cls(present.filter(pc.invert(is_listed)), present.filter(is_listed), received, has_new)

    def without_newer(self) -> MissingJobs:
        """The same without the missing jobs that are newer than all listed ones: an older list cannot have them."""
        newest = pc.max(self.kept.column("created_at"))
        is_newer = pc.fill_null(pc.greater(self.missing.column("created_at"), newest), False)
        return replace(self, missing=self.missing.filter(pc.invert(is_newer)))

    def are_oldest(self) -> bool:
        """Whether some are missing, and all of these are known to be older than every one that is listed."""
        return _is_before(self.missing, self.kept)

    def are_newest(self) -> bool:
        """Whether some are missing, and all of these are known to be newer than every one that is listed."""
        return _is_before(self.kept, self.missing) and not self.has_new

    def are_all_of_some(self, column: str) -> bool:
        """Whether the missing jobs are many, and exactly all jobs with some values of the column."""
        missing, kept = self.missing.column(column), self.kept.column(column)
        if missing.null_count or missing.length() < limits.MIN_MISSING or not self.kept.num_rows:
            return False
        return not pc.any(pc.is_in(missing, value_set=pc.unique(kept))).as_py()


def _is_before(first: pa.Table, second: pa.Table) -> bool:
    a, b = (pc.min_max(table.column("created_at")).as_py() for table in (first, second))
    if a["min"] is None or b["min"] is None:
        return False  # of a list without any known job another guard decides
    # Jobs that were all made at one time have no order.
    return bool(a["max"] <= b["min"] and a["min"] < b["max"])


def require_whole_list(found: MissingJobs, received_before: int | None, pages: int = 1) -> list[str]:
    """Warnings about jobs that the list lacks.

    Args:
        found: The jobs that it lacks.
        received_before: How many elements the whole list before it had.
        pages: How many pages the list was joined from; then its length is not that of a page.

    Raises:
        DataError: The list looks like a part of the whole one.
    """
    counts, is_page = _counts(found), pages == 1 and _is_page_size(found.received, received_before)
    if found.are_oldest():
        if is_page:
            raise _page_error(found, "oldest")
        return [f"{counts}, exactly the oldest; if they were not deleted, the list is cut"]
    if is_page and found.are_newest():
        raise _page_error(found, "newest")
    if found.are_all_of_some("user_id"):
        raise _refused(f"{counts}, exactly all jobs of some users: it looks like the list of a key of narrower scope")
    if found.are_all_of_some("status"):
        if not pc.all(pc.fill_null(found.missing.column("is_terminal"), False)).as_py():
            raise _refused(f"{counts}, exactly all jobs of some status: it looks like a filtered list")
        return [f"{counts}, exactly all jobs of some status; if they were not deleted, the list is filtered"]
    if is_page and found.missing.num_rows:
        return [f"{counts}, which is the length of a page; if they were not deleted, the list is one page of several"]
    return []


def require_no_older_page(found: MissingJobs, received_before: int | None) -> None:
    """Refuse a page of a list that is older than the newest one.

    An older list may lack newer jobs. It cannot lack the oldest ones: no job is made with a time that is long over.

    Raises:
        DataError: The list has a page's length, and lacks exactly the oldest of the jobs that it could have.
    """
    older = found.without_newer()
    if older.are_oldest() and _is_page_size(found.received, received_before):
        raise _page_error(older, "oldest")


def older_list_warning(name: str, observed_at: datetime, newest_at: datetime, found: MissingJobs) -> list[str]:
    """The warning that a saved list is not the newest one; none if it is as new and lacks no job."""
    if observed_at == newest_at:
        if not found.missing.num_rows:
            return []  # the same list once more
        when = f"at {iso(observed_at)}, like the newest list"
    else:
        when = f"at {iso(observed_at)}, before the newest list ({iso(newest_at)})"
    return [f"{name} was received {when}: it adds, but makes no job missing"]


def _counts(found: MissingJobs) -> str:
    missing, known = found.missing.num_rows, found.missing.num_rows + found.kept.num_rows
    is_or_are = "is" if missing == 1 else "are"
    return f"{missing:,} of the {known:,} known jobs {is_or_are} missing from the list of {found.received:,}"


def _is_page_size(received: int, before: int | None) -> bool:
    return received in limits.PAGE_SIZES or (received == before and received >= min(limits.PAGE_SIZES))


def _page_error(found: MissingJobs, which: str) -> DataError:
    return _refused(f"{_counts(found)}, exactly the {which}: it looks like one page of several")


def _refused(what: str) -> DataError:
    return DataError("R46", f"{what}; nothing was committed", next=_ADVICE)


def unclaimed_warning(found: MissingJobs) -> list[str]:
    """The warning that an array, which may be a part of the list, lacks known jobs."""
    count = found.missing.num_rows
    if not count:
        return []
    is_or_are = "is" if count == 1 else "are"
    return [
        f"{pluralize(count, 'known job')} {is_or_are} not in the array and {is_or_are} kept as present: an array does "
        "not say whether it is the whole list; if it is, give --whole"
    ]
