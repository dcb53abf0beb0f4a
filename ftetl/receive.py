"""What a run receives, before anything is decoded: the source's answers, and the details of the jobs that want them.

Knows how answers are scanned and dated; not what becomes of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from ftetl import details, scan
from ftetl.answers import Answer, Source
from ftetl.settings import Settings


@dataclass
class Received:
    """The answers with their elements, and what is known of the details that were asked for."""

    answers: list[Answer]
    scans: list[scan.Scan] = field(default_factory=list)
    details: details.Details = field(default_factory=details.Details)

    @property
    def elements(self) -> int:
        """How many elements there are in all answers."""
        return sum(s.received for s in self.scans)

    def newest_whole(self, before: datetime | None) -> int | None:
        """The newest answer that is a whole list, if it was observed later than every whole list before."""
        whole = [i for i, (a, s) in enumerate(zip(self.answers, self.scans, strict=True)) if a.whole and s.is_list]
        newest = max(whole, key=lambda i: self.answers[i].observed_at, default=None)
        if newest is None or (before is not None and self.answers[newest].observed_at <= before):
            return None
        return newest


def answers(settings: Settings, source: Source) -> Received:
    """The source's answers, nothing in them looked at.

    Raises:
        FtetlError: The source cannot give them.
    """
    return Received([_dated(a, settings) for a in source.answers()])


def look(given: Received, settings: Settings, source: Source, progress: Callable[[int, int], None]) -> None:
    """Find the elements of the answers, and fetch the details that they lack.

    Raises:
        FtetlError: An answer as a whole is no list of jobs and no job, or the key was refused meanwhile.
    """
    given.scans = [scan.scan(answer) for answer in given.answers]
    if settings.events != "auto" or source.service is None:
        return
    wanted = [i for a, s in zip(given.answers, given.scans, strict=True) for i in details.wanting(a, s)]
    given.details = details.fetch(source, wanted, progress)
    given.answers += [_dated(a, settings) for a in given.details.answers]
    given.scans += given.details.scans


def _dated(answer: Answer, settings: Settings) -> Answer:
    return replace(answer, observed_at=settings.observed_at) if settings.observed_at else answer
