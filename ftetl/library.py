"""What `import ftetl` offers to work with: one call that exports.

Knows the corridor and the settings; the command line is built on it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from ftetl.clock import parse_iso
from ftetl.errors import ConfigError, FtetlError, SoftwareError, UsageError
from ftetl.report import Report
from ftetl.settings import Settings

if TYPE_CHECKING:
    from ftetl.filling import Progress


def export(target: str | os.PathLike[str], *, source: str | os.PathLike[str] = "api", **settings: Any) -> Report:
    """Export all fine-tuning jobs into a target folder; what was done comes back as a `Report`.

    `source` is `api`, `demo`, a saved answer, a folder of them, or `-` for stdin. The other settings are those of the
    command line, with underscores: `formats=("parquet", "csv")`, `events="auto"`, `project="default"`,
    `observed_at=datetime`, and so on. The key comes from `TOGETHER_API_KEY` or `api_key_file`.

    Raises:
        FtetlError: Nothing was committed; `ftetl.errors` tells the kinds. A run that is only partial does not raise.
    """
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
            raise UsageError("observed_at is no time", next="write it like 2026-07-02T08:10:14Z") from None
    if isinstance(moment, datetime):
        given = {**given, "observed_at": moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)}
    formats = given.get("formats", ("parquet",))
    formats = (formats,) if isinstance(formats, str) else tuple(formats)
    given = {"environ": os.environ, **given, "formats": formats}
    if given.get("api_key_file") is not None:
        given["api_key_file"] = Path(given["api_key_file"])
    unknown = sorted(set(given) - set(Settings.__dataclass_fields__))
    if unknown:
        raise UsageError(f"there is no setting {unknown[0]!r}", next="see `ftetl export --help`")
    return Settings(target=Path(target), source=os.fspath(source), **given)


def run(settings: Settings, progress: Progress | None = None, received: Callable[[int], None] | None = None) -> Report:
    """One run with these settings.

    Raises:
        FtetlError: Nothing was committed.
    """
    if sys.platform == "win32":
        raise ConfigError("exports run on Linux and macOS only", next="run it there, or in WSL, and read it here")
    from ftetl.origin import open_source
    from ftetl.pipeline import run as corridor
    from ftetl.store import Target

    targets: list[Target] = []
    source = open_source(settings, lambda: targets[0].scratch(), received)
    try:
        with Target(
            settings.target, lock_timeout=settings.lock_timeout, file_mode=settings.file_mode, keep=settings.keep
        ) as target:
            targets.append(target)
            return corridor(settings, source, target, progress)
    except FtetlError:
        raise
    except Exception as error:
        raise _fault(error) from error
    finally:
        source.close()


def rebuild(target: str | os.PathLike[str], **settings: Any) -> tuple[Report | None, bool]:
    """All tables of a target made again from its archive, offline: the last run's report, and if a version is new.

    Raises:
        FtetlError: Nothing was committed.
    """
    from ftetl.rebuild import rebuild as again
    from ftetl.store import Target

    chosen = settings_of(target, "archive", settings)
    with Target(chosen.target, lock_timeout=chosen.lock_timeout, file_mode=chosen.file_mode, keep=chosen.keep) as held:
        report, commit = again(held, chosen)
        return report, commit.changed


def _fault(error: Exception) -> SoftwareError:
    # The text of an unknown error may hold data, so only its kind and its place in our own code are told.
    places = [p for p in extract_tb(error.__traceback__) if Path(p.filename).is_relative_to(Path(__file__).parent)]
    where = f"{Path(places[-1].filename).name}:{places[-1].lineno}"
    return SoftwareError(f"{type(error).__name__} in {where}", next="please report this as a bug of ftetl")
