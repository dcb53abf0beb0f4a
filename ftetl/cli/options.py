"""The options that commands share; their defaults are those of the settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import reduce, wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from ftetl.cli import exit_handling
from ftetl.cli.log_format import FORMATS
from ftetl.cli.output import Output
from ftetl.config import limits, settings
from ftetl.config.local_path import require_local_path
from ftetl.config.object_address import parse_address
from ftetl.loading import formats

Command = TypeVar("Command", bound=Callable[..., Any])
_MAX_SECONDS = 1_000_000.0  # eleven days; not every platform can wait for much longer


def _mode(text: str) -> int:
    """A file mode in octal that lets the owner read and write, nobody execute, and not everybody write."""
    if not re.fullmatch(r"(?:0o?)?6[0246][04]", text):
        raise click.BadParameter(f"{text!r} is not a mode such as 0600, 0640 or 0644.")
    return int(text, 8)


def _duration(text: str) -> float:
    """A number of seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MAX_SECONDS:
        raise click.BadParameter(f"{text!r} is not a number of seconds from 0 to {_MAX_SECONDS:,.0f}.")
    return seconds


class LocalPath(click.Path):
    """A local path that is not empty: an unset shell variable must not become the current folder.

    Whether it can be read is not checked here: its user says so, with a better exit code than that of usage.
    """

    def __init__(self, **checks: Any) -> None:
        super().__init__(readable=False, path_type=Path, **checks)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        if value == "":
            self.fail("the name is empty.", param, ctx)
        require_local_path(value)
        return super().convert(value, param, ctx)


class TargetPath(LocalPath):
    """A target: a local path, or an address in an object store, which stays a text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, or the address as it is written."""
        address = parse_address(value)
        return str(address) if address else super().convert(value, param, ctx)


def combined(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Several options as one decorator; the help shows them in this order."""
    return lambda command: reduce(lambda decorated, option: option(decorated), reversed(options), command)


def _choice(name: str, choices: Sequence[str], help_text: str) -> Callable[[Command], Command]:
    return click.option(name, type=click.Choice(choices), default=choices[0], help=help_text)


def _seconds(name: str, default: float, help_text: str) -> Callable[[Command], Command]:
    return click.option(name, type=_duration, default=f"{default:g}", metavar="SECONDS", help=help_text)


def file_mode(help_text: str) -> Callable[[Command], Command]:
    """The option `--file-mode`."""
    default = f"{settings.FILE_MODE:04o}"
    return click.option("--file-mode", type=_mode, default=default, metavar="OCTAL", help=help_text)


def with_output(function: Callable[..., int | None]) -> Callable[..., int]:
    """Add `-q`, `-v`, `--json` and `--log-format` to a command, whose first argument they become as an `Output`."""

    @click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
    @click.option("-v", "--verbose", count=True, show_default=False, help="More log output; -vv prints most.")
    @click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document on stdout.")
    @_choice("--log-format", FORMATS, "Log format on stderr: lines for people, or one JSON object a line.")
    @wraps(function)
    def command(*args: Any, quiet: bool, verbose: int, as_json: bool, log_format: str, **options: Any) -> int:
        output = Output(quiet=quiet, verbose=verbose, as_json=as_json, log_format=log_format)
        exit_handling.command_state().output = output
        return function(output, *args, **options) or 0

    return command


def complete_tables(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The names of tables that begin like this, for the completion of the shell."""
    from ftetl.contract import tables as contracts

    return [name for name in contracts() if name.startswith(incomplete)]


TargetName = Path | str  # a folder, or the address of a target in an object store
target = click.argument("target", type=TargetPath())
target_folder = click.argument("target", type=LocalPath())
targets = click.argument("targets", metavar="TARGET...", nargs=-1, required=True, type=TargetPath())

connection = combined(
    click.option(
        "--api-key-file",
        type=LocalPath(),
        metavar="FILE",
        help="Read the key from this file instead of TOGETHER_API_KEY.",
    ),
    click.option(
        "--base-url",
        metavar="URL",
        help="The API's address, with or without /v1; else TOGETHER_BASE_URL or the vendor's.",
    ),
)

allow_drift = click.option(
    "--allow-drift",
    is_flag=True,
    help="Accept values that are unreadable or missing in many jobs; prices and statuses keep the last known.",
)

project = click.option(
    "--project",
    metavar="NAME",
    show_default=f"the target's, else the slug of the key's project, else {settings.PROJECT}",
    help="A label for the key's project; it is the `project` column of every table.",
)

pii_key = click.option(
    "--pii-key-file",
    type=LocalPath(dir_okay=False),
    metavar="FILE",
    help=f"The key for the pseudonyms of `--pii hash`: at least {limits.PSEUDONYM_KEY} bytes.",
)

pii = combined(
    _choice(
        "--pii", settings.PII, "Personal data in all that is stored: as it is, as pseudonyms (an HMAC), or not at all."
    ),
    pii_key,
)

storage = combined(
    file_mode("Mode of the files; folders follow. 0640 lets a group read."),
    click.option(
        "--keep",
        type=int,
        default=settings.KEEP,
        metavar="N",
        help="Newest snapshots to keep, at least 2, besides all of the last 24 hours and one a day for 7 days.",
    ),
    _seconds("--lock-timeout", settings.LOCK_TIMEOUT, "How long to wait for another run on the same target."),
    click.option(
        "--publish",
        type=LocalPath(),
        metavar="DIR",
        help="Also put real files here, each replaced as a whole, for readers that do not follow links.",
    ),
    click.option(
        "--load",
        metavar="DESTINATION",
        help="Also load the newest version into a database, as `ftetl load` does; exit 3 if that fails.",
    ),
)

# Of every command that runs an export.
tables = combined(
    click.option(
        "--format",
        "formats",
        multiple=True,
        type=click.Choice(formats.names()),
        show_default="those of the target's newest version, else parquet",
        help="May be given more than once; Parquet is always written. `--format parquet` alone ends the others.",
    ),
    _choice(
        "--events",
        settings.EVENTS,
        "auto: fetch the details of jobs without events; list: only the list's events; none: read no events.",
    ),
    _choice("--files", settings.FILES, "auto: also ask for the project's files (one request), for the table files."),
    _choice(
        "--billing",
        settings.BILLING,
        "auto: also ask for the bill of the key's whole organisation, for the table billing_usage.",
    ),
    _choice(
        "--metrics",
        settings.METRICS,
        "auto: also ask for the training metrics of each job, of a finished one once, for training_metrics.",
    ),
    project,
    click.option(
        "--billing-account",
        metavar="ID",
        help="The vendor's id of your organisation, for the table focus_costs; else the key's, or the project's label.",
    ),
    click.option("--billing-account-name", metavar="NAME", help="The billing account's name, for the same table."),
    _choice(
        "--quarantine",
        settings.QUARANTINE,
        "What new quarantine means. keep: exit 3; ok: exit 0; fail: commit nothing, exit 65.",
    ),
    pii,
    click.option(
        "--concurrency",
        type=int,
        default=limits.CONCURRENCY,
        metavar="N",
        help="Parallel detail requests.",
    ),
    _seconds(
        "--deadline",
        limits.DEADLINE,
        "For the network; if the list has arrived, the details received so far are committed (exit 3).",
    ),
    click.option(
        "--csv-raw",
        is_flag=True,
        help="CSV text exactly as it is, without the guard against formulas in spreadsheets.",
    ),
    click.option(
        "--metrics-file",
        type=LocalPath(dir_okay=False),
        metavar="FILE",
        help="Prometheus metrics of the run are written here, also when it fails.",
    ),
    storage,
)
