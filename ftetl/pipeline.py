"""The corridor: calls the rooms in order and says what came of it.

    source -> scan -> details -> copies -> decode -> flatten -> merge -> formats -> gate -> store

The only module that knows both ends. Nothing is visible before the last step; what goes wrong before it leaves the
target as it was.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

from ftetl import copies, decode, details, flatten, guards, history, merge, scan, side, strict
from ftetl.answers import Answer, Memory, Source
from ftetl.clock import iso, parse_iso
from ftetl.contract import tables
from ftetl.errors import EXITS, DataError, FtetlError, SoftwareError
from ftetl.manifest import snapshot_folder
from ftetl.report import Drift, Report
from ftetl.settings import Settings
from ftetl.staging import Staging
from ftetl.store import Commit, Target
from ftetl.stored import Stored

THREADS = 2  # decode at once; more do not help where the merge and the writing wait for them


class Progress(Protocol):
    """What a run tells about itself while it works."""

    def details(self, done: int, total: int) -> None:
        """So many details have come."""

    def jobs(self, done: int, total: int) -> None:
        """So many jobs are in the tables."""


class Silent:
    """Tells nothing."""

    def details(self, done: int, total: int) -> None:
        """Nothing."""

    def jobs(self, done: int, total: int) -> None:
        """Nothing."""


@dataclass
class _Input:
    """Everything that a run received, before it is decoded."""

    answers: list[Answer]
    scans: list[scan.Scan]
    details: details.Details = field(default_factory=details.Details)

    @property
    def received(self) -> int:
        return sum(s.received for s in self.scans)


def run(settings: Settings, source: Source, target: Target, progress: Progress | None = None) -> Report:
    """Export what the source has into the target, or raise and leave the target as it was.

    Raises:
        FtetlError: See `ftetl.errors`; nothing was committed.
    """
    started = time.monotonic()
    progress = progress or Silent()
    threading.Thread(target=_warm, daemon=True).start()
    facts = dict(target.base.facts) if target.base else {}
    identity = guards.identity(facts.get("identity", {}), source.service, settings.project)
    stored = Stored(snapshot_folder(target.path, target.base) if target.base else None)
    given = _receive(settings, source, target, progress)
    base_whole_at = parse_iso(facts["newest_whole_at"]) if facts.get("newest_whole_at") else None
    whole = _newest_whole(given, base_whole_at)
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
        aside=frozenset(a.job_id for a in work.aside if a.job_id),
    )
    new_facts: dict[str, Any] = {
        "identity": identity,
        "contracts": {name: table.fingerprint for name, table in tables().items()},
        "formats": {
            f: ("raw" if settings.csv_raw and f == "csv" else "plain") for f in sorted({*settings.formats, "parquet"})
        },
        "newest_whole_at": iso(newest_whole_at) if newest_whole_at else None,
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
        staging.gate()
        commit = stage.commit({**new_facts, "rows": staging.rows})
    report = _report(settings, target, given, outcome, commit, staging, time.monotonic() - started)
    _record(target, report)
    return report


def _warm() -> None:
    """Import what the gate needs, while Arrow decodes."""
    from ftetl import checks  # noqa: F401


def _receive(settings: Settings, source: Source, target: Target, progress: Progress) -> _Input:
    """The answers of the source, scanned, and the details that are wanted."""
    answers = list(source.answers())
    if settings.observed_at is not None:
        answers = [_dated(a, settings.observed_at) for a in answers]
    scans = []
    for answer in answers:
        try:
            scans.append(scan.scan(answer))
        except FtetlError:
            if isinstance(
                answer.blob, Memory
            ):  # what the network said is kept for a look; a saved file is kept by its owner
                target.keep_evidence(target.run_id, "answer.json", strict.mask(answer.blob.data))
            raise
    given = _Input(answers, scans)
    if settings.events == "auto" and source.service is not None:
        wanted = [job_id for a, s in zip(answers, scans, strict=True) for job_id in details.wanting(a, s)]
        given.details = details.fetch(source, wanted, progress.details)
        more = given.details.answers
        given.answers += [_dated(a, settings.observed_at) for a in more] if settings.observed_at else more
        given.scans += given.details.scans
    return given


def _dated(answer: Answer, moment: datetime) -> Answer:
    return Answer(answer.name, answer.blob, moment, answer.shape, answer.whole, answer.detail)


def _newest_whole(given: _Input, before: datetime | None) -> int | None:
    """The newest answer that is a whole list, if it was observed later than every whole list before."""
    whole = [i for i, (a, s) in enumerate(zip(given.answers, given.scans, strict=True)) if a.whole and s.is_list]
    newest = max(whole, key=lambda i: given.answers[i].observed_at, default=None)
    if newest is None or (before is not None and given.answers[newest].observed_at <= before):
        return None
    return newest


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

    merged: merge.Merge
    quarantined: int
    anomalies: dict[str, int]
    drift: Drift


def _fill(
    staging: Staging, settings: Settings, work: copies.Work, given: _Input, merged: merge.Merge, progress: Progress
) -> _Outcome:
    """Write every table."""
    unknown: Counter[str] = Counter()
    unseen = {c.name: str(c.sources[0]) for c in tables()["jobs"].columns if c.sources and c.read != "last_event"}
    oddities = list(work.oddities)
    aside = list(work.aside)
    done = 0
    for batch in _decoded(work.items, given.answers):
        done += len(batch.decoded.items)
        aside += batch.decoded.aside
        if batch.decoded.items:
            flat = batch.flat if settings.events != "none" else _without_events(batch)
            oddities += flat.oddities
            unknown.update(batch.decoded.unknown)
            for name in [n for n in unseen if flat.jobs.column(n).null_count < flat.jobs.num_rows]:
                del unseen[name]
            rows = merged.batch(batch.decoded.items, flat)
            staging.write("jobs", rows.jobs)
            staging.write("events", rows.events)
        progress.jobs(done, len(work.items))
    for rows in merged.rest():
        staging.write("jobs", rows.jobs)
        staging.write("events", rows.events)
    _account(given, work, done, len(aside))
    states = history.merged(merged.stored.table("job_history"), merged.history, settings.project)
    staging.write("job_history", states)
    quarantine = side.quarantine(merged.stored.table("quarantine"), aside, settings.project)
    staging.write("quarantine", quarantine.table)
    anomalies = merged.anomalies(oddities)
    staging.write("anomalies", anomalies)
    kinds = Counter(anomalies.column("kind").to_pylist())
    return _Outcome(
        merged,
        quarantine.new,
        dict(sorted(kinds.items())),
        Drift(dict(sorted(unknown.items())), tuple(unseen.values())),
    )


def _account(given: _Input, work: copies.Work, rows: int, aside: int) -> None:
    """Every element that was received is a row, is in quarantine, or says what a row says."""
    accounted = rows + aside + work.identical + work.absorbed
    if accounted != given.received:
        raise SoftwareError(
            f"of {given.received} elements received, {accounted} are accounted for; nothing was committed",
            next="please report this as a bug of ftetl",
        )


@dataclass(frozen=True)
class _Batch:
    decoded: decode.Decoded
    flat: flatten.Flat


def _decoded(items: list[copies.Item], answers: list[Answer]) -> Iterator[_Batch]:
    """The batches in order, decoded ahead in threads; a bounded number is held."""

    def work(batch: list[copies.Item]) -> _Batch:
        decoded = decode.decode(batch, answers)
        return _Batch(decoded, flatten.flatten(decoded))

    with ThreadPoolExecutor(THREADS) as pool:
        ahead: deque[Future[_Batch]] = deque()
        try:
            for batch in decode.batches(items):
                ahead.append(pool.submit(work, batch))
                if len(ahead) > THREADS:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _without_events(batch: _Batch) -> flatten.Flat:
    """The batch as if no events had been read."""
    flat = batch.flat
    jobs = flat.jobs
    for name in merge.FROM_EVENTS:
        at = jobs.schema.get_field_index(name)
        jobs = jobs.set_column(at, name, pa.nulls(jobs.num_rows, jobs.schema.field(at).type))
    oddities = [o for o in flat.oddities if o.path.split(".")[0] != tables()["events"].rows]
    return flatten.Flat(jobs, flat.events.slice(0, 0), flat.parents.slice(0, 0), oddities, events_read=False)


def _report(
    settings: Settings,
    target: Target,
    given: _Input,
    outcome: _Outcome,
    commit: Commit,
    staging: Staging,
    seconds: float,
) -> Report:
    failed = len(given.details.failed)
    partial = failed or (outcome.quarantined and settings.quarantine == "keep")
    counts = outcome.merged.counts
    return Report(
        target=str(target.path),
        source=settings.source,
        project=settings.project,
        run_id=target.run_id,
        version=commit.manifest.version,
        changed=commit.changed,
        rows=dict(staging.rows),
        new=counts.new,
        changed_jobs=counts.changed,
        vanished=counts.vanished,
        received=given.received,
        quarantined=outcome.quarantined,
        anomalies=outcome.anomalies,
        details=dict(given.details.outcomes),
        drift=outcome.drift,
        bytes_read=sum(a.blob.size for a in given.answers),
        files={f.name: f.bytes for f in commit.manifest.files},
        seconds=round(seconds, 3),
        warnings=(*target.warnings, *commit.warnings),
        exit_code=EXITS["PARTIAL" if partial else "OK"].code,
    )


def _record(target: Target, report: Report) -> None:
    """Keep the run's report; the data is committed, so a failure here is no error any more."""
    with contextlib.suppress(FtetlError):
        target.record(report.run_id, report.as_dict())
