"""The outcome of the last run as a Prometheus text file, for alarms."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from ftetl.clock import now
from ftetl.errors.os_errors import translate_os_errors
from ftetl.run_report import Report
from ftetl.store.atomic_write import replace_file

# node_exporter's collector runs as a user of its own and must be able to read it; there are only counts in it.
MODE = 0o644
_SUCCESS = "ftetl_last_success_timestamp_seconds"


def write_metrics(file: Path, report: Report) -> None:
    """Replace the metrics file of the last run; a failed run takes the time of the last success over from it.

    Raises:
        TargetError, StorageError: The file cannot be written.
    """
    at = now()
    with translate_os_errors("write", file):
        success = at.timestamp() if report.exit.committed else _last_success(file, report.project)
        replace_file(file, metrics_text(report, at, success).encode(), MODE)


def metrics_text(report: Report, at: datetime, success: float) -> str:
    """The metrics of a run that ended at this time; `success` is when a run last succeeded, 0 for never."""
    return "".join(f"{line}\n" for line in _lines(report, at, success))


def _lines(report: Report, at: datetime, success: float) -> Iterator[str]:
    jobs = {"new": report.new, "changed": report.changed_jobs, "vanished": report.vanished}
    failure = {report.code: 1} if report.code else {}
    families: tuple[tuple[str, str, str, Mapping[str, float]], ...] = (
        ("ftetl_last_run_timestamp_seconds", "When the last run ended.", "", {"": at.timestamp()}),
        (_SUCCESS, "When a run last committed, or found nothing changed; 0: never.", "", {"": success}),
        ("ftetl_exit_code", "Exit code of the last run; 0 and 3 have committed.", "", {"": report.exit_code}),
        ("ftetl_failure", "1 with the error code of the last run, if it failed.", "code", failure),
        ("ftetl_run_seconds", "How long the last run took.", "", {"": report.seconds}),
        ("ftetl_requests", "Requests that the last run made.", "", {"": report.requests}),
        ("ftetl_rows", "Rows of each table in the snapshot of the last run, if it had one.", "table", report.rows),
        ("ftetl_jobs", "Jobs that the last run found new, changed or vanished.", "change", jobs),
        ("ftetl_quarantined", "Elements that the last run put in quarantine.", "", {"": report.quarantined}),
        ("ftetl_anomalies", "Rows of the anomalies table after the last run, by kind.", "kind", report.anomalies),
        ("ftetl_unreadable_jobs", "Jobs in which the last run found a key unreadable.", "key", report.drift.unreadable),
        ("ftetl_missing_jobs", "Jobs that lost a key's value in the last run.", "key", report.drift.missing),
        ("ftetl_details", "Detail requests of the last run, by outcome.", "outcome", report.details),
    )
    for name, meaning, label, samples in families:
        yield f"# HELP {name} {meaning}"
        yield f"# TYPE {name} gauge"
        for key, value in samples.items():
            labels = {"project": report.project} | ({label: key} if label else {})
            yield f"{name}{_labels(labels)} {_number(value)}"


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _last_success(file: Path, project: str) -> float:
    start = f"{_SUCCESS}{_labels({'project': project})} "
    with contextlib.suppress(FileNotFoundError, ValueError):  # no file yet, or another program's
        for line in file.read_text("utf-8").split("\n"):
            if line.startswith(start):
                return float(line.removeprefix(start))
    return 0.0
