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
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from ftetl.clock import iso, now
from ftetl.config.settings import Settings
from ftetl.contract import tables
from ftetl.errors import EXITS, DataError, FtetlError
from ftetl.extract import extract
from ftetl.extract.archive import Archive
from ftetl.extract.details import fingerprints
from ftetl.extract.details.cache import DetailCache
from ftetl.extract.privacy.pseudonyms import read_pseudonyms
from ftetl.extract.privacy.redacting_source import RedactingSource
from ftetl.extract.source import Source
from ftetl.load import formats
from ftetl.load.table_writers import TableWriters
from ftetl.pipeline import advisories, guards, list_watermark, provenance
from ftetl.pipeline.billing_account import account_from_settings
from ftetl.pipeline.build_tables import Outcome, fill
from ftetl.pipeline.progress import Progress, Silent
from ftetl.raw import secret_masking
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response
from ftetl.raw.spool import Spool
from ftetl.run_report import Report
from ftetl.snapshot.table_reader import TableReader
from ftetl.store import integrity
from ftetl.store.manifest import snapshot_folder
from ftetl.store.target import Commit, Target
from ftetl.transform import deduplicate
from ftetl.transform.merge import merger

_MANY = 2_000  # elements from which on it is worth while to get the gate ready in a thread

_log = logging.getLogger(__name__)


def run(settings: Settings, source: Source, target: Target, progress: Progress | None = None) -> Report:
    """Export what the source has into the target, or raise and leave the target as it was.

    Raises:
        FtetlError: See `ftetl.errors`; nothing was committed.
    """
    pseudonyms = read_pseudonyms(settings)
    people = pseudonyms.identity if pseudonyms else {}
    with ExitStack() as stack:
        if pseudonyms:
            source = RedactingSource(source, pseudonyms, target.scratch_folder)
            stack.callback(source.close)
        archive = stack.enter_context(Archive(target))
        digests = stack.enter_context(provenance.Digests())
        recalls: list[DetailCache] = []

        def memory(given: extract.Extraction) -> DetailCache:
            digests.begin(given.responses)
            recalls.append(stack.enter_context(_recall(target, archive, given)))
            return recalls[0]

        def note(given: extract.Extraction) -> None:
            provenance.note(archive, settings, source, given, recalls[0], target, digests)

        guards.same_people_as_failed_runs(target, people)
        report = _run(settings, source, target, memory, note, progress or Silent(), people)
        with contextlib.suppress(FtetlError):  # committed: what is left over costs the next run nothing but a look
            archive.drop_unfinished(target.base, target.version)  # of a version that there was no need to make
            if extract.wants_details(settings, source):
                recalls[0].clear()
        return report


def repeat(
    settings: Settings,
    source: Source,
    target: Target,
    memory: extract.DetailStore,
    people: Mapping[str, str],
    progress: Progress | None = None,
) -> Report:
    """A run of the past once more, from a source that answers as it did then, people's data treated as it was.

    Raises:
        FtetlError: As `run`.
    """
    return _run(settings, source, target, lambda _: memory, lambda _: None, progress or Silent(), people)


def _run(
    settings: Settings,
    source: Source,
    target: Target,
    memory: Callable[[extract.Extraction], extract.DetailStore],
    note: Callable[[extract.Extraction], None],
    progress: Progress,
    people: Mapping[str, str],
) -> Report:
    started = time.monotonic()
    if source.service is not None:
        threading.Thread(target=_warm, daemon=True).start()  # while the network is waited for
    integrity.require_readable_manifest(target)
    integrity.require_undamaged_base(target.path, target.base, formats.is_read_back)
    facts = dict(target.base.facts) if target.base else {}
    identity = guards.identity(facts.get("identity", {}), source.service, settings.project, people)
    given = _responses(settings, source, target)
    _log_step("received", answers=len(given.responses), bytes=sum(a.blob.size for a in given.responses))
    with _evidence(target, source, given.responses), Spool(target.scratch_folder) as spool:
        given.spill = spool.append
        extract.fetch_details(given, settings, source, memory(given), progress.details)
        _log_step("scanned", elements=given.elements, details=sum(given.details.outcomes.values()))
        if source.service is None and given.elements > _MANY:
            # While Arrow decodes, which needs no turn of ours; the scan before does.
            threading.Thread(target=_warm, daemon=True).start()
        outcome, commit = _commit(settings, target, given, identity, partial(note, given), progress, facts)
    report = _report(settings, source, target, given, outcome, commit, facts, time.monotonic() - started)
    _log_step("committed", changed=commit.changed, version=report.version, seconds=report.seconds)
    return report


def _responses(settings: Settings, source: Source, target: Target) -> extract.Extraction:
    """What the source gives; of what it says instead, a copy for a look."""
    try:
        return extract.read_source(settings, source)
    except FtetlError as error:
        if error.evidence is not None:
            with contextlib.suppress(FtetlError):
                target.keep_failed_response(target.run_id, "answer", secret_masking.mask_secrets(error.evidence))
        raise


def _recall(target: Target, archive: Archive, given: extract.Extraction) -> DetailCache:
    """What is known about details as of the newest answer."""
    archive.drop_unfinished(target.base, target.version)
    stored = _stored(target)
    newest = max((a.observed_at for a in given.responses), default=now())
    return DetailCache(
        target, archive, fingerprints.unchanged_details(stored, fingerprints.read_fingerprints(stored.folder), newest)
    )


@contextlib.contextmanager
def _evidence(target: Target, source: Source, responses: list[Response]) -> Iterator[None]:
    """Keep what a service said for a look, if the run fails from here on; a saved file is kept by its owner."""
    said = [a.blob.data for a in responses[:1] if source.service is not None and isinstance(a.blob, Memory)]
    try:
        yield
    except Exception:
        for body in said:
            with contextlib.suppress(FtetlError):
                target.keep_failed_response(target.run_id, "answer.json", secret_masking.mask_secrets(body))
        raise


def _commit(
    settings: Settings,
    target: Target,
    given: extract.Extraction,
    identity: dict[str, str | None],
    note: Callable[[], None],
    progress: Progress,
    facts: Mapping[str, Any],
) -> tuple[Outcome, Commit]:
    """Make the tables from what was received, and publish them all or none."""
    stored = _stored(target)
    base_whole_at = list_watermark.newest_whole_at(target)
    whole = given.whole = given.newest_whole(base_whole_at)
    work = deduplicate.resolve_duplicates(given.responses, given.scans, given.confirmed, given.spill)
    work.anomalies += given.details.anomalies
    if whole is not None:
        guards.whole_list(settings, stored, given.scans[whole])
    newest_whole_at = given.responses[whole].observed_at if whole is not None else base_whole_at
    seen = merger.RunContext(
        project=settings.project,
        observed_at=tuple(a.observed_at for a in given.responses),
        whole=whole,
        newest_whole_at=newest_whole_at,
        base_whole_at=base_whole_at,
        vanishing=whole is not None and all(a.job_id for a in work.quarantined),
        failed=frozenset(given.details.failed),
        confirmed=given.confirmed,
        confirming=any(a.whole and a.observed_at == newest_whole_at for a in given.responses),
    )
    new_facts: dict[str, Any] = {
        "identity": identity,
        "contracts": {name: table.fingerprint for name, table in tables().items()},
        "formats": {
            name: "raw" if settings.csv_raw and name == "csv" else "plain"
            for name in sorted(formats.with_reference(settings.formats))
        },
        list_watermark.FACT: iso(newest_whole_at) if newest_whole_at else None,
        advisories.ACCOUNT: account_from_settings(settings).id,
        advisories.LISTED: facts.get(advisories.LISTED) if whole is None else given.scans[whole].received,
    }
    with target.begin_transaction() as transaction:
        writers = TableWriters(transaction, settings.formats, csv_raw=settings.csv_raw)
        try:
            outcome = fill(writers, settings, work, given, merger.Merge(stored, seen), progress)
            writers.close()
            writers.write_contracts(settings.project)
        except BaseException:
            writers.abandon()
            raise
        if settings.quarantine == "fail" and outcome.quarantined:
            raise DataError(
                "G01",
                f"{outcome.quarantined} elements would go to quarantine; nothing was committed",
                next="look at them with --quarantine keep and `ftetl quarantine`",
            )
        _log_step("written", **outcome.rows)
        with transaction.create_file(fingerprints.FILE) as file:
            jobs = (item.job_id for item in work.items)
            before = fingerprints.read_fingerprints(stored.folder)
            after = fingerprints.updated_fingerprints(before, jobs, given.listed, given.details.fetched)
            file.write(fingerprints.serialize(after))
        work.items.clear()  # hundreds of bytes a job, which the gate needs more
        writers.validate()
        _log.info("checked against the contracts, read back from disk")
        note()
        commit = transaction.commit({**new_facts, "rows": writers.rows})
    with contextlib.suppress(FtetlError):  # committed: what is missing is an hour, not a row
        list_watermark.remember(target, commit.manifest.run_id, newest_whole_at)
    return outcome, commit


def _log_step(event: str, **fields: float) -> None:
    """Log a step that is done: as text `event key=value ...`, and with the fields as data for JSON lines."""
    text = " ".join(f"{k}={v:.3f}" if isinstance(v, float) else f"{k}={v}" for k, v in fields.items())
    _log.info("%s %s", event, text, extra={"fields": fields})


def _stored(target: Target) -> TableReader:
    if target.base is None:
        return TableReader(None)
    return TableReader(snapshot_folder(target.path, target.base), {f.name for f in target.base.files})


def _warm() -> None:
    """Import what the gate needs, while Arrow decodes."""
    from ftetl.validate import table_checks

    table_checks.preload()


def _report(
    settings: Settings,
    source: Source,
    target: Target,
    given: extract.Extraction,
    outcome: Outcome,
    commit: Commit,
    before: Mapping[str, Any],
    seconds: float,
) -> Report:
    failed = given.details.failed or advisories.all_gone(given)
    partial = failed or (outcome.quarantined and settings.quarantine == "keep")
    counts = outcome.counts
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
        refunds=dict(outcome.refunds),
        details=dict(given.details.outcomes),
        drift=outcome.drift,
        requests=source.stats.requests,
        bytes_read=sum(a.blob.size for a in given.responses),
        files={f.name: f.bytes for f in commit.manifest.files},
        seconds=round(seconds, 3),
        warnings=(
            *target.warnings,
            *commit.warnings,
            *advisories.of(given, source, before, commit.manifest.facts),
            *advisories.money(settings, outcome.rows, before, outcome.refunds),
        ),
        exit_code=EXITS["PARTIAL" if partial else "OK"].code,
    )
