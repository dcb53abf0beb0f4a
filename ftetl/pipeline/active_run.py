"""One run from its settings to its report: what it has opened so far, and the report it ends with if it fails."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from ftetl.clock import iso, now
from ftetl.config.settings import Settings
from ftetl.errors import EXITS, PREFIX, Exit, FtetlError
from ftetl.extract.source import Source, SourceStats
from ftetl.pipeline import key_defaults
from ftetl.pipeline.progress import Progress
from ftetl.run_report import Drift, Report
from ftetl.store.manifest import Manifest, list_versions, newest_manifest

if TYPE_CHECKING:
    from ftetl.store.target import Target

ARCHIVE = "archive"  # the source of a rebuild


@dataclass
class ActiveRun:
    """A run in progress; `source` and `target` are set once they are open, `first_version` with the target."""

    settings: Settings
    progress: Progress = field(default_factory=Progress)
    started_at: datetime = field(default_factory=now)
    source: Source | None = None
    target: Target | None = None
    first_version: int = 0  # the number that this run's commit gets
    base: Manifest | None = None  # the newest version when the target was opened
    is_copy: bool = False  # whether the target is a local copy of one in an object store, where the commit is made
    elsewhere: frozenset[str] = frozenset()  # files of the newest version that such a copy does not have
    attempt: ActiveRun | None = None  # the same run on such a copy
    store_commit: Callable[[], int | None] = lambda: None  # asks an object store which version this run has committed
    _clock: float = field(default_factory=time.monotonic)

    def set_target(self, target: Target) -> None:
        """Set the target, which this run alone may write to from now on."""
        self.target, self.first_version, self.base = target, target.version, target.base

    def committed_version(self) -> int | None:
        """The version that this run has committed, read from the disk: a signal may arrive at any moment."""
        if self.settings.address is not None:
            with contextlib.suppress(FtetlError):
                return self.store_commit()
        elif self.target is not None:
            with contextlib.suppress(FtetlError):
                newest = max(list_versions(self.target.path), default=0)
                return newest if newest >= self.first_version else None
        return None

    def with_start_time(self, report: Report) -> Report:
        """The report with the time at which this run started."""
        return replace(report, started_at=iso(self.started_at))

    def rebuild_report(self, manifest: Manifest, changed: bool) -> Report:
        """The report of a rebuild whose newest version is `manifest`; `changed` if the rebuild committed it."""
        return self.with_start_time(
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

    def failure_report(self, error: BaseException) -> Report:
        """The report of a run that ended with this error: an `FtetlError`, or a signal."""
        if self.attempt is not None:
            return self._with_store(self.attempt.failure_report(error), error)
        base = self.base if self.is_copy else self.target.base if self.target else None
        is_rebuild = base is not None and self.settings.source == ARCHIVE  # its project is the target's
        committed = base is not None and self.target is not None and base.run_id == self.target.run_id
        end = getattr(error, "exit", EXITS["SIGINT"])
        code: str | None = f"{PREFIX}S06"
        message = "stopped"
        drift: dict[str, dict[str, int]] = {}
        if isinstance(error, FtetlError):
            code, message, drift = error.code, str(error), error.drift
        if committed and not isinstance(error, Exception):
            end, code, message = self.end_after_commit()[0], None, "stopped after the commit"
        stats = self.source.stats if self.source else SourceStats()
        return Report(
            target=self.settings.shown_target,
            source=self.settings.source,
            project=base.facts["identity"]["project"] if base and is_rebuild else self._label(),
            run_id=self.target.run_id if self.target else "",
            version=base.version if base else 0,
            changed=committed,
            rows=dict(base.facts["rows"]) if base and committed else {},
            drift=Drift(unreadable=drift.get("unreadable", {}), missing=drift.get("missing", {})),
            requests=stats.requests,
            bytes_read=stats.bytes_read,
            seconds=self._seconds(),
            warnings=tuple(self.target.warnings) if self.target else (),
            exit_code=end.code,
            started_at=iso(self.started_at),
            message=message,
            code=code,
        )

    def _with_store(self, report: Report, error: BaseException) -> Report:
        """The report of a failed attempt on a copy, as one of the run in the store."""
        report = replace(report, target=self.settings.shown_target)
        version = None if isinstance(error, Exception) else self.committed_version()
        if version is None:
            return report
        message, end = "stopped after the commit", self.end_after_commit()[0].code
        return replace(report, version=version, changed=True, exit_code=end, message=message, code=None)

    def end_after_commit(self) -> tuple[Exit, str]:
        """How a run ends that a signal stops after its commit, and what can be said of it."""
        if self.settings.load is None and self.settings.publish is None:
            return EXITS["OK"], "is complete"
        # Its readers may have the rows of before: that is worth an exit code, as if the load had failed.
        return EXITS["PARTIAL"], "is complete (perhaps not published or loaded: the next run makes up for it)"

    def _label(self) -> str:
        """The project's label, also of a run that failed before it had opened the target."""
        base = self.target.base if self.target else None
        if self.settings.project is None and base is None and self.settings.address is None:
            with contextlib.suppress(FtetlError):
                base = newest_manifest(self.settings.target)
        return key_defaults.label_of(self.settings, base.facts if base else None)

    def _seconds(self) -> float:
        return round(time.monotonic() - self._clock, 3)
