"""Words in, exit code out: every command parses, makes one call and prints what came back.

pandas and pyarrow are imported by the calls, never here, so that `--help` is quick.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from ftetl import __version__, contract
from ftetl.cli import exit_handling, options
from ftetl.cli import output as cli_output
from ftetl.cli.output import Voice
from ftetl.errors import EXITS, UsageError
from ftetl.run_report import Report

# \b keeps click from making one paragraph of the list.
_EPILOG = "\b\nExit codes:\n" + "\n".join(
    f"{e.code:>5}  {e.meaning}{' (try again)' if e.retryable else ''}" for e in EXITS.values()
)


def _voiced(function: Callable[..., int | None]) -> Callable[..., int | None]:
    return options.voiced(function, lambda voice: setattr(exit_handling.State, "voice", voice))


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EPILOG,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
)
@click.version_option(__version__, prog_name="ftetl")
@click.pass_context
def cli(context: click.Context) -> None:
    """All fine-tuning jobs of a Together AI project as tidy, validated tables.

    Start with `ftetl demo`: it needs no key and no network.
    """
    if context.invoked_subcommand is None:
        cli_output.ours(context.get_help())
        raise UsageError("P01", "no command given", next="start with `ftetl demo`")


@cli.command(short_help="The main job on a stand-in for the API: no key, no network.")
@options.demo_target
@options.output
@_voiced
def demo(voice: Voice, target: Path, **given: Any) -> int:
    """Run the main job on an embedded stand-in for the API: no key, no network.

    The tables of its invented jobs are written into the folder TARGET (default: ftetl-demo).
    """
    from ftetl.cli.commands import demo as commands_demo

    report = _export(voice, target, "demo", given)
    commands_demo.next_steps(voice, target, report.files)
    return report.exit_code


@cli.command(short_help="All jobs into the tables of TARGET.")
@options.target
@options.source
@options.output
@_voiced
def export(voice: Voice, target: Path, source: str, **given: Any) -> int:
    """Extract, transform, validate, load and commit all jobs into the folder TARGET.

    TARGET is made if it is missing; a later run merges into it, and what a run wrote is seen as a whole or not at
    all. Read the tables at TARGET/current. The key comes from TOGETHER_API_KEY or --api-key-file.
    """
    return _export(voice, target, source, given).exit_code


def _export(voice: Voice, target: Path, source: str, given: dict[str, Any]) -> Report:
    from ftetl.pipeline import export as pipeline_export

    settings = pipeline_export.settings_of(target, source, given)
    exit_handling.State.target, exit_handling.State.before = target, exit_handling.newest(target)
    with voice.progress() as bar:
        report = pipeline_export.run(settings, bar, bar.received if bar else None)
    exit_handling.deaf()
    cli_output.summary(voice, report)
    voice.result(report.as_dict())
    return report


@cli.command(short_help="What each table and column means.")
@click.argument("table", required=False)
@options.sql
@_voiced
def schema(voice: Voice, table: str | None, sql: str | None) -> None:
    """Print the data dictionary: what each column means, its type, unit and source.

    Of one TABLE, or of all. With --sql, print the statements that make the tables in a database.
    """
    from ftetl.cli.commands import schema as commands_schema

    names = list(contract.tables())
    if table is not None and table not in names:
        raise UsageError("P04", f"there is no table {table!r}", next=f"choose one of: {', '.join(names)}")
    commands_schema.show(voice, [table] if table else names, sql)


@cli.command(short_help="Look for damage in the newest snapshot.")
@options.target
@_voiced
def verify(voice: Voice, target: Path) -> int:
    """Check every checksum, row count, key and reference of the newest snapshot of TARGET, offline."""
    from ftetl.validate.verify import verify_snapshot

    verdict = verify_snapshot(target)
    end = EXITS["OK" if verdict.sound else "IOERR"]
    voice.result({**verdict.as_dict(), "exit_code": end.code, "exit": end.name, "code": verdict.code})
    cli_output.verdict(voice, end, target, verdict)
    return end.code


@cli.command(short_help="One HTML page: spend, tokens, durations, failures.")
@options.targets
@options.page
@_voiced
def report(voice: Voice, targets: tuple[Path, ...], output: Path, file_mode: int) -> None:
    """Write one self-contained HTML page about the newest snapshot of TARGET, or of several together.

    It shows spend, tokens, durations, failures and all jobs, and needs no network to be read. It holds people's
    data, so the file is private unless --file-mode says otherwise. The same snapshot gives the same bytes.
    """
    from ftetl.cli.commands import report as commands_report

    commands_report.make(voice, targets, output, file_mode)


@cli.command(short_help="What was put aside, and why.")
@options.target
@_voiced
def quarantine(voice: Voice, target: Path) -> None:
    """Show what was put aside in TARGET, counted by rule; --json gives the exact texts."""
    from ftetl.snapshot.snapshot import open as open_snapshot

    rows = open_snapshot(target).arrow("quarantine").to_pylist()
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["rule"]] = counts.get(row["rule"], 0) + 1
        row["first_seen_at"] = row["first_seen_at"].isoformat()
    voice.result({"total": len(rows), "by_rule": counts, "rows": rows})
    for rule, count in sorted(counts.items()):
        voice.out(f"{count:>8}  {rule}")
    voice.out(f"{len(rows):>8}  in all")


@cli.command(short_help="All tables again from the archive, offline.")
@options.target
@options.pii_key
@options.upkeep
@_voiced
def rebuild(voice: Voice, target: Path, **given: Any) -> None:
    """Make all tables of TARGET again, offline, with today's contracts.

    Every run is repeated from the raw answers in the archive. The outcome is a new version, or none if it is what
    is there. Saved answers are read once more; for pseudonyms in them the key is needed again.
    """
    from ftetl.pipeline import export as pipeline_export

    exit_handling.State.target, exit_handling.State.before = target, exit_handling.newest(target)
    with voice.progress() as bar:
        report, _ = pipeline_export.rebuild(target, progress=bar, **given)
    exit_handling.deaf()
    cli_output.rebuilt(voice, report)
    voice.result(report.as_dict())


@cli.command(short_help="Look before the first scheduled run; changes nothing.")
@options.target
@options.asking
@_voiced
def doctor(voice: Voice, target: Path, **given: Any) -> int:
    """Say what would make an export into TARGET fail, and how to mend it.

    Looks at the key, the address, one answer of the API, the clock, the folder and its disk. Changes nothing.
    """
    from ftetl.pipeline import doctor as surgery
    from ftetl.pipeline import export as pipeline_export

    findings = surgery.examine(pipeline_export.settings_of(target, "api", given))
    end, code = next(((f.exit, f.code) for f in findings if f.exit), (EXITS["OK"], None))
    told = [f.as_dict() for f in findings]
    voice.result({"findings": told, "exit_code": end.code, "exit": end.name, "code": code})
    cli_output.findings(voice, end, target, findings)
    return end.code


@cli.command(short_help="What happened in each run.")
@options.target
@_voiced
def runs(voice: Voice, target: Path) -> None:
    """Show what each run of TARGET did: the newest last; --json gives all that is known of them."""
    from ftetl.cli.commands import runs as commands_runs
    from ftetl.pipeline import run_log

    damaged: list[str] = []
    found = run_log.read(target, damaged)
    voice.result({"runs": [run.as_dict() for run in found], "damaged": damaged})
    commands_runs.show(voice, target, found, damaged)


def _settle() -> None:
    """Make this process, which is all ours, fit for its work before the large libraries are imported."""
    # The libraries and an index of jobs are hundreds of thousands of objects, none of them garbage: to look through
    # them for some, as often as Python would, takes a tenth of a second of the smallest run, and more of larger ones.
    gc.set_threshold(1_000_000, 50, 1_000)
    # Of what pyarrow's own allocator has been given back it keeps hundreds of megabytes; glibc's gives it back, and is
    # as fast. Of other systems' that is not known.
    if _has_glibc():
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # pandera loads it where it is installed, for examples that nobody asks for here: half a second of every run.
    sys.modules.setdefault("hypothesis", None)  # type: ignore[arg-type]
    # numpy starts a thread a core for products of matrices, of which there are none here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _has_glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (AttributeError, OSError, ValueError):  # not on Windows, and other libraries do not know the name
        return False


def main() -> NoReturn:
    """The program: runs a command and exits with its code."""
    _settle()
    exit_handling.listen()
    try:
        code = cli.main(prog_name="ftetl", standalone_mode=False) or 0
    except BaseException as error:  # noqa: BLE001 - every end is one line and the right code, never a traceback
        exit_handling.deaf()
        code = exit_handling.told(error)
    sys.exit(code)
