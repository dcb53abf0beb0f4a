"""What is odd in the data: what was put aside, values that no cell could hold, keys that no column reads.

Knows the tables' columns, and no files.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ftetl.snapshot.snapshot import Tables

_TEXT, _COUNT = pd.ArrowDtype(pa.string()), pd.ArrowDtype(pa.int64())


def oddities(snapshot: Tables) -> pd.DataFrame:
    """Everything that was put aside or noted, the most rows first.

    Columns: `table` (`quarantine` or `anomalies`), `kind` (the rule, or the kind of anomaly), `path` (of the value;
    NULL in quarantine), `jobs` (with a known id), `rows` (elements, or values: events count one by one).
    """
    aside = snapshot.arrow("quarantine", ["rule", "job_id"]).to_pandas(types_mapper=pd.ArrowDtype)
    aside = aside.rename(columns={"rule": "kind"}).assign(table="quarantine", path=None, rows=1)
    noted = snapshot.arrow("anomalies", ["kind", "path", "job_id", "rows"]).to_pandas(types_mapper=pd.ArrowDtype)
    noted = noted.assign(table="anomalies")
    types = {"table": _TEXT, "path": _TEXT, "rows": _COUNT}
    both = pd.concat([aside.astype(types), noted.astype(types)], ignore_index=True)
    counts = both.groupby(["table", "kind", "path"], dropna=False).agg(jobs=("job_id", "nunique"), rows=("rows", "sum"))
    counts = counts.reset_index().astype({**types, "jobs": _COUNT})
    return counts.sort_values(["rows", "kind", "path"], ascending=[False, True, True], ignore_index=True)


def unread_keys(snapshot: Tables) -> pd.DataFrame:
    """The keys that the API sends and no column reads (they are kept in `extra`), the most frequent first.

    Columns: `table` (`jobs` or `events`), `key` (nested ones with dots), `rows`.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for table in ("jobs", "events"):
        extras = pc.value_counts(pc.drop_null(snapshot.arrow(table, ["extra"]).column("extra")))
        for text, count in zip(extras.field(0).to_pylist(), extras.field(1).to_pylist(), strict=True):
            for key in set(_paths(json.loads(text, parse_int=str, parse_float=str))):
                counts[table, key] += count
    rows = [(table, key, count) for (table, key), count in counts.items()]
    found = pd.DataFrame(rows, columns=["table", "key", "rows"])
    found = found.astype({"table": _TEXT, "key": _TEXT, "rows": _COUNT})
    return found.sort_values(["rows", "table", "key"], ascending=[False, True, True], ignore_index=True)


def _paths(value: Any, before: str = "") -> Iterator[str]:
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _paths(inner, f"{before}{key}.")
        else:
            yield before + key
