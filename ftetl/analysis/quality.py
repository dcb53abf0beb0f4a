"""What is unusual in the data: quarantined elements, anomalies, keys that no column reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from ftetl.analysis import frames
from ftetl.analysis.frames import COUNT, TEXT
from ftetl.snapshot.snapshot import Tables


def oddities(snapshot: Tables) -> pd.DataFrame:
    """All quarantined elements and anomalies, the most rows first.

    Columns: `table` (`quarantine`, `anomalies`, or the table that has the values of `endpoint_anomalies`, such as
    `billing_usage`), `kind` (the rule, or the kind of anomaly), `path` (of the value; NULL in quarantine), `jobs` (with
    a known id; files and months of the bill are none), `rows` (elements, or values: events count one by one).
    """
    quarantined = frames.read(snapshot, "quarantine", ["rule", "job_id"]).rename(columns={"rule": "kind"})
    quarantined = quarantined.assign(table="quarantine", path=None, rows=1)
    anomalies = frames.read(snapshot, "anomalies", ["kind", "path", "job_id", "rows"]).assign(table="anomalies")
    endpoints = frames.read(snapshot, "endpoint_anomalies", ["table_name", "group_id", "kind", "path", "rows"])
    endpoints = endpoints.rename(columns={"table_name": "table", "group_id": "job_id"})
    endpoints["job_id"] = endpoints.job_id.where(endpoints.table == "training_metrics")
    types = {"table": TEXT, "path": TEXT, "rows": COUNT}
    parts = [part.astype(types) for part in (quarantined, anomalies, endpoints)]
    whole = pd.concat(parts, ignore_index=True)
    groups = whole.groupby(["table", "kind", "path"], dropna=False)
    counts = groups.agg(jobs=("job_id", "nunique"), rows=("rows", "sum"))
    counts = counts.reset_index().astype({**types, "jobs": COUNT})
    return counts.sort_values(["rows", "kind", "path"], ascending=[False, True, True], ignore_index=True)


def unread_keys(snapshot: Tables) -> pd.DataFrame:
    """The keys that the API sends and no column reads (they are in `extra`), the most frequent first.

    Columns: `table` (`jobs` or `events`), `key` (nested ones with dots), `rows`.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for table in ("jobs", "events"):
        extras = pc.value_counts(pc.drop_null(frames.read_arrow(snapshot, table, ["extra"]).column("extra")))
        for text, count in zip(extras.field(0).to_pylist(), extras.field(1).to_pylist(), strict=True):
            # Numbers stay text: Python refuses to convert integers of more than 4,300 digits.
            for key in set(_paths(json.loads(text, parse_int=str, parse_float=str))):
                counts[table, key] += count
    rows = [(table, key, count) for (table, key), count in counts.items()]
    keys = pd.DataFrame(rows, columns=["table", "key", "rows"]).astype({"table": TEXT, "key": TEXT, "rows": COUNT})
    return keys.sort_values(["rows", "table", "key"], ascending=[False, True, True], ignore_index=True)


def _paths(value: Any, prefix: str = "") -> Iterator[str]:
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _paths(inner, f"{prefix}{key}.")
        else:
            yield prefix + key
