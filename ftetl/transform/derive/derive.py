"""The tables derived from the merged jobs and events: `stages` and `focus_costs`, and their anomalies.

Rows are added in key order, batch after batch. Only the events of a batch's last job are held, so the derived rows do
not depend on how the batches were cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.contract import tables
from ftetl.contract.arrow_schema import empty, schema
from ftetl.transform.derive import charges, focus_costs, job_stages
from ftetl.transform.merge.anomalies import merge_anomalies

# An event's type is replaced by its index in `_TYPES`, which maps to its index in the types of each derived table.
_TYPES = tuple(dict.fromkeys((*job_stages.EVENT_TYPES, *charges.EVENT_TYPES)))
_STAGE_TYPES, _CHARGE_TYPES = (
    pa.array([types.index(t) if t in types else None for t in _TYPES], pa.int32())
    for types in (job_stages.EVENT_TYPES, charges.EVENT_TYPES)
)


class DerivedTables:
    """The derived tables of one run."""

    def __init__(self, project: str, account: focus_costs.Account) -> None:
        self._project, self._account = project, account
        self._charges = charges.Charges()
        self._open_job: pa.Table | None = None  # events of the last job, which may go on in the next batch

    @property
    def refund_evidence(self) -> Mapping[str, int]:
        """How many refunded failed jobs show that prices are `gross`, and how many that they are `net`."""
        return dict(self._charges.refund_evidence)

    def add_jobs(self, jobs: pa.Table) -> None:
        """Add the next jobs."""
        self._charges.add_jobs(jobs)

    def add_events(self, events: pa.Table) -> pa.Table:
        """Add the next events; the rows of `stages` of the jobs that they complete."""
        if not events.num_rows:
            return empty(tables()["stages"])
        type_index = pc.index_in(events.column("type"), value_set=pa.array(_TYPES, pa.string()))
        needed = events.select(["job_id", "created_at"]).append_column("type_index", type_index)
        needed = needed.filter(pc.is_valid(type_index))
        if self._open_job is not None:
            needed = pa.concat_tables([self._open_job, needed])
        last_job = pc.index(needed.column("job_id"), events.column("job_id")[-1]).as_py()
        end = needed.num_rows if last_job < 0 else last_job
        self._open_job = needed.slice(end)
        return self._derive(needed.slice(0, end))

    def finish_events(self) -> pa.Table:
        """The rows of `stages` of the last job."""
        events, self._open_job = self._open_job, None
        return empty(tables()["stages"]) if events is None else self._derive(events)

    def focus_rows(self, states: pa.Table) -> Iterator[pa.Table]:
        """The rows of `focus_costs`, once all jobs and events were added; `states` is the whole `job_history`."""
        self._charges.add_history(states)
        return focus_costs.focus_rows(self._charges, self._account)

    def anomalies(self, merged: pa.Table) -> pa.Table:
        """The merged anomalies, with those of this run's charges in place of the stored ones."""
        is_derived = pc.is_in(merged.column("kind"), value_set=pa.array(charges.ANOMALY_KINDS))
        rows = [{"project": self._project, **row} for row in self._charges.anomalies]
        derived = pa.Table.from_pylist(rows, schema=schema(tables()["anomalies"]))
        return merge_anomalies(merged.filter(pc.invert(is_derived)), derived)

    def _derive(self, events: pa.Table) -> pa.Table:
        self._charges.add_events(_with_types(events, _CHARGE_TYPES))
        return job_stages.stages(_with_types(events, _STAGE_TYPES), self._project)


def _with_types(events: pa.Table, indexes: pa.Array) -> pa.Table:
    """The events whose type has an index in `indexes`, with that index as `type_index`."""
    type_index = pc.take(indexes, events.column("type_index"))
    return events.set_column(2, "type_index", type_index).filter(pc.is_valid(type_index))
