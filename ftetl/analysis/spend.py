"""What fine-tuning cost: spend, effective prices, and what was paid for jobs that came to nothing.

Amounts are exact decimals in USD. A job is charged its `total_price` where that is above 0, whatever became of the job;
0 is "not priced yet" as well as "free". A refund is known only where the job's detail was read.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ftetl.analysis import frames
from ftetl.snapshot.snapshot import Tables

_READ = ["model", "user_id", "training_type", "training_method", "status", "token_count"]
_LOST = ("cancelled", "error", "user_error")
_PER_MILLION = 1_000_000
_SENSE = 4 * 10**12  # tokens, or nano-dollars a token: below it no product here leaves int64


def charges(snapshot: Tables) -> pd.DataFrame:
    """One row per job that was charged.

    Columns: `project`, `job_id`, `day`, `month`, `model`, `user_id`, `training_type`, `training_method`, `status`,
    `token_count`, the integers `charged_nanousd`, `refunded_nanousd`, `net_nanousd` (charged less refunded), and
    `refund_known`. A refund above the price is none here, as in `focus_costs`; such jobs are anomalies.
    """
    found = frames.jobs(snapshot, [*_READ, "total_price_nanousd", "refund_amount_nanousd"])
    found = found[(found.total_price_nanousd > 0).fillna(False)].reset_index(drop=True)
    price, refund = found.pop("total_price_nanousd"), found.pop("refund_amount_nanousd")
    counts = (refund > 0) & (refund <= price)
    found["token_count"] = found.token_count.fillna(0)
    found["charged_nanousd"] = price
    found["refunded_nanousd"] = refund.where(counts.fillna(False), 0)
    found["net_nanousd"] = found.charged_nanousd - found.refunded_nanousd
    found["refund_known"] = refund.notna().astype("bool[pyarrow]")
    return found


def spend(snapshot: Tables, by: str | Iterable[str] = "month") -> pd.DataFrame:
    """What was spent, by `day`, `month`, `model`, `user_id`, `project`, `training_type`, `training_method`, `status`.

    `by` is one of them, or several. Columns: those, then `jobs` (charged ones), `token_count` (billed), `charged_usd`,
    `refunded_usd`, `net_usd`. Times are UTC and those of the job's creation; a refund counts where its job does.
    In order of time where `by` begins with one, else the greatest spend first.

    Raises:
        UsageError: `by` names something else.
    """
    names = frames.keys(by)
    found = _summed(charges(snapshot), names)
    if names[0] not in frames.TIMES:
        found = found.sort_values("net_usd", ascending=False, kind="stable", ignore_index=True)
    return found


def waste(snapshot: Tables) -> pd.DataFrame:
    """What was charged for jobs that failed or were cancelled, by `status`.

    Columns as of `spend`, and `refund_unknown`: of how many of the jobs no detail was read, so that a refund may be
    missing here. `net_usd` is what was paid for nothing.
    """
    found = charges(snapshot)
    found = found[found.status.isin(_LOST)]
    unknown = (~found.refund_known).groupby(found.status).sum()
    found = _summed(found, ["status"])
    found["refund_unknown"] = found.status.map(unknown).astype("int64[pyarrow]")
    return found


def prices(snapshot: Tables) -> pd.DataFrame:
    """What each charged job came to per million tokens.

    Columns: `project`, `job_id`, `model`, `training_type`, `training_method`, `token_count`, `charged_usd`,
    `usd_per_million_tokens` (to 9 places; NULL without tokens), `priced_by` (`tokens` where the price is a whole number
    of nano-dollars a token, as published prices are, else `job`), and `minimum_charge`: whether jobs of other token
    counts were charged the very same amount by the job, as a minimum does. No amount is built in, so a minimum that
    only one job met is not seen.
    """
    found = charges(snapshot)
    price, tokens = (pa.array(found[name], pa.int64()) for name in ("charged_nanousd", "token_count"))
    some = pc.greater(tokens, 0)
    divisor = pc.if_else(some, tokens, 1)
    whole = pc.equal(pc.multiply(pc.divide(price, divisor), divisor), price)
    by_tokens = pc.and_(some, whole)
    result = found[["project", "job_id", "model", "training_type", "training_method", "token_count"]].copy()
    result["charged_usd"] = frames.usd(found.charged_nanousd)
    result["usd_per_million_tokens"] = _rate(found.charged_nanousd, found.token_count)
    result["priced_by"] = frames.column(pc.if_else(by_tokens, "tokens", "job"))
    by_job = found[~frames.column(by_tokens)]
    counts = by_job.groupby("charged_nanousd").token_count.nunique()
    minima = counts.index[counts > 1]
    result["minimum_charge"] = ~frames.column(by_tokens) & found.charged_nanousd.isin(minima)
    return result


def effective_prices(snapshot: Tables, by: str | Iterable[str] = "model") -> pd.DataFrame:
    """What a million tokens came to, by the same words as `spend`.

    Columns: those, then `jobs`, `token_count`, `charged_usd`, `usd_per_million_tokens` (all charges through all tokens,
    of the jobs that have tokens), `minimum_charges` (how many of the jobs paid one).

    Raises:
        UsageError: `by` names something else.
    """
    names = frames.keys(by)
    found = charges(snapshot)
    found["minimum_charges"] = prices(snapshot).minimum_charge.astype("int64[pyarrow]")
    found = _wide(found[found.token_count > 0])
    sums = frames.grouped(found, names).agg(
        jobs=("job_id", "size"),
        token_count=("token_count", "sum"),
        charged_nanousd=("charged_nanousd", "sum"),
        minimum_charges=("minimum_charges", "sum"),
    )
    sums = sums.reset_index()
    charged, sums["token_count"] = sums.pop("charged_nanousd"), frames.narrow(sums.token_count)
    sums.insert(len(names) + 2, "charged_usd", frames.usd(charged))
    sums.insert(len(names) + 3, "usd_per_million_tokens", _rate(frames.narrow(charged), sums.token_count))
    return sums


def _summed(found: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    sums = frames.grouped(_wide(found), names).agg(
        jobs=("job_id", "size"),
        token_count=("token_count", "sum"),
        charged=("charged_nanousd", "sum"),
        refunded=("refunded_nanousd", "sum"),
        net=("net_nanousd", "sum"),
    )
    sums = sums.reset_index()
    sums["token_count"] = frames.narrow(sums.token_count)
    for name in ("charged", "refunded", "net"):
        sums[f"{name}_usd"] = frames.usd(sums.pop(name))
    return sums


def _wide(found: pd.DataFrame) -> pd.DataFrame:
    names = ("token_count", "charged_nanousd", "refunded_nanousd", "net_nanousd")
    return found.assign(**{name: frames.wide(found[name]) for name in names})


def _rate(nano: pd.Series, tokens: pd.Series) -> pd.Series:
    """Dollars a million tokens, rounded to nano-dollars; NULL where there are no tokens, or beyond all sense."""
    some = ((tokens > 0) & (tokens < _SENSE) & nano.notna()).fillna(False)
    count = tokens.where(some, 1)
    each = nano.where(some, 0) // count
    some &= each < _SENSE
    count, each, nano = count.where(some, 1), each.where(some, 0), nano.where(some, 0)
    rest = nano - each * count
    near = (rest * _PER_MILLION * 2 + count) // (count * 2)  # of integers all the way: no float rounds money
    return frames.usd((each * _PER_MILLION + near).where(some))
