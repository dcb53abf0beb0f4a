"""Exports and rebuilds: target, lock, run log, metrics and publishing around one run."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftetl.config.settings import Settings
from ftetl.contract import tables
from ftetl.errors import EXITS, ConfigError, FtetlError, SoftwareError
from ftetl.errors.os_errors import error_elsewhere
from ftetl.errors.places import place_in_package
from ftetl.load_result import LoadResult
from ftetl.loading import destinations
from ftetl.loading import formats as table_formats
from ftetl.pipeline import key_defaults, run_log
from ftetl.pipeline.active_run import ARCHIVE, ActiveRun
from ftetl.run_report import Report

if TYPE_CHECKING:
    from ftetl.store.manifest import Manifest
    from ftetl.store.target import Target

_log = logging.getLogger(__name__)


def run_export(active: ActiveRun) -> Report:
    """Run one export; its record is stored in the target, its metrics in the file of the settings."""
    table_formats.require_known(active.settings.formats)
    _require_known_destination(active.settings)
    try:
        with _unexpected_errors():
            report = _export(active)
    except BaseException as error:
        for warning in _write_metrics(active.settings, active.failure_report(error)):
            _log.warning("%s", warning)
        raise
    return replace(report, warnings=(*report.warnings, *_write_metrics(active.settings, report)))


def _write_metrics(settings: Settings, report: Report) -> list[str]:
    """Write the metrics file, if one is wanted; why that failed is a warning."""
    if settings.metrics_file is not None:
        from ftetl.pipeline import metrics

        try:
            metrics.write_metrics(settings.metrics_file, report)
        except FtetlError as error:
            return [str(error)]
    return []


def _export(active: ActiveRun) -> Report:
    _require_unix()
    from ftetl.extract.sources import open_source

    def scratch() -> Path:
        assert active.target is not None
        return active.target.scratch_folder()

    if active.settings.address:
        from ftetl.pipeline import store_run

        return store_run.export(active, _export_from_source, _load)
    active.source = open_source(active.settings, scratch, active.progress.received)
    with closing(active.source):
        return _export_from_source(active)


def _export_from_source(active: ActiveRun) -> Report:
    assert active.source is not None
    settings = active.settings
    with _locked_target(active) as target:
        settings = active.settings = _with_formats_of_target(settings, target.base)
        with _publisher(settings, target) as publish:
            owner = key_defaults.visible_owner(settings, active.source.owner)
            facts = target.base.facts if target.base else None
            settings = active.settings = key_defaults.with_defaults(settings, owner, facts)
            report = _load(settings, publish(active.with_start_time(_run(active, settings, target))))
        _write_run_record(target, report)
        return report


def _run(active: ActiveRun, settings: Settings, target: Target) -> Report:
    """The report of a run, which has nothing to do if its inputs are those of the run before."""
    from ftetl.pipeline import same_inputs

    assert active.source is not None
    if report := same_inputs.unchanged_report(target, settings, active.source):
        return report
    from ftetl.extract.sources.files import SavedFiles

    if isinstance(active.source, SavedFiles) and target.base is None and settings.pii == "keep":
        active.source.search_ahead()  # a later run searches only what is new
    from ftetl.pipeline.run import run_source  # slow to import

    return run_source(settings, active.source, target, active.progress)


def _with_formats_of_target(settings: Settings, base: Manifest | None) -> Settings:
    """The settings; where they name no formats, with those of the newest version, and CSV as raw as there."""
    if settings.formats:
        return settings
    stored = base.facts.get(table_formats.FACT, {}) if base else {}
    formats = tuple(name for name in stored if name in table_formats.names())
    return replace(
        settings,
        formats=table_formats.with_reference(formats),
        csv_raw=settings.csv_raw or stored.get("csv") == "raw",
    )


def rebuild(target: str | os.PathLike[str], **settings: Any) -> Report:
    """Rebuild all tables of a target from its archive, offline.

    Raises:
        FtetlError: Nothing was committed, unless its code is O05: then that is unknown.
    """
    return run_rebuild(ActiveRun(rebuild_settings(target, settings)))


def rebuild_settings(target: str | os.PathLike[str], options: dict[str, Any]) -> Settings:
    """The settings of a rebuild with these options."""
    if options.get("pii_key_file") is not None:  # it has no other use
        options = {**options, "pii": "hash"}
    return Settings.from_options(target, ARCHIVE, options)


def run_rebuild(active: ActiveRun) -> Report:
    """Run one rebuild; its record is stored in the target."""
    _require_known_destination(active.settings)
    with _unexpected_errors():
        _require_unix()
        if active.settings.address:
            from ftetl.pipeline import store_run

            return store_run.rebuild(active, _rebuild, _load)
        run_log.require_target(active.settings.target)
        return _rebuild(active)


def _rebuild(active: ActiveRun) -> Report:
    from ftetl.pipeline.rebuild import rebuild_tables

    settings = active.settings
    with _locked_target(active) as target, _publisher(settings, target) as publish:
        reports, commit = rebuild_tables(target, settings, active.progress)
        last = reports[-1]  # a first version was made by a run, not by a rebuild
        report = replace(
            active.rebuild_report(commit.manifest, commit.changed),
            rebuilt=len(reports),
            anomalies=last.anomalies,
            refunds=last.refunds,
            drift=last.drift,
            warnings=(*target.warnings, *commit.warnings),
        )
        report = _load(settings, publish(report))
        _write_run_record(target, report)
        return report


def _require_unix() -> None:
    if sys.platform == "win32":
        raise ConfigError(
            "P10", "exports run on Linux and macOS only", next="run it there, or in WSL, and read it here"
        )


@contextmanager
def _locked_target(active: ActiveRun) -> Iterator[Target]:
    """The target of a run, locked; a run that fails in it leaves a record that says so."""
    from ftetl.store.target import Target

    settings = active.settings
    if settings.publish is not None:
        from ftetl.loading.publish import require_apart

        require_apart(settings.publish, settings.target)
    with Target(
        settings.target,
        lock_timeout=settings.lock_timeout,
        file_mode=settings.file_mode,
        keep=settings.keep,
        elsewhere=active.elsewhere,
    ) as target:
        active.set_target(target)
        try:
            with _unexpected_errors():
                yield target
        except BaseException as error:
            with suppress(Exception):  # the error on its way is the one to report
                run_log.write_record(target, active.failure_report(error))
            raise


@contextmanager
def _publisher(settings: Settings, target: Target) -> Iterator[Callable[[Report], Report]]:
    """A function that publishes the newest snapshot and adds that to the report; the folder is checked at once."""
    if settings.publish is None:
        yield lambda report: report
        return
    from ftetl.loading.publish import PublishFolder

    names = {f"{table}.{form}" for table in tables() for form in table_formats.with_reference(settings.formats)}
    if settings.source == ARCHIVE and target.base is not None:
        names = {file.name for file in target.base.files}
    with ExitStack() as stack:
        publish_folder = PublishFolder(target, settings.publish, names, stack)

        def publish(report: Report) -> Report:
            assert target.base is not None
            published, warnings = publish_folder.publish(target.base)
            # The data is committed, but readers of the folder would not know: that is worth an exit code.
            exit_code = report.exit_code if published.version else EXITS["PARTIAL"].code
            return replace(report, published=published, warnings=(*report.warnings, *warnings), exit_code=exit_code)

        yield publish


def _require_known_destination(settings: Settings) -> None:
    if settings.load is not None:
        destinations.scheme_of(settings.load)


def _load(settings: Settings, report: Report) -> Report:
    """Load the newest version into the destination of the settings, if there is one, and add that to the report."""
    if settings.load is None:
        return report
    from ftetl.loading.load_snapshot import load  # slow to import

    try:
        with _unexpected_errors():
            loaded = load(settings.target, settings.load, environ=settings.environ)
    except FtetlError as error:
        # The data is committed, but readers of the destination would not know: that is worth an exit code.
        shown = destinations.shown(settings.load)
        loaded = LoadResult(shown, report.project, version=0, run_id="", changed=False, tables={})
        warning = f"version {report.version} is committed, but not loaded into {shown}: {error}"
        report = replace(report, warnings=(*report.warnings, warning), exit_code=EXITS["PARTIAL"].code)
    return replace(report, loaded=loaded)


def _write_run_record(target: Target, report: Report) -> None:
    """Write the run's record; the data is committed, so a failure here is ignored."""
    with suppress(FtetlError):
        run_log.write_record(target, report)


@contextmanager
def _unexpected_errors() -> Iterator[None]:
    """An unexpected error becomes a `SoftwareError`, or the error of the disk that it is."""
    try:
        yield
    except FtetlError:
        raise
    except Exception as error:  # noqa: BLE001 - it is raised again, without its text
        raise _internal_error(error) from _without_text(error)


def _without_text(error: Exception) -> Exception:
    """The same error without its text, which may hold data: loggers print the cause of an error too."""
    kind = type(error)
    copy = kind.__new__(kind)
    copy.args = ()
    return copy.with_traceback(error.__traceback__)


def _internal_error(error: Exception) -> FtetlError:
    # The text of an unknown error may hold data, so only its type and its place in this package are reported.
    where = place_in_package(error)
    if isinstance(error, OSError) and (known := error_elsewhere(error, where)):
        return known
    code = "S26" if isinstance(error, MemoryError) else "B01"
    return SoftwareError(code, f"{type(error).__name__} in {where}", next="please report this as a bug of ftetl")
