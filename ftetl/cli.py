"""Words in, exit code out: every command parses, makes one call and prints what came back.

pandas and pyarrow are imported by the calls, never here, so that `--help` is quick.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from ftetl import contract, options, talk
from ftetl.errors import EXITS, FtetlError, UsageError
from ftetl.settings import DEMO_TARGET
from ftetl.talk import Voice

_EPILOG = "Exit codes: " + "; ".join(f"{e.code} {e.meaning}" for e in EXITS.values()) + "."


class _State:
    """The voice of the command that runs, for whoever has to tell how it ended."""

    voice: Voice | None = None


def _voiced(function: Callable[..., int | None]) -> Callable[..., int | None]:
    return options.voiced(function, lambda voice: setattr(_State, "voice", voice))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, epilog=_EPILOG)
@click.version_option(package_name="ftetl", prog_name="ftetl")
def cli() -> None:
    """All fine-tuning jobs of a Together AI project as tidy, validated tables.

    Start with `ftetl demo`: it needs no key and no network.
    """


@cli.command()
@click.argument("target", type=click.Path(path_type=Path), default=DEMO_TARGET)
@options.output
@_voiced
def demo(voice: Voice, target: Path, **given: Any) -> int:
    """Run the main job on an embedded stand-in for the API: no key, no network."""
    from ftetl import demo_end

    code = _export(voice, target, "demo", given)
    demo_end.next_steps(voice, target)
    return code


@cli.command()
@click.argument("target", type=click.Path(path_type=Path))
@options.source
@options.output
@_voiced
def export(voice: Voice, target: Path, source: str, **given: Any) -> int:
    """Extract, transform, validate, load and commit all jobs into the folder TARGET.

    The key comes from TOGETHER_API_KEY or --api-key-file.
    """
    return _export(voice, target, source, given)


def _export(voice: Voice, target: Path, source: str, given: dict[str, Any]) -> int:
    from ftetl import library

    settings = library.settings_of(target, source, given)
    with voice.progress() as bar:
        report = library.run(settings, bar, bar.received if bar else None)
    talk.summary(voice, report)
    voice.result(report.as_dict())
    return report.exit_code


@cli.command()
@click.argument("table", required=False)
@_voiced
def schema(voice: Voice, table: str | None) -> None:
    """Print the data dictionary: what each column means, its type, unit and source."""
    from ftetl import dictionary, dictionary_view

    names = list(contract.tables())
    if table is not None and table not in names:
        raise UsageError(f"there is no table {table!r}", next=f"choose one of: {', '.join(names)}")
    chosen = [table] if table else names
    voice.result(dictionary.document(chosen))
    dictionary_view.show(voice, chosen)


@cli.command()
@click.argument("target", type=click.Path(path_type=Path))
@_voiced
def verify(voice: Voice, target: Path) -> int:
    """Check every checksum, row count, key and reference of the newest snapshot, offline."""
    from ftetl.snapshot import verify as look

    verdict = look(target)
    end = EXITS["OK" if verdict.sound else "IOERR"]
    voice.result({**verdict.as_dict(), "exit_code": end.code, "exit": end.name})
    for line in verdict.damage:
        voice.out(f"damaged: {line}")
    if verdict.sound:
        voice.out(f"version {verdict.version} is sound: {verdict.files} files, {sum(verdict.rows.values())} rows")
    else:
        talk.ended(
            None, end, f"{len(verdict.damage)} damages in {target}; restore the files, or export again elsewhere"
        )
    return end.code


@cli.command()
@click.argument("target", type=click.Path(path_type=Path))
@_voiced
def quarantine(voice: Voice, target: Path) -> None:
    """Show what was put aside, counted by rule; --json gives the exact texts."""
    from ftetl.snapshot import open as open_snapshot

    rows = open_snapshot(target).arrow("quarantine").to_pylist()
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["rule"]] = counts.get(row["rule"], 0) + 1
        row["first_seen_at"] = row["first_seen_at"].isoformat()
    voice.result({"total": len(rows), "by_rule": counts, "rows": rows})
    for rule, count in sorted(counts.items()):
        voice.out(f"{count:>8}  {rule}")
    voice.out(f"{len(rows):>8}  in all")


def main() -> NoReturn:
    """The program: runs a command and exits with its code."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = cli.main(standalone_mode=False)
    except FtetlError as error:
        talk.failure(_State.voice, error)
        code = error.exit.code
    except click.exceptions.Exit as end:
        code = end.exit_code
    except click.ClickException as error:
        talk.ended(_State.voice, EXITS["USAGE"], f"{error.format_message()}; see --help")
        code = EXITS["USAGE"].code
    except (click.Abort, KeyboardInterrupt):
        code = _end(EXITS["SIGINT"].name, "interrupted; nothing was committed")
    except _TerminatedError:
        code = _end(EXITS["SIGTERM"].name, "terminated; nothing was committed")
    except BrokenPipeError:
        # Whoever read our output is gone, and the interpreter would stumble over flushing it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:  # noqa: BLE001 - a fault of ours still ends in one line and the right code
        code = _fault(error)
    sys.exit(code)


class _TerminatedError(BaseException):
    """SIGTERM came."""


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    raise _TerminatedError


def _end(name: str, message: str) -> int:
    talk.ended(_State.voice, EXITS[name], message)
    return EXITS[name].code


def _fault(error: Exception) -> int:
    # The text of an unknown error may hold data, so only its kind and place are told.
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    if _State.voice is not None and _State.voice.verbose > 1:
        traceback.print_tb(error.__traceback__)
    return _end("SOFTWARE", f"{type(error).__name__} in {where}; please report this, with the output of -vv")
