"""The report of a run: returned by the library, printed by the command line, stored in the run log.

It holds counts, names and codes, no values of jobs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ftetl.errors import EXITS, Exit
from ftetl.formatting import html_table
from ftetl.load_result import LoadResult


@dataclass(frozen=True)
class Drift:
    """Where the API and the contracts differ: keys that no column reads, columns without a value or with another form.

    A path is that of the API's keys, such as `total_price` or `events.created_at`.
    """

    unknown: dict[str, int] = field(default_factory=dict)  # by path: in how many jobs
    unseen: tuple[str, ...] = ()  # paths that no job of this run had a value for
    unreadable: dict[str, int] = field(default_factory=dict)  # by path: in how many jobs its value became unreadable
    missing: dict[str, int] = field(default_factory=dict)  # by path: how many jobs had a value before and have none now


@dataclass(frozen=True)
class Published:
    """The result of `--publish`: which version the folder has, and which files were replaced for it."""

    folder: str
    version: int = 0  # 0: the folder does not have the version of this run; a warning says why
    replaced: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
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
    received: int = 0  # elements in the responses
    quarantined: int = 0
    anomalies: dict[str, int] = field(default_factory=dict)
    refunds: dict[str, int] = field(default_factory=dict)  # failed jobs whose refund suggests `gross` or `net` prices
    details: dict[str, int] = field(default_factory=dict)  # by outcome
    endpoints: dict[str, dict[str, int]] = field(default_factory=dict)  # by table of another endpoint, by outcome
    drift: Drift = field(default_factory=Drift)
    masked: dict[str, int] = field(default_factory=dict)  # secrets in the responses, by key or form
    requests: int = 0
    bytes_read: int = 0
    files: dict[str, int] = field(default_factory=dict)  # by name: bytes
    seconds: float = 0.0
    skipped: tuple[str, ...] = ()  # what is wrong with each response that `--skip-broken` left out
    warnings: tuple[str, ...] = ()
    exit_code: int = 0
    started_at: str = ""  # like 2026-07-02T08:10:14.250000Z
    published: Published | None = None  # with `--publish` only
    loaded: LoadResult | None = None  # with `--load` only; of version 0 if that failed, and a warning says why
    rebuilt: int = 0  # runs that were repeated from the archive
    message: str = ""  # in the record of a run that failed: why
    code: str | None = None  # and which failure that is, like `FTETL-H01`

    @property
    def exit(self) -> Exit:
        """The exit of the command line; OK or PARTIAL for a run that did not raise."""
        return next(e for e in EXITS.values() if e.code == self.exit_code)

    @property
    def partial(self) -> bool:
        """Whether there is new quarantine, a response was left out, or a detail, the publishing or the load failed."""
        return self.exit_code == EXITS["PARTIAL"].code

    def __repr__(self) -> str:
        return f"<ftetl.Report {self._summary()}>"

    def _repr_html_(self) -> str:
        return html_table(f"ftetl.Report {self._summary()}", ("table", "rows"), self.rows.items(), self.warnings)

    def _summary(self) -> str:
        text = f"{self.exit.name} ({self.exit_code}): {self.target}, version {self.version}"
        if self.message:
            return f"{text}: {self.message}"
        if not self.changed:
            return f"{text}: nothing changed"
        return f"{text}: {self.new:,} new, {self.changed_jobs:,} changed, {self.vanished:,} gone"

    def as_dict(self) -> dict[str, Any]:
        """The report as one JSON document."""
        return {
            **asdict(self),
            "exit": self.exit.name,
            "committed": self.exit.committed,
            "retryable": self.exit.retryable,
        }
