"""What `import ftetl` offers to work with: one call that exports.

Knows the corridor and the settings; the command line is built on it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from ftetl.clock import parse_iso
from ftetl.config.settings import Environ, Settings
from ftetl.contract import tables
from ftetl.errors import EXITS, ConfigError, FtetlError, SoftwareError, UsageError
from ftetl.errors.os_errors import unforeseen
from ftetl.load import formats as table_formats
from ftetl.pipeline import metrics, run_log
from ftetl.pipeline.run_context import ARCHIVE, RunContext
from ftetl.run_report import Drift, Report

if TYPE_CHECKING:
    from ftetl.store.target import Target

_PACKAGE = Path(__file__).parents[1]  # the root of all of our code, whose frames a bug report names

_log = logging.getLogger(__name__)


def export(target: str | os.PathLike[str], *, source: str | os.PathLike[str] = "api", **settings: Any) -> Report:
    """Export all fine-tuning jobs into a target folder; what was done comes back as a `Report`.

    `source` is `api`, `demo`, a saved answer, a folder of them, or `-` for stdin. The other settings are those of the
    command line, with underscores: `formats=("parquet", "csv")`, `events="auto"`, `project="default"`,
    `observed_at=datetime`, and so on. The key comes from `TOGETHER_API_KEY` or `api_key_file`.

    Raises:
        FtetlError: Nothing was committed; `ftetl.errors` tells the kinds. A run that is only partial does not raise.
    """
    settings["environ"] = Environ(settings.get("environ", os.environ))  # for whoever shows the names of this frame
    return run_export(RunContext(settings_of(target, source, settings)))


def settings_of(target: str | os.PathLike[str], source: str | os.PathLike[str], given: dict[str, Any]) -> Settings:
    """The settings that these words mean.

    Raises:
        UsageError: One of them is unknown or out of range.
    """
    moment = given.get("observed_at")
    if isinstance(moment, str):
        try:
            moment = parse_iso(moment)
        except ValueError:
            raise UsageError("P02", "observed_at is no time", next="write it like 2026-07-02T08:10:14Z") from None
    if isinstance(moment, datetime):
        given = {**given, "observed_at": moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)}
    formats = given.get("formats", Settings.formats)
    formats = (formats,) if isinstance(formats, str) else tuple(formats)
    given = {**given, "environ": Environ(given.get("environ", os.environ)), "formats": formats}
    paths = ("api_key_file", "pii_key_file", "metrics_file", "publish")
    given |= {name: Path(given[name]) for name in paths if given.get(name) is not None}
    unknown = sorted(set(given) - set(Settings.__dataclass_fields__))
    if unknown:
        raise UsageError("P03", f"there is no setting {unknown[0]!r}", next="see `ftetl export --help`")
    return Settings(target=Path(target), source=os.fspath(source), **given)


def run_export(context: RunContext) -> Report:
    """Run one export; its record is stored in the target, its metrics in the file of the settings.

    Raises:
        FtetlError: Nothing was committed.
    """
    table_formats.require_known(context.settings.formats)
    file = context.settings.metrics_file
    try:
        with _unexpected_errors():
            report = _export(context)
    except BaseException as error:
        if file is not None:
            try:
                metrics.write_metrics(file, context.failure_report(error))
            except FtetlError as metrics_error:
                _log.warning("%s", metrics_error)
        raise
    if file is not None:
        try:
            metrics.write_metrics(file, report)
        except FtetlError as metrics_error:
            report = replace(report, warnings=(*report.warnings, str(metrics_error)))
    return report


def _export(context: RunContext) -> Report:
    _require_unix()
    from ftetl.extract.sources import open_source
    from ftetl.pipeline.run import run

    def scratch() -> Path:
        assert context.target is not None
        return context.target.scratch_folder()

    settings = context.settings
    context.source = open_source(settings, scratch, context.progress.received)
    with closing(context.source), _held(context) as target, _published(settings, target) as publish:
        report = publish(context.dated(run(settings, context.source, target, context.progress)))
        _record(target, report)
        return report


def rebuild(target: str | os.PathLike[str], **settings: Any) -> Report:
    """Rebuild all tables of a target from its archive, offline.

    Raises:
        FtetlError: Nothing was committed.
    """
    return run_rebuild(RunContext(rebuild_settings(target, settings)))


def rebuild_settings(target: str | os.PathLike[str], options: dict[str, Any]) -> Settings:
    """The settings of a rebuild.

    Raises:
        UsageError: One of the options is unknown or out of range.
    """
    if options.get("pii_key_file") is not None:  # it has no other use
        options = {**options, "pii": "hash"}
    return settings_of(target, ARCHIVE, options)


def run_rebuild(context: RunContext) -> Report:
    """Run one rebuild; its record is stored in the target.

    Raises:
        FtetlError: Nothing was committed.
    """
    settings = context.settings
    with _unexpected_errors():
        _require_unix()
        run_log.require_target(settings.target)
        from ftetl.extract.archive import Archive
        from ftetl.pipeline.rebuild import rebuild as rebuild_tables

        with _held(context) as target, _published(settings, target) as publish:
            last, commit = rebuild_tables(target, settings, context.progress)
            with Archive(target) as archive:
                runs = _count_runs(archive.entries(), commit.manifest.version)
            report = replace(
                context.rebuild_report(commit.manifest, commit.changed),
                rebuilt=runs,
                anomalies=last.anomalies if last else {},
                refunds=last.refunds if last else {},
                drift=last.drift if last else Drift(),
                warnings=(*target.warnings, *commit.warnings),
            )
            report = publish(report)
            _record(target, report)
            return report


def _count_runs(entries: Iterable[dict[str, Any]], version: int | None) -> int:
    """How many runs this version was made from, rebuilds not counted."""
    by_version = {entry["version"]: entry for entry in entries}
    count = 0
    while entry := by_version.pop(version, None):
        count += not entry.get("rebuilt")
        version = entry["base"]
    return count


def _require_unix() -> None:
    if sys.platform == "win32":
        raise ConfigError(
            "P10", "exports run on Linux and macOS only", next="run it there, or in WSL, and read it here"
        )


@contextmanager
def _held(context: RunContext) -> Iterator[Target]:
    """The target of a run, locked; a run that fails in it leaves a record that says so."""
    from ftetl.store.target import Target

    settings = context.settings
    if settings.publish is not None:
        from ftetl.load.publish import require_apart

        require_apart(settings.publish, settings.target)
    with Target(
        settings.target, lock_timeout=settings.lock_timeout, file_mode=settings.file_mode, keep=settings.keep
    ) as target:
        context.hold(target)
        try:
            with _unexpected_errors():
                yield target
        except BaseException as error:
            with suppress(Exception):  # the error on its way is the one to report
                run_log.write_record(target, context.failure_report(error))
            raise


@contextmanager
def _published(settings: Settings, target: Target) -> Iterator[Callable[[Report], Report]]:
    """What puts the newest snapshot where `--publish` wants it, and says so in the report; ready before the work is."""
    if settings.publish is None:
        yield lambda report: report
        return
    from ftetl.load.publish import PublishFolder

    names = {f"{table}.{form}" for table in tables() for form in table_formats.with_reference(settings.formats)}
    if settings.source == ARCHIVE and target.base is not None:
        names = {file.name for file in target.base.files}
    with ExitStack() as stack:
        publish_folder = PublishFolder(target, settings.publish, names, stack)

        def publish(report: Report) -> Report:
            assert target.base is not None
            published, warnings = publish_folder.publish(target.base)
            # The data is committed, but whoever reads there would not know: that is worth more than a line.
            exit_code = report.exit_code if published.version else EXITS["PARTIAL"].code
            return replace(report, published=published, warnings=(*report.warnings, *warnings), exit_code=exit_code)

        yield publish


def _record(target: Target, report: Report) -> None:
    """Keep the run's report; the data is committed, so a failure here is no error any more."""
    with suppress(FtetlError):
        run_log.write_record(target, report)


@contextmanager
def _unexpected_errors() -> Iterator[None]:
    """What nobody expected becomes a fault of ours, if not of the disk."""
    try:
        yield
    except FtetlError:
        raise
    except Exception as error:  # noqa: BLE001 - it is raised again, without its words
        raise _fault(error) from _wordless(error)


def _wordless(error: Exception) -> Exception:
    """The same error at the same place, without its text, which may hold data: whoever logs an error logs its cause."""
    kind = type(error)
    same = kind.__new__(kind)
    same.args = ()
    return same.with_traceback(error.__traceback__)


def _fault(error: Exception) -> FtetlError:
    # The text of an unknown error may hold data, so only its kind and its place in our own code are told.
    places = [p for p in extract_tb(error.__traceback__) if Path(p.filename).is_relative_to(_PACKAGE)]
    where = f"{Path(places[-1].filename).relative_to(_PACKAGE).as_posix()}:{places[-1].lineno}"
    if isinstance(error, OSError) and (known := unforeseen(error, where)):
        return known
    code = "S26" if isinstance(error, MemoryError) else "B01"
    return SoftwareError(code, f"{type(error).__name__} in {where}", next="please report this as a bug of ftetl")
