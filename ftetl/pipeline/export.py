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
from ftetl.pipeline import metrics, run_log
from ftetl.pipeline.run_log import Begun
from ftetl.run_report import Drift, Report

if TYPE_CHECKING:
    from ftetl.pipeline.progress import Progress
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
    return run(settings_of(target, source, settings))


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
    formats = given.get("formats", ("parquet",))
    formats = (formats,) if isinstance(formats, str) else tuple(formats)
    given = {**given, "environ": Environ(given.get("environ", os.environ)), "formats": formats}
    paths = ("api_key_file", "pii_key_file", "metrics_file", "publish")
    given |= {name: Path(given[name]) for name in paths if given.get(name) is not None}
    unknown = sorted(set(given) - set(Settings.__dataclass_fields__))
    if unknown:
        raise UsageError("P03", f"there is no setting {unknown[0]!r}", next="see `ftetl export --help`")
    return Settings(target=Path(target), source=os.fspath(source), **given)


def run(settings: Settings, progress: Progress | None = None, received: Callable[[int], None] | None = None) -> Report:
    """One run with these settings; its record stays in the target, its metrics where they are wanted.

    Raises:
        FtetlError: Nothing was committed.
    """
    begun = run_log.Begun(settings)
    try:
        with _faults():
            report = _run(begun, progress, received)
    except BaseException as error:
        if (file := settings.metrics_file) is not None:
            try:
                metrics.write(file, begun.failed(error))
            except FtetlError as trouble:
                _log.warning("%s", trouble)
        raise
    if (file := settings.metrics_file) is not None:
        try:
            metrics.write(file, report)
        except FtetlError as trouble:
            report = replace(report, warnings=(*report.warnings, str(trouble)))
    return report


def _run(begun: Begun, progress: Progress | None, received: Callable[[int], None] | None) -> Report:
    _require_unix()
    from ftetl.extract.sources import open_source
    from ftetl.pipeline.run import run as corridor

    def scratch() -> Path:
        assert begun.target is not None
        return begun.target.scratch_folder()

    begun.source = open_source(begun.settings, scratch, received)
    with closing(begun.source), _held(begun) as target, _published(begun.settings, target) as published:
        report = published(begun.succeeded(corridor(begun.settings, begun.source, target, progress)))
        _record(target, report)
        return report


def rebuild(
    target: str | os.PathLike[str], *, progress: Progress | None = None, **settings: Any
) -> tuple[Report, bool]:
    """All tables of a target made again from its archive, offline: what was done, and if a version is new.

    Raises:
        FtetlError: Nothing was committed.
    """
    if settings.get("pii_key_file") is not None:  # which is for nothing else
        settings = {**settings, "pii": "hash"}
    begun = run_log.Begun(settings_of(target, run_log.ARCHIVE, settings))
    with _faults():
        _require_unix()
        run_log.require_target(begun.settings.target)
        from ftetl.extract.archive import Archive
        from ftetl.pipeline.rebuild import rebuild as again

        with _held(begun) as held, _published(begun.settings, held) as published:
            last, commit = again(held, begun.settings, progress)
            with Archive(held) as archive:
                runs = _repeated(archive.entries(), commit.manifest.version)
            report = replace(
                begun.rebuilt(commit.manifest, commit.changed),
                rebuilt=runs,
                anomalies=last.anomalies if last else {},
                refunds=last.refunds if last else {},
                drift=last.drift if last else Drift(),
                warnings=(*held.warnings, *commit.warnings),
            )
            report = published(report)
            _record(held, report)
            return report, commit.changed


def _repeated(entries: Iterable[dict[str, Any]], version: int | None) -> int:
    """Of how many runs this version came, other rebuilds not counted."""
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
def _held(begun: Begun) -> Iterator[Target]:
    """The target of a run, held; if the run fails in it, its record says so."""
    from ftetl.store.target import Target

    chosen = begun.settings
    if chosen.publish is not None:
        from ftetl.load.publish import require_apart

        require_apart(chosen.publish, chosen.target)
    with Target(
        chosen.target, lock_timeout=chosen.lock_timeout, file_mode=chosen.file_mode, keep=chosen.keep
    ) as target:
        begun.target = target
        try:
            with _faults():
                yield target
        except BaseException as error:
            with suppress(Exception):  # the error that is on its way is the one to be told
                run_log.write(target, begun.failed(error))
            raise


@contextmanager
def _published(settings: Settings, target: Target) -> Iterator[Callable[[Report], Report]]:
    """What puts the newest snapshot where `--publish` wants it, and says so in the report; ready before the work is."""
    if settings.publish is None:
        yield lambda report: report
        return
    from ftetl.load.publish import PublishFolder

    names = {f"{table}.{form}" for table in tables() for form in ("parquet", *settings.formats)}
    if settings.source == run_log.ARCHIVE and target.base is not None:
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
        run_log.write(target, report)


@contextmanager
def _faults() -> Iterator[None]:
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
