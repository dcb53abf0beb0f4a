"""Drift between the API and the contracts: keys that no column reads, and columns for which no job had a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.contract import tables
from ftetl.raw import strict_json
from ftetl.run_report import Drift
from ftetl.transform.column_drift import ColumnDrift
from ftetl.transform.decode.extra_keys import ExtraTexts, unknown_key_paths

# A key and its scalar value: without the values, texts of the same structure are equal and are parsed once.
_SCALAR = r'("(?:[^"\\]|\\.)*":)(?:"(?:[^"\\]|\\.)*"|[^,\[\]{}"]+)'


class DriftDetector:
    """Collects the drift of one run, from its decoded batches and the stored rows of unchanged jobs."""

    def __init__(self, unchanged_ids: Iterable[str]) -> None:
        self._unchanged_ids = pa.array(sorted(unchanged_ids), pa.string())  # jobs that were not decoded again
        columns = [c for c in tables()["jobs"].columns if c.sources and c.read != "last_event"]
        self._without_value = {c.name: str(c.sources[0]) for c in columns}
        self._unknown_keys: Counter[str] = Counter()
        self._unchanged_with: dict[str, list[pa.Array]] = {}  # by the path of an unknown key: ids of unchanged jobs

    def add_decoded(self, jobs: pa.Table, unknown_keys: Mapping[str, int]) -> None:
        """Add the flat jobs of a batch, and in how many of them each unknown key was."""
        self._unknown_keys.update(unknown_keys)
        self._drop_columns_with_value(jobs)

    def add_merged_jobs(self, jobs: pa.Table) -> None:
        """Add the next rows of `jobs`, of which only the unchanged ones count."""
        if len(self._unchanged_ids):
            unchanged = jobs.filter(pc.is_in(jobs.column("job_id"), value_set=self._unchanged_ids))
            self._drop_columns_with_value(unchanged)
            self._add_extra(unchanged, lambda extra: ExtraTexts(extra=extra))

    def add_merged_events(self, events: pa.Table) -> None:
        """Add the next rows of `events`, of which only those of unchanged jobs count."""
        if len(self._unchanged_ids) and events.column("extra").null_count < events.num_rows:
            columns = events.select(["job_id", "extra"])
            unchanged = columns.filter(pc.is_in(columns.column("job_id"), value_set=self._unchanged_ids))
            self._add_extra(unchanged, lambda extra: ExtraTexts(events={0: extra}))

    def drift(self, columns: ColumnDrift = ColumnDrift()) -> Drift:  # noqa: B008 - it cannot change
        """The drift of everything that was added, and of the columns."""
        unknown_keys = Counter(self._unknown_keys)
        for path, jobs in self._unchanged_with.items():
            unknown_keys[path] += len(pc.unique(pa.chunked_array(jobs)))  # its events may have come in two batches
        return Drift(
            dict(sorted(unknown_keys.items())),
            tuple(dict.fromkeys(self._without_value.values())),
            {found.path: found.jobs for found in columns.unreadable if found.jobs},
            {found.path: found.jobs for found in columns.missing},
        )

    def _drop_columns_with_value(self, jobs: pa.Table) -> None:
        for name in [n for n in self._without_value if jobs.column(n).null_count < jobs.num_rows]:
            del self._without_value[name]

    def _add_extra(self, rows: pa.Table, texts: Callable[[dict[str, Any]], ExtraTexts]) -> None:
        rows = rows.select(["job_id", "extra"]).filter(pc.is_valid(rows.column("extra")))
        structures = pc.replace_substring_regex(rows.column("extra"), _SCALAR, r"\10")
        structures_with: dict[str, list[str]] = {}
        for structure in pc.unique(structures).to_pylist():
            for path in unknown_key_paths(texts(strict_json.parse(structure.encode()))):
                structures_with.setdefault(path, []).append(structure)
        for path, having in structures_with.items():
            has_key = pc.is_in(structures, value_set=pa.array(having, pa.string()))
            self._unchanged_with.setdefault(path, []).append(pc.unique(rows.column("job_id").filter(has_key)))
