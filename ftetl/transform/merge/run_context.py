"""What the merge has to know about a run besides its rows: which lists it has, and which jobs it could not read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ftetl.transform.column_drift import ReadJobs


@dataclass(frozen=True)
class RunContext:
    """The project, the complete lists (that of this run and the newest ever), and the jobs without a new copy.

    A list is complete if it holds all jobs of the account: a job that it lacks is missing.
    """

    project: str
    complete_list: int | None = None  # number of the response: this run's newest, if it is newer than the stored one
    newest_whole_at: datetime | None = None  # when the newest complete list was observed, this run's included
    base_whole_at: datetime | None = None  # when the newest complete list before this run was observed
    may_mark_missing: bool = False  # whether jobs that are missing from the complete list become present = false
    unchanged_ids: frozenset[str] = frozenset()  # jobs in the list as they were when their row was written; not decoded
    unchanged: ReadJobs | None = None  # of these, those that were received with all their bytes: they count as read
    live_at: datetime | None = None  # when the service answered, if it did: nothing stored was observed later
    dates_back: bool = False  # whether stored times after `live_at` are dated back, since that one is certain
    list_is_current: bool = False  # whether the list with the unchanged jobs is as new as every complete one
    keep_known: bool = False  # whether a value that is missing keeps its last known one, as an unreadable one does
    failed: frozenset[str] = frozenset()  # jobs whose detail could not be fetched
