"""What is made of the next jobs and events alone: rows go in as they are written, in key order, piece after piece.

Only what the derived tables need is looked at, and nothing of an event is held but that, so the same rows give the
same derived ones, however they were cut and wherever they came from. Knows neither files nor answers.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ftetl import stages
from ftetl.contract import tables
from ftetl.schema import empty

_KINDS = pa.array(stages.TYPES, pa.string())
_NEEDED = ["job_id", "created_at"]


class Derived:
    """The derived tables of one run."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._held: pa.Table | None = None  # of the job whose events may go on in the next piece

    def events(self, found: pa.Table) -> pa.Table:
        """The stages that the next events complete."""
        if not found.num_rows:
            return self._stages(None)
        kinds = pc.index_in(found.column("type"), value_set=_KINDS)
        mine = found.select(_NEEDED).append_column("kind", kinds).filter(pc.is_valid(kinds))
        mine = pa.concat_tables([self._held, mine]) if self._held is not None else mine
        at = pc.index(mine.column("job_id"), found.column("job_id")[-1]).as_py()
        at = mine.num_rows if at < 0 else at
        self._held = mine.slice(at)
        return self._stages(mine.slice(0, at))

    def rest(self) -> pa.Table:
        """The stages of the last job."""
        held, self._held = self._held, None
        return self._stages(held)

    def _stages(self, events: pa.Table | None) -> pa.Table:
        if events is None or not events.num_rows:
            return empty(tables()["stages"])
        return stages.stages(events, self._project)
