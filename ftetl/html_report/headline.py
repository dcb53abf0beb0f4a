"""The numbers of the page, as plain values: all from the analyses, nothing summed up in another way.

Knows the analyses and no HTML.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ftetl import analysis, formatting
from ftetl.snapshot.snapshot import Tables

MOST: Final = 12  # groups that are shown one by one
_ZERO: Final = Decimal(0)
_NANO: Final = Decimal("1e-9")


@dataclass(frozen=True)
class Group:
    """What the charged jobs of one model, user, month and so on came to; `label` is None where they have none."""

    label: Any
    jobs: int = 0
    tokens: int = 0
    charged: Decimal = _ZERO
    refunded: Decimal = _ZERO
    net: Decimal = _ZERO
    rated: Decimal = _ZERO  # charged for jobs that have tokens
    minimum: int = 0  # jobs that were charged a minimum

    @property
    def rate(self) -> Decimal | None:
        """Dollars a million tokens, to nine places; None without tokens."""
        if self.tokens <= 0:
            return None
        with localcontext(prec=60):
            return (self.rated * 1_000_000 / self.tokens).quantize(_NANO, ROUND_HALF_UP)


def together(label: Any, groups: Iterable[Group]) -> Group:
    """Several groups as one."""
    names = ("jobs", "tokens", "charged", "refunded", "net", "rated", "minimum")
    found = list(groups)
    return Group(label, *(sum((getattr(g, name) for g in found), type(getattr(Group, name))(0)) for name in names))


def top(groups: list[Group]) -> list[Group]:
    """The first groups, and all others as one, so that the sums stay the same."""
    if len(groups) <= MOST + 1:
        return groups
    rest = groups[MOST:]
    return [*groups[:MOST], together(f"{len(rest):,} others", rest)]


def groups(snapshot: Tables, by: str | tuple[str, ...]) -> list[Group]:
    """What was charged, by a word or several words of `analysis.spend`, in its order."""
    names = [by] if isinstance(by, str) else list(by)
    rated = {_key(row, names): row for row in plain(analysis.effective_prices(snapshot, names))}
    found = []
    for row in plain(analysis.spend(snapshot, names)):
        key = _key(row, names)
        rate = rated.get(key, {"charged_usd": _ZERO, "minimum_charges": 0})
        money = (row["charged_usd"], row["refunded_usd"], row["net_usd"], rate["charged_usd"])
        label = key[0] if isinstance(by, str) else key
        tokens = row["token_count"] or 0  # none where 64 bits do not hold them: more than there are to bill
        found.append(Group(label, row["jobs"], tokens, *money, rate["minimum_charges"]))
    return found


def plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as plain values; what is missing is None."""
    rows: list[dict[str, Any]] = pa.Table.from_pandas(frame, preserve_index=False).to_pylist()
    return rows


def _key(row: dict[str, Any], names: list[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


@dataclass(frozen=True)
class Headline:
    """The figures that stand first."""

    jobs: int
    charged_jobs: int
    unpriced_jobs: int  # their price is 0 or not known
    refund_unknown_jobs: int  # charged ones
    untimed_jobs: int
    gone_jobs: int  # no longer listed
    eventless_jobs: int
    completed: int
    failed: int
    cancelled: int
    unfinished: int
    success_rate: float | None
    charged_usd: Decimal
    refunded_usd: Decimal
    net_usd: Decimal
    lost_usd: Decimal  # net, for jobs that failed or were cancelled
    tokens: int  # of charged jobs
    usd_per_million_tokens: Decimal | None
    median_seconds: float | None
    restarts: int
    first: int | None  # seconds since 1970 of the first creation
    last: int | None
    observed: int | None

    def document(self) -> dict[str, Any]:
        """The figures as JSON: money as text with all its digits, times as ISO 8601."""
        return {name: _told(name, value) for name, value in asdict(self).items()}


def headline(snapshot: Tables) -> Headline:
    """The figures of all jobs."""
    jobs = snapshot.arrow("jobs", [*_READ])
    all_of = together(None, groups(snapshot, "project"))
    ends = plain(analysis.success(snapshot, "project"))
    counts = {name: sum(row[name] for row in ends) for name in ("completed", "error", "user_error", "cancelled")}
    failed = counts["error"] + counts["user_error"]
    over = counts["completed"] + failed
    charges = analysis.charges(snapshot)
    times = analysis.job_times(snapshot)
    median = times.total_seconds.dropna().astype("float64").median()
    moments = pc.coalesce(jobs.column("created_at"), jobs.column("updated_at"))
    return Headline(
        jobs=jobs.num_rows,
        charged_jobs=all_of.jobs,
        unpriced_jobs=jobs.num_rows - all_of.jobs,
        refund_unknown_jobs=int((~charges.refund_known).sum()),
        untimed_jobs=moments.null_count,
        gone_jobs=_count(pc.invert(jobs.column("present"))),
        eventless_jobs=_count(pc.equal(jobs.column("events_state"), "unknown")),
        completed=counts["completed"],
        failed=failed,
        cancelled=counts["cancelled"],
        unfinished=sum(row["unfinished"] for row in ends),
        success_rate=counts["completed"] / over if over else None,
        charged_usd=all_of.charged,
        refunded_usd=all_of.refunded,
        net_usd=all_of.net,
        lost_usd=sum((row["net_usd"] for row in plain(analysis.waste(snapshot))), _ZERO),
        tokens=all_of.tokens,
        usd_per_million_tokens=all_of.rate,
        median_seconds=None if pd.isna(median) else float(median),
        restarts=int(times.restarts.sum()),
        first=_second(pc.min(moments)),
        last=_second(pc.max(moments)),
        observed=_second(pc.max(jobs.column("last_changed_at"))),
    )


_READ: Final = ("created_at", "updated_at", "present", "events_state", "last_changed_at")


def _count(flags: pa.ChunkedArray) -> int:
    return pc.sum(flags).as_py() or 0


def _told(name: str, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, Decimal):
        return formatting.exact_number(value)
    return formatting.iso_timestamp(value) if name in ("first", "last", "observed") else value


def _second(moment: pa.Scalar) -> int | None:
    return int(moment.cast(pa.int64()).as_py() // 1_000_000) if moment.is_valid else None
