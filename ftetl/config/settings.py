"""The settings of one run, with their defaults: what the library takes and the command line fills in.

Numbers that bound a run are in `limits`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from ftetl.clock import parse_iso
from ftetl.config import limits
from ftetl.config.local_path import require_local_path
from ftetl.config.object_address import ObjectAddress, parse_address
from ftetl.errors import UsageError
from ftetl.formatting import did_you_mean

EVENTS = ("auto", "list", "none")
FILES = ("auto", "none")
BILLING = ("none", "auto")
METRICS = ("none", "auto")
QUARANTINE = ("keep", "ok", "fail")
PII = ("keep", "hash", "drop")
PROJECT = "default"
SOURCE = "api"
DEMO_TARGET = "ftetl-demo"
PAGE = "ftetl-report.html"
KEEP = 10
FILE_MODE = 0o600
LOCK_TIMEOUT = 0.0
LABEL = 128  # characters of a project's label


class Environ(Mapping[str, str]):
    """The environment without a way to print it: the key is in it, and every frame that holds it may be shown."""

    __slots__ = ("__values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self.__values = values

    def __getitem__(self, name: str) -> str:
        return self.__values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__values)

    def __len__(self) -> int:
        return len(self.__values)


@dataclass(frozen=True)
class Settings:
    """Everything that decides a run.

    Raises:
        UsageError: A word that no setting has, or a number out of range.
        ConfigError: A path is an address such as `s3://bucket/x`; only the target may be one.
    """

    target: Path
    source: str = SOURCE
    formats: tuple[str, ...] = ()  # if empty, those of the target's newest version, else Parquet alone
    events: str = "auto"
    files: str = "auto"
    billing: str = "none"  # not auto: the bill is that of the whole organisation
    metrics: str = "none"
    project: str | None = None  # if None, the target's or the key's, else `default`
    billing_account: str | None = None
    billing_account_name: str | None = None
    api_key_file: Path | None = None
    base_url: str | None = None
    concurrency: int = limits.CONCURRENCY
    deadline: float = limits.DEADLINE
    max_bytes: int = limits.MAX_BYTES
    quarantine: str = "keep"
    pii: str = "keep"
    pii_key_file: Path | None = None
    whole: bool = False
    skip_broken: bool = False
    allow_shrink: bool = False
    allow_account_change: bool = False
    allow_drift: bool = False
    observed_at: datetime | None = None
    csv_raw: bool = False
    file_mode: int = FILE_MODE
    keep: int = KEEP
    lock_timeout: float = LOCK_TIMEOUT
    metrics_file: Path | None = None
    publish: Path | None = None
    load: str | None = field(default=None, repr=False)  # an address, which may hold a password
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_options(
        cls, target: str | os.PathLike[str], source: str | os.PathLike[str], options: Mapping[str, Any]
    ) -> Self:
        """The settings with these options, which may be texts where a path, a time or several formats are meant.

        Raises:
            UsageError: An option is unknown or out of range.
        """
        unknown = sorted(set(options) - set(cls.__dataclass_fields__))
        if unknown:
            advice = did_you_mean(unknown[0], cls.__dataclass_fields__, "see `ftetl export --help`")
            raise UsageError("P03", f"there is no setting {unknown[0]!r}", next=advice)
        parse_address(target)  # before two slashes become one
        formats = options.get("formats") or ()
        settings = {
            **options,
            "environ": Environ(options.get("environ", os.environ)),
            "formats": (formats,) if isinstance(formats, str) else tuple(formats),
            "observed_at": _utc_time(options.get("observed_at")),
        }
        for name in ("api_key_file", "pii_key_file", "metrics_file", "publish"):
            if options.get(name) is not None:
                settings[name] = Path(options[name])
        return cls(target=Path(target), source=os.fspath(source), **settings)

    @property
    def label(self) -> str:
        """The project's label."""
        return self.project or PROJECT

    @property
    def address(self) -> ObjectAddress | None:
        """Where the target is, if it is in an object store."""
        return parse_address(self.target)

    @property
    def shown_target(self) -> str:
        """The target, for messages."""
        return str(self.address or self.target)

    def __post_init__(self) -> None:
        object.__setattr__(self, "environ", Environ(self.environ))
        files = (self.api_key_file, self.pii_key_file, self.metrics_file, self.publish)
        for path in ("" if self.address else self.target, self.source, *files):
            require_local_path(path or "")
        _require(
            not (self.address and self.publish), "a target in an object store is not published", "leave out --publish"
        )
        for name, value, known in (
            ("events", self.events, EVENTS),
            ("files", self.files, FILES),
            ("billing", self.billing, BILLING),
            ("metrics", self.metrics, METRICS),
            ("quarantine", self.quarantine, QUARANTINE),
            ("pii", self.pii, PII),
        ):
            _require(value in known, f"{name} {value!r} is not known", f"choose one of: {', '.join(known)}")
        needless = self.pii_key_file is not None and self.pii != "hash"
        _require(not needless, "a key for pseudonyms is given, but none are made", "give it with --pii hash only")
        for name, label in (
            ("project's label", self.project),
            ("billing account", self.billing_account),
            ("billing account's name", self.billing_account_name),
        ):
            fits = label is None or is_label(label)
            _require(fits, f"the {name} is empty, too long or not printable", f"use up to {LABEL} plain characters")
        for name, number in (("concurrency", self.concurrency), ("max-bytes", self.max_bytes)):
            _require(number >= 1, f"{name} is less than 1", "give a positive number")
        _require(
            self.keep >= limits.MIN_KEPT, f"keep is less than {limits.MIN_KEPT}", f"give {limits.MIN_KEPT} or more"
        )
        _require(self.deadline > 0, "the deadline is not positive", "give seconds")
        _require(self.lock_timeout >= 0, "the lock-timeout is negative", "give seconds, or 0 not to wait")
        moment = self.observed_at
        _require(
            moment is None or moment.tzinfo is not None, "observed_at has no time zone", "give it one, such as UTC"
        )


def is_label(text: str) -> bool:
    """Whether a text can be a project's label, a billing account, or its name."""
    return text.strip() == text != "" and text.isprintable() and len(text) <= LABEL


def _utc_time(value: str | datetime | None) -> datetime | None:
    if isinstance(value, str):
        try:
            return parse_iso(value)
        except ValueError:
            raise UsageError("P02", "observed_at is not a time", next="write it like 2026-07-02T08:10:14Z") from None
    return value if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


def _require(holds: bool, what: str, advice: str) -> None:
    if not holds:
        raise UsageError("P02", what, next=advice)
