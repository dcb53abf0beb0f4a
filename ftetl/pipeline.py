"""The corridor: calls the rooms in order and says what came of it.

    source -> scan -> details -> copies -> decode -> flatten -> merge -> formats -> gate -> store

The only module that knows both ends. Nothing is visible before the last step; what goes wrong before it leaves the
target as it was.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ftetl import ahead, copies, guards, history, merge, observed, receive, remarks, scan, side, strict
from ftetl.answers import Answer, Memory, Source
from ftetl.clock import iso
from ftetl.contract import tables
from ftetl.errors import EXITS, DataError, FtetlError, SoftwareError, StorageError
from ftetl.manifest import snapshot_folder
from ftetl.progress import Progress, Silent
from ftetl.report import Drift, Report
from ftetl.settings import Settings
from ftetl.staging import Staging
from ftetl.store import Commit, Target
from ftetl.stored import Stored

_log = logging.getLogger(__name__)


def run(settings: Settings, source: Source, target: Target, progress: Progress | None = None) -> Report:
    """Export what the source has into the target, or raise and leave the target as it was.

    Raises:
        FtetlError: See `ftetl.errors`; nothing was committed.
    """
    started = time.monotonic()
    progress = progress or Silent()
    threading.Thread(target=_warm, daemon=True).start()
    _refuse_a_lost_past(target)
    facts = dict(target.base.facts) if target.base else {}
    identity = guards.identity(facts.get("identity", {}), source.service, settings.project)
    given = _answers(settings, source, target)
    _log.info("received answers=%d bytes=%d", len(given.answers), sum(a.blob.size for a in given.answers))
    with _evidence(target, source, given.answers):
        receive.look(given, settings, source, progress.details)
        _log.info("scanned elements=%d details=%d", given.elements, sum(given.details.outcomes.values()))
        outcome, commit = _commit(settings, target, given, identity, progress)
    report = _report(settings, source, target, given, outcome, commit, facts, time.monotonic() - started)
    _log.info("committed changed=%s version=%d seconds=%.3f", commit.changed, report.version, report.seconds)
    _record(target, report)
    return report


def _answers(settings: Settings, source: Source, target: Target) -> receive.Received:
    """What the source gives; of what it says instead, a copy for a look."""
    try:
        return receive.answers(settings, source)
    except FtetlError as error:
        if error.evidence is not None:
            with contextlib.suppress(FtetlError):
                target.keep_evidence(target.run_id, "answer", strict.mask(error.evidence))
        raise


def _refuse_a_lost_past(target: Target) -> None:
    """A target that has manifests, but no sound one, is no empty target: a run must not begin it anew.

    Raises:
        StorageError: It is such a target.
    """
    if target.base is None and target.version > 1:
        raise StorageError(
            f"{target.path} has manifests, but none whose snapshot can be read",
            next="restore _ftetl/manifests and snapshots from a backup, or export into an empty folder",
        )


@contextlib.contextmanager
def _evidence(target: Target, source: Source, answers: list[Answer]) -> Iterator[None]:
    """Keep what a service said for a look, if the run fails from here on; a saved file is kept by its owner."""
    said = [a.blob.data for a in answers[:1] if source.service is not None and isinstance(a.blob, Memory)]
    try:
        yield
    except Exception:
        for body in said:
            with contextlib.suppress(FtetlError):
                target.keep_evidence(target.run_id, "answer.json", strict.mask(body))
        raise


def _commit(
    settings: Settings,
    target: Target,
    given: receive.Received,
    identity: dict[str, str | None],
    progress: Progress,
) -> tuple[_Outcome, Commit]:
    """Make the tables from what was received, and publish them all or none."""
    stored = _stored(target)
    base_whole_at = observed.newest_whole_at(target)
    whole = given.newest_whole(base_whole_at)
    work = copies.choose(given.answers, given.scans)
    work.oddities += given.details.oddities
    if whole is not None:
        _guard(settings, stored, given.scans[whole])
    newest_whole_at = given.answers[whole].observed_at if whole is not None else base_whole_at
    seen = merge.Seen(
        project=settings.project,
        observed_at=tuple(a.observed_at for a in given.answers),
        whole=whole,
        newest_whole_at=newest_whole_at,
        base_whole_at=base_whole_at,
        vanishing=whole is not None and all(a.job_id for a in work.aside),
        failed=frozenset(given.details.failed),
    )
    new_facts: dict[str, Any] = {
        "identity": identity,
        "contracts": {name: table.fingerprint for name, table in tables().items()},
        "formats": {
            f: ("raw" if settings.csv_raw and f == "csv" else "plain") for f in sorted({*settings.formats, "parquet"})
        },
        observed.FACT: iso(newest_whole_at) if newest_whole_at else None,
    }
    with target.begin() as stage:
        staging = Staging(stage, settings.formats, csv_raw=settings.csv_raw)
        try:
            outcome = _fill(staging, settings, work, given, merge.Merge(stored, seen), progress)
            staging.close()
        except BaseException:
            staging.abandon()
            raise
        if settings.quarantine == "fail" and outcome.quarantined:
            raise DataError(
                f"{outcome.quarantined} elements would go to quarantine; nothing was committed",
                next="look at them with --quarantine keep and `ftetl quarantine`",
            )
        _log.info("written %s", " ".join(f"{name}={count}" for name, count in outcome.rows.items()))
        staging.gate()
        _log.info("checked against the contracts, read back from disk")
        commit = stage.commit({**new_facts, "rows": staging.rows})
    with contextlib.suppress(FtetlError):  # committed: what is missing is an hour, not a row
        observed.remember(target, commit.manifest.run_id, newest_whole_at)
    return outcome, commit


def _stored(target: Target) -> Stored:
    if target.base is None:
        return Stored(None)
    return Stored(snapshot_folder(target.path, target.base), {f.name for f in target.base.files})


def _warm() -> None:
    """Import what the gate needs, while Arrow decodes."""
    from ftetl import checks  # noqa: F401


def _guard(settings: Settings, stored: Stored, whole: scan.Scan) -> None:
    known = stored.table("jobs", ["job_id", "present"])
    present = set(known.filter(known.column("present")).column("job_id").to_pylist())
    listed = set(whole.ids) | {r.job_id for r in whole.refused if r.job_id}
    if not settings.allow_account_change:
        guards.other_account(set(known.column("job_id").to_pylist()), listed)
    if not settings.allow_shrink:
        guards.shrunken(present, listed)


@dataclass
class _Outcome:
    """What came of the rows."""

    counts: merge.Counts
    quarantined: int
    rows: dict[str, int]  # of each table
    anomalies: dict[str, int]
    drift: Drift


def _fill(
    staging: Staging,
    settings: Settings,
    work: copies.Work,
    given: receive.Received,
    merged: merge.Merge,
    progress: Progress,
) -> _Outcome:
    """Write every table."""
    unknown: Counter[str] = Counter()
    unseen = {c.name: str(c.sources[0]) for c in tables()["jobs"].columns if c.sources and c.read != "last_event"}
    oddities = list(work.oddities)
    aside = list(work.aside)
    merged.spare(a.job_id for a in aside if a.job_id)
    done = 0
    for batch in ahead.batches(work.items, given.answers, events=settings.events != "none"):
        done += len(batch.decoded.items)
        aside += batch.decoded.aside
        merged.spare(a.job_id for a in batch.decoded.aside if a.job_id)
        if batch.decoded.items:
            oddities += batch.flat.oddities
            unknown.update(batch.decoded.unknown)
            for name in [n for n in unseen if batch.flat.jobs.column(n).null_count < batch.flat.jobs.num_rows]:
                del unseen[name]
            _write(staging, merged.batch(batch.decoded.items, batch.flat))
        progress.jobs(done, len(work.items))
    for rows in merged.rest():
        _write(staging, rows)
    _account(given, work, done, len(aside))
    states = history.merged(merged.stored.table("job_history"), merged.beaten, merged.won, settings.project)
    staging.write("job_history", states)
    quarantine = side.quarantine(merged.stored.table("quarantine"), aside, settings.project)
    staging.write("quarantine", quarantine.table)
    anomalies = merged.anomalies(oddities)
    staging.write("anomalies", anomalies)
    kinds = Counter(anomalies.column("kind").to_pylist())
    return _Outcome(
        merged.counts,
        quarantine.new,
        dict(staging.rows),
        dict(sorted(kinds.items())),
        Drift(dict(sorted(unknown.items())), tuple(dict.fromkeys(unseen.values()))),
    )


def _write(staging: Staging, rows: merge.Next) -> None:
    staging.write("jobs", rows.jobs)
    for events in rows.events:
        staging.write("events", events)


def _account(given: receive.Received, work: copies.Work, rows: int, aside: int) -> None:
    """Every element that was received is a row, is in quarantine, or says what a row says."""
    accounted = rows + aside + work.identical + work.absorbed
    if accounted != given.elements:
        raise SoftwareError(
            f"of {given.elements} elements received, {accounted} are accounted for; nothing was committed",
            next="please report this as a bug of ftetl",
        )


def _report(
    settings: Settings,
    source: Source,
    target: Target,
    given: receive.Received,
    outcome: _Outcome,
    commit: Commit,
    before: Mapping[str, Any],
    seconds: float,
) -> Report:
    failed = given.details.failed or remarks.all_gone(given)
    partial = failed or (outcome.quarantined and settings.quarantine == "keep")
    counts = outcome.counts
    client = getattr(source, "client", None)  # of those sources that ask a service
    return Report(
        target=str(target.path),
        source=settings.source,
        project=settings.project,
        run_id=target.run_id,
        version=commit.manifest.version,
        changed=commit.changed,
        rows=outcome.rows,
        new=counts.new,
        changed_jobs=counts.changed,
        vanished=counts.vanished,
        received=given.elements,
        quarantined=outcome.quarantined,
        anomalies=outcome.anomalies,
        details=dict(given.details.outcomes),
        drift=outcome.drift,
        requests=client.requests_made if client else 0,
        bytes_read=sum(a.blob.size for a in given.answers),
        files={f.name: f.bytes for f in commit.manifest.files},
        seconds=round(seconds, 3),
        warnings=(*target.warnings, *commit.warnings, *remarks.of(given, source, before, commit.manifest.facts)),
        exit_code=EXITS["PARTIAL" if partial else "OK"].code,
    )


def _record(target: Target, report: Report) -> None:
    """Keep the run's report; the data is committed, so a failure here is no error any more."""
    with contextlib.suppress(FtetlError):
        target.record(report.run_id, report.as_dict())
