"""The command line: the group of all commands, and the program that runs one and exits with its code.

A command's module is imported when the command is called, and imports pandas and pyarrow when it runs.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final, NoReturn

import click

import ftetl
from ftetl.cli import exit_handling, output, process
from ftetl.errors import EXITS, UsageError

# Each command with its short help; its module in `commands/` and its function have the same name.
COMMANDS: Final = {
    "anomalies": "Anomalies, counted by kind and path.",
    "demo": "Run an export against a built-in demo API: no key, no network.",
    "doctor": "Check what an export needs; changes nothing.",
    "export": "All jobs into the tables of TARGET.",
    "load": "The newest snapshot into a database.",
    "quarantine": "Quarantined elements, counted by rule.",
    "rebuild": "All tables again from the archive, offline.",
    "report": "One HTML page: spend, tokens, durations, failures.",
    "runs": "What happened in each run.",
    "schema": "What each table and column means.",
    "show": "The newest rows of a table.",
    "sql": "The rows of an SQL query over the tables.",
    "verify": "Look for damage in the newest snapshot.",
}

# \b keeps click from making one paragraph of the list.
_EPILOG = "\b\nExit codes:\n" + "\n".join(
    f"{e.code:>5}  {e.meaning}{' (try again)' if e.retryable else ''}" for e in EXITS.values()
)


class _LazyGroup(click.Group):
    """Imports a command when it is called; until then its name and short help are enough."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with, and the rest of them."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None:
            command = getattr(import_module(f"ftetl.cli.commands.{name}"), name)
        return name, command, rest


def _print_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        output.print_unescaped(f"ftetl, version {ftetl.__version__}")
        context.exit()


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog=_EPILOG,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.pass_context
def cli(context: click.Context) -> None:
    """All fine-tuning jobs of a Together AI project as tidy, validated tables.

    Start with `ftetl demo`: it needs no key and no network.
    """
    if context.invoked_subcommand is None:
        output.print_unescaped(context.get_help())
        raise UsageError("P01", "no command given", next="start with `ftetl demo`")


for _name, _short_help in COMMANDS.items():
    cli.add_command(click.Command(_name, short_help=_short_help))


def main() -> NoReturn:
    """Run a command, and exit with its code."""
    process.tune_process()
    exit_handling.install_signal_handlers()
    exit_handling.disable_core_dumps()
    state = exit_handling.CommandState()
    try:
        exit_code = cli.main(prog_name="ftetl", standalone_mode=False, obj=state) or 0
    except BaseException as error:  # noqa: BLE001 - every end is one line and the right code, never a traceback
        exit_handling.ignore_signals()
        exit_code = exit_handling.exit_code_for(error, state)
    process.keep_objects_at_exit()
    sys.exit(exit_code)


def run() -> NoReturn:
    """The program `ftetl`: as `main`, but nothing of the process remains, so only for a process of its own."""
    try:
        main()
    except SystemExit as end:
        process.leave(end.code)  # type: ignore[arg-type]  # of `main` it is a number
