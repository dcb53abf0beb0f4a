"""One copy of a job before it is decoded: where its bytes lie, and what part it plays in the run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ftetl.raw.blob import Blob


@dataclass(slots=True)
class RawJob:
    """One copy of a job to be decoded: its bytes, where they came from, and its part in the run."""

    job_id: str
    response: int  # index into the run's answers
    position: int  # place in that answer
    offset: int
    length: int
    odd: bool = False
    older: bool = False  # not the winner: a state for the history, no row of its own
    detail: bool = False  # its events are all there are
    stale: bool = False  # what only a detail tells, and its events, are those of an older detail
    old_events: bool = False  # its events are those of an older copy, whichever
    since: datetime | None = None  # when a copy of the same state was first observed, if not by this one
    raw: Blob | None = None  # set for a copy that was put together from several
