"""How the program ends: signals, one last line, the exit code, and never a traceback or a core file."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import traceback
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

import click

from ftetl.cli import log_format
from ftetl.cli.output import Output, failure
from ftetl.errors import EXITS, PREFIX, FtetlError
from ftetl.errors.places import place_in_package

if TYPE_CHECKING:
    from ftetl.pipeline.active_run import ActiveRun

_log = logging.getLogger(__name__)


@dataclass
class CommandState:
    """What the running command has reached, for whoever reports how it ended; click's `ctx.obj`."""

    output: Output | None = None
    run: ActiveRun | None = None  # of a command that commits
    if_stopped: str = "nothing was committed"  # what a signal leaves before there is a commit


def command_state() -> CommandState:
    """The state of the command that is running."""
    return click.get_current_context().ensure_object(CommandState)


class _TerminatedError(BaseException):
    """SIGTERM came."""

    exit = EXITS["SIGTERM"]


def install_signal_handlers() -> None:
    """From now on SIGTERM ends the program as an exception does."""
    signal.signal(signal.SIGTERM, _raise_terminated)


def disable_core_dumps() -> None:
    """From now on a crash leaves no core file, which would hold the API key."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def ignore_signals() -> None:
    """From now on the exit code is decided, and no signal changes it."""
    if signal.getsignal(signal.SIGTERM) is _raise_terminated:  # not where another program calls a command
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _raise_terminated(_signal: int, _frame: FrameType | None) -> None:
    raise _TerminatedError


def exit_code_for(error: BaseException, state: CommandState) -> int:
    """The exit code of a command that ended with this error, which is also printed."""
    match error:
        case FtetlError():
            if error.exit is EXITS["SOFTWARE"]:
                _log_frames(error.__cause__ or error)
            failure(state.output or _output_of_arguments(), error.exit, error.code, str(error))
            return error.exit.code
        case click.ClickException():
            return _usage_error(error, state)
        case click.Abort() | KeyboardInterrupt():
            return _stopped("SIGINT", "interrupted", state)
        case _TerminatedError():
            return _stopped("SIGTERM", "terminated", state)
        case SystemExit() if state.output is None:  # click ends so when the reader of its help has gone
            return EXITS["OK"].code
    return _unexpected_error(error, state)


def _usage_error(error: click.ClickException, state: CommandState) -> int:
    output = state.output or _output_of_arguments()
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "ftetl"
    what = error.format_message().rstrip(".")
    error_code = "X03" if getattr(error, "option_name", None) == "--api-key" else "P01"
    message = f"{what}{'' if what.endswith('?') else ';'} see `{command} --help`"
    failure(output, EXITS["USAGE"], PREFIX + error_code, message)
    return EXITS["USAGE"].code


def _output_of_arguments() -> Output:
    """The output of a command whose options were not understood, so whether JSON is wanted has to be looked up."""
    logs_json = "--log-format=json" in sys.argv or "--log-format json" in " ".join(sys.argv)
    return Output(as_json="--json" in sys.argv, log_format=log_format.FORMATS[logs_json])


def _stopped(name: str, word: str, state: CommandState) -> int:
    version = state.run.committed_version() if state.run else None
    if state.run and version is not None:
        end, what = state.run.end_after_commit()
        message = f"{word}, but version {version} of {state.run.settings.shown_target} had been committed and {what}"
        failure(state.output, end, None, message, version=version)
        return end.code
    failure(state.output, EXITS[name], f"{PREFIX}S06", f"{word}; {state.if_stopped}")
    return EXITS[name].code


def _unexpected_error(error: BaseException, state: CommandState) -> int:
    # The text of an unknown error may hold data, so only its type and place are printed.
    _log_frames(error)
    message = f"{type(error).__name__} in {place_in_package(error)}; please report this, with -vv"
    failure(state.output, EXITS["SOFTWARE"], f"{PREFIX}B01", message)
    return EXITS["SOFTWARE"].code


def _log_frames(error: BaseException) -> None:
    """Log where an internal error happened, in lines of the program, for -vv."""
    for frame in traceback.extract_tb(error.__traceback__):
        _log.debug("at %s:%s, in %s: %s", frame.filename, frame.lineno, frame.name, frame.line)
