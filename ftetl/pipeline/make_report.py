"""Makes the report of a run that was committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ftetl.errors import EXITS
from ftetl.extract.masking_source import MaskingSource
from ftetl.extract.outcome import Outcome
from ftetl.pipeline import advisories, drift_guard
from ftetl.pipeline.repeatable import FinishedRun
from ftetl.run_report import Report
from ftetl.store.target import Target


def make_report(
    run: FinishedRun,
    source: MaskingSource,
    target: Target,
    before: Mapping[str, Any],
    warnings: Sequence[str],
    seconds: float,
) -> Report:
    """The report of a run.

    Args:
        run: What was built and committed.
        source: Where from.
        target: The target, after the commit.
        before: The facts of the version before.
        warnings: Those of the guards and of other endpoints.
        seconds: How long the run took.
    """
    settings, extraction, built, commit = run.settings, run.extraction, run.built, run.commit
    endpoints = extraction.endpoints.outcomes()
    is_partial = (
        extraction.details.failed
        or advisories.all_details_missing(extraction)
        or extraction.skipped
        or any(outcomes.get(Outcome.FAILED.value) for outcomes in endpoints.values())
        or (built.quarantined and settings.quarantine == "keep")
    )
    time_warning = run.times.future_warning(built.newest_stored)
    return Report(
        target=str(target.path),
        source=settings.source,
        project=settings.label,
        run_id=target.run_id,
        version=commit.manifest.version,
        changed=commit.changed,
        rows=built.rows,
        new=built.counts.new,
        changed_jobs=built.counts.changed,
        vanished=built.counts.vanished,
        received=extraction.elements,
        quarantined=built.quarantined,
        anomalies=built.anomalies,
        refunds=dict(built.refunds),
        details=dict(extraction.details.outcomes),
        endpoints=endpoints,
        drift=built.drift,
        masked=dict(sorted(source.masked.items())),
        requests=source.stats.requests,
        bytes_read=sum(r.blob.size for r in extraction.responses),
        files={f.name: f.bytes for f in commit.manifest.files},
        seconds=round(seconds, 3),
        skipped=tuple(extraction.skipped),
        warnings=(
            *(f"left out: {what}" for what in extraction.skipped),
            *target.warnings,
            *commit.warnings,
            *((time_warning,) if time_warning else ()),
            *warnings,
            *advisories.run_warnings(extraction, source, before, commit.manifest.facts),
            *drift_guard.drift_warnings(built.column_drift),
            *advisories.cost_warnings(settings, built.rows, before, built.refunds),
        ),
        exit_code=EXITS["PARTIAL" if is_partial else "OK"].code,
    )
