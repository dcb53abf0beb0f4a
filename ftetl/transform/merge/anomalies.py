"""The table of anomalies: unexpected values, counted per job, path and kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.raw.findings import Anomaly


def count_anomalies(anomalies: Iterable[Anomaly], project: str) -> pa.Table:
    """The anomalies of a run as rows of their table."""
    rows = [{"project": project, **row} for row in count_by_key(list(anomalies))]
    return pa.Table.from_pylist(rows, schema=schema(tables()["anomalies"]))


def merge_anomalies(kept: pa.Table, fresh: pa.Table) -> pa.Table:
    """The stored anomalies that still hold and those of this run, which replace stored ones of the same key."""
    if kept.num_rows and fresh.num_rows:
        keys = ["job_id", "path", "kind"]
        taken = set(zip(*(fresh.column(k).to_pylist() for k in keys), strict=True))
        old = zip(*(kept.column(k).to_pylist() for k in keys), strict=True)
        kept = kept.filter(pa.array([key not in taken for key in old], pa.bool_()))
    whole = pa.concat_tables([kept, fresh])
    order = [("job_id", "ascending"), ("path", "ascending"), ("kind", "ascending")]
    return whole.take(pc.sort_indices(whole, order))


def count_by_key(anomalies: Sequence[Anomaly]) -> list[dict[str, Any]]:
    """The anomalies as rows of their table, one for each job, path and kind: the first raw value, and how many."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for anomaly in sorted(anomalies, key=lambda a: (a.job_id, a.path, a.kind, a.place)):
        job_id, path, kind = key = (anomaly.job_id, anomaly.path, anomaly.kind)
        row = rows.setdefault(key, {"job_id": job_id, "path": path, "kind": kind, "raw": anomaly.raw, "rows": 0})
        row["rows"] += 1
    return list(rows.values())
