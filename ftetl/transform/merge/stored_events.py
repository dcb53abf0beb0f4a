"""The stored events in key order, a row group at a time, and how many each job has; never held whole.

Does not depend on the incoming rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one
from ftetl.contract import tables
from ftetl.contract.arrow_schema import empty
from ftetl.snapshot.table_reader import TableReader


def counts(stored: TableReader, ids: pa.Array) -> pa.Array:
    """How many stored events each of these jobs has."""
    found = [_counted(group) for group in stored.read_row_groups("events", ["job_id"])]
    if not found:
        return pc.fill_null(pa.nulls(len(ids), pa.int64()), 0)
    # A job at the end of one row group may go on in the next.
    whole = pa.concat_tables(found).group_by("job_id").aggregate([("count", "sum")])
    at = pc.index_in(ids, value_set=one(whole.column("job_id")))
    return pc.fill_null(pc.take(one(whole.column("count_sum")), at), 0)


def _counted(group: pa.Table) -> pa.Table:
    found = one(pc.value_counts(group.column("job_id")))
    return pa.table({"job_id": found.field("values"), "count": found.field("counts")})


class Stream:
    """Hands out the stored events from the first to the last; each row once."""

    def __init__(self, stored: TableReader) -> None:
        self._groups = _between_jobs(_ahead(stored.read_row_groups("events")))
        self._buffer = empty(tables()["events"])

    def up_to(self, last: str) -> Iterator[pa.Table]:
        """The next rows, up to the job `last`, in pieces that are not empty."""
        while self._buffer.num_rows or self._next():
            # Rows are sorted, so those that belong here are the first ones.
            count = pc.sum(pc.less_equal(self._buffer.column("job_id"), last)).as_py() or 0
            piece, self._buffer = self._buffer.slice(0, count), self._buffer.slice(count)
            if count:
                yield piece
            if self._buffer.num_rows:
                return

    def _next(self) -> bool:
        for group in self._groups:
            self._buffer = group
            return True
        return False


def _ahead(groups: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The row groups, each of which is read in a thread while the one before is merged."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, groups, None)
        while (group := waiting.result()) is not None:
            waiting = pool.submit(next, groups, None)
            yield group


def _between_jobs(groups: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The rows of row groups, cut only between two jobs."""
    last_job = empty(tables()["events"])
    for group in groups:
        if last_job.num_rows:
            is_same = pc.equal(group.column("job_id"), last_job.column("job_id")[0])
            more = pc.sum(is_same).as_py() or 0
            last_job = pa.concat_tables([last_job, group.slice(0, more)]).combine_chunks()
            if more == group.num_rows:
                continue
            yield last_job
            group = group.slice(more)
        at = pc.index(group.column("job_id"), group.column("job_id")[-1]).as_py() if group.num_rows else 0
        if at:
            yield group.slice(0, at)
        last_job = group.slice(at)
    if last_job.num_rows:
        yield last_job
