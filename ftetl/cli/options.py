"""The options that commands share; their defaults are those of the settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import reduce, wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from ftetl.cli import exit_handling
from ftetl.cli.log_format import FORMATS
from ftetl.cli.output import Output
from ftetl.config import limits, settings
from ftetl.contract import DATABASES
from ftetl.load import formats

Command = TypeVar("Command", bound=Callable[..., Any])


class _Mode(click.ParamType[int]):
    """A file mode in octal that lets the owner read and write, nobody execute, and not everybody write."""

    name = "mode"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if not re.fullmatch(r"(?:0o?)?6[0246][04]", value):
            self.fail(f"{value!r} is not a mode such as 0600, 0640 or 0644.", param, ctx)
        return int(value, 8)


class _Seconds(click.ParamType[float]):
    """A duration."""

    name = "seconds"
    most = 1_000_000.0  # eleven days; not every platform can wait for much longer

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds <= self.most:
            self.fail(f"{value!r} is not a number of seconds from 0 to {self.most:,.0f}.", param, ctx)
        return seconds


class _Path(click.Path):
    """A path that is not empty: an unset shell variable must not become the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the name is empty.", param, ctx)
        return super().convert(value, param, ctx)


def _not_empty(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not value:
        raise click.BadParameter("the name is empty.", context, parameter)
    return value


def _combined(*parts: Callable[[Any], Any]) -> Callable[[Command], Command]:
    return lambda function: reduce(lambda f, part: part(f), reversed(parts), function)


def with_output(function: Callable[..., int | None]) -> Callable[..., int]:
    """Add `-q`, `-v`, `--json` and `--log-format` to a command, whose first argument they become as an `Output`."""

    @click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
    @click.option("-v", "--verbose", count=True, show_default=False, help="More log output; -vv prints most.")
    @click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document on stdout.")
    @click.option(
        "--log-format",
        type=click.Choice(FORMATS),
        default=FORMATS[0],
        help="Log format on stderr: lines for people, or one JSON object a line.",
    )
    @wraps(function)
    def command(*args: Any, quiet: bool, verbose: int, as_json: bool, log_format: str, **options: Any) -> int:
        output = Output(quiet=quiet, verbose=verbose, as_json=as_json, log_format=log_format)
        exit_handling.command_state().output = output
        return function(output, *args, **options) or 0

    return command


target = click.argument("target", type=_Path(path_type=Path))
targets = click.argument("targets", metavar="TARGET...", nargs=-1, required=True, type=_Path(path_type=Path))
demo_target = click.argument("target", type=_Path(path_type=Path), default=settings.DEMO_TARGET)

_CONNECTION = (
    click.option(
        "--api-key-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Read the key from this file instead of TOGETHER_API_KEY.",
    ),
    click.option(
        "--base-url",
        metavar="URL",
        help="The API's address, with or without /v1; else TOGETHER_BASE_URL or the vendor's.",
    ),
)

source = _combined(
    click.option(
        "--from",
        "source",
        default=settings.SOURCE,
        metavar="SOURCE",
        callback=_not_empty,
        help="`api`, `demo`, a saved response (.json, .ndjson, each also .gz, .zst), a folder of them, or - for stdin.",
    ),
    *_CONNECTION,
    click.option(
        "--observed-at",
        metavar="TIME",
        help="When the response was received, like 2026-07-02T08:10:14Z; else now, or the file's modification time.",
    ),
    click.option(
        "--allow-shrink", is_flag=True, help="Accept a list that is empty or has less than half of the known jobs."
    ),
    click.option("--allow-account-change", is_flag=True, help="Accept a list that shares no job with the known ones."),
    click.option(
        "--max-bytes",
        type=int,
        default=limits.MAX_BYTES,
        show_default=f"{limits.MAX_BYTES >> 30} GiB",
        metavar="N",
        help="Largest response or compressed file, in bytes when decompressed; a plain local file has no limit.",
    ),
)

sql = click.option(
    "--sql",
    type=click.Choice(DATABASES),
    help="Print the statements that make the tables in this database, with what each column means.",
)


def _file_mode(help_text: str) -> Callable[[Any], Any]:
    return click.option(
        "--file-mode",
        type=_Mode(),
        default=f"{settings.FILE_MODE:04o}",
        metavar="OCTAL",
        help=help_text,
    )


report_options = _combined(
    click.option(
        "-o",
        "--output",
        "file",
        type=_Path(path_type=Path, allow_dash=True),
        default=settings.PAGE,
        metavar="FILE",
        help="The page, replaced as a whole; - for stdout.",
    ),
    _file_mode("Mode of the file; it holds people's data. 0640 lets a group read."),
)

_STORAGE = (
    _file_mode("Mode of the files; folders follow. 0640 lets a group read."),
    click.option(
        "--keep",
        type=int,
        default=settings.KEEP,
        metavar="N",
        help="Newest snapshots to keep, at least 2, besides all of the last 24 hours and one a day for 7 days.",
    ),
    click.option(
        "--lock-timeout",
        type=_Seconds(),
        default=f"{settings.LOCK_TIMEOUT:g}",
        metavar="SECONDS",
        help="How long to wait for another run on the same target.",
    ),
    click.option(
        "--publish",
        type=_Path(path_type=Path),
        metavar="DIR",
        help="Also put real files here, each replaced as a whole, for readers that do not follow links.",
    ),
)

storage_options = _combined(*_STORAGE)

pii_key = click.option(
    "--pii-key-file",
    type=_Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help=f"The key for the pseudonyms of `--pii hash`: at least {limits.PSEUDONYM_KEY} bytes.",
)

_PII = (
    click.option(
        "--pii",
        type=click.Choice(settings.PII),
        default=settings.PII[0],
        help="People's data in all that is stored: as it is, as pseudonyms (an HMAC), or not at all.",
    ),
    pii_key,
)

_PROJECT = click.option(
    "--project",
    default=settings.PROJECT,
    metavar="NAME",
    help="A label for the key's project; it is the `project` column of every table.",
)

_BILLING = (
    click.option(
        "--billing-account",
        metavar="ID",
        help="The vendor's id of your organisation, for the table focus_costs; else the project's label.",
    ),
    click.option("--billing-account-name", metavar="NAME", help="The billing account's name, for the same table."),
)

connection_options = _combined(*_CONNECTION, _PROJECT, *_PII)

output = _combined(
    click.option(
        "--format",
        "formats",
        multiple=True,
        type=click.Choice(formats.names()),
        default=settings.Settings.formats,
        help="May be given more than once; Parquet is always written, CSV beside it when asked.",
    ),
    click.option(
        "--events",
        type=click.Choice(settings.EVENTS),
        default="auto",
        help="auto: fetch the details of jobs without events; list: only the list's events; none: read no events.",
    ),
    _PROJECT,
    *_BILLING,
    click.option(
        "--quarantine",
        type=click.Choice(settings.QUARANTINE),
        default="keep",
        help="What new quarantine means. keep: exit 3; ok: exit 0; fail: commit nothing, exit 65.",
    ),
    *_PII,
    click.option(
        "--concurrency",
        type=int,
        default=limits.CONCURRENCY,
        metavar="N",
        help="Parallel detail requests.",
    ),
    click.option(
        "--deadline",
        type=_Seconds(),
        default=f"{limits.DEADLINE:g}",
        metavar="SECONDS",
        help="For the network; if the list has arrived, the details received so far are committed (exit 3).",
    ),
    click.option(
        "--csv-raw",
        is_flag=True,
        help="CSV text exactly as it is, without the guard against formulas in spreadsheets.",
    ),
    click.option(
        "--metrics-file",
        type=_Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Prometheus metrics of the run are written here, also when it fails.",
    ),
    *_STORAGE,
)
