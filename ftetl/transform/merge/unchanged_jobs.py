"""Jobs received byte for byte as when their rows were written: the drift counts them as read, and as equal."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one
from ftetl.snapshot.table_reader import TableReader
from ftetl.transform.column_drift import ReadJobs
from ftetl.transform.missing_values import MissingValues
from ftetl.transform.price_changes import PriceChanges


class UnchangedJobs:
    """Such jobs of a run: their stored rows stand for the new ones."""

    def __init__(self, jobs: ReadJobs | None, stored: TableReader) -> None:
        nothing = pa.array([], pa.string())
        self._jobs = jobs or ReadJobs(nothing, nothing, nothing)
        self._stored = stored

    def compare(self, rows: pa.Table, missing: MissingValues, prices: PriceChanges) -> None:
        """Count those of the stored rows of `jobs` that are unchanged."""
        if not len(self._jobs.rows) or not rows.num_rows:
            return
        ids = rows.column("job_id")
        same, same_detail = (one(pc.is_in(ids, value_set=jobs)) for jobs in (self._jobs.rows, self._jobs.details))
        missing.add_jobs(rows, rows, same, same_detail)
        prices.add_jobs(rows, rows, same, same_detail)

    def count_events(self, column: str) -> tuple[int, int]:
        """How many of these jobs have events, and how many have a value in a column of `events`."""
        if not len(self._jobs.events):
            return 0, 0
        groups = self._stored.read_row_groups("events", ["job_id", column])
        having = [pc.unique(group.column("job_id").filter(pc.is_valid(group.column(column)))) for group in groups]
        ids = pc.unique(pa.chunked_array(having, pa.string()))
        return len(self._jobs.events), pc.sum(pc.is_in(ids, value_set=self._jobs.events)).as_py() or 0

    def and_replaced(self, replaced: ReadJobs) -> ReadJobs:
        """All jobs that were read: these, and those whose rows were replaced."""
        pairs = ((getattr(replaced, name), getattr(self._jobs, name)) for name in ("rows", "details", "events"))
        return ReadJobs(*(pa.concat_arrays(pair) for pair in pairs))

    def anomalies(self, stored: pa.Table) -> pa.Table:
        """The stored anomalies of these jobs."""
        return stored.filter(pc.is_in(stored.column("job_id"), value_set=self._jobs.rows))
