"""Keys that had a value in the stored rows and have none in the new ones: a key that moved, or that is sent no more.

Compared by job, so that a column which is empty in many jobs raises no alarm, and in jobs of the same status, since
some keys have a value in some states only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one
from ftetl.contract import Column, tables
from ftetl.transform.column_drift import (
    EVENTS,
    MissingKey,
    any_valid,
    columns_below,
    is_vital,
    jobs_at,
    unreadable_cells,
    without,
)

# Columns that have a value in every state of a job once they have one. Others may lose it when the status changes.
_LASTING = ("status", "created_at", "updated_at", "total_price", "refund_amount")


class MissingValues:
    """Collects, batch by batch, the jobs in which a key had a value in the stored row and has none in the new one."""

    def __init__(self, count_unchanged_events: Callable[[str], tuple[int, int]] = lambda _: (0, 0)) -> None:
        """Collect nothing yet.

        Args:
            count_unchanged_events: By column of `events`: how many jobs whose stored events were received again as they
                are have events, and how many of these have a value in the column.
        """
        self._count_unchanged_events = count_unchanged_events
        self._gone: dict[str, list[pa.Array]] = defaultdict(list)
        self._had: dict[str, int] = defaultdict(int)
        self._compared: dict[str, int] = defaultdict(int)

    def add_jobs(self, new: pa.Table, old: pa.Table, replaced: pa.Array, detailed: pa.Array) -> None:
        """Add the incoming rows of `jobs` beside their stored ones.

        Args:
            new: The rows, as they were received.
            old: The stored rows beside them, null where there is none.
            replaced: Whether the incoming row replaces a stored one.
            detailed: Whether it also replaces what only a detail fills.
        """
        status = new.column("status")
        same_state = pc.fill_null(pc.equal(status, old.column("status")), pc.is_null(status))
        masks = {
            (is_detail, is_lasting): one(mask if is_lasting else pc.and_(mask, same_state))
            for is_detail, mask in ((False, replaced), (True, detailed))
            for is_lasting in (False, True)
        }
        compared = {kind: pc.sum(mask).as_py() or 0 for kind, mask in masks.items()}
        for path, columns in _keys_of_jobs().items():
            kind = (all(c.detail for c in columns), path in _LASTING)
            if not compared[kind]:
                continue
            had = pc.and_(any_valid(old, columns), masks[kind])
            self._compared[path] += compared[kind]
            self._had[path] += pc.sum(had).as_py() or 0
            if all(new.column(c.name).null_count for c in columns):
                gone = pc.and_(had, pc.invert(any_valid(new, columns)))
                self._add(path, new.column("job_id").filter(gone))

    def add_events(self, old: pa.Table, new: pa.Table) -> None:
        """Add stored events that are replaced, all of a job in one call or in several, and those that replace them."""
        if not old.num_rows:
            return
        encoded = pc.dictionary_encode(one(old.column("job_id")))
        ids, jobs = encoded.dictionary, encoded.indices  # numbers are compared faster than texts
        new_jobs = pc.index_in(one(new.column("job_id")), value_set=ids)
        for path, column in _keys_of_events().items():
            had = pc.unique(jobs.filter(one(pc.is_valid(old.column(column.name)))))
            self._compared[path] += len(ids)
            self._had[path] += len(had)
            if new.column(column.name).null_count:
                has = pc.unique(new_jobs.filter(one(pc.is_valid(new.column(column.name)))))
                self._add(path, ids.take(without(had, has)))

    def found(self, anomalies: pa.Table) -> Iterator[MissingKey]:
        """The keys that are missing; a value with one of these anomalies of this run is not missing, but unreadable."""
        unreadable = unreadable_cells(anomalies)
        for path, pieces in sorted(self._gone.items()):
            gone = pc.unique(pa.chunked_array(pieces, pa.string()))
            for known in pc.unique(unreadable.column("path")).to_pylist():
                if f"{path}.".startswith(f"{known}."):
                    gone = without(gone, jobs_at(unreadable, known)[0])
            if len(gone):
                vital = any(map(is_vital, columns_below(path)))
                column = _keys_of_events().get(path)
                compared, had = self._count_unchanged_events(column.name) if column else (0, 0)
                yield MissingKey(path, vital, self._compared[path] + compared, self._had[path] + had, len(gone))

    def _add(self, path: str, ids: pa.Array | pa.ChunkedArray) -> None:
        if len(ids):
            self._gone[path].append(one(ids))


@cache
def _keys_of_jobs() -> dict[str, tuple[Column, ...]]:
    """By path the columns of `jobs` that are read from it."""
    found: dict[str, tuple[Column, ...]] = {}
    for column in tables()["jobs"].columns:
        if column.sources and column.read != "last_event" and column.name != "job_id":
            path = str(column.sources[0])
            found[path] = (*found.get(path, ()), column)
    return found


@cache
def _keys_of_events() -> dict[str, Column]:
    """By path the column of `events` that is read from it."""
    return {f"{EVENTS}.{c.sources[0]}": c for c in tables()[EVENTS].columns if c.sources and not c.sources[0].job}
