"""What the command line prints: results to stdout; messages, progress and the last line to stderr.

rich is imported on a terminal only. Text from outside is escaped before it is printed; only `print_unescaped` leaves
that to its caller. A reader who goes away does not change what a run does or how it ends.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ftetl.cli.log_format import FORMATS, JsonLines, TextLines, json_line
from ftetl.errors import Exit, StorageError
from ftetl.formatting import escape_unprintable

if TYPE_CHECKING:
    from ftetl.pipeline.progress import Progress


class Output:
    """How much a command prints, and in which form; a new one sets up the logging of ftetl."""

    def __init__(
        self, *, quiet: bool = False, verbose: int = 0, as_json: bool = False, log_format: str = FORMATS[0]
    ) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.as_json = as_json
        self.logs_json = log_format == "json"
        self.on_terminal = sys.stderr is not None and sys.stderr.isatty() and not quiet and not self.logs_json
        level = logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
        logger = logging.getLogger("ftetl")
        logger.handlers = [logging.StreamHandler(sys.stderr)]
        text_lines = TextLines("%(asctime)s %(levelname)-5s %(name)s %(message)s")
        logger.handlers[0].setFormatter(JsonLines() if self.logs_json else text_lines)
        logger.setLevel(level)
        logger.propagate = False

    def json_result(self, document: dict[str, Any]) -> None:
        """Print the result as one JSON document, if `--json` asked for it."""
        if self.as_json:
            _write(json.dumps(document))  # ASCII only: every locale can write it, and no text in it moves a terminal

    def result(self, text: str = "") -> None:
        """Print a line of the result, for people."""
        if not self.as_json:
            _write(escape_unprintable(text))

    def hint(self, text: str = "") -> None:
        """Print a line about what to do with the result, on stdout, unless `-q` was given."""
        if not self.quiet:
            self.result(text)

    def info(self, text: str) -> None:
        """Print a message on stderr, unless `-q` was given."""
        if self.quiet:
            return
        if self.logs_json:
            level = "WARNING" if text.startswith("warning: ") else "INFO"
            message = text.removeprefix("warning: ").removeprefix("note: ")
            _write(json_line(level, "note", message, {}), err=True)
        else:
            _write(escape_unprintable(text), err=True)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A progress bar on a terminal; silent elsewhere, and with `-v`, whose lines it would disturb."""
        if not self.on_terminal or self.verbose:
            from ftetl.pipeline.progress import Progress

            yield Progress()
            return
        from ftetl.cli.progress_bar import ProgressBar

        bar = ProgressBar()
        with bar.display:
            yield bar


def print_unescaped(text: str | bytes) -> None:
    """Print our own text on stdout as it is, line breaks too; bytes are the same in every locale.

    Nothing is escaped here; the caller has escaped what came from outside, as HTML does, or prints none of it.
    """
    _write(text)


def failure(
    output: Output | None, exit_status: Exit, error_code: str | None, message: str, *, version: int | None = None
) -> None:
    """Print why a command ended early, as the last line and as the JSON result.

    Args:
        output: None if the command line was not understood.
        exit_status: how the command ended.
        error_code: of the failure, like `FTETL-H01`; None if `version` had been committed all the same.
        message: what happened and what to do next.
        version: what the run had committed.
    """
    if output is not None:
        with contextlib.suppress(StorageError):  # it may be this very error
            changes = {"changed": version is not None, "version": version, "message": message}
            output.json_result({**_exit_fields(exit_status, error_code), **changes})
    _write_last_line(output, exit_status, message, error_code)


def last_line(output: Output, exit_status: Exit, message: str, error_code: str | None = None) -> None:
    """Print the last line on stderr: how the command ended; with `-q` only if it failed."""
    if not (output.quiet and exit_status.committed):
        _write_last_line(output, exit_status, message, error_code)


def _write_last_line(output: Output | None, exit_status: Exit, message: str, error_code: str | None) -> None:
    if output is not None and output.logs_json:
        level = "INFO" if exit_status.committed else "ERROR"
        _write(json_line(level, "run_done", message, _exit_fields(exit_status, error_code)), err=True)
    else:
        label = f" {error_code}" if error_code else ""
        _write(escape_unprintable(f"ftetl: {exit_status.name} ({exit_status.code}){label}: {message}"), err=True)


def _exit_fields(exit_status: Exit, error_code: str | None) -> dict[str, Any]:
    return {
        "exit_code": exit_status.code,
        "exit": exit_status.name,
        "code": error_code,
        "committed": exit_status.committed,
        "retryable": exit_status.retryable,
    }


def _write(text: str | bytes, *, err: bool = False) -> None:
    stream = sys.stderr if err else sys.stdout
    try:
        click.echo(text, err=err)
    except OSError as error:
        # What is left in the buffer goes to /dev/null, or the interpreter would fail on it at its end.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        # The reader may have gone; and where stderr cannot be written, only the exit code can tell.
        if not err and not isinstance(error, BrokenPipeError):
            raise StorageError("P11", "the output cannot be written", next="see where stdout leads to") from None
