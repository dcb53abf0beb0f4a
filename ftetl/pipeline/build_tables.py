"""Builds the tables of a run: decode, flatten, merge and derive batch by batch, into the open files.

Every element that was received is accounted for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import pyarrow as pa

from ftetl.config.settings import PROJECT, Settings
from ftetl.errors import SoftwareError
from ftetl.extract.extract import Extraction
from ftetl.loading.table_writers import RowWriter
from ftetl.pipeline.endpoint_tables import EndpointTables
from ftetl.pipeline.progress import Progress
from ftetl.run_report import Drift
from ftetl.transform import prefetch
from ftetl.transform.column_drift import ColumnDrift, ReadJobs
from ftetl.transform.deduplicate import DecodePlan
from ftetl.transform.derive import focus_costs
from ftetl.transform.derive.derive import DerivedTables
from ftetl.transform.derive.file_columns import FileColumns
from ftetl.transform.derive.restart_links import RestartLinks
from ftetl.transform.drift import DriftDetector
from ftetl.transform.merge import job_history, merger
from ftetl.transform.merge import quarantine as merge_quarantine
from ftetl.transform.merge.merged_batch import MergedBatch


@dataclass
class BuiltTables:
    """What was written, for the report."""

    counts: merger.Counts
    quarantined: int  # new rows of the quarantine
    rows: dict[str, int]  # by table
    anomalies: dict[str, int]  # by kind
    drift: Drift
    column_drift: ColumnDrift
    refunds: Mapping[str, int]  # failed jobs by what their refund says of prices: gross or net
    newest_stored: datetime | None  # the newest observation in the version before
    replaced: ReadJobs  # whose whole rows this run replaced, the columns that only a detail fills, or the events


def account_from_settings(settings: Settings) -> focus_costs.Account:
    """The account for `focus_costs`; its id is the billing account's, else the project's, else `default`."""
    project = None if settings.label == PROJECT else settings.label
    return focus_costs.Account(settings.billing_account or project or PROJECT, settings.billing_account_name, project)


@dataclass
class Inputs:
    """What the tables are built from, besides the stored rows."""

    settings: Settings
    extraction: Extraction
    plan: DecodePlan
    others: EndpointTables  # those of other endpoints, merged


def build_tables(writers: RowWriter, inputs: Inputs, merge: merger.Merge, progress: Progress) -> BuiltTables:
    """Write every table.

    Raises:
        SoftwareError: An element that was received is not accounted for.
    """
    settings, extraction, plan, others = inputs.settings, inputs.extraction, inputs.plan, inputs.others
    drift = DriftDetector(extraction.confirmed)
    derived = DerivedTables(settings.label, account_from_settings(settings))
    jobs_writer = _JobsWriter(writers, drift, derived, FileColumns(others.table("files")))
    anomalies = list(plan.anomalies)
    quarantined = list(plan.quarantined)
    merge.protect_from_missing(i for a in quarantined for i in a.possible_ids)
    done = jobs_done = 0
    jobs = len({item.job_id for item in plan.items})  # of one job there may be a list item and a detail
    for batch in prefetch.decoded_batches(plan.items, extraction.responses, events=settings.events != "none"):
        decoded = batch.coalesced.decoded
        done += len(decoded.items) + batch.coalesced.absorbed
        quarantined += decoded.quarantined
        merge.protect_from_missing(i for a in decoded.quarantined for i in a.possible_ids)
        if decoded.items:
            anomalies += [*batch.coalesced.anomalies, *batch.flat.anomalies]
            drift.add_decoded(batch.flat.jobs, decoded.unknown_keys)
            jobs_writer.write_batch(merge.batch(batch.coalesced, batch.flat))
        jobs_done += len(decoded.items)
        progress.jobs(jobs_done, jobs)
    for rows in merge.remaining_batches():
        jobs_writer.write_batch(rows)
    jobs_writer.finish()
    _require_all_accounted(extraction, plan, done, len(quarantined))
    others.write(writers)
    history = merge.read_observed("job_history")
    states = job_history.merged(history, merge.superseded_states, merge.current_states, settings.label)
    writers.write_rows("job_history", states)
    for costs in derived.focus_rows(states):
        writers.write_rows(focus_costs.TABLE, costs)
    quarantined += others.quarantined
    quarantine = merge_quarantine.quarantine(merge.read_observed("quarantine"), quarantined, settings.label)
    writers.write_rows("quarantine", quarantine.table)
    anomaly_table = derived.anomalies(merge.anomaly_table(anomalies))
    writers.write_rows("anomalies", anomaly_table)
    kinds = Counter(anomaly_table.column("kind").to_pylist())
    return BuiltTables(
        merge.counts,
        quarantine.new,
        dict(writers.rows),
        dict(sorted(kinds.items())),
        drift.drift(merge.column_drift),
        merge.column_drift,
        derived.refund_evidence,
        merge.newest_stored,
        replace(merge.replaced, rows=merge.whole_rows),
    )


@dataclass
class _JobsWriter:
    """Writes the tables that are read from jobs."""

    writers: RowWriter
    drift: DriftDetector
    derived: DerivedTables
    files: FileColumns
    links: RestartLinks = field(default_factory=RestartLinks)

    def write_batch(self, rows: MergedBatch) -> None:
        """Write the next merged rows."""
        self.drift.add_merged_jobs(rows.jobs)
        self.derived.add_jobs(rows.jobs)
        for events, are_stored in rows.events:
            self.drift.add_merged_events(events)
            self.links.add_events(events)
            self.writers.write_rows("events", events, are_stored=are_stored)
            self.writers.write_rows("stages", self.derived.add_events(events))
        self._write_jobs(self.links.add_jobs(rows.jobs))

    def finish(self) -> None:
        """Write what was held until all jobs and events are known."""
        self._write_jobs(self.links.held_jobs())
        self.writers.write_rows("stages", self.derived.finish_events())

    def _write_jobs(self, batches: Iterable[pa.Table]) -> None:
        for jobs in batches:
            self.writers.write_rows("jobs", self.files.fill(jobs))


def _require_all_accounted(extraction: Extraction, plan: DecodePlan, rows: int, quarantined: int) -> None:
    """Every element is a row, is in quarantine, or repeats what a row says."""
    accounted = rows + quarantined + plan.identical + len(extraction.confirmed)
    if accounted != extraction.elements:
        raise SoftwareError(
            "V13",
            f"of {extraction.elements} elements received, {accounted} are accounted for; nothing was committed",
            next="please report this as a bug of ftetl",
        )
