"""What each run left to be told: `_ftetl/runs/<run_id>.json`, written while the target is held, read by anybody.

A record is a `Report`, of a run that failed too; then its `code` and its `message` say why. Knows neither what a
run does nor who shows it.
"""

from __future__ import annotations

import contextlib
import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ftetl.clock import iso, now, parse_iso
from ftetl.config.settings import Settings
from ftetl.errors import EXITS, PREFIX, FtetlError, TargetError
from ftetl.errors.os_errors import explained
from ftetl.extract.source import Source, SourceStats
from ftetl.run_report import Report
from ftetl.store.manifest import CONTROL, RUN_ID, Manifest

if TYPE_CHECKING:
    from ftetl.store.target import Target

ARCHIVE = "archive"  # the source of a rebuild
KEPT = 1_000
_FOLDER = "runs"
_FORMAT = "format"
_CODES = frozenset(e.code for e in EXITS.values())


@dataclass
class Begun:
    """A run while it lasts: when it began, and what it has opened so far."""

    settings: Settings
    at: datetime = field(default_factory=now)
    source: Source | None = None
    target: Target | None = None
    _clock: float = field(default_factory=time.monotonic)

    def succeeded(self, report: Report) -> Report:
        """The report of the run, dated."""
        return replace(report, started_at=iso(self.at))

    def rebuilt(self, manifest: Manifest, changed: bool) -> Report:
        """The report of a run that made no new rows, but made those that are there again."""
        return self.succeeded(
            Report(
                target=str(self.settings.target),
                source=self.settings.source,
                project=manifest.facts["identity"]["project"],
                run_id=self.target.run_id if self.target else manifest.run_id,
                version=manifest.version,
                changed=changed,
                rows=dict(manifest.facts["rows"]),
                files={f.name: f.bytes for f in manifest.files},
                seconds=self._seconds(),
            )
        )

    def _seconds(self) -> float:
        return round(time.monotonic() - self._clock, 3)

    def failed(self, error: BaseException) -> Report:
        """What there is to say of a run that ended with this error: an `FtetlError`, or a signal to stop."""
        base = self.target.base if self.target else None
        again = base is not None and self.settings.source == ARCHIVE  # whose project is the target's
        committed = base is not None and self.target is not None and base.run_id == self.target.run_id
        end = getattr(error, "exit", EXITS["SIGINT"])
        code: str | None = f"{PREFIX}S06"
        message = "stopped"
        if isinstance(error, FtetlError):
            code, message = error.code, str(error)
        if committed and not isinstance(error, Exception):
            end, code, message = EXITS["OK"], None, "stopped after the commit"
        stats = self.source.stats if self.source else SourceStats()
        return Report(
            target=str(self.settings.target),
            source=self.settings.source,
            project=base.facts["identity"]["project"] if base and again else self.settings.project,
            run_id=self.target.run_id if self.target else "",
            version=base.version if base else 0,
            changed=committed,
            rows=dict(base.facts["rows"]) if base and committed else {},
            requests=stats.requests,
            bytes_read=stats.bytes_read,
            seconds=self._seconds(),
            warnings=tuple(self.target.warnings) if self.target else (),
            exit_code=end.code,
            started_at=iso(self.at),
            message=message,
            code=code,
        )


def write(target: Target, report: Report) -> None:
    """Keep what a run has to tell, and of what the runs before told the newest.

    Raises:
        FtetlError: It cannot be written.
    """
    target.write_run_record(target.run_id, report.as_dict())
    with ExitStack() as stack:
        folder = target.open_part(_FOLDER, stack)
        names = [name for name in target.fs.list_names(folder) if _run_id(name)]
        if len(names) <= KEPT:
            return
        ages = {name: status.st_mtime_ns for name in names if (status := target.fs.lstat(folder, name))}
        for name in sorted(ages, key=lambda name: (ages[name], name))[:-KEPT]:
            target.fs.unlink(folder, name)


def read(path: Path, damaged: list[str]) -> list[Report]:
    """What the runs of a target told, the oldest first; `damaged` gets a line for each record that cannot be read.

    Raises:
        TargetError: This is no target, or it may not be read.
        StorageError: The disk fails.
    """
    require_target(path)
    folder = path / CONTROL / _FOLDER
    names: list[str] = []
    try:
        with contextlib.suppress(FileNotFoundError):
            names = [path.name for path in folder.iterdir()]
    except OSError as error:
        raise explained(error, "read", folder) from None
    found = []
    for name in sorted(filter(_run_id, names)):
        record = _read(folder / name)
        if record is None:
            damaged.append(f"{CONTROL}/{_FOLDER}/{name} is no record of a run")
        else:
            found.append(record)
    return sorted(found, key=lambda report: parse_iso(report.started_at))


def require_target(path: Path) -> None:
    """Refuse a folder that no run has made a target.

    Raises:
        TargetError: It is none, or it may not be read.
    """
    try:
        (path / CONTROL / _FORMAT).lstat()
    except (FileNotFoundError, NotADirectoryError):
        raise TargetError("T02", f"{path} is not a target of ftetl", next="run `ftetl export`") from None
    except OSError as error:
        raise explained(error, "read", path) from None


def _run_id(name: str) -> str | None:
    stem, dot, suffix = name.partition(".")
    return stem if dot and suffix == "json" and RUN_ID.fullmatch(stem) else None


def _read(path: Path) -> Report | None:
    try:
        report = msgspec.convert(json.loads(path.read_bytes()), Report)
        parse_iso(report.started_at)
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return None
    return report if report.exit_code in _CODES and report.run_id == _run_id(path.name) else None
