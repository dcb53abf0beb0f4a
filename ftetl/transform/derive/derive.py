"""What is made of the next jobs and events alone: rows go in as they are written, in key order, piece after piece.

Of an event only what the derived tables need is looked at, and held no longer than its job lasts, so the same rows
give the same derived ones, however they were cut and wherever they came from. Knows neither files nor answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.config.settings import Settings
from ftetl.contract import tables
from ftetl.contract.arrow_schema import empty, schema
from ftetl.transform.derive import charges, focus_costs, job_stages
from ftetl.transform.merge import quarantine

_ALL = tuple(dict.fromkeys((*job_stages.TYPES, *charges.TYPES)))
_KINDS = pa.array(_ALL, pa.string())
_STAGES = pa.array([job_stages.TYPES.index(t) if t in job_stages.TYPES else None for t in _ALL], pa.int32())
_CHARGES = pa.array([charges.TYPES.index(t) if t in charges.TYPES else None for t in _ALL], pa.int32())
_NEEDED = ["job_id", "created_at"]


class Derived:
    """The derived tables of one run."""

    def __init__(self, settings: Settings) -> None:
        self._project = settings.project
        self._account = focus_costs.Account.of(settings)
        self._charges = charges.Charges()
        self._held: pa.Table | None = None  # of the job whose events may go on in the next piece

    @property
    def speaking(self) -> Mapping[str, int]:
        """Of the failed jobs with a refund, how many speak for prices that are gross, and how many for net ones."""
        return dict(self._charges.speaking)

    def jobs(self, found: pa.Table) -> None:
        """The next jobs."""
        self._charges.jobs(found)

    def events(self, found: pa.Table) -> pa.Table:
        """The stages that the next events complete."""
        if not found.num_rows:
            return empty(tables()["stages"])
        kinds = pc.index_in(found.column("type"), value_set=_KINDS)
        mine = found.select(_NEEDED).append_column("kind", kinds).filter(pc.is_valid(kinds))
        mine = pa.concat_tables([self._held, mine]) if self._held is not None else mine
        at = pc.index(mine.column("job_id"), found.column("job_id")[-1]).as_py()
        at = mine.num_rows if at < 0 else at
        self._held = mine.slice(at)
        return self._told(mine.slice(0, at))

    def rest(self) -> pa.Table:
        """The stages of the last job."""
        held, self._held = self._held, None
        return empty(tables()["stages"]) if held is None else self._told(held)

    def costs(self) -> Iterator[pa.Table]:
        """The rows of `focus_costs`, when all jobs and events are known."""
        return focus_costs.costs(self._charges, self._account)

    def anomalies(self, others: pa.Table) -> pa.Table:
        """The next anomalies: the others, but for those that were derived before, and those that are derived now."""
        kept = others.filter(pc.invert(pc.is_in(others.column("kind"), value_set=pa.array(charges.KINDS))))
        rows = [{"project": self._project, **row} for row in self._charges.odd]
        return quarantine.anomalies(kept, pa.Table.from_pylist(rows, schema=schema(tables()["anomalies"])))

    def _told(self, events: pa.Table) -> pa.Table:
        self._charges.events(_of(events, _CHARGES))
        return job_stages.stages(_of(events, _STAGES), self._project)


def _of(events: pa.Table, places: pa.Array) -> pa.Table:
    """The events that have a place, with it as their kind."""
    kinds = pc.take(places, events.column("kind"))
    return events.set_column(2, "kind", kinds).filter(pc.is_valid(kinds))
