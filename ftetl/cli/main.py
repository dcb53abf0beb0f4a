"""The command line: the group of all commands, and the program that runs one and exits with its code.

Commands import pandas and pyarrow when they run, never at the top of a module, so that `--help` is quick.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from ftetl import __version__
from ftetl.cli import exit_handling, output, process
from ftetl.cli.commands import demo, doctor, export, quarantine, rebuild, report, runs, schema, verify
from ftetl.errors import EXITS, UsageError

# \b keeps click from making one paragraph of the list.
_EPILOG = "\b\nExit codes:\n" + "\n".join(
    f"{e.code:>5}  {e.meaning}{' (try again)' if e.retryable else ''}" for e in EXITS.values()
)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
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
        output.print_unescaped(context.get_help())
        raise UsageError("P01", "no command given", next="start with `ftetl demo`")


for _command in (
    demo.demo,
    doctor.doctor,
    export.export,
    quarantine.quarantine,
    rebuild.rebuild,
    report.report,
    runs.runs,
    schema.schema,
    verify.verify,
):
    cli.add_command(_command)


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
    sys.exit(exit_code)
