"""`ftetl export`: runs an export and prints what it did."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from ftetl.cli import exit_handling, options, process
from ftetl.cli.output import Output, last_line
from ftetl.config.limits import MAX_BYTES
from ftetl.config.settings import SOURCE, Settings
from ftetl.formatting import format_bytes, pluralize

if TYPE_CHECKING:
    from ftetl.pipeline.active_run import ActiveRun
    from ftetl.run_report import Report

_KEYS_SHOWN = 5  # of those that no column reads


def _require_name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not value:
        raise click.BadParameter("the name is empty.", context, parameter)
    return value


@click.command
@options.target
@click.option(
    "--from",
    "source",
    default=SOURCE,
    metavar="SOURCE",
    callback=_require_name,
    help="`api`, `demo`, a saved response (.json, .ndjson, each also .gz, .zst), a folder of them, or - for stdin.",
)
@options.connection
@click.option(
    "--observed-at",
    metavar="TIME",
    help="When the response was received, like 2026-07-02T08:10:14Z; else now, or the file's modification time.",
)
@click.option(
    "--whole",
    is_flag=True,
    help="The array, or the file of lines, is the whole list: known jobs that are not in it are gone.",
)
@click.option(
    "--skip-broken",
    is_flag=True,
    help="Leave out files of a folder that cannot be read as responses: exit 3. Else one of them refuses all.",
)
@click.option(
    "--allow-shrink",
    is_flag=True,
    help="Jobs that the list lacks are really gone: accept one that is empty, much shorter, or looks like a page.",
)
@click.option("--allow-account-change", is_flag=True, help="Accept a list that shares no job with the known ones.")
@options.allow_drift
@click.option(
    "--max-bytes",
    type=int,
    default=MAX_BYTES,
    show_default=f"{MAX_BYTES >> 30} GiB",
    metavar="N",
    help="Largest response or compressed file, in bytes when decompressed; a plain local file has no limit.",
)
@options.tables
@options.with_output
def export(output: Output, target: options.TargetName, source: str, **settings: Any) -> int:
    """Extract, transform, load, validate and commit all jobs into the folder TARGET.

    TARGET is made if it is missing; a later run merges into it, and what a run wrote is seen as a whole or not at
    all. Read the tables at TARGET/current. The key comes from TOGETHER_API_KEY or --api-key-file.
    """
    return run(output, target, source, settings).exit_code


def run(output: Output, target: options.TargetName, source: str, settings: dict[str, Any]) -> Report:
    """Run an export with these settings, and print its report."""
    from ftetl.pipeline.export import run_export

    report = run_with_progress(output, Settings.from_options(target, source, settings), run_export)
    print_summary(output, report)
    output.json_result(report.as_dict())
    return report


def run_with_progress(output: Output, settings: Settings, run: Callable[[ActiveRun], Report]) -> Report:
    """Run `run_export` or `run_rebuild`, while its progress is displayed."""
    from ftetl.pipeline.active_run import ActiveRun

    process.share_one_heap()
    with output.progress() as progress:
        active = exit_handling.command_state().run = ActiveRun(settings, progress)
        report = run(active)
    exit_handling.ignore_signals()
    return report


def print_summary(output: Output, report: Report) -> None:
    """Print what a run did, for people: warnings, a table on a terminal, then one line."""
    for warning in report.warnings:
        output.info(f"warning: {warning}")
    unknown = report.drift.unknown
    if unknown:
        first = ", ".join(f"{path} ({pluralize(jobs, 'job')})" for path, jobs in list(unknown.items())[:_KEYS_SHOWN])
        more = f" and {len(unknown) - _KEYS_SHOWN} more" if len(unknown) > _KEYS_SHOWN else ""
        output.info(f"note: the API sends keys that no column reads; they are kept in `extra`: {first}{more}")
    if output.on_terminal:
        _print_table(report)
    last_line(output, report.exit, _outcome(report))


def delivered_note(report: Report) -> str:
    """Where a run has published and loaded the tables, as the end of its last line."""
    note = ""
    if report.published and report.published.version:
        note += f"; published to {report.published.folder}"
    if report.loaded and report.loaded.version:
        note += f"; loaded into {report.loaded.destination} ({pluralize(report.loaded.changed_rows, 'row')} changed)"
    return note


def _outcome(report: Report) -> str:
    what = f"nothing changed, version {report.version} is still the newest"
    if report.changed:
        what = f"version {report.version} committed ({report.new:,} new, {report.changed_jobs:,} changed, "
        what += f"{report.vanished:,} gone)"
    others = report.rows.get("endpoint_anomalies", 0)
    totals = (
        pluralize(report.rows["jobs"], "job"),
        pluralize(report.rows["events"], "event"),
        pluralize(sum(report.anomalies.values()), "anomaly"),
        *([f"{pluralize(others, 'anomaly')} of other endpoints"] if others else ()),
    )
    problems = ""
    if report.quarantined:
        problems += f"; {report.quarantined:,} newly in quarantine, see `ftetl quarantine`"
    if failed := report.details.get("failed"):
        problems += f"; {pluralize(failed, 'detail request')} failed; retried on the next run"
    return f"{report.target}: {what}: {', '.join(totals)}{problems}{delivered_note(report)}"


def _print_table(report: Report) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table("table", box=SIMPLE_HEAD)
    for heading in ("rows", "Parquet"):
        table.add_column(heading, justify="right")
    for name, count in report.rows.items():
        table.add_row(name, f"{count:,}", format_bytes(report.files.get(f"{name}.parquet", 0)))
    Console(stderr=True).print(table)
