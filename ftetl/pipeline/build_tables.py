"""Making the tables of a run: every batch through the merge into the open files, then what lies beside the data.

Every element that was received is accounted for here. Knows neither sources nor what becomes of the files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.config.settings import Settings
from ftetl.contract import tables
from ftetl.errors import SoftwareError
from ftetl.extract import extract
from ftetl.load.table_writers import TableWriters
from ftetl.pipeline.billing_account import account_from_settings
from ftetl.pipeline.progress import Progress
from ftetl.raw import strict_json
from ftetl.run_report import Drift
from ftetl.transform import deduplicate, prefetch
from ftetl.transform.decode import extra_keys
from ftetl.transform.derive import focus_costs
from ftetl.transform.derive.derive import DerivedTables
from ftetl.transform.merge import job_history, merger
from ftetl.transform.merge import quarantine as merge_quarantine


@dataclass
class Outcome:
    """What came of the rows."""

    counts: merger.Counts
    quarantined: int
    rows: dict[str, int]  # of each table
    anomalies: dict[str, int]
    drift: Drift
    refunds: Mapping[str, int]  # failed jobs by what their refund says of prices: gross or net


def fill(
    writers: TableWriters,
    settings: Settings,
    work: deduplicate.DecodePlan,
    given: extract.Extraction,
    merged: merger.Merge,
    progress: Progress,
) -> Outcome:
    """Write every table."""
    unknown_keys: Counter[str] = Counter()
    unseen = {c.name: str(c.sources[0]) for c in tables()["jobs"].columns if c.sources and c.read != "last_event"}
    told = _Told(pa.array(sorted(given.confirmed), pa.string()), unseen, unknown_keys)
    derived = DerivedTables(settings.project, account_from_settings(settings))
    anomalies = list(work.anomalies)
    quarantined = list(work.quarantined)
    merged.protect_from_vanishing(a.job_id for a in quarantined if a.job_id)
    done = 0
    for batch in prefetch.batches(work.items, given.responses, events=settings.events != "none"):
        done += len(batch.decoded.items)
        quarantined += batch.decoded.quarantined
        merged.protect_from_vanishing(a.job_id for a in batch.decoded.quarantined if a.job_id)
        if batch.decoded.items:
            anomalies += batch.flat.anomalies
            unknown_keys.update(batch.decoded.unknown)
            _drop_seen(unseen, batch.flat.jobs)
            _write(writers, merged.batch(batch.decoded.items, batch.flat), told, derived)
        progress.jobs(done, len(work.items))
    for rows in merged.rest():
        _write(writers, rows, told, derived)
    writers.write_rows("stages", derived.finish_events())
    told.end()
    _account(given, work, done, len(quarantined))
    for costs in derived.costs():
        writers.write_rows(focus_costs.TABLE, costs)
    history = merged.stored.read_table("job_history")
    states = job_history.merged(history, merged.superseded_states, merged.current_states, settings.project)
    writers.write_rows("job_history", states)
    quarantine = merge_quarantine.quarantine(merged.stored.read_table("quarantine"), quarantined, settings.project)
    writers.write_rows("quarantine", quarantine.table)
    anomaly_table = derived.anomalies(merged.anomaly_table(anomalies))
    writers.write_rows("anomalies", anomaly_table)
    kinds = Counter(anomaly_table.column("kind").to_pylist())
    return Outcome(
        merged.counts,
        quarantine.new,
        dict(writers.rows),
        dict(sorted(kinds.items())),
        Drift(dict(sorted(unknown_keys.items())), tuple(dict.fromkeys(unseen.values()))),
        derived.refund_evidence,
    )


# A key and its scalar, so that texts which differ in their values only become one.
_SCALAR = r'("(?:[^"\\]|\\.)*":)(?:"(?:[^"\\]|\\.)*"|[^,\[\]{}"]+)'


class _Told:
    """What confirmed rows tell still, though they were not decoded in this run."""

    def __init__(self, confirmed: pa.Array, unseen: dict[str, str], unknown_keys: Counter[str]) -> None:
        self._confirmed, self._unseen, self._unknown = confirmed, unseen, unknown_keys
        self._jobs_of: dict[str, list[pa.Array]] = {}  # by path: the jobs that have such a key

    def jobs(self, rows: pa.Table) -> None:
        """Which columns these rows have, and which keys that no column reads."""
        if len(self._confirmed):
            mine = rows.filter(pc.is_in(rows.column("job_id"), value_set=self._confirmed))
            _drop_seen(self._unseen, mine)
            self._note(mine, lambda rest: extra_keys.Texts(extra=rest))

    def events(self, rows: pa.Table) -> None:
        """Which keys of these events no column reads."""
        if len(self._confirmed) and rows.column("extra").null_count < rows.num_rows:
            mine = rows.select(["job_id", "extra"])
            mine = mine.filter(pc.is_in(mine.column("job_id"), value_set=self._confirmed))
            self._note(mine, lambda rest: extra_keys.Texts(events={0: rest}))

    def end(self) -> None:
        """Count the jobs; one whose events came in two pieces is one."""
        for path, jobs in self._jobs_of.items():
            self._unknown[path] += len(pc.unique(pa.chunked_array(jobs)))

    def _note(self, rows: pa.Table, texts: Callable[[dict[str, Any]], extra_keys.Texts]) -> None:
        rows = rows.select(["job_id", "extra"]).filter(pc.is_valid(rows.column("extra")))
        forms = pc.replace_substring_regex(rows.column("extra"), _SCALAR, r"\10")
        forms_of: dict[str, list[str]] = {}
        for form in pc.unique(forms).to_pylist():
            for path in extra_keys.paths(texts(strict_json.parse(form.encode()))):
                forms_of.setdefault(path, []).append(form)
        for path, found in forms_of.items():
            mine = pc.is_in(forms, value_set=pa.array(found, pa.string()))
            self._jobs_of.setdefault(path, []).append(pc.unique(rows.column("job_id").filter(mine)))


def _write(writers: TableWriters, rows: merger.MergedBatch, told: _Told, derived: DerivedTables) -> None:
    told.jobs(rows.jobs)
    derived.add_jobs(rows.jobs)
    writers.write_rows("jobs", rows.jobs)
    for events in rows.events:
        told.events(events)
        writers.write_rows("events", events)
        writers.write_rows("stages", derived.add_events(events))


def _drop_seen(unseen: dict[str, str], jobs: pa.Table) -> None:
    for name in [n for n in unseen if jobs.column(n).null_count < jobs.num_rows]:
        del unseen[name]


def _account(given: extract.Extraction, work: deduplicate.DecodePlan, rows: int, quarantined: int) -> None:
    """Every element that was received is a row, is in quarantine, or says what a row says."""
    accounted = rows + quarantined + work.identical + work.absorbed + len(given.confirmed)
    if accounted != given.elements:
        raise SoftwareError(
            "V13",
            f"of {given.elements} elements received, {accounted} are accounted for; nothing was committed",
            next="please report this as a bug of ftetl",
        )
