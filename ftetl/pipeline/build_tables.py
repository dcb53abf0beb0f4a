"""Making the tables of a run: every batch through the merge into the open files, then what lies beside the data.

Every element that was received is accounted for here. Knows neither sources nor what becomes of the files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from ftetl.config.settings import Settings
from ftetl.errors import SoftwareError
from ftetl.extract import extract
from ftetl.load.table_writers import TableWriters
from ftetl.pipeline.billing_account import account_from_settings
from ftetl.pipeline.progress import Progress
from ftetl.run_report import Drift
from ftetl.transform import deduplicate, prefetch
from ftetl.transform.derive import focus_costs
from ftetl.transform.derive.derive import DerivedTables
from ftetl.transform.drift import DriftDetector
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
    drift = DriftDetector(given.confirmed)
    derived = DerivedTables(settings.project, account_from_settings(settings))
    anomalies = list(work.anomalies)
    quarantined = list(work.quarantined)
    merged.protect_from_vanishing(a.job_id for a in quarantined if a.job_id)
    done = 0
    for batch in prefetch.decoded_batches(work.items, given.responses, events=settings.events != "none"):
        done += len(batch.decoded.items)
        quarantined += batch.decoded.quarantined
        merged.protect_from_vanishing(a.job_id for a in batch.decoded.quarantined if a.job_id)
        if batch.decoded.items:
            anomalies += batch.flat.anomalies
            drift.add_decoded(batch.flat.jobs, batch.decoded.unknown_keys)
            _write(writers, merged.batch(batch.decoded.items, batch.flat), drift, derived)
        progress.jobs(done, len(work.items))
    for rows in merged.rest():
        _write(writers, rows, drift, derived)
    writers.write_rows("stages", derived.finish_events())
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
        drift.drift(),
        derived.refund_evidence,
    )


def _write(writers: TableWriters, rows: merger.MergedBatch, drift: DriftDetector, derived: DerivedTables) -> None:
    drift.add_merged_jobs(rows.jobs)
    derived.add_jobs(rows.jobs)
    writers.write_rows("jobs", rows.jobs)
    for events in rows.events:
        drift.add_merged_events(events)
        writers.write_rows("events", events)
        writers.write_rows("stages", derived.add_events(events))


def _account(given: extract.Extraction, work: deduplicate.DecodePlan, rows: int, quarantined: int) -> None:
    """Every element that was received is a row, is in quarantine, or says what a row says."""
    accounted = rows + quarantined + work.identical + work.absorbed + len(given.confirmed)
    if accounted != given.elements:
        raise SoftwareError(
            "V13",
            f"of {given.elements} elements received, {accounted} are accounted for; nothing was committed",
            next="please report this as a bug of ftetl",
        )
