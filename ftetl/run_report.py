"""What a run did, as data: what the library returns, what the command line prints, what a run's record keeps.

Counts, names and codes only; no values of jobs. Imports no room that works.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ftetl.errors import EXITS, Exit


@dataclass(frozen=True)
class Drift:
    """Where the API and the contracts disagree: keys that no column reads, and columns that found no value."""

    unknown: dict[str, int] = field(default_factory=dict)  # by path: in how many jobs
    unseen: tuple[str, ...] = ()  # paths that no job of this run had a value for


@dataclass(frozen=True)
class Published:
    """What was done for `--publish`: which version stands in the folder, and which files had to be put there for it."""

    folder: str
    version: int = 0  # 0: not this run's; a warning says why
    replaced: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What `ftetl.export` did.

    `rows` counts the rows of each table of the snapshot that is now the newest; `new`, `changed` and `vanished` count
    jobs; `quarantined` counts new rows of the quarantine; `anomalies` counts rows of the anomalies by kind.
    """

    target: str
    source: str
    project: str
    run_id: str
    version: int
    changed: bool  # whether there is a new version
    rows: dict[str, int]
    new: int = 0
    changed_jobs: int = 0
    vanished: int = 0
    received: int = 0  # elements in the answers
    quarantined: int = 0
    anomalies: dict[str, int] = field(default_factory=dict)
    refunds: dict[str, int] = field(default_factory=dict)  # refunded failed jobs that speak for gross or net prices
    details: dict[str, int] = field(default_factory=dict)  # by outcome
    drift: Drift = field(default_factory=Drift)
    requests: int = 0
    bytes_read: int = 0
    files: dict[str, int] = field(default_factory=dict)  # by name: bytes
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    exit_code: int = 0
    started_at: str = ""  # like 2026-07-02T08:10:14.250000Z
    published: Published | None = None  # with `--publish` only
    rebuilt: int = 0  # runs that were repeated from the archive
    message: str = ""  # in the record of a run that failed: why
    code: str | None = None  # and which failure that is, like `FTETL-H01`

    @property
    def exit(self) -> Exit:
        """The exit that the command line takes; OK or PARTIAL of a run that did not raise."""
        return next(e for e in EXITS.values() if e.code == self.exit_code)

    @property
    def partial(self) -> bool:
        """Whether something new was put aside, or a detail could not be had."""
        return self.exit_code == EXITS["PARTIAL"].code

    def as_dict(self) -> dict[str, Any]:
        """The report as one JSON document."""
        return {
            **asdict(self),
            "exit": self.exit.name,
            "committed": self.exit.committed,
            "retryable": self.exit.retryable,
        }
