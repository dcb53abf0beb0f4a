"""Runs one export: extract, transform, load, validate, commit.

    source -> scan -> details -> duplicates -> decode -> flatten -> merge -> files -> validate -> commit

Nothing is visible before the commit; an error before it leaves the committed snapshots as they were.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from ftetl.config.settings import Settings
from ftetl.contract import tables
from ftetl.errors import DataError, FtetlError
from ftetl.extract import extract
from ftetl.extract.details import fingerprints
from ftetl.extract.extract import Extraction
from ftetl.extract.masking_source import MaskingSource
from ftetl.extract.privacy.pseudonyms import read_pseudonyms
from ftetl.extract.source import Source
from ftetl.loading import formats
from ftetl.loading.table_writers import TableWriters
from ftetl.pipeline import (
    advisories,
    drift_guard,
    endpoint_plan,
    endpoint_tables,
    final_answers,
    guards,
    key_defaults,
    list_guard,
    list_watermark,
    repeatable,
    unchanged_elements,
)
from ftetl.pipeline.build_tables import Inputs, account_from_settings, build_tables
from ftetl.pipeline.failed_responses import FailedResponses
from ftetl.pipeline.make_report import make_report
from ftetl.pipeline.preload import preload_validation
from ftetl.pipeline.progress import Progress, log_step
from ftetl.pipeline.provenance import ArchivedProvenance, Provenance
from ftetl.pipeline.repeatable import FinishedRun
from ftetl.pipeline.run_times import run_times
from ftetl.pipeline.unchanged_elements import Elements, Known
from ftetl.raw.spool import Spool
from ftetl.run_report import Report
from ftetl.snapshot.table_reader import open_tables
from ftetl.store import integrity
from ftetl.store.target import Target
from ftetl.transform import deduplicate
from ftetl.transform.merge import merger
from ftetl.transform.merge.run_context import RunContext

_LARGE = 1 << 20  # bytes of the file of `jobs`, from which on it pays to read it in a thread
_MANY = 2_000  # elements from which on it pays to import the validation in a thread

_log = logging.getLogger(__name__)


def run_source(settings: Settings, source: Source, target: Target, progress: Progress) -> Report:
    """Export what the source has into the target; an error means what it means for `ftetl.export`."""
    pseudonyms = read_pseudonyms(settings)
    privacy = pseudonyms.identity if pseudonyms else {}
    with ExitStack() as stack:
        if pseudonyms:
            from ftetl.extract.privacy.redacting_source import RedactingSource  # slow to import, and seldom used

            source = RedactingSource(source, pseudonyms, target.scratch_folder)
            stack.callback(source.close)
        provenance = stack.enter_context(ArchivedProvenance(target, settings))
        guards.require_same_privacy_as_failed_runs(target, privacy)
        try:
            report = Run(settings, source, target, provenance, privacy, progress).execute()
        except DataError as error:
            if error.drift:
                with contextlib.suppress(FtetlError):  # the next run has to see whether the details are better then
                    provenance.clean_up(fetched_details=extract.wants_details(settings, source))
            raise
        with contextlib.suppress(FtetlError):  # committed: what is left over costs the next run only a look
            provenance.clean_up(fetched_details=extract.wants_details(settings, source))
        return report


class Run:
    """One run from a source into a locked target.

    `privacy` is how personal data is treated (`Pseudonyms.identity`).
    """

    def __init__(
        self,
        settings: Settings,
        source: Source,
        target: Target,
        provenance: Provenance,
        privacy: Mapping[str, str],
        progress: Progress,
    ) -> None:
        self._settings, self._target = settings, target
        self._source = MaskingSource(source, target.scratch_folder)
        self._provenance, self._privacy, self._progress = provenance, privacy, progress
        self._facts_before = dict(target.base.facts) if target.base else {}
        self._stored = open_tables(target.path, target.base)
        self._owner = key_defaults.visible_owner(settings, source.owner)
        self._warnings: list[str] = []
        self._failed_responses = FailedResponses(target)
        self._final = final_answers.read_final(self._stored.folder)

    def execute(self) -> Report:
        """Run all steps; an error means what it means for `ftetl.export`."""
        started, source, target = time.monotonic(), self._source, self._target
        if source.service is not None:
            preload_validation()  # while the network is waited for
        integrity.require_readable_manifest(target.path, target.base, has_manifests=target.has_manifests)
        integrity.require_undamaged_base(target.path, target.base, formats.is_read_back)
        if target.base and any(f.bytes > _LARGE for f in target.base.files if f.name == "jobs.parquet"):
            self._stored.read_ahead("jobs")  # while the responses are read
        stored = self._facts_before.get("identity", {})
        identity = guards.check_identity(stored, source.service, self._settings.label, self._privacy, self._owner)
        known = self._read_known()
        with self._failed_responses.keep_evidence():
            extraction = extract.read_source(self._settings, source)
        log_step(
            _log, "received", answers=len(extraction.responses), bytes=sum(r.blob.size for r in extraction.responses)
        )
        keep_list = self._failed_responses.keep_list(extraction.responses, is_service=source.service is not None)
        with keep_list, Spool(target.scratch_folder) as spool:
            details = self._provenance.detail_store(extraction)
            extract.fetch_details(extraction, self._settings, source, details, self._progress.details, spool)
            elements = self._find_unchanged(extraction, known) if known else None
            self._ask_endpoints(extraction, spool)
            log_step(_log, "scanned", elements=extraction.elements, details=sum(extraction.details.outcomes.values()))
            if source.service is None and extraction.elements > _MANY:
                preload_validation()  # while Arrow decodes, which releases the GIL; the scan before does not
            finished = self._load(extraction, identity, elements)
        if source.masked:
            _log.info("masked secrets: %s", ", ".join(f"{k} ({n})" for k, n in sorted(source.masked.items())))
        seconds = time.monotonic() - started
        report = make_report(finished, source, target, self._facts_before, self._warnings, seconds)
        with contextlib.suppress(FtetlError):  # committed: without them the next run takes longer
            repeatable.store_facts(target, finished, report, privacy=self._privacy, source=source)
        log_step(_log, "committed", changed=report.changed, version=report.version, seconds=report.seconds)
        return report

    def _ask_endpoints(self, extraction: Extraction, spool: Spool) -> None:
        """Add the answers of other endpoints to the extraction."""
        if self._source.service is None:
            self._warnings += endpoint_plan.warnings_without_service(self._settings)
            return
        planned = endpoint_plan.plan(self._settings, extraction, self._stored, self._final)
        requests = self._provenance.endpoint_requests(planned)
        extract.ask_endpoints(extraction, self._settings, self._source, requests, spool)
        self._warnings += endpoint_plan.warnings(self._settings, extraction.endpoints, self._final)

    def _read_known(self) -> Known | None:
        """What is known of the elements of saved responses; they need not be searched for secrets again."""
        if self._source.service is not None or self._provenance.is_replay:
            return None
        if self._settings.events == "none":  # the report tells of unknown keys in events, which no stored row has then
            return None
        known = unchanged_elements.read_known(self._target, self._settings, self._privacy)
        self._source.searched = known.rows if known.rows.num_rows else None
        return known

    def _find_unchanged(self, extraction: Extraction, known: Known) -> Elements | None:
        """Take the jobs that are byte for byte as when their rows were written for unchanged."""
        privacy, stored = self._privacy, self._stored
        elements = unchanged_elements.find_unchanged(known, self._settings, privacy, extraction, stored)
        if elements is not None:
            extraction.confirmed = frozenset(elements.unchanged.rows.to_pylist())
        return elements

    def _load(self, extraction: Extraction, identity: dict[str, str | None], elements: Elements | None) -> FinishedRun:
        """Build the tables from the extraction, and commit all of them or none."""
        settings, target = self._settings, self._target
        times = run_times(target, settings, self._source, extraction)
        whole = extraction.whole = times.whole
        plan = deduplicate.resolve_duplicates(extraction.responses, extraction.scans, extraction.confirmed)
        plan.anomalies += extraction.details.anomalies
        if listed := list_guard.Listed.of(extraction, times):
            listed_before = self._facts_before.get(advisories.LISTED)
            self._warnings += list_guard.require_plausible_list(self._stored, settings, listed, listed_before)
        merge_context = RunContext(
            project=settings.label,
            complete_list=whole,
            newest_whole_at=times.newest_whole_at,
            base_whole_at=times.base_whole_at,
            live_at=times.live_at,
            dates_back=times.is_certain,
            may_mark_missing=whole is not None and all(a.possible_ids for a in plan.quarantined),
            keep_known=settings.allow_drift,
            failed=frozenset(extraction.details.failed),
            unchanged_ids=extraction.confirmed,
            unchanged=elements.unchanged if elements else None,
            list_is_current=any(r.whole and r.observed_at == times.newest_whole_at for r in extraction.responses),
        )
        watermarks = times.newest_whole_at, times.details_at
        facts = {**self._facts(extraction, identity), **list_watermark.time_facts(*watermarks)}
        with target.begin_transaction() as transaction:
            writers = TableWriters(transaction, settings.formats, csv_raw=settings.csv_raw)
            writers.keep_unchanged(self._stored, self._same_files(facts))
            try:
                merge = merger.Merge(self._stored, merge_context)
                others = endpoint_tables.merge_answers(self._stored, extraction.endpoints, settings.label)
                inputs = Inputs(settings, extraction, plan, others)
                built = build_tables(writers, inputs, merge, self._progress)
                writers.close()
                writers.write_contracts(settings.label)
            except BaseException:
                writers.abandon()
                raise
            self._warnings += others.warnings
            if not settings.allow_drift:
                with self._failed_responses.keep_detail(extraction.details.responses):
                    drift_guard.require_no_drift(built.column_drift)
            if settings.quarantine == "fail" and built.quarantined:
                raise DataError(
                    "G01",
                    f"{built.quarantined} elements would go to quarantine; nothing was committed",
                    next="look at them with --quarantine keep and `ftetl quarantine`",
                )
            log_step(_log, "written", **built.rows)
            with transaction.create_file(fingerprints.FILE) as file:
                file.write(self._fingerprints(extraction, plan))
            if final := final_answers.updated(self._final, extraction.endpoints.answers):
                with transaction.create_file(final_answers.FILE) as file:
                    file.write(final_answers.serialize(final))
            plan.items.clear()  # hundreds of bytes a job, which the validation needs more
            writers.validate()
            _log.info("checked against the contracts, read back from disk")
            self._provenance.write_index(extraction, self._source.service)
            commit = transaction.commit({**facts, "rows": writers.rows})
        with contextlib.suppress(FtetlError):  # committed: what is missing is a time, not a row
            list_watermark.write_newest_whole_at(target, commit.manifest.run_id, *watermarks)
            if elements is not None:
                unchanged_elements.store(target, elements, built.replaced)
        return FinishedRun(
            settings=settings,
            files=self._provenance.saved_files(extraction),
            extraction=extraction,
            built=built,
            commit=commit,
            times=times,
            identical=plan.identical,
            is_first=not self._facts_before,
            guard_warnings=tuple(self._warnings),
        )

    def _same_files(self, facts: dict[str, Any]) -> list[str]:
        """The tables whose files would be the same as in the version before, if their rows are."""
        before = self._facts_before
        contracts = before.get("contracts", {})
        if before.get(formats.FACT) != facts[formats.FACT]:
            return []
        return [name for name, table in tables().items() if contracts.get(name) == table.fingerprint]

    def _facts(self, extraction: Extraction, identity: dict[str, str | None]) -> dict[str, Any]:
        """What the manifest says of the version, besides the rows of its tables."""
        settings, whole = self._settings, extraction.whole
        listed = self._facts_before.get(advisories.LISTED) if whole is None else extraction.scans[whole].received
        names = sorted(formats.with_reference(settings.formats))
        return {
            "identity": identity,
            "contracts": {name: table.fingerprint for name, table in tables().items()},
            formats.FACT: {name: "raw" if settings.csv_raw and name == "csv" else "plain" for name in names},
            advisories.ACCOUNT: account_from_settings(settings).id,
            advisories.LISTED: listed,
            **key_defaults.defaults_to_store(settings, self._owner, self._facts_before),
        }

    def _fingerprints(self, extraction: Extraction, plan: deduplicate.DecodePlan) -> bytes:
        """The fingerprints by which the next run knows which details are unchanged."""
        before = fingerprints.read_fingerprints(self._stored.folder)
        jobs = (item.job_id for item in plan.items)
        after = fingerprints.updated_fingerprints(before, jobs, extraction.listed, extraction.details.fetched)
        return fingerprints.serialize(after)
