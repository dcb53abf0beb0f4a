"""What fine-tuning cost: spend, effective prices, and what was paid for jobs without a result.

Amounts are exact decimals in USD. A job is charged its `total_price` where that is above 0, however the job ended;
0 is "not priced yet" as well as "free". A refund is known only where the job's detail was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ftetl.analysis import frames
from ftetl.snapshot.snapshot import Tables

_COLUMNS = ["model", "user_id", "training_type", "training_method", "packing", "status", "token_count"]
_LOST = ("cancelled", "error", "user_error")
_AMOUNTS = ("charged", "refunded", "net")
_PER_MILLION = 1_000_000
_LIMIT = 4 * 10**12  # of tokens and of nano-dollars a token: below it no product here leaves int64


def charges(snapshot: Tables) -> pd.DataFrame:
    """One row per job that was charged.

    Columns: `project`, `job_id`, `day`, `month`, `model`, `user_id`, `training_type`, `training_method`, `packing`,
    `status`, `token_count`, the integers `charged_nanousd`, `refunded_nanousd`, `net_nanousd` (charged less refunded),
    and `refund_known`. A refund above the price counts as 0 here, as in `focus_costs`; such jobs are anomalies.
    """
    jobs = frames.read_jobs(snapshot, [*_COLUMNS, "total_price_nanousd", "refund_amount_nanousd"])
    jobs = jobs[(jobs.total_price_nanousd > 0).fillna(False)].reset_index(drop=True)
    price, refund = jobs.pop("total_price_nanousd"), jobs.pop("refund_amount_nanousd")
    is_refund = ((refund > 0) & (refund <= price)).fillna(False)
    jobs["token_count"] = jobs.token_count.fillna(0)
    jobs["charged_nanousd"] = price
    jobs["refunded_nanousd"] = refund.where(is_refund, 0)
    jobs["net_nanousd"] = price - jobs.refunded_nanousd
    jobs["refund_known"] = refund.notna().astype("bool[pyarrow]")
    return jobs


def spend(snapshot: Tables, by: str | Iterable[str] = "month") -> pd.DataFrame:
    """What was spent, by time, model, user, project, training type or method, packing, or status.

    `by` is one or several of `day`, `month`, `model`, `user_id`, `project`, `training_type`, `training_method`,
    `packing`, `status`. Columns: those, then `jobs` (charged ones), `token_count` (billed), `charged_usd`,
    `refunded_usd`, `net_usd`. Times are UTC and those of the job's creation; a refund counts where its job does.
    In order of time where `by` begins with one, else the greatest spend first.

    Raises:
        UsageError: `by` names something else.
    """
    columns = frames.group_columns(by)
    sums = _sum_charges(charges(snapshot), columns)
    if columns[0] not in frames.TIMES:
        sums = sums.sort_values("net_usd", ascending=False, kind="stable", ignore_index=True)
    return sums


def waste(snapshot: Tables) -> pd.DataFrame:
    """What was charged for jobs that failed or were cancelled, by `status`; an early-stopped job is neither.

    Columns as of `spend`, and `refund_unknown`: of how many of the jobs no detail was read, so that a refund may be
    missing here. `net_usd` is what was paid without a result.
    """
    lost = charges(snapshot)
    lost = lost[lost.status.isin(_LOST)]
    unknown = (~lost.refund_known).groupby(lost.status).sum()
    sums = _sum_charges(lost, ["status"])
    sums["refund_unknown"] = sums.status.map(unknown).astype(frames.COUNT)
    return sums


def prices(snapshot: Tables) -> pd.DataFrame:
    """What each charged job came to per million tokens.

    Columns: `project`, `job_id`, `model`, `training_type`, `training_method`, `token_count`, `charged_usd`,
    `usd_per_million_tokens` (to 9 places; NULL without tokens), `priced_by` (`tokens` where the price is a whole number
    of nano-dollars a token, as published prices are, else `job`), and `minimum_charge`: whether jobs of other token
    counts were charged the very same amount by the job, as a minimum does. No amount is built in, so a minimum that
    only one job met is not seen.
    """
    jobs = charges(snapshot)
    price, tokens = jobs.charged_nanousd, jobs.token_count
    has_tokens = tokens > 0
    by_tokens = has_tokens & (price // tokens.where(has_tokens, 1) * tokens == price)
    result = jobs[["project", "job_id", "model", "training_type", "training_method", "token_count"]].copy()
    result["charged_usd"] = frames.to_usd(price)
    result["usd_per_million_tokens"] = _usd_per_million(price, tokens)
    result["priced_by"] = frames.to_series(pc.if_else(pa.array(by_tokens, pa.bool_()), "tokens", "job"))
    counts = jobs[~by_tokens].groupby("charged_nanousd").token_count.nunique()
    result["minimum_charge"] = ~by_tokens & price.isin(counts.index[counts > 1])
    return result


def effective_prices(snapshot: Tables, by: str | Iterable[str] = "model") -> pd.DataFrame:
    """What a million tokens came to, grouped as in `spend`.

    Compare prices by `packing`: since 24 April 2026 a job without packing is billed for its rows times `max_seq_length`
    tokens, whatever its texts have.

    Columns: those, then `jobs`, `token_count`, `charged_usd`, `usd_per_million_tokens` (all charges through all tokens,
    of the jobs that have tokens), `minimum_charges` (how many of the jobs paid one).

    Raises:
        UsageError: `by` names something else.
    """
    columns = frames.group_columns(by)
    jobs = charges(snapshot)
    jobs["minimum_charges"] = prices(snapshot).minimum_charge.astype(frames.COUNT)
    extra = {name: (name, "sum") for name in ("charged_nanousd", "minimum_charges")}
    sums = _sum_charges(jobs[jobs.token_count > 0], columns, ["charged"], extra)
    rate = _usd_per_million(frames.to_int64(sums.pop("charged_nanousd")), sums.token_count)
    sums.insert(len(columns) + 3, "usd_per_million_tokens", rate)
    return sums


def _sum_charges(
    jobs: pd.DataFrame, columns: list[str], amounts: Sequence[str] = _AMOUNTS, extra: frames.Sums | None = None
) -> pd.DataFrame:
    """By these columns how many jobs, the sums of tokens and of the amounts, these in USD, and the extra ones."""
    jobs = jobs.astype(dict.fromkeys(("token_count", *(f"{name}_nanousd" for name in amounts)), frames.WIDE))
    totals = {f"{name}_usd": (f"{name}_nanousd", "sum") for name in amounts}
    sums = frames.aggregate(jobs, columns, {"token_count": ("token_count", "sum"), **totals, **(extra or {})})
    sums["token_count"] = frames.to_int64(sums.token_count)
    for name in amounts:
        sums[f"{name}_usd"] = frames.to_usd(sums[f"{name}_usd"])
    return sums


def _usd_per_million(nano: pd.Series, tokens: pd.Series) -> pd.Series:
    """Dollars a million tokens, rounded to nano-dollars; NULL without tokens, or beyond what int64 can hold."""
    is_safe = ((tokens > 0) & (tokens < _LIMIT) & nano.notna()).fillna(False)
    tokens = tokens.where(is_safe, 1)
    each = nano.where(is_safe, 0) // tokens
    is_safe &= each < _LIMIT
    tokens, each, nano = tokens.where(is_safe, 1), each.where(is_safe, 0), nano.where(is_safe, 0)
    rest = nano - each * tokens
    rounded = (rest * _PER_MILLION * 2 + tokens) // (tokens * 2)  # of integers all the way: no float rounds money
    return frames.to_usd((each * _PER_MILLION + rounded).where(is_safe))
