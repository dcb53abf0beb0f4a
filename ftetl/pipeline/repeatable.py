"""Which runs would change nothing if they were repeated: their facts are stored for `same_inputs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ftetl.clock import SKEW, now
from ftetl.config.settings import Settings
from ftetl.errors import EXITS
from ftetl.extract.extract import Extraction
from ftetl.extract.source import Source
from ftetl.pipeline import advisories, drift_guard, same_inputs
from ftetl.pipeline.build_tables import BuiltTables
from ftetl.pipeline.run_times import RunTimes
from ftetl.run_report import Report
from ftetl.store.target import Commit, Target


@dataclass(frozen=True)
class FinishedRun:
    """A run after its commit; `files` are the saved responses, none if there were other responses too."""

    settings: Settings
    files: same_inputs.Files
    extraction: Extraction
    built: BuiltTables
    commit: Commit
    times: RunTimes
    identical: int  # elements that repeat another one
    is_first: bool  # whether there was no version before
    guard_warnings: Sequence[str]


def store_facts(
    target: Target, run: FinishedRun, report: Report, *, privacy: Mapping[str, str], source: Source
) -> None:
    """Store the facts of a run of these saved responses for its repetition, if that would change nothing."""
    settings, files = run.settings, run.files
    if not files or source.service is not None or not _changes_nothing_again(run, report):
        return
    times = (run.built.newest_stored, run.times.newest_whole_at, *(observed_at for _, _, observed_at in files))
    newest = max(time for time in times if time is not None)
    if newest > now() + SKEW:
        return
    facts = run.commit.manifest.facts
    # What a repetition warns of: it finds this version, and its list is not the newest one any more.
    again = replace(run.extraction, whole=None)
    last = [
        *list(advisories.run_warnings(again, source, facts, facts))[len(source.notes) :],
        *drift_guard.drift_warnings(run.built.column_drift),
        *advisories.cost_warnings(settings, run.built.rows, facts, run.built.refunds),
    ]
    looks = same_inputs.looks_of([Path(path) for path, _, _ in files], settings)
    keys = same_inputs.inputs_key(settings, privacy, files), looks
    same_inputs.store_facts(target, keys, report, {"first": run.guard_warnings, "last": last}, newest)


def _changes_nothing_again(run: FinishedRun, report: Report) -> bool:
    counts = run.built.counts
    if report.exit_code != EXITS["OK"].code or run.extraction.skipped or run.built.quarantined or run.commit.warnings:
        return False
    if run.commit.changed:
        return _is_plain_first(run)
    # The repetition begins with what this run began with, so it is the same in all.
    is_same_time = run.times.newest_whole_at == run.times.base_whole_at
    return is_same_time and not (counts.new or counts.changed or counts.vanished)


def _is_plain_first(run: FinishedRun) -> bool:
    """Whether a first version was made from one list with each job once, all of whose values are as they came.

    Then each job of the repetition meets its own row, observed at the same time.
    """
    drift, scans = run.built.column_drift, run.extraction.scans
    is_one_list = len(scans) == 1 and (scans[0].is_bare or scans[0].is_list)
    is_plain = not (run.identical or scans[0].refused or drift.unreadable or drift.missing or run.guard_warnings)
    return run.is_first and is_one_list and is_plain
