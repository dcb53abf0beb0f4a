"""Where a run can be hit: its recorded calls on the target, as strace can be told of them.

strace counts calls by name in each thread. So that a call of a late thread is not hidden behind an early one of the
main thread with the same number, runs are recorded from several places on, and a call is reached from the place from
which on it is the first with its name and number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tests.faults.runs import CHANGES, Call, Injected, Runs
from tests.faults.targets import AT_CLOSE, Start

PLACES = (
    "",  # the start
    AT_CLOSE,  # threads write the tables
    "ftetl.extract.details.fingerprints:serialize",
    "ftetl.loading.table_writers:TableWriters.validate",  # threads read them back
    "ftetl.extract.archive:Archive.sync",  # a thread makes the archive durable
    "ftetl.extract.archive:Archive.write_index",
    "ftetl.store.transaction:Transaction.commit",
    "ftetl.store.transaction:commit_manifest",
    "ftetl.store.cleanup:update_current_link",
    "ftetl.pipeline.list_watermark:write_newest_whole_at",
    "ftetl.pipeline.run_log:write_record",
)
FAULTS = tuple(f"error={name}" for name in ("EIO", "ENOSPC", "EACCES", "EROFS", "EMFILE", "EINTR"))
KILL = "signal=SIGKILL"


@dataclass(frozen=True)
class Point:
    """A call that a fault can be injected into."""

    place: str
    call: Call

    @property
    def changes(self) -> bool:
        """Whether the call may change something on the disk."""
        return self.call.name in CHANGES and "O_RDONLY" not in self.call.text

    @property
    def lies(self) -> list[str]:
        """Faults by which a call that writes says that it did, and did not."""
        length = re.search(r", (\d+)(, \d+)?(\) | <)", self.call.text)
        if self.call.name not in ("write", "pwrite64") or length is None:
            return []
        return ["retval=0", *dict.fromkeys(["retval=1", f"retval={length[1]}"])]

    def fault(self, fault: str) -> Injected:
        """Such a fault in it."""
        return Injected(self.call.name, self.call.number, fault, self.place)


@dataclass(frozen=True)
class Points:
    """All points of a run, how many calls there were, and those that change something and are no point."""

    all: list[Point]
    calls: int
    missed: list[str]

    @property
    def changes(self) -> list[Point]:
        """Those of calls that may change something."""
        return [point for point in self.all if point.changes]


def recorded(runs: Runs, start: Start, places: Iterable[str] = PLACES) -> Points:
    """The points of a run from this start."""
    found: dict[str, Point] = {}
    seen: dict[str, Call] = {}
    for place in places:
        start.fresh()
        ended = runs.record(*start.argv, stdin=start.stdin, place=place)
        if not ended.reached:  # there is nothing to archive
            continue
        first: dict[tuple[str, int], Call] = {}
        for call in ended.trace:
            first.setdefault((call.name, call.number), call)
        repeated: Counter[str] = Counter()
        for call in reversed(ended.trace):  # counted from the end, which all recordings have
            if not call.touches(start.target):
                continue
            repeated[call.what] += 1
            identity = f"{call.what} {repeated[call.what]}"
            seen.setdefault(identity, call)
            before = first[call.name, call.number]
            # Of threads that work side by side either may be the first.
            if before is call or ended.pid not in (before.thread, call.thread):
                found.setdefault(identity, Point(place, call))
    missed = [what for what, call in seen.items() if what not in found and Point("", call).changes]
    return Points([*found.values()], len(seen), missed)
