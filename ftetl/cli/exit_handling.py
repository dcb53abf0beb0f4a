"""How the program ends: one line, the right exit code, and never a traceback.

Knows errors and signals, and no command.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

import click

from ftetl.cli import log_format, output
from ftetl.cli.output import Voice
from ftetl.errors import EXITS, PREFIX, FtetlError

_log = logging.getLogger(__name__)


class State:
    """What the command that runs is at, for whoever has to tell how it ended."""

    voice: Voice | None = None
    target: Path | None = None  # that a run may commit to
    before: int = 0  # its newest version when the run began


def listen() -> None:
    """From here on SIGTERM ends the program as an exception does, and no crash leaves the key in a core file."""
    signal.signal(signal.SIGTERM, _terminated)
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


class _TerminatedError(BaseException):
    """SIGTERM came."""

    exit = EXITS["SIGTERM"]


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    raise _TerminatedError


def deaf() -> None:
    """From here on it is decided how the program ends, and no signal changes it any more."""
    if signal.getsignal(signal.SIGTERM) is _terminated:  # not where somebody else's program calls a command
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def told(error: BaseException) -> int:
    """The exit code of a command that ended in this way, which is said as well."""
    match error:
        case FtetlError():
            if error.exit is EXITS["SOFTWARE"]:
                _frames(error.__cause__ or error)
            output.failure(State.voice, error)
            return error.exit.code
        case click.ClickException():
            return _misused(error)
        case click.Abort() | KeyboardInterrupt():
            return _stopped("SIGINT", "interrupted")
        case _TerminatedError():
            return _stopped("SIGTERM", "terminated")
        case SystemExit() if State.voice is None:  # so click ends when nobody reads its help to the end
            return EXITS["OK"].code
    return _fault(error)


def _misused(error: click.ClickException) -> int:
    # The options were not understood, so whether JSON is wanted has to be looked up.
    as_lines = "--log-format=json" in sys.argv or "--log-format json" in " ".join(sys.argv)
    voice = State.voice or Voice(as_json="--json" in sys.argv, log_format=log_format.FORMATS[as_lines])
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "ftetl"
    said = error.format_message().rstrip(".")
    code = "X03" if getattr(error, "option_name", None) == "--api-key" else "P01"
    message = f"{said}{'' if said.endswith('?') else ';'} see `{command} --help`"
    output.ended(voice, EXITS["USAGE"], PREFIX + code, message)
    return EXITS["USAGE"].code


def _stopped(name: str, word: str) -> int:
    version = newest(State.target)
    if version > State.before:
        message = f"{word}, but version {version} of {State.target} had been committed and is complete"
        output.ended(State.voice, EXITS["OK"], None, message, version=version)
        return EXITS["OK"].code
    output.ended(State.voice, EXITS[name], f"{PREFIX}S06", f"{word}; nothing was committed")
    return EXITS[name].code


def newest(target: Path | None) -> int:
    """The newest version of a target, 0 where there is none."""
    from ftetl.store import manifest

    with contextlib.suppress(FtetlError):
        return max(manifest.list_versions(target), default=0) if target else 0
    return 0


def _fault(error: BaseException) -> int:
    # The text of an unknown error may hold data, so only its kind and place are told.
    _frames(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    message = f"{type(error).__name__} in {where}; please report this, with -vv"
    output.ended(State.voice, EXITS["SOFTWARE"], f"{PREFIX}B01", message)
    return EXITS["SOFTWARE"].code


def _frames(error: BaseException) -> None:
    """Where a fault of ours happened, in the lines of the program, for whoever asked for the most."""
    for frame in traceback.extract_tb(error.__traceback__):
        _log.debug("at %s:%s, in %s: %s", frame.filename, frame.lineno, frame.name, frame.line)
